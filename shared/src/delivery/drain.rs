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

use std::{ops::ControlFlow, time::Duration};

use self::batch::RecoveryProgress;
use super::{
    queues::MAX_DELAY,
    recorder::{DeliveryRecorder, Recorder},
    senders::{Sender, Senders},
};
use crate::{
    domain::{
        delivery::Route, destination::Destination, health::Health, id::ReplayId, record::RecordKey,
        replay::ReplayStatus, timestamp::Timestamp,
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

mod batch;

/// Time during which a drain starts batches. With the last batch, which takes up to 20 seconds, and
/// its writes it stays below the timeout of the function (60 seconds).
const RUN_BUDGET: Duration = Duration::from_secs(30);
/// Duration of the lease. Longer than the timeout of the function.
const LEASE_DURATION: Duration = Duration::from_secs(75);
/// Maximum number of attempts to release the lease while deliveries become pending. The last one
/// releases unconditionally and schedules another drain.
const MAX_RELEASE_ATTEMPTS: u32 = 3;
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
/// most one message, with another write if it cannot be sent.
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
            Ok(Some(destination)) => batch::run(route, &destination, &mut progress, (store, recorder, sender)).await,
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
        self.drains.recorder.scheduler.enqueue_recorded(self.route, at, Timestamp::now()).await
    }

    async fn delete_health(&self) -> Result<(), StoreError> {
        self.drains.recorder.health_store.delete(self.route).await
    }
}

#[cfg(test)]
mod simulation;
