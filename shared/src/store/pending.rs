//! Pending deliveries: deliveries that wait for their next attempt, ordered by its time.

mod queue;
mod settle;

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::stream::{self, StreamExt};
use serde::Deserialize;

use super::{
    health::{Backlog, BacklogCount},
    keys::{self, Key},
    retention::Retention,
    table::{
        Condition, Delete, Item, Put, Range, StoreError, TABLE, Table, Update, Write, attribute_text, from_item, text,
        to_item, to_value,
    },
};
use crate::{
    domain::{
        delivery::{Attempt, Delivery, DeliveryStatus, Former, MAX_REPLAYS_PER_DELIVERY, PendingDelivery, Route},
        id::ReplayId,
        record::{RecordId, RecordKey},
        timestamp::Timestamp,
    },
    logs::ErrorChain,
};

pub use queue::{QueueOutcome, Queued};

/// Pending deliveries of all destinations.
#[derive(Clone, Debug)]
pub struct PendingDeliveries {
    /// Errors table.
    pub table: Table,
    /// Retention of deliveries.
    pub retention: Retention,
}

/// Pending deliveries of the same record, one of which replaces the others.
#[derive(Clone, Debug)]
pub struct Merge {
    /// Delivery that stays pending, after [`PendingDelivery::merge`].
    pub merged: PendingDelivery,
    /// The others.
    pub replaced: Vec<PendingDelivery>,
}

/// Pending deliveries found by a query, separated into readable and malformed ones.
#[derive(Clone, Debug, Default)]
pub struct FoundDeliveries {
    /// Deliveries.
    pub readable: Vec<PendingDelivery>,
    /// Deliveries whose items are malformed, reconstructed from their keys. Can be settled, which
    /// removes the items, but not attempted.
    pub unreadable: Vec<PendingDelivery>,
}

/// Part of the pending deliveries of a destination, in the order of their next attempts.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// All deliveries before `next`, and some later ones.
    pub found: FoundDeliveries,
    /// Time at which to continue, or none if there are no more.
    pub next: Option<Timestamp>,
}

/// State of a delivery that something stored before the result of its first attempt.
#[derive(Clone, Debug)]
enum Recorded {
    /// It was delivered, or has failed.
    Finished,
    /// It waits for an attempt.
    Waiting,
    /// It waits for an attempt of replays only, with this item. If they are cancelled, it ends.
    Replayed(Key),
}

/// State of a delivery.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DeliveryState {
    #[serde(flatten)]
    key: Key,
    status: DeliveryStatus,
    next_attempt_at: Option<Timestamp>,
}

/// Maximum number of items that a transaction writes for a delivery, except those of replays.
const WRITES_PER_DELIVERY: usize = 3;
/// Maximum number of items in a transaction (AWS limit).
const MAX_TRANSACTION_ITEMS: usize = 100;
// A single settlement always fits into a transaction.
const _: () = assert!(WRITES_PER_DELIVERY + MAX_REPLAYS_PER_DELIVERY <= MAX_TRANSACTION_ITEMS);
/// Maximum number of items of a partition that are read to count the backlog.
const MAX_COUNTED: usize = 1000;
/// Maximum number of rows that are deleted concurrently.
const MAX_CONCURRENT_DELETIONS: usize = 16;

impl PendingDeliveries {
    /// Adds pending deliveries and records their first attempts. Returns the records of those
    /// that were not written completely. Each record occurs at most once. If a first attempt is
    /// repeated, what was recorded before remains: a finished delivery does not become pending
    /// again, and one that waits stays as it is. Two items per delivery, one `BatchGetItem` per 100
    /// deliveries, another one if some of them wait already, and one `BatchWriteItem` per 25 items;
    /// one write for each delivery that a replay has queued before, and two more for each that did
    /// not become pending.
    pub async fn add(
        &self,
        route: Route,
        deliveries: &[(PendingDelivery, Option<Attempt>)],
    ) -> Result<BTreeSet<RecordKey>, StoreError> {
        let records: Vec<RecordKey> = deliveries.iter().map(|(pending, _)| pending.record).collect();
        let recorded = self.recorded(route, &records).await.unwrap_or_else(|error| {
            tracing::warn!(error = %ErrorChain(&error), "failed to look up deliveries, replaced those of repeated attempts");
            BTreeMap::new()
        });
        let (mut added, mut replayed) = (Vec::new(), Vec::new());
        for (pending, attempt) in deliveries {
            match recorded.get(&pending.record) {
                Some(Recorded::Finished | Recorded::Waiting) => {}
                Some(Recorded::Replayed(key)) => replayed.push((pending.record, key)),
                None => added.push((pending, attempt)),
            }
        }
        let rows = added.iter().map(|(pending, attempt)| self.row(route, pending, attempt.as_ref()));
        let waiting = added.iter().map(|(pending, _)| self.item(route, pending));
        let items = rows.chain(waiting).collect::<Result<Vec<Item>, StoreError>>()?;
        let mut unwritten = BTreeSet::new();
        let mut withdrawn: Vec<&PendingDelivery> = Vec::new();
        for at in self.table.put_all(&items, |item| Ok(item.clone())).await {
            // The first half are the rows.
            if let Some((pending, _)) = added.get(at) {
                unwritten.insert(pending.record);
            } else if let Some((pending, _)) = added.get(at - added.len()) {
                withdrawn.push(pending);
            }
        }
        let waiting = self.delete_waiting(route, &withdrawn).await;
        if let Err(error) = waiting.and(self.delete_rows(route, &withdrawn).await) {
            tracing::warn!(error = %ErrorChain(&error), "failed to withdraw deliveries that did not become pending");
        }
        unwritten.extend(withdrawn.iter().map(|pending| pending.record));
        for (record, key) in replayed {
            let update = Update::of(key).remove("replayOnly").remove("former");
            // A drain may have settled it since.
            let waits = Condition::equals("replayOnly", AttributeValue::Bool(true));
            match self.table.update(update.when(waits)).await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => tracing::warn!(error = %ErrorChain(&error), "failed to record a pending delivery"),
            }
            unwritten.insert(record);
        }
        Ok(unwritten)
    }

    /// Records how deliveries ended at their first attempts, after replays had queued their
    /// records. If the replays are cancelled, the deliveries remain with these statuses. One
    /// `BatchGetItem` per 100 deliveries, another one if some of them wait, and one write for each
    /// that waits for a replay.
    pub(crate) async fn set_former(
        &self,
        route: Route,
        ended: &BTreeMap<RecordKey, DeliveryStatus>,
    ) -> Result<(), StoreError> {
        let records: Vec<RecordKey> = ended.keys().copied().collect();
        let mut result = Ok(());
        for (record, recorded) in self.recorded(route, &records).await? {
            if let (Recorded::Replayed(key), Some(status)) = (recorded, ended.get(&record)) {
                let former = to_value(Former::Status(*status))?;
                let not_stored = Condition::equals("former", to_value(Former::NotStored)?);
                let updated = self.table.update(Update::of(&key).set("former", former).when(not_stored)).await;
                result = result.and(updated.map(|_| ()));
            }
        }
        result
    }

    /// Returns what is recorded of deliveries. Without those that lack the item that waits for an
    /// attempt, and without cancelled ones: their replay may have come before the first attempt.
    /// One `BatchGetItem` per 100 records, and another one per 100 pending ones.
    async fn recorded(&self, route: Route, records: &[RecordKey]) -> Result<BTreeMap<RecordKey, Recorded>, StoreError> {
        let by_key: BTreeMap<Key, RecordKey> =
            records.iter().map(|record| (keys::delivery(route, *record), *record)).collect();
        let wanted: Vec<Key> = by_key.keys().cloned().collect();
        let rows: Vec<DeliveryState> = self.table.get_all_unexpired(&wanted, Timestamp::now()).await?;
        let (mut recorded, mut pending) = (BTreeMap::new(), Vec::new());
        for DeliveryState { key, status, next_attempt_at } in rows {
            let Some(&record) = by_key.get(&key) else { continue };
            match status {
                DeliveryStatus::Delivered | DeliveryStatus::Failed => {
                    recorded.insert(record, Recorded::Finished);
                }
                DeliveryStatus::Pending => {
                    pending.extend(next_attempt_at.map(|at| keys::pending_delivery(route, at, record)));
                }
                DeliveryStatus::Cancelled => {}
            }
        }
        if !pending.is_empty() {
            let found: Vec<PendingDelivery> = self.table.get_all(&pending).await?;
            recorded.extend(found.into_iter().map(|delivery| {
                let replayed = || Recorded::Replayed(key(route, &delivery));
                (delivery.record, if delivery.replay_only { replayed() } else { Recorded::Waiting })
            }));
        }
        Ok(recorded)
    }

    /// Deletes deliveries whose first attempts are repeated. Otherwise one would be sent again if
    /// that succeeds. What a drain has stored since remains. One `BatchWriteItem` per 25
    /// deliveries, and one write for each.
    pub(crate) async fn withdraw(&self, route: Route, deliveries: &[&PendingDelivery]) -> Result<(), StoreError> {
        self.delete_waiting(route, deliveries).await?;
        self.delete_rows(route, deliveries).await
    }

    async fn delete_waiting(&self, route: Route, deliveries: &[&PendingDelivery]) -> Result<(), StoreError> {
        self.table.delete_all(deliveries.iter().map(|pending| key(route, pending)).collect()).await
    }

    /// Deletes the rows of deliveries that are still pending as given: they would be shown as
    /// pending until they expire.
    async fn delete_rows(&self, route: Route, deliveries: &[&PendingDelivery]) -> Result<(), StoreError> {
        let deletions: Vec<_> = deliveries
            .iter()
            .map(|pending| {
                let waits = Condition::equals("status", text(DeliveryStatus::Pending.as_str()))
                    .and(Condition::equals("nextAttemptAt", text(pending.next_attempt_at)));
                self.table.delete(Delete::of(&keys::delivery(route, pending.record)).when(waits))
            })
            .collect();
        let deleted: Vec<_> = stream::iter(deletions).buffer_unordered(MAX_CONCURRENT_DELETIONS).collect().await;
        deleted.into_iter().collect::<Result<Vec<bool>, _>>().map(|_| ())
    }

    fn row(&self, route: Route, pending: &PendingDelivery, attempt: Option<&Attempt>) -> Result<Item, StoreError> {
        let delivery = Delivery {
            record: pending.record.record_id(),
            destination_id: route.destination,
            status: DeliveryStatus::Pending,
            attempts: attempt.into_iter().cloned().collect(),
            next_attempt_at: Some(pending.next_attempt_at),
        };
        delivery_item(route, pending.record, &delivery, self.retention.expires_at(pending.recorded_at()))
    }

    fn item(&self, route: Route, pending: &PendingDelivery) -> Result<Item, StoreError> {
        let mut item = to_item("pendingDelivery", &key(route, pending), pending, &[])?;
        item.insert("expiresAt".into(), self.retention.expires_at(pending.pending_since));
        Ok(item)
    }

    /// Returns up to `limit` deliveries that are due by the given time, the longest overdue first,
    /// and up to `limit` unreadable ones. One query for each of eight partitions.
    pub async fn due(&self, route: Route, by: Timestamp, limit: usize) -> Result<FoundDeliveries, StoreError> {
        let due = Range { high: keys::due_by(by), ..Range::all(TABLE) };
        let partitions = keys::pending_deliveries(route).partitions();
        let (items, _) = self.table.first_items(&partitions, &due, limit).await?;
        let mut found = parse(route, items);
        found.readable.sort_by_key(|pending| pending.next_attempt_at);
        found.readable.truncate(limit);
        found.unreadable.truncate(limit);
        Ok(found)
    }

    /// Returns deliveries in the order of their next attempts, from a time on. Reads up to `limit`
    /// of each of eight partitions. One query for each of them.
    pub async fn search(&self, route: Route, from: Timestamp, limit: usize) -> Result<Search, StoreError> {
        let range = Range { low: from.to_string(), ..Range::all(TABLE) };
        let partitions = keys::pending_deliveries(route).partitions();
        let (items, ends) = self.table.first_items(&partitions, &range, limit).await?;
        let next = ends.iter().filter_map(|sk| Some(keys::parse_pending_delivery(sk)?.0)).min();
        Ok(Search { found: parse(route, items), next })
    }

    /// Returns a summary of all pending deliveries, due or not. They are not counted if a partition
    /// has 1,000 or more, or over 1 MB. One query for each of eight partitions.
    pub async fn backlog(&self, route: Route) -> Result<Backlog, StoreError> {
        let partitions = keys::pending_deliveries(route).partitions();
        let (items, ends) = self.table.first_items(&partitions, &Range::all(TABLE), MAX_COUNTED).await?;
        let FoundDeliveries { readable, unreadable } = parse(route, items);
        let found = [readable, unreadable].concat();
        let earliest_due = found.iter().map(|pending| pending.next_attempt_at).min();
        let count = BacklogCount {
            pending: i64::try_from(found.len()).unwrap_or(i64::MAX),
            pending_since: found.iter().map(|pending| pending.pending_since).min(),
        };
        Ok(Backlog { earliest_due, counted: ends.is_empty().then_some(count) })
    }

    /// Stores merged deliveries and removes those that were merged into them. Fails if one of them
    /// is no longer pending. At most 100 in total (AWS limit). One transaction.
    pub async fn merge(&self, route: Route, merges: &[Merge]) -> Result<(), StoreError> {
        let mut writes: Vec<Write> = Vec::new();
        for Merge { merged, replaced } in merges {
            writes.push(Put::new(self.item(route, merged)?).when(Condition::item_exists()).into());
            writes.extend(replaced.iter().map(|delivery| Delete::existing(&key(route, delivery)).into()));
        }
        if self.table.transact(writes).await?.is_committed() {
            Ok(())
        } else {
            Err(StoreError::Busy("a pending delivery was settled by another drain".into()))
        }
    }

    /// Returns the update of the delivery to which a pending one belongs, without its attempts.
    fn update(
        &self,
        route: Route,
        pending: &PendingDelivery,
        (status, next_attempt_at): (DeliveryStatus, Option<Timestamp>),
    ) -> Result<Update, StoreError> {
        let (name, id) = match pending.record.record_id() {
            RecordId::Error { error_id } => ("errorId", error_id.to_string()),
            RecordId::Event { event_id } => ("eventId", event_id.to_string()),
        };
        Ok(Update::of(&keys::delivery(route, pending.record))
            .set("type", text("delivery"))
            .set(name, text(id))
            .set("destinationId", text(route.destination))
            .set("status", text(status.as_str()))
            .set("nextAttemptAt", next_attempt_at.map_or(AttributeValue::Null(true), text))
            .set_if_absent("expiresAt", self.retention.expires_at(pending.recorded_at())))
    }
}

fn key(route: Route, delivery: &PendingDelivery) -> Key {
    keys::pending_delivery(route, delivery.next_attempt_at, delivery.record)
}

/// Parses pending deliveries. Malformed items are logged.
///
/// A malformed item is identified by its key, which is enough to settle it. An item whose key is
/// also malformed is ignored; no version of Tenon writes one.
fn parse(route: Route, items: Vec<Item>) -> FoundDeliveries {
    let mut found = FoundDeliveries::default();
    for item in items {
        let (pk, sk, replay_ids) = (attribute_text(&item, "pk"), attribute_text(&item, "sk"), replay_ids(&item));
        let has_key = |delivery: &PendingDelivery| {
            let key = key(route, delivery);
            (&key.pk, &key.sk) == (&pk, &sk)
        };
        match from_item::<PendingDelivery>(item) {
            Ok(delivery) if has_key(&delivery) => {
                found.readable.push(delivery);
                continue;
            }
            Ok(_) => tracing::error!(pk, sk, "pending delivery has the key of another one"),
            Err(error) => tracing::error!(error = %ErrorChain(&error), pk, sk, "unreadable pending delivery"),
        }
        let delivery = keys::parse_pending_delivery(&sk).map(|(next_attempt_at, record)| PendingDelivery {
            record,
            attempts: 0,
            pending_since: next_attempt_at,
            recorded_at: None,
            next_attempt_at,
            scheduled_at: None,
            early_attempt_failed: false,
            replay_only: !replay_ids.is_empty(),
            replay_ids,
            former: None,
        });
        found.unreadable.extend(delivery.filter(has_key));
    }
    found
}

/// Returns the readable ones of the replays in an item.
fn replay_ids(item: &Item) -> BTreeSet<ReplayId> {
    let ids = item.get("replayIds").and_then(|ids| ids.as_l().ok()).into_iter().flatten();
    ids.filter_map(|id| id.as_s().ok()?.parse().ok()).take(MAX_REPLAYS_PER_DELIVERY).collect()
}

/// Returns the item of a delivery that did not succeed at its first attempt. It expires with the
/// record, so that an erasure of the records finds all deliveries.
pub(super) fn delivery_item(
    route: Route,
    record: RecordKey,
    delivery: &Delivery,
    expires_at: AttributeValue,
) -> Result<Item, StoreError> {
    let mut item = to_item("delivery", &keys::delivery(route, record), delivery, &[])?;
    item.insert("expiresAt".into(), expires_at);
    Ok(item)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        id::{DestinationId, EnvironmentId, ErrorId, WorkflowId},
        record::RecordRef,
    };

    #[test]
    fn malformed_item_is_known_by_its_key() {
        let route = Route { environment: EnvironmentId::new(), destination: DestinationId::new() };
        let at = "2026-11-24T05:30:00Z".parse().unwrap();
        let delivery = || {
            let record = RecordKey::Error { workflow_id: WorkflowId::new(), error_id: ErrorId::new() };
            PendingDelivery::replayed(RecordRef { key: record, recorded_at: at }, (ReplayId::new(), at), at)
        };
        let item =
            |delivery: &PendingDelivery| to_item("pendingDelivery", &key(route, delivery), delivery, &[]).unwrap();
        let (readable, malformed, elsewhere, unknown) = (delivery(), delivery(), delivery(), delivery());
        let mut items = [&readable, &malformed, &elsewhere, &unknown].map(item);
        items[1].remove("attempts");
        let other = at + std::time::Duration::from_secs(1);
        items[2].insert("nextAttemptAt".into(), AttributeValue::S(other.to_string()));
        items[3].extend([
            ("attempts".into(), AttributeValue::Null(true)),
            ("sk".into(), AttributeValue::S("2026-11-24T05:30:00.000Z#".into())),
        ]);

        let found = parse(route, items.into());

        assert_eq!(found.readable, [readable]);
        let from_key = |delivery: PendingDelivery| PendingDelivery {
            pending_since: delivery.next_attempt_at,
            recorded_at: None,
            ..delivery
        };
        assert_eq!(found.unreadable, [from_key(malformed), from_key(elsewhere)]);
    }
}
