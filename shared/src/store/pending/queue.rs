//! Queueing of records for replays.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use aws_sdk_dynamodb::types::AttributeValue;
use serde::Deserialize;

use super::{MAX_TRANSACTION_ITEMS, PendingDeliveries, WRITES_PER_DELIVERY, key};
use crate::{
    domain::{
        delivery::{Attempt, DeliveryStatus, Former, MAX_REPLAYS_PER_DELIVERY, PendingDelivery, Route},
        id::ReplayId,
        record::{RecordKey, RecordRef},
        replay::{Replay, ReplaySelection, ReplayStatus},
        timestamp::Timestamp,
    },
    store::{
        keys::{self, Key},
        replays::Replays,
        table::{
            Condition, Delete, Put, Retries, StoreError, Transacted, Transaction, Update, Write, number, text, to_value,
        },
    },
};

/// Maximum number of former attempts that a replayed delivery keeps. With as many of its own, at
/// most 2 KiB each, a hundred deliveries fit into the response of a function (6 MB).
const MAX_KEPT_ATTEMPTS: usize = 12;

/// Records that are queued for a replay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queued {
    /// Number of records that are queued, including those that an earlier call queued.
    pub records: usize,
    /// Number of records whose delivery was not pending before.
    pub added: usize,
}

/// Result of queueing records for a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueOutcome {
    /// All records are queued.
    Queued(Queued),
    /// The replay is no longer running.
    ReplayEnded,
    /// A drain or another replay changed a delivery meanwhile.
    Interfered,
}

/// Attributes of a delivery that a replay needs.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredDelivery {
    #[serde(flatten)]
    key: Key,
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
    rows: BTreeMap<RecordKey, StoredDelivery>,
    /// Records whose deliveries are malformed.
    malformed: BTreeSet<RecordKey>,
    /// Readable pending deliveries.
    pending: BTreeMap<RecordKey, PendingDelivery>,
}

impl StoredDeliveries {
    /// Returns the pending delivery with which a replay replaces the stored one, or none if the
    /// replay no longer selects it, or too many replays would count its result.
    fn queued_by(&self, replay: &Replay, record: RecordRef, now: Timestamp) -> Option<PendingDelivery> {
        let row = self.rows.get(&record.key);
        let due = row.and_then(|row| row.next_attempt_at);
        // It may have been settled since the replay selected it.
        if let ReplaySelection::Deliveries(statuses) = &replay.selection {
            let is_selected = match row {
                Some(row) => statuses.contains(&row.status),
                None => self.malformed.contains(&record.key),
            };
            is_selected.then_some(())?;
        }
        let mut next = PendingDelivery::replayed(record, (replay.replay_id, replay.created_at), next_due(due, now));
        match (due, self.pending.get(&record.key)) {
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

/// Returns the time of the next attempt of a delivery that is queued now. It is part of the key,
/// and differs from the present one and those of replays that queued the delivery in the same
/// millisecond, so that a drain which has read the delivery before settles nothing.
fn next_due(before: Option<Timestamp>, now: Timestamp) -> Timestamp {
    // Another replay may have queued the delivery in the same millisecond.
    let following = before.map(|due| due + Duration::from_millis(1));
    following.filter(|due| *due < now + Duration::from_secs(1)).map_or(now, |due| due.max(now))
}

/// Returns the last items of a list.
fn newest<T>(list: &[T], count: usize) -> &[T] {
    list.get(list.len().saturating_sub(count)..).unwrap_or_default()
}

impl PendingDeliveries {
    /// Makes the deliveries of records pending for a replay, due immediately, and counts them as
    /// found. A delivery that is pending already is replaced by one that counts for this replay,
    /// too. Its last twelve attempts are kept. A repeated call changes nothing. Skips a delivery
    /// that is pending for [`MAX_REPLAYS_PER_DELIVERY`] replays, and one whose status the replay
    /// does not select. Each record occurs at most once.
    ///
    /// Two `BatchGetItem` and one transaction per 33 records; repeated up to four times if a drain
    /// or another replay interferes.
    pub async fn queue_again(
        &self,
        route: Route,
        replays: &Replays,
        replay: &Replay,
        records: &[RecordRef],
    ) -> Result<QueueOutcome, StoreError> {
        let mut all = Queued::default();
        for chunk in records.chunks(MAX_TRANSACTION_ITEMS / WRITES_PER_DELIVERY) {
            let mut retries = Retries::start();
            let Queued { records, added } = loop {
                match self.queue_chunk(route, replays, replay, chunk).await? {
                    QueueOutcome::Queued(queued) => break queued,
                    QueueOutcome::Interfered if retries.wait().await => {}
                    ended => return Ok(ended),
                }
            };
            all = Queued { records: all.records + records, added: all.added + added };
        }
        Ok(QueueOutcome::Queued(all))
    }

    /// Queues records in one transaction.
    async fn queue_chunk(
        &self,
        route: Route,
        replays: &Replays,
        replay: &Replay,
        records: &[RecordRef],
    ) -> Result<QueueOutcome, StoreError> {
        let stored = self.stored(route, records).await?;
        let now = Timestamp::now();
        let (mut writes, mut queued, mut new) = (Transaction::default(), Queued::default(), 0);
        for record in records {
            let row = stored.rows.get(&record.key);
            if row.is_some_and(|row| row.replay_ids.contains(&replay.replay_id)) {
                queued.records += 1;
                continue;
            }
            let Some(next) = stored.queued_by(replay, *record, now) else { continue };
            writes.add_all(self.replace(route, replay.replay_id, row, &next)?);
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
        let counted = writes.add_to(&replays.0, counted);
        Ok(match self.table.transact(writes).await? {
            Transacted::Committed => QueueOutcome::Queued(queued),
            Transacted::Refused(refused) if refused.has(counted) => QueueOutcome::ReplayEnded,
            Transacted::Refused(_) => QueueOutcome::Interfered,
        })
    }

    /// Reads the deliveries of records, and deletes those that are malformed. Two `BatchGetItem`.
    async fn stored(&self, route: Route, records: &[RecordRef]) -> Result<StoredDeliveries, StoreError> {
        let keys: BTreeMap<Key, RecordKey> =
            records.iter().map(|record| (keys::delivery(route, record.key), record.key)).collect();
        let (rows, malformed) =
            self.table.get_readable::<StoredDelivery>(&keys.keys().cloned().collect::<Vec<_>>()).await?;
        self.table.delete_all(malformed.clone()).await?;
        let rows: BTreeMap<RecordKey, StoredDelivery> =
            rows.into_iter().filter_map(|row| Some((*keys.get(&row.key)?, row))).collect();
        let malformed = malformed.iter().filter_map(|key| keys.get(key).copied()).collect();
        let pending_keys = rows
            .iter()
            .filter_map(|(record, row)| row.next_attempt_at.map(|due| keys::pending_delivery(route, due, *record)));
        let (pending, _) = self.table.get_readable::<PendingDelivery>(&pending_keys.collect::<Vec<_>>()).await?;
        let pending = pending.into_iter().map(|pending| (pending.record, pending)).collect();
        Ok(StoredDeliveries { rows, malformed, pending })
    }

    /// Returns the writes that make a delivery pending for a replay, instead of a pending one, if a
    /// drain has not changed it.
    fn replace(
        &self,
        route: Route,
        replay: ReplayId,
        row: Option<&StoredDelivery>,
        next: &PendingDelivery,
    ) -> Result<Vec<Write>, StoreError> {
        let mut writes = Vec::new();
        let key = key(route, next);
        let before = row.and_then(|row| row.next_attempt_at).map(|due| keys::pending_delivery(route, due, next.record));
        writes.extend(before.filter(|before| *before != key).map(|before| Delete::of(&before).into()));
        writes.push(Put::new(self.item(route, next)?).into());
        let unchanged = match row {
            None => Condition::item_absent(),
            Some(StoredDelivery { status, next_attempt_at, .. }) => {
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
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
