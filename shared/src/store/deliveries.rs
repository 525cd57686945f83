//! Deliveries: the attempts of each error, by destination.
//!
//! A delivery that succeeds at the first attempt shares an item with the others of its workflow and
//! second. Every other delivery has an item of its own.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize, de::IgnoredAny};

use super::{
    errors::Retention,
    keys::{self, Key},
    pending::delivery_item,
    table::{
        Access, Condition, Filter, Item, Page, Range, ReadWrite, StoreError, TABLE, Table, Update, from_items, to_item,
    },
};
use crate::domain::{
    delivery::{Attempt, Delivery, DeliveryStatus, Route},
    error_log::ErrorLog,
    id::{DestinationId, EnvironmentId, ErrorId, WorkflowId},
    record::RecordKey,
    timestamp::Timestamp,
};

/// Number of partitions over which the deliveries of a destination are listed.
pub const SHARDS: u32 = keys::DELIVERY_SHARDS;

/// Maximum number of errors per item. Keeps an item below 400 KB (AWS limit) with 2 KiB of response
/// per error.
const ERRORS_PER_ITEM: usize = 100;

/// Errors of a workflow that were delivered to a destination at the first attempt.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Delivered<A> {
    destination_id: DestinationId,
    attempts: BTreeMap<ErrorId, A>,
}

/// Deliveries to all destinations.
#[derive(Clone, Debug)]
pub struct Deliveries<A: Access = ReadWrite> {
    /// Errors table.
    pub table: Table<A>,
    /// Retention of deliveries.
    pub retention: Retention,
}

impl Deliveries {
    /// Records errors that were delivered at the first attempt, each with its time of recording. One
    /// item holds the errors of a
    /// workflow that were recorded in the same second, which saves most write units. One
    /// `BatchWriteItem` per 25 items.
    ///
    /// The second is that of the recording, not that of the id, which an engine may choose. So only
    /// errors recorded in the same second share a prefix of sort keys, regardless of their ids.
    pub async fn record_delivered(
        &self,
        route: Route,
        delivered: &[(RecordKey, Timestamp, Attempt)],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut grouped: BTreeMap<(WorkflowId, Timestamp), Vec<(ErrorId, &Attempt)>> = BTreeMap::new();
        for (RecordKey::Error { workflow_id, error_id }, recorded_at, attempt) in delivered {
            grouped.entry((*workflow_id, recorded_at.second())).or_default().push((*error_id, attempt));
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
        if unwritten.is_empty() { Ok(()) } else { Err(StoreError::Busy("some deliveries were not written".into())) }
    }

    /// Records deliveries that are finished without success. Returns the indices of those that were
    /// not written. One `BatchWriteItem` per 25 deliveries.
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
}

impl<A: Access> Deliveries<A> {
    /// Returns the deliveries of an error to the given destinations. One `BatchGetItem` per 100
    /// destinations and one query per megabyte of deliveries of the same workflow and second.
    pub async fn list_by_error(
        &self,
        error: &ErrorLog,
        destinations: &BTreeSet<DestinationId>,
    ) -> Result<Vec<Delivery>, StoreError> {
        let (environment, now) = (error.environment_id, Timestamp::now());
        let routes = destinations.iter().map(|destination| Route { environment, destination: *destination });
        let keys: Vec<Key> =
            routes.map(|route| keys::delivery(route, (error.workflow_id, error.error_id).into())).collect();
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

    /// Returns the deliveries of an error that succeeded at the first attempt.
    async fn first_attempts(&self, error: &ErrorLog, now: Timestamp) -> Result<Vec<Delivery>, StoreError> {
        let ErrorLog { environment_id, workflow_id, error_id, updated_at, .. } = error;
        let partition = [keys::delivered_of_workflow(*environment_id, *workflow_id)];
        let low = keys::delivered_prefix(*updated_at);
        // `g` sorts after every hex digit.
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

    /// Returns a page of deliveries whose first attempt did not succeed, the newest errors first.
    /// One query for each of eight partitions; more if a filter excludes most of the items.
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

/// Deletes the first-attempt deliveries of the given errors of a workflow and second; those of
/// other errors in the same items remain. Fails if an item is not readable. One query per megabyte, one `BatchWriteItem` per 25 items
/// to delete, and one or two writes per item to shrink. May stop anywhere and may run twice, also
/// concurrently.
pub(super) async fn delete_delivered(
    table: &Table,
    environment: EnvironmentId,
    (workflow, second): (WorkflowId, Timestamp),
    errors: &BTreeSet<ErrorId>,
) -> Result<(), StoreError> {
    let partition = keys::delivered_of_workflow(environment, workflow);
    let items: Vec<KeyedDelivered> = from_items(table.list_prefix(partition, &keys::delivered_prefix(second)).await?)?;
    let (whole, parts): (Vec<KeyedDelivered>, Vec<KeyedDelivered>) =
        items.into_iter().partition(|item| item.delivered.attempts.keys().all(|error| errors.contains(error)));
    table.delete_all(whole.into_iter().map(|item| item.key).collect()).await?;
    for item in parts {
        item.remove_errors(table, errors).await?;
    }
    Ok(())
}

/// Item of first-attempt deliveries, with its key.
#[derive(Deserialize)]
struct KeyedDelivered {
    #[serde(flatten)]
    key: Key,
    #[serde(flatten)]
    delivered: Delivered<IgnoredAny>,
}

impl KeyedDelivered {
    /// Removes the given errors from the item. At most two writes.
    async fn remove_errors(self, table: &Table, errors: &BTreeSet<ErrorId>) -> Result<(), StoreError> {
        let mut erased = self.delivered.attempts.keys().filter(|error| errors.contains(error)).peekable();
        if erased.peek().is_none() {
            return Ok(());
        }
        // Without this condition, the update would recreate an item that another run has deleted.
        let update = Update::of(&self.key).when(Condition::item_exists());
        let update = erased.fold(update, |update, error| update.remove(&format!("attempts.{error}")));
        let remaining: Option<Delivered<IgnoredAny>> = table.update_returning_new(update).await?;
        if remaining.is_some_and(|remaining| remaining.attempts.is_empty()) {
            // Another run has removed the remaining errors.
            table.delete_all(vec![self.key]).await?;
        }
        Ok(())
    }
}
