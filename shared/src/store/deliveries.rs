//! What is told of deliveries.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::ReturnValue;
use serde::{Deserialize, Serialize, de::IgnoredAny};

use super::{
    errors::Retention,
    keys::{self, Key},
    listing::{Filter, Page, Range, TABLE},
    pending::delivery_item,
    table::{Item, StoreError, Table, none_if_condition_failed, to_item},
};
use crate::domain::{
    delivery::{Attempt, Delivery, DeliveryStatus, Route},
    error_log::ErrorLog,
    id::{DestinationId, EnvironmentId, ErrorId, WorkflowId},
    timestamp::Timestamp,
};

/// The number of partitions over which the deliveries of a destination are listed.
pub const SHARDS: u32 = keys::DELIVERY_SHARDS;

/// So many errors are told of by one item: it stays below 400 KB (an AWS limit), with 2 KiB of an answer for each.
const ERRORS_PER_ITEM: usize = 100;

/// Errors of a workflow that a destination took at the first attempt, as one item tells of them.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Delivered<A> {
    destination_id: DestinationId,
    attempts: BTreeMap<ErrorId, A>,
}

/// The deliveries of all destinations.
#[derive(Clone, Debug)]
pub struct Deliveries {
    /// The table of errors and deliveries.
    pub table: Table,
    /// How long they are kept.
    pub retention: Retention,
}

impl Deliveries {
    /// Notes errors that a destination took at the first attempt: those of a workflow that were recorded in the same second
    /// in one item, which spares nearly all write units. 25 items a request.
    ///
    /// The second is that of the record and not of the id, which an engine may give: so however old errors are said to be,
    /// no more of them lie in one place than can be recorded in a second.
    pub async fn record_delivered(
        &self,
        route: Route,
        delivered: &[(&ErrorLog, Attempt)],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut grouped: BTreeMap<(WorkflowId, Timestamp), Vec<(ErrorId, &Attempt)>> = BTreeMap::new();
        for (error, attempt) in delivered {
            let group = (error.workflow_id, error.updated_at.second());
            grouped.entry(group).or_default().push((error.error_id, attempt));
        }
        let mut items: Vec<Item> = Vec::new();
        for ((workflow, second), attempts) in grouped {
            for attempts in attempts.chunks(ERRORS_PER_ITEM) {
                let attempts: BTreeMap<ErrorId, &Attempt> = attempts.iter().copied().collect();
                let key = keys::delivered(route, workflow, second, attempts.keys().copied());
                let delivered = Delivered { destination_id: route.destination, attempts };
                let mut item = to_item("delivered", &key, &delivered, &[])?;
                item.insert("expiresAt".into(), self.retention.expires_at(now));
                items.push(item);
            }
        }
        let unwritten = self.table.put_all(items).await;
        if unwritten.is_empty() { Ok(()) } else { Err(StoreError::Busy("deliveries were left unnoted".into())) }
    }

    /// Notes deliveries that are not made, and do not wait. 25 a request. Returns the indices of those that DynamoDB did
    /// not take.
    pub async fn record(
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

    /// What is told of an error's deliveries. One read for a hundred destinations that it may have been sent to, and one query
    /// for a megabyte of what was recorded of its workflow in the same second.
    pub async fn list_by_error(
        &self,
        error: &ErrorLog,
        destinations: &BTreeSet<DestinationId>,
    ) -> Result<Vec<Delivery>, StoreError> {
        let (environment, now) = (error.environment_id, Timestamp::now());
        let routes = destinations.iter().map(|destination| Route { environment, destination: *destination });
        let keys: Vec<Key> = routes.map(|route| keys::delivery(route, error.workflow_id, error.error_id)).collect();
        let (recorded, first_attempts) =
            tokio::try_join!(self.table.get_all_unexpired::<Delivery>(&keys, now), self.first_attempts(error, now))?;
        let mut found: BTreeMap<DestinationId, Delivery> = BTreeMap::new();
        for delivery in first_attempts.into_iter().chain(recorded) {
            let destination = delivery.destination_id;
            let delivery = match found.remove(&destination) {
                Some(other) => other.merge(delivery),
                None => delivery,
            };
            found.insert(destination, delivery);
        }
        Ok(found.into_values().collect())
    }

    /// An error's deliveries that succeeded at the first attempt.
    async fn first_attempts(&self, error: &ErrorLog, now: Timestamp) -> Result<Vec<Delivery>, StoreError> {
        let ErrorLog { environment_id, workflow_id, error_id, updated_at, .. } = error;
        let partition = [keys::delivered_of_workflow(*environment_id, *workflow_id)];
        let low = keys::delivered_prefix(*updated_at);
        // `g` is above every hex digit.
        let range = Range { high: format!("{low}g"), low, ..Range::all(TABLE) };
        let filter = Filter::default().unexpired(now).has_member("attempts", &error_id.to_string());
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page =
                self.table.page::<Delivered<Attempt>>(&partition, &range, &filter, (after.as_deref(), ERRORS_PER_ITEM));
            let page = page.await?;
            found.extend(page.items.into_iter().filter_map(|Delivered { destination_id, mut attempts }| {
                let attempt = attempts.remove(error_id)?;
                Some(Delivery::finished(*error_id, destination_id, DeliveryStatus::Delivered, vec![attempt]))
            }));
            after = page.next;
            if after.is_none() {
                return Ok(found);
            }
        }
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
        let filter = Filter::default().unexpired(Timestamp::now()).equals("status", status.map(DeliveryStatus::as_str));
        let newest_first = Range { newest_first: true, ..Range::all(TABLE) };
        self.table.page(&partitions, &newest_first, &filter, (after, limit)).await
    }
}

/// Forgets that errors of a workflow, recorded in this second, were delivered at the first attempt; what is told of others
/// beside them stays. One query for a megabyte, one `BatchWriteItem` for 25 items that tell of nothing else, and a write for
/// each one that does. It may die anywhere and be run twice, also at once.
pub(super) async fn delete_delivered(
    table: &Table,
    environment: EnvironmentId,
    (workflow, second): (WorkflowId, Timestamp),
    errors: &BTreeSet<ErrorId>,
) -> Result<(), StoreError> {
    let partition = keys::delivered_of_workflow(environment, workflow);
    let items: Vec<KeyedDelivered> = table.list(partition, &keys::delivered_prefix(second)).await?;
    let (whole, parts): (Vec<KeyedDelivered>, Vec<KeyedDelivered>) =
        items.into_iter().partition(|item| item.delivered.attempts.keys().all(|error| errors.contains(error)));
    table.delete_all(whole.into_iter().map(|item| item.key).collect()).await?;
    for item in parts {
        item.remove_errors(table, errors).await?;
    }
    Ok(())
}

/// An item that tells of what was delivered at the first attempt, with its place.
#[derive(Deserialize)]
struct KeyedDelivered {
    #[serde(flatten)]
    key: Key,
    #[serde(flatten)]
    delivered: Delivered<IgnoredAny>,
}

impl KeyedDelivered {
    /// Forgets these errors of those that it tells of. None, one or two writes.
    async fn remove_errors(self, table: &Table, errors: &BTreeSet<ErrorId>) -> Result<(), StoreError> {
        let mut update = table.client.update_item().table_name(&table.name).set_key(Some(self.key.attributes()));
        let mut paths = Vec::new();
        for (number, error) in self.delivered.attempts.keys().filter(|error| errors.contains(error)).enumerate() {
            paths.push(format!("attempts.#e{number}"));
            update = update.expression_attribute_names(format!("#e{number}"), error.to_string());
        }
        if paths.is_empty() {
            return Ok(());
        }
        let update = update
            .update_expression(format!("REMOVE {}", paths.join(", ")))
            // Without it an item would be made anew that another run has removed.
            .condition_expression("attribute_exists(pk)")
            .return_values(ReturnValue::AllNew);
        let remaining = none_if_condition_failed(update.send().await)?.and_then(|output| output.attributes);
        let remaining =
            remaining.as_ref().and_then(|item| item.get("attempts")).and_then(|attempts| attempts.as_m().ok());
        if remaining.is_some_and(|attempts| attempts.is_empty()) {
            // Another run has forgotten the others.
            table.delete_all(vec![self.key]).await?;
        }
        Ok(())
    }
}
