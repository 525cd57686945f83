//! The drain of a destination: sends the pending deliveries that are due.
//!
//! A lease ensures that at most one drain processes a destination. It is checked only when it is
//! acquired and released: [`LEASE_DURATION`] exceeds the timeout of the function, so a drain never
//! outlives its lease. A drain may stop between any two steps. Deliveries that it sent but did not
//! record are sent again; the others stay pending. SQS then delivers its message again, or the
//! sweep wakes the destination.
//!
//! A malformed pending delivery or record is recorded as failed, and the drain continues. A
//! malformed replay counts as not cancelled. A malformed destination ends the drain; its deliveries
//! stay pending, and the next drain starts within [`MAX_DELAY`]. A malformed health item counts as
//! the default health.
//!
//! When the destination has recovered from an outage, what was scheduled before is due: it does not
//! wait for the rest of its schedule, which may take twelve hours. If that attempt fails, the
//! schedule continues.
//!
//! [`drain`] depends only on the traits [`DrainStore`], [`Recorder`] and [`Sender`], so that a
//! simulation with a controlled clock can test it.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    ops::ControlFlow,
    time::Duration,
};

use rand::seq::SliceRandom;

use super::{
    pipeline::{self, Batch, Stage},
    queues::MAX_DELAY,
    recorder::{DeliveryRecorder, Recorder},
    senders::{Sender, Senders},
};
use crate::{
    domain::{
        delivery::{Disposition, PendingDelivery, Route, Settlement},
        destination::Destination,
        health::{Circuit, Health},
        id::{EnvironmentId, ReplayId},
        record::{Record, RecordKey},
        replay::ReplayStatus,
        timestamp::Timestamp,
    },
    logs::ErrorChain,
    metrics::{self, Metric},
    store::{
        StoreError,
        health::{Backlog, Lease, ReleaseOutcome},
        pending::{FoundDeliveries, Merge, Search},
        records::{FoundRecords, Records},
    },
};

/// Time during which a drain starts batches. With the last batch, which takes up to 20 seconds, and
/// its writes it stays below the timeout of the function (60 seconds).
const RUN_BUDGET: Duration = Duration::from_secs(30);
/// Duration of the lease. Longer than the timeout of the function.
const LEASE_DURATION: Duration = Duration::from_secs(75);
/// Number of deliveries that are attempted concurrently.
const BATCH_SIZE: usize = 40;
/// Number of deliveries that are examined for a probe or for expired ones, and in each of eight
/// partitions for those that a recovery makes due.
const MAX_EXAMINED: usize = 10 * BATCH_SIZE;
/// Maximum number of attempts to release the lease while deliveries become pending. The last one
/// releases unconditionally and schedules another drain.
const MAX_RELEASE_ATTEMPTS: u32 = 3;
/// Period within which every pending delivery becomes due. Longer than any wait of the retry
/// schedule or `Retry-After`.
const FAR_FUTURE: Duration = Duration::from_secs(10 * 24 * 60 * 60);
/// Wait until the next drain after an error that a repetition may end.
const BUSY_DELAY: Duration = Duration::from_secs(5);
/// Wait until the next drain after skipped attempts: KMS or STS refuses the function, or is busy.
const SKIPPED_DELAY: Duration = Duration::from_secs(15);
/// Tolerance when wake-ups are compared: a message that is due within this time may be the one that
/// woke this drain.
const WAKEUP_TOLERANCE: Duration = Duration::from_secs(1);

/// Storage of a drain, for one destination. The results of attempts are stored by a [`Recorder`].
pub trait DrainStore {
    /// Acquires the lease until the given time. Returns none if another drain holds it or the
    /// destination has no health item.
    fn lease(&self, until: Timestamp) -> impl Future<Output = Result<Option<Lease>, StoreError>>;
    /// Returns the destination, or none if it was deleted.
    fn destination(&self) -> impl Future<Output = Result<Option<Destination>, StoreError>>;
    /// Returns the health of the destination.
    fn health(&self) -> impl Future<Output = Result<Health, StoreError>>;
    /// Returns up to `limit` deliveries that are due by the given time, the longest overdue first,
    /// and up to `limit` unreadable ones.
    fn due(&self, by: Timestamp, limit: usize) -> impl Future<Output = Result<FoundDeliveries, StoreError>>;
    /// Returns deliveries in the order of their next attempts, from a time on. Reads up to `limit`
    /// of each partition.
    fn search(&self, from: Timestamp, limit: usize) -> impl Future<Output = Result<Search, StoreError>>;
    /// Replaces pending deliveries of the same record by one of them.
    fn merge(&self, merges: &[Merge]) -> impl Future<Output = Result<(), StoreError>>;
    /// Returns records; deleted and expired ones are missing.
    fn records(&self, wanted: &[RecordKey]) -> impl Future<Output = Result<FoundRecords, StoreError>>;
    /// Returns `true` if a replay is cancelled or no longer exists.
    fn is_cancelled(&self, replay: ReplayId) -> impl Future<Output = Result<bool, StoreError>>;
    /// Returns the size of the backlog and the time at which its first delivery is due.
    fn backlog(&self) -> impl Future<Output = Result<Backlog, StoreError>>;
    /// Releases the lease, unless the backlog has changed since the given version.
    fn release(
        &self,
        lease: &Lease,
        backlog_version: Option<u64>,
        backlog: Backlog,
        wake_at: Option<Timestamp>,
    ) -> impl Future<Output = Result<ReleaseOutcome, StoreError>>;
    /// Sends the message that starts a drain at the given time.
    fn schedule(&self, at: Timestamp) -> impl Future<Output = Result<(), StoreError>>;
    /// Deletes the health of a deleted destination.
    fn delete_health(&self) -> impl Future<Output = Result<(), StoreError>>;
}

/// Starts batches for up to 30 seconds. Then schedules the next drain, unless nothing is pending or
/// a wake-up in time is already scheduled.
///
/// AWS calls: one write for the lease. Per batch, and once more to find that nothing is due: two
/// reads and eight queries, and after a recovery eight more, and again for every 400 deliveries of
/// a partition that it does not make due. Per batch with deliveries: one transaction if a record is
/// pending several times, one `BatchGetItem`, one read per replay, the calls of the sender, one
/// transaction per 20 deliveries, and at most four writes of the health. At the end two reads,
/// eight queries and one write, up to three times if deliveries become pending meanwhile, and at
/// most one message.
pub async fn drain(
    route: Route,
    store: &impl DrainStore,
    recorder: &impl Recorder,
    sender: &impl Sender,
) -> Result<(), StoreError> {
    let started = recorder.now();
    let Some(lease) = store.lease(started + LEASE_DURATION).await? else {
        // The drain that holds the lease checks for new deliveries before it releases the lease.
        return Ok(());
    };
    let mut progress = Progress::default();
    let end = loop {
        if recorder.now() >= started + RUN_BUDGET {
            break DrainEnd::OutOfTime;
        }
        let batch = match store.destination().await {
            Ok(Some(destination)) => drain_batch(route, &destination, &mut progress, (store, recorder, sender)).await,
            Ok(None) => return store.delete_health().await,
            Err(StoreError::Malformed(error)) => {
                let Route { environment, destination } = route;
                tracing::error!(error = %ErrorChain(&*error), %environment, %destination, "unreadable destination");
                metrics::emit(&[(Metric::UnreadableItems, 1)]);
                break DrainEnd::UnreadableDestination;
            }
            Err(error) => Err(error),
        };
        match batch {
            Ok(ControlFlow::Continue(())) => {}
            Ok(ControlFlow::Break(end)) => break end,
            // Otherwise the destination would wait for the end of the lease. It does if attempts
            // were made that could not be recorded, because the next drain repeats them.
            Err(StoreError::Busy(error)) if !progress.is_sending => {
                tracing::warn!(error = %ErrorChain(&*error), "stopped the drain early");
                break DrainEnd::Busy;
            }
            Err(error) => return Err(error),
        }
    };
    release(store, recorder, &lease, &end).await
}

/// Progress of a drain.
#[derive(Default)]
struct Progress {
    recovery: Option<RecoveryProgress>,
    /// Whether attempts may have been made that are not recorded.
    is_sending: bool,
}

/// Reason why a drain starts no more batches.
enum DrainEnd {
    /// The time for batches is over.
    OutOfTime,
    /// AWS failed temporarily.
    Busy,
    /// The destination cannot be read.
    UnreadableDestination,
    /// Attempts were skipped.
    Skipped {
        /// Last recovery of the destination that the drain knew.
        recovered_at: Option<Timestamp>,
    },
    /// Nothing is left to do.
    Idle {
        /// Last recovery of the destination that the drain knew.
        recovered_at: Option<Timestamp>,
    },
}

impl DrainEnd {
    /// Returns the wait before the next drain.
    fn delay(&self) -> Duration {
        match self {
            Self::OutOfTime | Self::Idle { .. } => Duration::ZERO,
            Self::Busy => BUSY_DELAY,
            Self::UnreadableDestination => MAX_DELAY,
            Self::Skipped { .. } => SKIPPED_DELAY,
        }
    }

    /// Returns whether anything pending may be due: the drain has not examined everything, or the
    /// destination has recovered since. What an unreadable destination has due waits for the next
    /// drain.
    fn may_leave_due(&self, health: &Health) -> bool {
        match self {
            Self::OutOfTime | Self::Busy => true,
            Self::UnreadableDestination => health.recovered_at.is_some(),
            Self::Skipped { recovered_at } | Self::Idle { recovered_at } => health.recovered_at > *recovered_at,
        }
    }
}

/// Releases the lease, and schedules the next drain, unless nothing is pending or a wake-up in time
/// is already scheduled.
async fn release(
    store: &impl DrainStore,
    recorder: &impl Recorder,
    lease: &Lease,
    end: &DrainEnd,
) -> Result<(), StoreError> {
    let earliest = recorder.now() + end.delay();
    for release_attempt in 1..=MAX_RELEASE_ATTEMPTS {
        let health = store.health().await?;
        let last = release_attempt == MAX_RELEASE_ATTEMPTS;
        let mut backlog = if last {
            // Assume that there are new deliveries, and leave them to another drain.
            Backlog { earliest_due: Some(recorder.now() + WAKEUP_TOLERANCE), counted: None }
        } else {
            store.backlog().await?
        };
        let now = recorder.now();
        if !last && end.may_leave_due(&health) {
            backlog.earliest_due = backlog.earliest_due.map(|due| due.min(now));
        }
        // A request that disables the destination changes the version of the backlog: it comes
        // before this read, or the release fails.
        let is_disabled = backlog.earliest_due.is_some()
            && matches!(store.destination().await, Ok(Some(destination)) if !destination.enabled);
        let not_before = earliest.max(health.backoff_until().unwrap_or(now)).max(now);
        let next = backlog.earliest_due.map(|due| if is_disabled { now } else { due.max(not_before) });
        let next = next.map(|next| next.min(now + MAX_DELAY));
        // If a message is already due early enough, none is sent, so that messages do not multiply.
        let scheduled = health
            .wake_at
            .filter(|at| now + WAKEUP_TOLERANCE < *at && next.is_some_and(|next| *at <= next + WAKEUP_TOLERANCE));
        let wake_at = scheduled.or(next);
        match store.release(lease, (!last).then_some(health.backlog_version), backlog, wake_at).await? {
            ReleaseOutcome::BacklogChanged => {}
            // A lost lease may mean that this release succeeded but its response was lost, so the
            // next drain is scheduled in both cases.
            ReleaseOutcome::Released | ReleaseOutcome::LeaseLost => {
                return match wake_at.filter(|_| scheduled.is_none()) {
                    Some(at) => store.schedule(at).await,
                    None => Ok(()),
                };
            }
        }
    }
    Ok(())
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

/// Processes the next batch of up to [`BATCH_SIZE`] deliveries concurrently, as the [`Mode`] says.
/// Breaks if nothing is left to do or attempts were skipped.
async fn drain_batch(
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

/// Progress of a drain among the deliveries that a recovery may make due, so that it reads those
/// that it does not make due once.
struct RecoveryProgress {
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

/// Dependencies of drains, for all destinations.
#[derive(Clone, Debug)]
pub struct Drains {
    /// Recorder of the results, with the stores of destinations, their health and their pending
    /// deliveries.
    pub recorder: DeliveryRecorder,
    /// Records; pending deliveries contain only their keys.
    pub records: Records,
    /// Senders for all types of destinations.
    pub senders: Senders,
}

impl Drains {
    /// Drains one destination (see [`drain`]).
    pub async fn run(&self, route: Route) -> Result<(), StoreError> {
        let store = DestinationStore { drains: self, route };
        // Boxed because the future exceeds the compiler's recursion limit for types.
        Box::pin(drain(route, &store, &self.recorder.of(route), &self.senders)).await
    }
}

/// Store of one destination.
struct DestinationStore<'a> {
    drains: &'a Drains,
    route: Route,
}

impl DrainStore for DestinationStore<'_> {
    async fn lease(&self, until: Timestamp) -> Result<Option<Lease>, StoreError> {
        self.drains.recorder.health_store.acquire_lease(self.route, Timestamp::now(), until).await
    }

    async fn destination(&self) -> Result<Option<Destination>, StoreError> {
        self.drains.recorder.destinations.get(self.route.environment, self.route.destination).await
    }

    async fn health(&self) -> Result<Health, StoreError> {
        self.drains.recorder.health_store.get(self.route).await
    }

    async fn due(&self, by: Timestamp, limit: usize) -> Result<FoundDeliveries, StoreError> {
        self.drains.recorder.pending.due(self.route, by, limit).await
    }

    async fn search(&self, from: Timestamp, limit: usize) -> Result<Search, StoreError> {
        self.drains.recorder.pending.search(self.route, from, limit).await
    }

    async fn merge(&self, merges: &[Merge]) -> Result<(), StoreError> {
        self.drains.recorder.pending.merge(self.route, merges).await
    }

    async fn records(&self, wanted: &[RecordKey]) -> Result<FoundRecords, StoreError> {
        self.drains.records.get_all(self.route.environment, wanted).await
    }

    async fn is_cancelled(&self, replay: ReplayId) -> Result<bool, StoreError> {
        let found = self.drains.recorder.replays.get(self.route.environment, replay).await?;
        Ok(found.is_none_or(|replay| replay.status == ReplayStatus::Cancelled))
    }

    async fn backlog(&self) -> Result<Backlog, StoreError> {
        self.drains.recorder.pending.backlog(self.route).await
    }

    async fn release(
        &self,
        lease: &Lease,
        backlog_version: Option<u64>,
        backlog: Backlog,
        wake_at: Option<Timestamp>,
    ) -> Result<ReleaseOutcome, StoreError> {
        self.drains.recorder.health_store.release(self.route, lease, backlog_version, backlog, wake_at).await
    }

    async fn schedule(&self, at: Timestamp) -> Result<(), StoreError> {
        self.drains.recorder.scheduler.enqueue(self.route, at, Timestamp::now()).await
    }

    async fn delete_health(&self) -> Result<(), StoreError> {
        self.drains.recorder.health_store.delete(self.route).await
    }
}

#[cfg(test)]
mod simulation;
