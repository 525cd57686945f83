//! The drain of a destination: sends the pending deliveries that are due.
//!
//! A lease ensures that one drain at a time processes a destination. A drain may stop between any
//! two steps. Deliveries that it sent but did not record are sent again, the others stay pending,
//! and the lease expires.
//!
//! [`drain`] depends only on the traits [`DrainStore`] and [`Sender`], so that a simulation with a
//! controlled clock can test it.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    ops::ControlFlow,
    time::Duration,
};

use super::{drain_scheduler::DrainScheduler, queues::MAX_DELAY, senders::Senders};
use crate::{
    domain::{
        delivery::{Attempt, Disposition, Outcome, PendingDelivery, Route},
        destination::Destination,
        error_log::{ErrorKey, ErrorLog},
        health::{Circuit, Health, HealthUpdate, OutcomeCounts},
        id::ReplayId,
        replay::ReplayStatus,
        timestamp::Timestamp,
    },
    metrics::{self, Metric},
    store::{
        StoreError,
        destinations::Destinations,
        errors::Errors,
        health::{Backlog, HealthStore, Lease, ReleaseOutcome},
        pending::{PendingDeliveries, Settlement},
        replays::Replays,
    },
};

/// Time during which a drain starts batches. With the last batch, which takes up to 15 seconds, and
/// its writes it stays below the timeout of the function (60 seconds).
const RUN_BUDGET: Duration = Duration::from_secs(30);
/// Duration of the lease. Longer than the timeout of the function.
const LEASE_DURATION: Duration = Duration::from_secs(75);
/// Number of deliveries that are attempted concurrently.
const BATCH_SIZE: usize = 40;
/// Maximum number of attempts to release the lease while new deliveries become pending. After the
/// last one, the next drain takes over.
const MAX_RELEASE_ATTEMPTS: u32 = 3;
/// Period within which every pending delivery becomes due. Longer than any wait of the retry
/// schedule or `Retry-After`.
const FAR_FUTURE: Duration = Duration::from_secs(10 * 24 * 60 * 60);
/// Tolerance when wake-ups are compared: a message that is due within this time may be the one that
/// woke this drain.
const WAKEUP_TOLERANCE: Duration = Duration::from_secs(1);

fn key(delivery: &PendingDelivery) -> ErrorKey {
    (delivery.workflow_id, delivery.error_id)
}

/// Storage of a drain, for one destination.
pub trait DrainStore {
    /// Returns the current time.
    fn now(&self) -> Timestamp;
    /// Acquires the lease until the given time. Returns none if another drain holds it or the
    /// destination has no health item.
    fn lease(&self, until: Timestamp) -> impl Future<Output = Result<Option<Lease>, StoreError>>;
    /// Returns the destination, or none if it was deleted.
    fn destination(&self) -> impl Future<Output = Result<Option<Destination>, StoreError>>;
    /// Returns the health of the destination.
    fn health(&self) -> impl Future<Output = Result<Health, StoreError>>;
    /// Returns up to `limit` deliveries that are due by the given time, the longest overdue first.
    fn due(&self, by: Timestamp, limit: usize) -> impl Future<Output = Result<Vec<PendingDelivery>, StoreError>>;
    /// Returns the errors of deliveries; deleted and expired errors are missing.
    fn errors(&self, due: &[PendingDelivery]) -> impl Future<Output = Result<HashMap<ErrorKey, ErrorLog>, StoreError>>;
    /// Returns whether a replay is cancelled.
    fn is_cancelled(&self, replay: ReplayId) -> impl Future<Output = Result<bool, StoreError>>;
    /// Records the results of a step.
    fn settle(&self, settled: &[Settlement]) -> impl Future<Output = Result<(), StoreError>>;
    /// Updates the health of the destination.
    fn record_health(&self, current: &Health, update: &HealthUpdate) -> impl Future<Output = Result<(), StoreError>>;
    /// Disables the destination if its version is unchanged.
    fn disable_destination(&self, version: u32, reason: &str) -> impl Future<Output = Result<(), StoreError>>;
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

/// Sender to one destination.
pub trait Sender {
    /// Makes one attempt for each error. Returns one outcome per error, in order.
    fn send(&self, destination: &Destination, errors: &[&ErrorLog]) -> impl Future<Output = Vec<Outcome>>;
}

/// Sends due deliveries for up to 30 seconds, then schedules the next drain for the time at which
/// the next delivery is due.
///
/// AWS calls: one write for the lease. Per batch of 40 deliveries: one read of the destination and
/// one of its health, one query for each of eight partitions, one `BatchGetItem` for the errors,
/// one read per replay, one transaction per 20 deliveries, and one or two writes of the health. At
/// the end: one read, eight queries, one write and one message.
pub async fn drain(store: &impl DrainStore, sender: &impl Sender) -> Result<(), StoreError> {
    let started = store.now();
    let Some(lease) = store.lease(started + LEASE_DURATION).await? else {
        // The drain that holds the lease checks for new deliveries before it releases the lease.
        return Ok(());
    };
    while store.now() < started + RUN_BUDGET {
        let Some(destination) = store.destination().await? else {
            return store.delete_health().await;
        };
        match drain_batch(store, sender, &destination).await? {
            ControlFlow::Continue(()) => {}
            ControlFlow::Break(()) => break,
        }
    }
    for attempt in 1.. {
        let health = store.health().await?;
        let mut backlog = store.backlog().await?;
        let now = store.now();
        let last = attempt == MAX_RELEASE_ATTEMPTS;
        if last {
            // Assume that there are new deliveries, and leave them to another drain.
            backlog = Backlog { earliest_due: Some(now + WAKEUP_TOLERANCE), counted: None };
        }
        let next = backlog.earliest_due.map(|due| due.max(health.backoff_until().unwrap_or(now)).max(now));
        let next = next.map(|next| next.min(now + MAX_DELAY));
        // If a message is already due early enough, none is sent, so that messages do not multiply.
        let scheduled = health
            .wake_at
            .filter(|at| now + WAKEUP_TOLERANCE < *at && next.is_some_and(|next| *at <= next + WAKEUP_TOLERANCE));
        let wake_at = scheduled.or(next);
        match store.release(&lease, (!last).then_some(health.backlog_version), backlog, wake_at).await? {
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

/// Attempts the deliveries that are due: up to [`BATCH_SIZE`] concurrently, only one while the
/// circuit is open, and none while the destination is backing off. Breaks if the drain has nothing
/// left to do.
async fn drain_batch(
    store: &impl DrainStore,
    sender: &impl Sender,
    destination: &Destination,
) -> Result<ControlFlow<()>, StoreError> {
    let (health, now) = (store.health().await?, store.now());
    // A disabled destination cancels all of its pending deliveries, due or not.
    let by = if destination.enabled { now } else { now + FAR_FUTURE };
    let (mut due, duplicates) = dedup(store.due(by, BATCH_SIZE).await?);
    if due.is_empty() {
        return Ok(ControlFlow::Break(()));
    }
    if !destination.enabled {
        return settle(store, &health, due, Disposition::Cancelled, duplicates).await;
    }
    if health.is_backing_off(now) {
        due.retain(|delivery| delivery.has_expired(now));
        if due.is_empty() {
            return Ok(ControlFlow::Break(()));
        }
        return settle(store, &health, due, Disposition::Failed, duplicates).await;
    }
    let probe = health.circuit() == Circuit::Open;
    if probe {
        // Prefer deliveries without attempts: the destination may have rejected the others because
        // of their content.
        due.sort_by_key(|delivery| delivery.attempts);
        due.truncate(1);
    }
    let errors = store.errors(&due).await?;
    let mut cancelled = HashMap::new();
    for replay in due.iter().filter_map(|delivery| delivery.replay_id) {
        if let Entry::Vacant(entry) = cancelled.entry(replay) {
            entry.insert(store.is_cancelled(replay).await?);
        }
    }
    let is_cancelled = |delivery: &PendingDelivery| {
        delivery.replay_id.and_then(|replay| cancelled.get(&replay).copied()).unwrap_or(false)
    };
    let (mut settled, mut sent, mut sending) = (duplicates, Vec::new(), Vec::new());
    for delivery in due {
        match errors.get(&key(&delivery)) {
            None => settled.push(settle_without_attempt(delivery, Disposition::Dropped)),
            Some(error) if !destination.accepts(error) || is_cancelled(&delivery) => {
                settled.push(settle_without_attempt(delivery, Disposition::Cancelled));
            }
            Some(error) => {
                sent.push(delivery);
                sending.push(error);
            }
        }
    }
    let outcomes = if sending.is_empty() { Vec::new() } else { sender.send(destination, &sending).await };
    let now = store.now();
    let counts: OutcomeCounts = outcomes.iter().collect();
    let skipped = outcomes.contains(&Outcome::Skipped);
    settled.extend(sent.into_iter().zip(&outcomes).map(|(delivery, outcome)| Settlement {
        disposition: delivery.disposition(outcome, now),
        attempt: attempt(outcome),
        delivery,
    }));
    emit(&settled, &counts);
    store.settle(&settled).await?;
    let update = HealthUpdate { counts, pending_delta: -no_longer_pending(&settled), probe };
    store.record_health(&health, &update).await?;
    if let Some(reason) = health.auto_disable_reason(&update, now) {
        store.disable_destination(destination.version, reason).await?;
    }
    Ok(if skipped { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
}

/// Separates duplicates. An error may be pending twice, because of a replay or because its first
/// attempt was recorded twice. One delivery is attempted and the others are removed.
fn dedup(due: Vec<PendingDelivery>) -> (Vec<PendingDelivery>, Vec<Settlement>) {
    let mut seen = HashSet::new();
    let (unique, duplicates): (Vec<_>, Vec<_>) = due.into_iter().partition(|delivery| seen.insert(key(delivery)));
    (
        unique,
        duplicates.into_iter().map(|duplicate| settle_without_attempt(duplicate, Disposition::Duplicate)).collect(),
    )
}

/// Records deliveries with the same disposition and without an attempt.
async fn settle(
    store: &impl DrainStore,
    health: &Health,
    deliveries: Vec<PendingDelivery>,
    disposition: Disposition,
    duplicates: Vec<Settlement>,
) -> Result<ControlFlow<()>, StoreError> {
    let mut settled = duplicates;
    settled.extend(deliveries.into_iter().map(|delivery| settle_without_attempt(delivery, disposition.clone())));
    emit(&settled, &OutcomeCounts::default());
    store.settle(&settled).await?;
    store
        .record_health(health, &HealthUpdate { pending_delta: -no_longer_pending(&settled), ..HealthUpdate::default() })
        .await?;
    Ok(ControlFlow::Continue(()))
}

fn settle_without_attempt(delivery: PendingDelivery, disposition: Disposition) -> Settlement {
    Settlement { delivery, attempt: None, disposition }
}

fn attempt(outcome: &Outcome) -> Option<Attempt> {
    match outcome {
        Outcome::Delivered(attempt) | Outcome::Failed(attempt, _) => Some(attempt.clone()),
        Outcome::Skipped => None,
    }
}

/// Returns the number of deliveries that are no longer pending.
fn no_longer_pending(settled: &[Settlement]) -> i64 {
    count(settled, |disposition| !matches!(disposition, Disposition::Pending(_)))
}

fn count(settled: &[Settlement], predicate: impl Fn(&Disposition) -> bool) -> i64 {
    i64::try_from(settled.iter().filter(|settlement| predicate(&settlement.disposition)).count()).unwrap_or(i64::MAX)
}

fn emit(settled: &[Settlement], counts: &OutcomeCounts) {
    let retried = settled.iter().filter(|s| s.attempt.is_some() && s.delivery.attempts > 0).count();
    let mut metrics = vec![
        (Metric::Delivered, i64::from(counts.delivered)),
        (Metric::FailedAttempts, i64::from(counts.failed)),
        (Metric::Retried, i64::try_from(retried).unwrap_or(i64::MAX)),
        (Metric::Failed, count(settled, |disposition| *disposition == Disposition::Failed)),
    ];
    metrics.retain(|(_, count)| *count > 0);
    metrics::emit(&metrics);
}

/// Drains of all destinations.
#[derive(Clone, Debug)]
pub struct Drains {
    /// Destinations.
    pub destinations: Destinations,
    /// Health of the destinations.
    pub health_store: HealthStore,
    /// Pending deliveries.
    pub pending: PendingDeliveries,
    /// Recorded errors; pending deliveries contain only their ids.
    pub errors: Errors,
    /// Replays that added pending deliveries.
    pub replays: Replays,
    /// Scheduler of drains.
    pub scheduler: DrainScheduler,
    /// Senders for all types of destinations.
    pub senders: Senders,
}

impl Drains {
    /// Drains one destination (see [`drain`]).
    pub async fn run(&self, route: Route) -> Result<(), StoreError> {
        let destination = DestinationDrain { drains: self, route };
        // Boxed because the future exceeds the compiler's recursion limit for types.
        Box::pin(drain(&destination, &destination)).await
    }
}

/// Storage and sender of one destination.
struct DestinationDrain<'a> {
    drains: &'a Drains,
    route: Route,
}

impl Sender for DestinationDrain<'_> {
    async fn send(&self, destination: &Destination, errors: &[&ErrorLog]) -> Vec<Outcome> {
        self.drains.senders.send(self.route, destination, errors).await
    }
}

impl DrainStore for DestinationDrain<'_> {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    async fn lease(&self, until: Timestamp) -> Result<Option<Lease>, StoreError> {
        Ok(self.drains.health_store.lease(self.route, self.now(), until).await?.map(|(lease, _)| lease))
    }

    async fn destination(&self) -> Result<Option<Destination>, StoreError> {
        self.drains.destinations.get(self.route.environment, self.route.destination).await
    }

    async fn health(&self) -> Result<Health, StoreError> {
        self.drains.health_store.get(self.route).await
    }

    async fn due(&self, by: Timestamp, limit: usize) -> Result<Vec<PendingDelivery>, StoreError> {
        self.drains.pending.due(self.route, by, limit).await
    }

    async fn errors(&self, due: &[PendingDelivery]) -> Result<HashMap<ErrorKey, ErrorLog>, StoreError> {
        let wanted: Vec<_> = due.iter().map(key).collect();
        let found = self.drains.errors.get_all(self.route.environment, &wanted).await?;
        Ok(found.into_iter().map(|error| ((error.workflow_id, error.error_id), error)).collect())
    }

    async fn is_cancelled(&self, replay: ReplayId) -> Result<bool, StoreError> {
        let found = self.drains.replays.get(self.route.environment, replay).await?;
        Ok(found.is_none_or(|replay| replay.status == ReplayStatus::Cancelled))
    }

    async fn settle(&self, settled: &[Settlement]) -> Result<(), StoreError> {
        self.drains.pending.settle(self.route, &self.drains.replays.0, settled).await
    }

    async fn record_health(&self, current: &Health, update: &HealthUpdate) -> Result<(), StoreError> {
        self.drains.health_store.record(self.route, current, update, self.now()).await.map(|_| ())
    }

    async fn disable_destination(&self, version: u32, reason: &str) -> Result<(), StoreError> {
        self.drains.destinations.disable(self.route, version, reason, self.now()).await
    }

    async fn backlog(&self) -> Result<Backlog, StoreError> {
        self.drains.pending.backlog(self.route).await
    }

    async fn release(
        &self,
        lease: &Lease,
        backlog_version: Option<u64>,
        backlog: Backlog,
        wake_at: Option<Timestamp>,
    ) -> Result<ReleaseOutcome, StoreError> {
        self.drains.health_store.release(self.route, lease, backlog_version, backlog, wake_at).await
    }

    async fn schedule(&self, at: Timestamp) -> Result<(), StoreError> {
        self.drains.scheduler.enqueue(self.route, at, self.now()).await
    }

    async fn delete_health(&self) -> Result<(), StoreError> {
        self.drains.health_store.delete(self.route).await
    }
}

#[cfg(test)]
mod simulation;
