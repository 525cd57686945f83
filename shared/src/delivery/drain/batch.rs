//! Batches of a drain: which pending deliveries are next, and whether they are attempted or settled
//! without an attempt.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    ops::ControlFlow,
    time::Duration,
};

use rand::seq::SliceRandom;

use super::{DrainEnd, DrainStore, Progress};
use crate::{
    delivery::{
        pipeline::{self, Batch, Stage},
        recorder::Recorder,
        senders::Sender,
    },
    domain::{
        delivery::{Disposition, PendingDelivery, Route, Settlement},
        destination::Destination,
        health::{Circuit, Health},
        id::{EnvironmentId, ReplayId},
        record::{Record, RecordKey},
        timestamp::Timestamp,
    },
    logs::ErrorChain,
    metrics::{self, Metric},
    store::{
        StoreError,
        pending::{FoundDeliveries, Merge},
        records::FoundRecords,
    },
};

/// Number of deliveries that are attempted concurrently.
pub(super) const BATCH_SIZE: usize = 40;
/// Number of deliveries that are examined for a probe or for expired ones, and in each of eight
/// partitions for those that a recovery makes due.
const MAX_EXAMINED: usize = 10 * BATCH_SIZE;
/// Period within which every pending delivery becomes due. Longer than any wait of the retry
/// schedule or `Retry-After`.
const FAR_FUTURE: Duration = Duration::from_secs(10 * 24 * 60 * 60);

/// Processes the next batch of up to [`BATCH_SIZE`] deliveries concurrently, as the [`Mode`] says.
/// Breaks if nothing is left to do or attempts were skipped.
pub(super) async fn run(
    route: Route,
    destination: &Destination,
    progress: &mut Progress,
    (store, recorder, sender): (&impl DrainStore, &impl Recorder, &impl Sender),
) -> Result<ControlFlow<DrainEnd>, StoreError> {
    let (health, now) = (store.health().await?, recorder.now());
    let recovered_at = health.recovered_at;
    let mode = Mode::of(destination, &health, now);
    let recovery = &mut progress.recovery;
    let NextBatch { found, probe, all_examined } = next_batch(mode, store, &health, recovery, now).await?;
    if !found.unreadable.is_empty() {
        metrics::emit(&[(Metric::UnreadableItems, i64::try_from(found.unreadable.len()).unwrap_or(i64::MAX))]);
    }
    let FoundDeliveries { readable: mut due, unreadable } = merge_duplicates(store, found).await?;
    let mut settled: Vec<Settlement> = settle_all(unreadable, &Disposition::Failed).collect();
    if mode == Mode::Expire {
        due.retain(|delivery| delivery.has_expired(now));
    }
    let without_attempt = match mode {
        Mode::Cancel => Some(Disposition::Cancelled),
        Mode::Expire => Some(Disposition::Failed),
        Mode::Probe | Mode::Send => None,
    };
    if due.is_empty() && settled.is_empty() {
        let idle = ControlFlow::Break(DrainEnd::Idle { recovered_at });
        return Ok(if all_examined { idle } else { ControlFlow::Continue(()) });
    }
    if let Some(disposition) = without_attempt {
        settled.extend(settle_all(due.drain(..), &disposition));
    }
    let keys: Vec<RecordKey> = due.iter().map(|delivery| delivery.record).collect();
    let records = if keys.is_empty() { FoundRecords::default() } else { store.records(&keys).await? };
    let cancelled = cancelled_replays(route.environment, store, &due).await?;
    let (mut deliveries, unattempted) = with_records(due, &records, &cancelled);
    settled.extend(unattempted);
    if let Some(probe) = probe {
        // The others wait, except those that the pipeline cancels.
        deliveries.retain(|(delivery, record)| delivery.record == probe || !destination.accepts(record));
    }
    let stage = Stage::Pending { probe: mode == Mode::Probe };
    let batch = Batch { route, destination, health: &health, stage, deliveries, unattempted: settled };
    progress.is_sending = true;
    let processed = pipeline::run(sender, recorder, batch).await?;
    progress.is_sending = false;
    let skipped = ControlFlow::Break(DrainEnd::Skipped { recovered_at });
    Ok(if processed.skipped { skipped } else { ControlFlow::Continue(()) })
}

/// Treatment of pending deliveries. It depends on the destination and its health only, so that it
/// is known before records are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Cancels them: the destination is disabled.
    Cancel,
    /// Fails those that have expired: the destination is backing off.
    Expire,
    /// Attempts one, and settles those that need no attempt: the circuit is open.
    Probe,
    /// Attempts them.
    Send,
}

impl Mode {
    fn of(destination: &Destination, health: &Health, now: Timestamp) -> Self {
        match health.circuit() {
            _ if !destination.enabled => Self::Cancel,
            _ if health.is_backing_off(now) => Self::Expire,
            Circuit::Open => Self::Probe,
            Circuit::Closed => Self::Send,
        }
    }
}

/// Progress of a drain among the deliveries that a recovery may make due, so that it reads those
/// that it does not make due once.
pub(super) struct RecoveryProgress {
    recovered_at: Timestamp,
    /// Time of the next attempt before which nothing is made due.
    examined_to: Timestamp,
}

/// Deliveries of the next batch.
struct NextBatch {
    found: FoundDeliveries,
    /// The only record to attempt, if the circuit is open.
    probe: Option<RecordKey>,
    /// Whether a recovery makes no others due.
    all_examined: bool,
}

/// Returns the deliveries of the next batch: those that are due; if none is, those that a recovery
/// makes due. To be cancelled, any.
async fn next_batch(
    mode: Mode,
    store: &impl DrainStore,
    health: &Health,
    progress: &mut Option<RecoveryProgress>,
    now: Timestamp,
) -> Result<NextBatch, StoreError> {
    let (by, limit) = match mode {
        Mode::Cancel => (now + FAR_FUTURE, BATCH_SIZE),
        Mode::Expire | Mode::Probe => (now, MAX_EXAMINED),
        Mode::Send => (now, BATCH_SIZE),
    };
    let mut found = store.due(by, limit).await?;
    let mut probe = None;
    match mode {
        Mode::Expire => {
            // With their duplicates, and those of unreadable ones, with which they are merged.
            let expired = found.readable.iter().filter(|delivery| delivery.has_expired(now));
            let settled: BTreeSet<RecordKey> =
                expired.chain(&found.unreadable).map(|delivery| delivery.record).collect();
            found.readable.retain(|delivery| settled.contains(&delivery.record));
        }
        Mode::Probe => probe = choose_probe(&mut found.readable),
        Mode::Cancel | Mode::Send => {}
    }
    let mut all_examined = true;
    let none_due = found.readable.is_empty() && found.unreadable.is_empty();
    if let Some(recovered_at) = health.recovery(now).filter(|_| mode == Mode::Send && none_due) {
        let from = progress.as_ref().filter(|progress| progress.recovered_at == recovered_at);
        let from = from.map_or(now, |progress| progress.examined_to);
        let search = store.search(from, MAX_EXAMINED).await?;
        found = search.found;
        found.readable.retain(|delivery| delivery.is_due_by_recovery(recovered_at));
        found.readable.sort_by_key(|delivery| delivery.next_attempt_at);
        // The search ends at a partition with more deliveries of one time than it reads.
        let next = search.next.filter(|next| *next > from);
        all_examined = next.is_none();
        let first = found.readable.first().map(|delivery| delivery.next_attempt_at);
        let examined_to = first.into_iter().chain(next).min().unwrap_or(from);
        *progress = Some(RecoveryProgress { recovered_at, examined_to });
    }
    // A transaction merges duplicates.
    found.readable.truncate(BATCH_SIZE);
    found.unreadable.truncate(BATCH_SIZE);
    Ok(NextBatch { found, probe, all_examined })
}

/// Returns the deliveries to attempt with their records, and settles the others: those of cancelled
/// replays, and those whose record cannot be read or no longer exists.
fn with_records<'a>(
    due: Vec<PendingDelivery>,
    found: &'a FoundRecords,
    cancelled: &BTreeSet<ReplayId>,
) -> (Vec<(PendingDelivery, &'a Record)>, Vec<Settlement>) {
    let (mut deliveries, mut settled) = (Vec::new(), Vec::new());
    for delivery in due {
        let disposition = match found.records.get(&delivery.record) {
            Some(_) if delivery.replay_only && delivery.replay_ids.is_subset(cancelled) => Disposition::Cancelled,
            Some(record) => {
                deliveries.push((delivery, record));
                continue;
            }
            None if found.unreadable.contains(&delivery.record) => Disposition::Failed,
            None => Disposition::Dropped,
        };
        settled.push(Settlement::without_attempt(delivery, disposition));
    }
    (deliveries, settled)
}

/// Chooses a record among those with the fewest attempts: the destination may have rejected the
/// others because of their content. Any of them, because it may also reject the oldest ones. Its
/// deliveries become the first of the list, before others with few attempts.
fn choose_probe(due: &mut [PendingDelivery]) -> Option<RecordKey> {
    due.shuffle(&mut rand::rng());
    due.sort_by_key(|delivery| delivery.attempts);
    let chosen = due.first()?.record;
    due.sort_by_key(|delivery| delivery.record != chosen);
    Some(chosen)
}

/// Merges deliveries of the same record: a replay, or a first attempt that was recorded twice, may
/// queue a record that is already pending. Returns one delivery per record. Those that cannot be
/// merged stay pending.
async fn merge_duplicates(store: &impl DrainStore, found: FoundDeliveries) -> Result<FoundDeliveries, StoreError> {
    let mut merges: BTreeMap<RecordKey, (bool, Merge)> = BTreeMap::new();
    let readable = found.readable.into_iter().map(|delivery| (true, delivery));
    // An unreadable delivery is merged into a readable one if there is one.
    for (readable, delivery) in readable.chain(found.unreadable.into_iter().map(|delivery| (false, delivery))) {
        match merges.entry(delivery.record) {
            Entry::Vacant(entry) => {
                entry.insert((readable, Merge { merged: delivery, replaced: Vec::new() }));
            }
            Entry::Occupied(mut entry) => {
                let (_, Merge { merged, replaced }) = entry.get_mut();
                if merged.merge(&delivery) {
                    replaced.push(delivery);
                }
            }
        }
    }
    let mut unique = FoundDeliveries::default();
    let mut needed = Vec::new();
    for (readable, merge) in merges.into_values() {
        if readable { &mut unique.readable } else { &mut unique.unreadable }.push(merge.merged.clone());
        needed.extend(Some(merge).filter(|merge| !merge.replaced.is_empty()));
    }
    if !needed.is_empty() {
        store.merge(&needed).await?;
    }
    unique.readable.sort_by_key(|delivery| delivery.next_attempt_at);
    Ok(unique)
}

fn settle_all(
    deliveries: impl IntoIterator<Item = PendingDelivery>,
    disposition: &Disposition,
) -> impl Iterator<Item = Settlement> {
    deliveries.into_iter().map(|delivery| Settlement::without_attempt(delivery, disposition.clone()))
}

/// Returns those replays of the deliveries that are cancelled. A replay that cannot be read counts
/// as not cancelled.
async fn cancelled_replays(
    environment: EnvironmentId,
    store: &impl DrainStore,
    deliveries: &[PendingDelivery],
) -> Result<BTreeSet<ReplayId>, StoreError> {
    let deliveries = deliveries.iter().filter(|delivery| delivery.replay_only);
    let replays: BTreeSet<ReplayId> = deliveries.flat_map(|delivery| &delivery.replay_ids).copied().collect();
    let mut cancelled = BTreeSet::new();
    for replay in replays {
        match store.is_cancelled(replay).await {
            Ok(true) => {
                cancelled.insert(replay);
            }
            Ok(false) => {}
            Err(StoreError::Malformed(error)) => {
                tracing::error!(error = %ErrorChain(&*error), %environment, %replay, "unreadable replay");
                metrics::emit(&[(Metric::UnreadableItems, 1)]);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(cancelled)
}
