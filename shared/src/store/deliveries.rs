//! What is told of deliveries.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    errors::Retention,
    keys,
    listing::{Filter, Page, Range, TABLE},
    pending::delivery_item,
    table::{StoreError, Table, to_item},
};
use crate::domain::{
    delivery::{Delivery, DeliveryStatus, Route},
    error_log::ErrorKey,
    id::{DestinationId, EnvironmentId, WorkflowId},
    timestamp::Timestamp,
};

/// The number of partitions over which the deliveries of a destination are listed.
pub const LISTED_OVER: u32 = keys::DELIVERY_SHARDS;

/// The deliveries of all destinations.
#[derive(Clone, Debug)]
pub struct Deliveries {
    /// The table of errors and deliveries.
    pub table: Table,
    /// How long they are kept.
    pub retention: Retention,
}

impl Deliveries {
    /// Notes deliveries whose first attempt succeeded, each with the workflow of its error. 25 a request.
    pub async fn note_delivered(
        &self,
        destination: Route,
        deliveries: &[(WorkflowId, Delivery)],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let items = deliveries.iter().map(|(workflow, delivery)| {
            let key = keys::delivered(destination, *workflow, delivery.error_id);
            let mut item = to_item("delivered", &key, delivery, &[])?;
            item.insert("expiresAt".into(), self.retention.expires(now));
            Ok(item)
        });
        let unwritten = self.table.put_all(items.collect::<Result<_, StoreError>>()?).await;
        if unwritten.is_empty() { Ok(()) } else { Err(StoreError::Busy("deliveries were left unnoted".into())) }
    }

    /// Notes deliveries that are not made, and do not wait. 25 a request. Returns the indices of those that DynamoDB did
    /// not take.
    pub async fn note(
        &self,
        destination: Route,
        deliveries: &[(WorkflowId, Delivery)],
        now: Timestamp,
    ) -> Result<Vec<usize>, StoreError> {
        let items = deliveries
            .iter()
            .map(|(workflow, delivery)| delivery_item(destination, *workflow, delivery, self.retention, now));
        Ok(self.table.put_all(items.collect::<Result<_, _>>()?).await)
    }

    /// What is told of an error's deliveries to these destinations. One read for 50 destinations.
    pub async fn of_error(
        &self,
        environment: EnvironmentId,
        (workflow, error): ErrorKey,
        destinations: &BTreeSet<DestinationId>,
    ) -> Result<Vec<Delivery>, StoreError> {
        let keys: Vec<_> = destinations
            .iter()
            .map(|destination| Route { environment, destination: *destination })
            .flat_map(|route| [keys::delivered(route, workflow, error), keys::delivery(route, workflow, error)])
            .collect();
        let mut found: BTreeMap<DestinationId, Delivery> = BTreeMap::new();
        let told: Vec<Delivery> = self.table.get_all_kept(&keys, Timestamp::now()).await?;
        for delivery in told {
            let destination = delivery.destination_id;
            let delivery = match found.remove(&destination) {
                Some(other) => other.joined(delivery),
                None => delivery,
            };
            found.insert(destination, delivery);
        }
        Ok(found.into_values().collect())
    }

    /// A page of the deliveries of a destination whose first attempt did not succeed, those of the newest errors first.
    /// One query a partition, and more where a filter leaves out most of what is read.
    pub async fn list(
        &self,
        destination: Route,
        status: Option<DeliveryStatus>,
        (after, limit): (Option<&str>, usize),
    ) -> Result<Page<Delivery>, StoreError> {
        let partitions: Vec<String> =
            (0..keys::DELIVERY_SHARDS).map(|shard| keys::deliveries(destination, shard)).collect();
        let filter = Filter::default().kept(Timestamp::now()).is("status", status.map(DeliveryStatus::as_str));
        let newest_first = Range { newest_first: true, ..Range::all(TABLE) };
        self.table.page(&partitions, &newest_first, &filter, (after, limit)).await
    }
}
