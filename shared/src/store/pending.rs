//! Pending deliveries: deliveries that wait for their next attempt, ordered by its time.

use std::{
    collections::{BTreeMap, BTreeSet},
    iter,
    time::Duration,
};

use aws_sdk_dynamodb::types::AttributeValue;
use serde::Deserialize;

use super::{
    errors::Retention,
    health::Backlog,
    keys::{self, Key},
    replays::Replays,
    table::{
        Condition, Delete, Item, Put, Range, Retries, StoreError, TABLE, Table, Update, Write, attribute_text,
        from_item, number, text, to_item, to_value,
    },
};
use crate::{
    domain::{
        delivery::{
            Attempt, Delivery, DeliveryStatus, Disposition, Former, MAX_REPLAYS_PER_DELIVERY, PendingDelivery, Route,
            Settlement,
        },
        id::ReplayId,
        record::{RecordId, RecordKey},
        replay::{Replay, ReplayStatus, Selection},
        timestamp::Timestamp,
    },
    logs::ErrorChain,
    metrics::{self, Metric},
};

/// Pending deliveries of all destinations.
#[derive(Clone, Debug)]
pub struct PendingDeliveries {
    /// Errors table.
    pub table: Table,
    /// Retention of deliveries.
    pub retention: Retention,
}

/// Result of queueing records for a replay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queued {
    /// Number of records that are queued, including those that an earlier call queued.
    pub records: usize,
    /// Number of records whose delivery was not pending before.
    pub added: usize,
}

/// Result of queueing the records of one transaction.
enum QueueOutcome {
    Queued(Queued),
    /// The replay was cancelled.
    ReplayEnded,
    /// A drain changed a delivery meanwhile.
    Interfered,
}

/// Attributes of a delivery that a replay needs.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DeliveryRow {
    pk: String,
    sk: String,
    status: DeliveryStatus,
    #[serde(default)]
    next_attempt_at: Option<Timestamp>,
    /// The latest replays that queued the delivery, oldest first.
    #[serde(default)]
    replay_ids: Vec<ReplayId>,
    /// Required, because a settlement appends to it.
    attempts: Vec<Attempt>,
}

/// Deliveries of the records that a replay queues, as they are stored.
struct StoredDeliveries {
    rows: BTreeMap<RecordKey, DeliveryRow>,
    /// Records whose deliveries are malformed.
    malformed: BTreeSet<RecordKey>,
    /// Readable pending deliveries.
    pending: BTreeMap<RecordKey, PendingDelivery>,
}

impl StoredDeliveries {
    /// Returns the pending delivery with which a replay replaces the stored one, or none if the replay no
    /// longer selects it, or too many replays would count its result.
    fn queued_by(&self, replay: &Replay, record: (RecordKey, Timestamp), now: Timestamp) -> Option<PendingDelivery> {
        let row = self.rows.get(&record.0);
        let due = row.and_then(|row| row.next_attempt_at);
        // It may have been settled since the replay selected it.
        if let Selection::Deliveries(statuses) = &replay.selection {
            let is_selected = match row {
                Some(row) => statuses.contains(&row.status),
                None => self.malformed.contains(&record.0),
            };
            is_selected.then_some(())?;
        }
        let mut next = PendingDelivery::replayed(record, (replay.replay_id, replay.created_at), next_due(due, now));
        match (due, self.pending.get(&record.0)) {
            (Some(_), Some(before)) => {
                next.merge(before).then_some(())?;
                next.former = before.former;
            }
            // An unreadable delivery may be wanted without a replay.
            (Some(_), None) => next.replay_only = false,
            (None, _) => next.former = Some(row.map_or(Former::NotStored, |row| Former::Status(row.status))),
        }
        Some(next)
    }
}

/// Returns the time of the next attempt of a delivery that is queued now. It is part of the key, and differs from the
/// present one and those of replays that queued the delivery in the same millisecond, so that a drain which has read the
/// delivery before settles nothing.
fn next_due(before: Option<Timestamp>, now: Timestamp) -> Timestamp {
    // Another replay may have queued the delivery in the same millisecond.
    let following = before.map(|due| due + Duration::from_millis(1));
    following.filter(|due| *due < now + Duration::from_secs(1)).map_or(now, |due| due.max(now))
}

/// Returns the last items of a list.
fn newest<T>(list: &[T], count: usize) -> &[T] {
    list.get(list.len().saturating_sub(count)..).unwrap_or_default()
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

/// Extent to which settlements are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Extent {
    /// Whether attempts are added to the former ones, which are lost otherwise: those of a damaged delivery.
    keeps_attempts: bool,
    /// Whether the replays of the deliveries count them in the same transaction.
    counts_for_replays: bool,
}

impl Extent {
    const COMPLETE: Self = Self { keeps_attempts: true, counts_for_replays: true };
    const NEW_ATTEMPTS: Self = Self { keeps_attempts: false, counts_for_replays: true };
    const WITHOUT_REPLAYS: Self = Self { keeps_attempts: true, counts_for_replays: false };
    const LEAST: Self = Self { keeps_attempts: false, counts_for_replays: false };
}

/// Maximum number of settlements per transaction.
const SETTLEMENTS_PER_TRANSACTION: usize = 20;
/// Maximum number of items that a settlement writes, except those of replays.
const WRITES_PER_SETTLEMENT: usize = 3;
/// Maximum number of items in a transaction (AWS limit).
const MAX_TRANSACTION_ITEMS: usize = 100;
// A single settlement always fits into a transaction.
const _: () = assert!(WRITES_PER_SETTLEMENT + MAX_REPLAYS_PER_DELIVERY <= MAX_TRANSACTION_ITEMS);
/// Maximum number of former attempts that a replayed delivery keeps. With as many of its own, at most 2 KiB
/// each, a hundred deliveries fit into the response of a function (6 MB).
const MAX_KEPT_ATTEMPTS: usize = 12;
/// Maximum number of items of a partition that are read to count the backlog.
const MAX_COUNTED: usize = 100;

impl PendingDeliveries {
    /// Adds pending deliveries and records their first attempts. Returns the indices of those that
    /// were not written completely. Each record occurs at most once. Two items per delivery, one
    /// `BatchWriteItem` per 25 items; two more writes for each delivery that did not become pending.
    pub async fn add(
        &self,
        route: Route,
        deliveries: &[(PendingDelivery, Option<Attempt>)],
    ) -> Result<Vec<usize>, StoreError> {
        let delivery_items = deliveries.iter().map(|(pending, attempt)| {
            let delivery = Delivery {
                record: pending.record.record_id(),
                destination_id: route.destination,
                status: DeliveryStatus::Pending,
                attempts: attempt.iter().cloned().collect(),
                next_attempt_at: Some(pending.next_attempt_at),
            };
            delivery_item(route, pending.record, &delivery, self.retention.expires_at(pending.recorded_at()))
        });
        let items = delivery_items.chain(deliveries.iter().map(|(pending, _)| self.item(route, pending)));
        let items = items.collect::<Result<Vec<Item>, StoreError>>()?;
        let unwritten: BTreeSet<usize> =
            self.table.put_all(&items, |item| Ok(item.clone())).await.into_iter().collect();
        let (attempts, pending): (BTreeSet<usize>, BTreeSet<usize>) =
            unwritten.into_iter().partition(|index| *index < deliveries.len());
        let pending: BTreeSet<usize> = pending.into_iter().map(|index| index - deliveries.len()).collect();
        let withdrawn: Vec<_> = pending.iter().filter_map(|index| Some(&deliveries.get(*index)?.0)).collect();
        if let Err(error) = self.withdraw(route, &withdrawn).await {
            tracing::warn!(error = %ErrorChain(&error), "failed to withdraw deliveries that did not become pending");
        }
        Ok(attempts.union(&pending).copied().collect())
    }

    /// Deletes deliveries that may have been stored in part. Otherwise one would be shown as pending until it
    /// expires if its repeated first attempt succeeds. What a drain has stored since remains. Two writes each.
    async fn withdraw(&self, route: Route, deliveries: &[&PendingDelivery]) -> Result<(), StoreError> {
        let mut result = self.table.delete_all(deliveries.iter().map(|pending| key(route, pending)).collect()).await;
        for pending in deliveries {
            let waits = Condition::equals("status", text(DeliveryStatus::Pending.as_str()))
                .and(Condition::equals("nextAttemptAt", text(pending.next_attempt_at)));
            let deleted = self.table.delete(Delete::of(&keys::delivery(route, pending.record)).when(waits)).await;
            result = result.and(deleted.map(|_| ()));
        }
        result
    }

    /// Makes the deliveries of records pending for a replay, due immediately, and counts them as found.
    /// A delivery that is pending already is replaced by one that counts for this replay, too. Its last
    /// twelve attempts are kept. A repeated call changes nothing. Skips a delivery that is pending for
    /// [`MAX_REPLAYS_PER_DELIVERY`] replays, and one whose status the replay does not select. Each
    /// record comes with the time at which it was stored, and occurs at most once.
    ///
    /// Returns none if the replay is no longer running. Otherwise the number of records that are
    /// queued, and how many of their deliveries were not pending before.
    ///
    /// Two `BatchGetItem` and one transaction per 33 records; repeated if a drain interferes.
    pub async fn queue_again(
        &self,
        route: Route,
        replays: &Replays,
        replay: &Replay,
        records: &[(RecordKey, Timestamp)],
    ) -> Result<Option<Queued>, StoreError> {
        let mut all = Queued::default();
        for chunk in records.chunks(MAX_TRANSACTION_ITEMS / WRITES_PER_SETTLEMENT) {
            let mut retries = Retries::start();
            let Queued { records, added } = loop {
                match self.queue_chunk(route, replays, replay, chunk).await? {
                    QueueOutcome::Queued(queued) => break queued,
                    QueueOutcome::ReplayEnded => return Ok(None),
                    QueueOutcome::Interfered => {
                        let error = StoreError::Busy("a drain keeps changing the deliveries".into());
                        retries.wait_after(error).await?;
                    }
                }
            };
            all = Queued { records: all.records + records, added: all.added + added };
        }
        Ok(Some(all))
    }

    /// Queues records in one transaction, unless a drain interferes.
    async fn queue_chunk(
        &self,
        route: Route,
        replays: &Replays,
        replay: &Replay,
        records: &[(RecordKey, Timestamp)],
    ) -> Result<QueueOutcome, StoreError> {
        let stored = self.stored(route, records).await?;
        let now = Timestamp::now();
        let (mut writes, mut queued, mut new) = (Vec::<Write>::new(), Queued::default(), 0);
        for record in records {
            let row = stored.rows.get(&record.0);
            if row.is_some_and(|row| row.replay_ids.contains(&replay.replay_id)) {
                queued.records += 1;
                continue;
            }
            let Some(next) = stored.queued_by(replay, *record, now) else { continue };
            writes.extend(self.replace(route, replay.replay_id, row, &next)?);
            queued.added += usize::from(row.is_none_or(|row| row.next_attempt_at.is_none()));
            queued.records += 1;
            new += 1;
        }
        if new == 0 {
            return Ok(QueueOutcome::Queued(queued));
        }
        let counted = Update::of(&keys::replay(route.environment, replay.replay_id))
            .add("found", number(new))
            .add("pending", number(new))
            .when(Condition::equals("status", to_value(ReplayStatus::Running)?));
        let failed = self.table.transact_with(writes, (&replays.0, vec![counted.into()])).await?;
        Ok(match failed.last() {
            None => QueueOutcome::Queued(queued),
            Some(true) => QueueOutcome::ReplayEnded,
            Some(false) => QueueOutcome::Interfered,
        })
    }

    /// Reads the deliveries of records, and deletes those that are malformed. Two `BatchGetItem`.
    async fn stored(&self, route: Route, records: &[(RecordKey, Timestamp)]) -> Result<StoredDeliveries, StoreError> {
        let keys: BTreeMap<Key, RecordKey> =
            records.iter().map(|(record, _)| (keys::delivery(route, *record), *record)).collect();
        let (rows, malformed) =
            self.table.get_readable::<DeliveryRow>(&keys.keys().cloned().collect::<Vec<_>>()).await?;
        self.table.delete_all(malformed.clone()).await?;
        let record_of = |pk: &str, sk: &str| keys.get(&Key { pk: pk.to_owned(), sk: sk.to_owned() }).copied();
        let rows: BTreeMap<RecordKey, DeliveryRow> =
            rows.into_iter().filter_map(|row| Some((record_of(&row.pk, &row.sk)?, row))).collect();
        let malformed = malformed.iter().filter_map(|key| keys.get(key).copied()).collect();
        let pending_keys = rows
            .iter()
            .filter_map(|(record, row)| row.next_attempt_at.map(|due| keys::pending_delivery(route, due, *record)));
        let (pending, _) = self.table.get_readable::<PendingDelivery>(&pending_keys.collect::<Vec<_>>()).await?;
        let pending = pending.into_iter().map(|pending| (pending.record, pending)).collect();
        Ok(StoredDeliveries { rows, malformed, pending })
    }

    /// Returns the writes that make a delivery pending for a replay, instead of a pending one, if a drain has not
    /// changed it.
    fn replace(
        &self,
        route: Route,
        replay: ReplayId,
        row: Option<&DeliveryRow>,
        next: &PendingDelivery,
    ) -> Result<Vec<Write>, StoreError> {
        let mut writes = Vec::new();
        let key = key(route, next);
        let before = row.and_then(|row| row.next_attempt_at).map(|due| keys::pending_delivery(route, due, next.record));
        writes.extend(before.filter(|before| *before != key).map(|before| Delete::of(&before).into()));
        writes.push(Put::new(self.item(route, next)?).into());
        let unchanged = match row {
            None => Condition::item_absent(),
            Some(DeliveryRow { status, next_attempt_at, .. }) => {
                let due = match next_attempt_at {
                    None => Condition::absent("nextAttemptAt")
                        .or(Condition::equals("nextAttemptAt", AttributeValue::Null(true))),
                    Some(at) => Condition::equals("nextAttemptAt", text(at)),
                };
                Condition::equals("status", to_value(status)?).and(due)
            }
        };
        let mut replay_ids = row.map(|row| row.replay_ids.clone()).unwrap_or_default();
        replay_ids.push(replay);
        let attempts = row.map_or(&[][..], |row| row.attempts.as_slice());
        let update = self.update(route, next, (DeliveryStatus::Pending, Some(next.next_attempt_at)))?;
        let update = update
            .set("attempts", to_value(newest(attempts, MAX_KEPT_ATTEMPTS))?)
            .set("replayIds", to_value(newest(&replay_ids, MAX_REPLAYS_PER_DELIVERY))?);
        writes.push(update.when(unchanged).into());
        Ok(writes)
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
        let (items, _) = self.table.first_items(&partitions(route), &due, limit).await?;
        let mut found = parse(route, items);
        found.readable.sort_by_key(|pending| pending.next_attempt_at);
        found.readable.truncate(limit);
        found.unreadable.truncate(limit);
        Ok(found)
    }

    /// Returns deliveries in the order of their next attempts, from a time on. Reads up to `limit` of each of eight
    /// partitions. One query for each of them.
    pub async fn search(&self, route: Route, from: Timestamp, limit: usize) -> Result<Search, StoreError> {
        let range = Range { low: from.to_string(), ..Range::all(TABLE) };
        let (items, ends) = self.table.first_items(&partitions(route), &range, limit).await?;
        let next = ends.iter().filter_map(|sk| Some(keys::parse_pending_delivery(sk)?.0)).min();
        Ok(Search { found: parse(route, items), next })
    }

    /// Returns a summary of all pending deliveries, due or not. One query for each of eight
    /// partitions.
    pub async fn backlog(&self, route: Route) -> Result<Backlog, StoreError> {
        let (items, ends) = self.table.first_items(&partitions(route), &Range::all(TABLE), MAX_COUNTED).await?;
        let FoundDeliveries { readable, unreadable } = parse(route, items);
        let found = [readable, unreadable].concat();
        let earliest_due = found.iter().map(|pending| pending.next_attempt_at).min();
        let oldest = found.iter().map(|pending| pending.pending_since).min();
        let count = i64::try_from(found.len()).unwrap_or(i64::MAX);
        Ok(Backlog { earliest_due, counted: ends.is_empty().then_some((count, oldest)) })
    }

    /// Stores merged deliveries and removes those that were merged into them. Fails if one of them is
    /// no longer pending. At most 100 in total (AWS limit). One transaction.
    pub async fn merge(&self, route: Route, merges: &[Merge]) -> Result<(), StoreError> {
        let mut writes: Vec<Write> = Vec::new();
        for Merge { merged, replaced } in merges {
            writes.push(Put::new(self.item(route, merged)?).when(Condition::item_exists()).into());
            writes.extend(replaced.iter().map(|delivery| Delete::existing(&key(route, delivery)).into()));
        }
        if self.table.transact(writes).await?.is_empty() {
            Ok(())
        } else {
            Err(StoreError::Busy("a pending delivery was settled by another drain".into()))
        }
    }

    /// Stores the result of each settlement completely or not at all. A delivery that is no longer
    /// pending is skipped, so that its attempt is not appended and its replays do not count it twice.
    /// Each record occurs at most once.
    ///
    /// One transaction per 20 settlements, or fewer if they update many replays, and one more if some
    /// are skipped. If a damaged item does not admit one, up to four for each of its settlements.
    /// Sequential because they may update the same replay; earlier transactions remain if
    /// a later one fails.
    pub async fn settle(&self, route: Route, replays: &Replays, settled: &[Settlement]) -> Result<(), StoreError> {
        for chunk in transactions(settled) {
            match self.settle_present(route, replays, chunk).await {
                Err(StoreError::Unfit(error)) => {
                    tracing::error!(error = %ErrorChain(&*error), environment = %route.environment,
                        destination = %route.destination, "damaged delivery or replay");
                    metrics::emit(&[(Metric::UnreadableItems, 1)]);
                    for settlement in chunk {
                        self.settle_alone(route, replays, settlement).await?;
                    }
                }
                stored => stored?,
            }
        }
        Ok(())
    }

    /// Stores the result of one settlement as far as damaged items admit it. Up to four transactions, and one write
    /// for each replay of the delivery if one of them is damaged.
    async fn settle_alone(&self, route: Route, replays: &Replays, settlement: &Settlement) -> Result<(), StoreError> {
        let settlement = [settlement];
        for extent in [Extent::COMPLETE, Extent::NEW_ATTEMPTS, Extent::WITHOUT_REPLAYS, Extent::LEAST] {
            match self.settle_all(route, replays, &settlement, extent).await {
                Err(StoreError::Unfit(_)) if extent != Extent::LEAST => {}
                Ok(skipped) if !extent.counts_for_replays && !skipped.contains(&true) => {
                    return count_for_intact_replays(route, replays, &settlement).await;
                }
                settled => return settled.map(|_| ()),
            }
        }
        Ok(())
    }

    /// Stores the results of all settlements whose deliveries are pending, or none. One transaction, and one more
    /// each time that some are no longer pending.
    async fn settle_present(&self, route: Route, replays: &Replays, settled: &[Settlement]) -> Result<(), StoreError> {
        let mut rest: Vec<&Settlement> = settled.iter().collect();
        while !rest.is_empty() {
            let skipped = self.settle_all(route, replays, &rest, Extent::COMPLETE).await?;
            if !skipped.contains(&true) {
                break;
            }
            rest = rest.into_iter().zip(skipped).filter(|(_, skipped)| !skipped).map(|(rest, _)| rest).collect();
        }
        Ok(())
    }

    /// Settles all deliveries or none. If some are no longer pending, returns one flag per write, of which
    /// the first are those of the settlements: `true` if a delivery is no longer pending.
    async fn settle_all(
        &self,
        route: Route,
        replays: &Replays,
        settled: &[&Settlement],
        extent: Extent,
    ) -> Result<Vec<bool>, StoreError> {
        // The deletions come first, because they are the only writes with a condition.
        let deletions = settled.iter().map(|settled| Delete::existing(&key(route, &settled.delivery)).into());
        let mut writes: Vec<Write> = deletions.collect();
        for settlement in settled {
            writes.extend(self.writes(route, settlement, extent)?);
        }
        let counts = if extent.counts_for_replays { replay_counts(route, settled) } else { Vec::new() };
        let counts = counts.into_iter().map(Write::from).collect();
        self.table.transact_with(writes, (&replays.0, counts)).await
    }

    /// Returns the writes of a settlement, besides the deletion of the pending item: add it again for
    /// the next attempt if there is one, and update the delivery.
    fn writes(&self, route: Route, settlement: &Settlement, extent: Extent) -> Result<Vec<Write>, StoreError> {
        let Settlement { delivery, attempt, disposition } = settlement;
        let mut writes = Vec::new();
        let status = match disposition {
            Disposition::Pending(pending) => {
                writes.push(Put::new(self.item(route, pending)?).into());
                DeliveryStatus::Pending
            }
            Disposition::Delivered => DeliveryStatus::Delivered,
            Disposition::Failed => DeliveryStatus::Failed,
            Disposition::Cancelled => match delivery.former {
                None => DeliveryStatus::Cancelled,
                Some(Former::Status(status)) => status,
                Some(Former::NotStored) => {
                    writes.push(Delete::of(&keys::delivery(route, delivery.record)).into());
                    return Ok(writes);
                }
            },
            Disposition::Dropped => {
                writes.push(Delete::of(&keys::delivery(route, delivery.record)).into());
                return Ok(writes);
            }
        };
        let next_attempt_at = match disposition {
            Disposition::Pending(pending) => Some(pending.next_attempt_at),
            _ => None,
        };
        let attempts = to_value(attempt.iter().collect::<Vec<&Attempt>>())?;
        let update = self.update(route, delivery, (status, next_attempt_at))?;
        let update =
            if extent.keeps_attempts { update.append("attempts", attempts) } else { update.set("attempts", attempts) };
        writes.push(update.into());
        Ok(writes)
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

/// Counts the results of settlements for their replays, without those that are damaged. One write for each replay.
async fn count_for_intact_replays(route: Route, replays: &Replays, settled: &[&Settlement]) -> Result<(), StoreError> {
    for count in replay_counts(route, settled) {
        match replays.0.update(count).await {
            Ok(_) | Err(StoreError::Unfit(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Returns the updates of the replays that settlements count for.
fn replay_counts(route: Route, settled: &[&Settlement]) -> Vec<Update> {
    let mut counts: BTreeMap<ReplayId, (i32, i32)> = BTreeMap::new();
    for Settlement { delivery, disposition, .. } in settled {
        let (delivered, failed) = match disposition {
            Disposition::Pending(_) => continue,
            Disposition::Delivered => (1, 0),
            Disposition::Failed | Disposition::Cancelled | Disposition::Dropped => (0, 1),
        };
        for replay in &delivery.replay_ids {
            let counts = counts.entry(*replay).or_default();
            *counts = (counts.0 + delivered, counts.1 + failed);
        }
    }
    let update = |(replay, (delivered, failed)): (ReplayId, (i32, i32))| {
        Update::of(&keys::replay(route.environment, replay))
            .add("delivered", number(delivered))
            .add("failed", number(failed))
            .add("pending", number(-delivered - failed))
    };
    counts.into_iter().map(update).collect()
}

fn key(route: Route, delivery: &PendingDelivery) -> Key {
    keys::pending_delivery(route, delivery.next_attempt_at, delivery.record)
}

/// Divides settlements into those of one transaction each.
fn transactions(settled: &[Settlement]) -> impl Iterator<Item = &[Settlement]> {
    let mut rest = settled;
    iter::from_fn(move || {
        let mut replays: BTreeSet<ReplayId> = BTreeSet::new();
        let fits = |(index, settlement): &(usize, &Settlement)| {
            replays.extend(&settlement.delivery.replay_ids);
            (index + 1) * WRITES_PER_SETTLEMENT + replays.len() <= MAX_TRANSACTION_ITEMS
        };
        let count = rest.iter().take(SETTLEMENTS_PER_TRANSACTION).enumerate().take_while(fits).count();
        let (chunk, others) = rest.split_at(count);
        rest = others;
        (!chunk.is_empty()).then_some(chunk)
    })
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

fn partitions(route: Route) -> Vec<String> {
    (0..keys::DELIVERY_SHARDS).map(|shard| keys::pending_deliveries(route, shard)).collect()
}

/// Returns the item of a delivery that did not succeed at its first attempt. It expires with the record, so that
/// an erasure of the records finds all deliveries.
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
    use crate::domain::id::{DestinationId, EnvironmentId, ErrorId, WorkflowId};

    #[test]
    fn each_replay_of_a_delivery_gives_it_another_time() {
        let now = Timestamp::now();
        let after = |milliseconds| now + Duration::from_millis(milliseconds);
        assert_eq!(next_due(None, now), now);
        assert_eq!(next_due(Some(now - Duration::from_secs(60)), now), now);
        assert_eq!(next_due(Some(now - Duration::from_millis(1)), now), now);
        for milliseconds in [0, 1, 2, 998] {
            assert_eq!(next_due(Some(after(milliseconds)), now), after(milliseconds + 1));
        }
        for milliseconds in [999, 1_000, 300_000] {
            assert_eq!(next_due(Some(after(milliseconds)), now), now, "a retry that was scheduled later");
        }
        let mut times = vec![next_due(None, now)];
        for _ in 0..10 {
            times.push(next_due(times.last().copied(), now));
        }
        assert!(times.is_sorted_by(|one, next| one < next));
    }

    #[test]
    fn malformed_item_is_known_by_its_key() {
        let route = Route { environment: EnvironmentId::new(), destination: DestinationId::new() };
        let at = "2026-11-24T05:30:00Z".parse().unwrap();
        let delivery = || {
            let record = RecordKey::Error { workflow_id: WorkflowId::new(), error_id: ErrorId::new() };
            PendingDelivery::replayed((record, at), (ReplayId::new(), at), at)
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

    #[test]
    fn transaction_has_at_most_100_items() {
        let settlement = |index: usize| {
            let record = RecordKey::Error { workflow_id: WorkflowId::new(), error_id: ErrorId::new() };
            let mut delivery = PendingDelivery::first(record, "2026-11-24T05:30:00Z".parse().unwrap());
            delivery.replay_ids = (0..index % (MAX_REPLAYS_PER_DELIVERY + 1)).map(|_| ReplayId::new()).collect();
            Settlement::without_attempt(delivery, Disposition::Failed)
        };
        let settled: Vec<Settlement> = (0..200).map(settlement).collect();
        for chunk in transactions(&settled) {
            let replays: BTreeSet<&ReplayId> = chunk.iter().flat_map(|settled| &settled.delivery.replay_ids).collect();
            assert!(chunk.len() * WRITES_PER_SETTLEMENT + replays.len() <= MAX_TRANSACTION_ITEMS);
        }
        assert_eq!(transactions(&settled).flatten().count(), settled.len());
    }
}
