//! Deliveries: the attempts of each record, by destination.
//!
//! A delivery that succeeds at the first attempt shares an item with the others of its workflow or
//! user and second. Every other delivery has an item of its own.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize, de::IgnoredAny};

use super::{
    keys::{self, Key},
    pending::delivery_item,
    retention::Retention,
    table::{
        Access, Condition, Filter, Page, PageRequest, Put, Range, ReadWrite, StoreError, TABLE, Table, Update,
        from_item, item_key, readable, to_item,
    },
};
use crate::{
    domain::{
        delivery::{Attempt, Delivery, DeliveryStatus, Route},
        id::{DestinationId, EnvironmentId, ObjectId},
        record::{Record, RecordKey, RecordOwner, RecordRef},
        timestamp::Timestamp,
    },
    logs::ErrorChain,
};

/// Number of partitions over which the deliveries of a destination are listed.
pub const SHARDS: u32 = keys::DELIVERY_SHARDS;

/// Maximum number of records per item. Keeps an item below 400 KB (AWS limit) with 2 KiB of
/// response per record.
const RECORDS_PER_ITEM: usize = 100;

/// Number of deliveries that are written concurrently.
const MAX_CONCURRENT_WRITES: usize = 20;

/// Records of a workflow or user that were delivered to a destination at the first attempt.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Delivered<A> {
    destination_id: DestinationId,
    attempts: BTreeMap<ObjectId, A>,
}

/// Deliveries to all destinations.
#[derive(Clone, Debug)]
pub struct Deliveries<A: Access = ReadWrite> {
    /// Errors table.
    pub table: Table<A>,
    /// Retention of deliveries.
    pub retention: Retention,
}

/// Deliveries that [`Deliveries::record`] has not stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unrecorded {
    /// Records for which the write failed.
    pub failed: BTreeSet<RecordKey>,
    /// Records with an existing delivery, each with the status that was to be stored.
    pub existing: BTreeMap<RecordKey, DeliveryStatus>,
}

impl Deliveries {
    /// Stores that records were delivered at the first attempt. One item holds the records of a
    /// workflow or user that were stored in the same second, which saves most write units. One
    /// `BatchWriteItem` per 25 items.
    ///
    /// The second is that of the recording, not that of the id, which an engine may choose. So only
    /// records stored in the same second share a prefix of sort keys, regardless of their ids.
    pub async fn record_delivered(&self, route: Route, delivered: &[(RecordRef, Attempt)]) -> Result<(), StoreError> {
        let mut grouped: BTreeMap<(RecordOwner, Timestamp), Vec<(ObjectId, &Attempt)>> = BTreeMap::new();
        for (RecordRef { key, recorded_at }, attempt) in delivered {
            grouped.entry((key.owner(), recorded_at.second())).or_default().push((*key.id(), attempt));
        }
        let mut shared: Vec<(Key, Timestamp, Delivered<&Attempt>)> = Vec::new();
        for ((owner, second), attempts) in grouped {
            for attempts in attempts.chunks(RECORDS_PER_ITEM) {
                let attempts: BTreeMap<ObjectId, &Attempt> = attempts.iter().copied().collect();
                let key = keys::delivered(route, owner, second, attempts.keys().copied());
                shared.push((key, second, Delivered { destination_id: route.destination, attempts }));
            }
        }
        let item = |(key, second, delivered): &(_, Timestamp, _)| {
            let mut item = to_item("delivered", key, delivered, &[])?;
            item.insert("expiresAt".into(), self.retention.expires_at(*second));
            Ok(item)
        };
        let unwritten = self.table.put_all(&shared, item).await;
        if unwritten.is_empty() { Ok(()) } else { Err(StoreError::Busy("some deliveries were not written".into())) }
    }

    /// Stores deliveries that finished without success at the first attempt. An existing delivery
    /// stays: either the attempt was repeated, and more may have happened since, or a replay queued
    /// the record first. One write for each.
    pub async fn record(&self, route: Route, deliveries: &[(RecordRef, Delivery)]) -> Unrecorded {
        let write = async |(record, delivery): &(RecordRef, Delivery)| {
            let expires_at = self.retention.expires_at(record.recorded_at);
            self.table.put(Put::if_absent(delivery_item(route, record.key, delivery, expires_at)?)).await
        };
        let written = stream::iter(deliveries.iter().map(write)).buffered(MAX_CONCURRENT_WRITES).collect::<Vec<_>>();
        let mut unrecorded = Unrecorded::default();
        for ((record, delivery), written) in deliveries.iter().zip(written.await) {
            match written {
                Ok(true) => {}
                Ok(false) => _ = unrecorded.existing.insert(record.key, delivery.status),
                Err(error) => {
                    tracing::warn!(error = %ErrorChain(&error), "failed to record a delivery");
                    unrecorded.failed.insert(record.key);
                }
            }
        }
        unrecorded
    }
}

impl<A: Access> Deliveries<A> {
    /// Returns the deliveries of a record to the given destinations. One `BatchGetItem` per 100
    /// destinations and one query per megabyte of deliveries of the same workflow or user and
    /// second.
    pub async fn list_by_record(
        &self,
        record: &Record,
        destinations: &BTreeSet<DestinationId>,
    ) -> Result<Vec<Delivery>, StoreError> {
        let (environment, now) = (record.environment_id(), Timestamp::now());
        let routes = destinations.iter().map(|destination| Route { environment, destination: *destination });
        let keys: Vec<Key> = routes.map(|route| keys::delivery(route, record.key())).collect();
        let (recorded, first_attempts) =
            tokio::try_join!(self.table.get_all_unexpired::<Delivery>(&keys, now), self.first_attempts(record, now))?;
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

    /// Returns the deliveries of a record that succeeded at the first attempt.
    async fn first_attempts(&self, record: &Record, now: Timestamp) -> Result<Vec<Delivery>, StoreError> {
        let key = record.key();
        let partition = [keys::delivered_of(record.environment_id(), key.owner())];
        let low = keys::delivered_prefix(record.recorded_at());
        // `g` sorts after every hex digit.
        let range = Range { high: format!("{low}g"), low, ..Range::all(TABLE) };
        let filter = Filter::default().unexpired(now).has_member("attempts", &key.id().to_string());
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = self.table.page::<Delivered<Attempt>>(
                &partition,
                &range,
                &filter,
                PageRequest::new(after.as_deref(), RECORDS_PER_ITEM),
            );
            let page = page.await?;
            found.extend(page.items.into_iter().filter_map(|Delivered { destination_id, mut attempts }| {
                let attempt = attempts.remove(key.id())?;
                Some(Delivery::finished(key.record_id(), destination_id, DeliveryStatus::Delivered, vec![attempt]))
            }));
            after = page.next;
            if after.is_none() {
                return Ok(found);
            }
        }
    }

    /// Returns a page of deliveries whose first attempt did not succeed, the newest records first.
    /// The page may be short if a filter excludes most of the items. One query for each of eight
    /// partitions.
    pub async fn list(
        &self,
        destination: Route,
        status: Option<DeliveryStatus>,
        request: PageRequest<'_>,
    ) -> Result<Page<Delivery>, StoreError> {
        let filter = Filter::default().unexpired(Timestamp::now()).equals("status", status.map(DeliveryStatus::as_str));
        let newest_first = Range { newest_first: true, ..Range::all(TABLE) };
        self.table.page(&keys::deliveries(destination).partitions(), &newest_first, &filter, request).await
    }
}

/// Deletes the first-attempt deliveries of the given records of a workflow or user and second;
/// those of other records in the same items remain. An unreadable item is deleted, because it may
/// be one of them. One query per megabyte, one `BatchWriteItem` per 25 items to delete, and one or
/// two writes per item to shrink. May stop anywhere and may run twice, also concurrently.
pub(super) async fn delete_delivered(
    table: &Table,
    environment: EnvironmentId,
    (owner, second): (RecordOwner, Timestamp),
    ids: &BTreeSet<ObjectId>,
) -> Result<(), StoreError> {
    let partition = keys::delivered_of(environment, owner);
    let (mut whole, mut parts) = (Vec::new(), Vec::new());
    for item in table.list_prefix(partition, &keys::delivered_prefix(second)).await? {
        let key = item_key(&item);
        match readable::<KeyedDelivered>(item) {
            Some(item) if !item.delivered.attempts.keys().all(|id| ids.contains(id)) => parts.push(item),
            _ => whole.push(key),
        }
    }
    table.delete_all(whole).await?;
    for item in parts {
        item.remove(table, ids).await?;
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
    /// Removes the given records from the item. At most two writes.
    async fn remove(self, table: &Table, ids: &BTreeSet<ObjectId>) -> Result<(), StoreError> {
        let mut erased = self.delivered.attempts.keys().filter(|id| ids.contains(id)).peekable();
        if erased.peek().is_none() {
            return Ok(());
        }
        // Without this condition, the update would recreate an item that another run has deleted.
        let update = Update::of(&self.key).when(Condition::item_exists());
        let update = erased.fold(update, |update, id| update.remove(&format!("attempts.{id}")));
        let remaining: Option<Delivered<IgnoredAny>> =
            table.update_returning_new(update).await?.map(from_item).transpose()?;
        if remaining.is_some_and(|remaining| remaining.attempts.is_empty()) {
            // Another run has removed the remaining records.
            table.delete_all(vec![self.key]).await?;
        }
        Ok(())
    }
}
