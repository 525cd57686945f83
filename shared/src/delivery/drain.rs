//! The drain of a destination: sends what waits for it and is due.
//!
//! One drain at a time has a destination, by a lease. It may die between any two of its steps: what it had sent and not
//! written down is sent again, what it had not sent is still waiting, and its lease runs out.

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

/// How long a drain goes on to begin rounds of attempts. With the last one, of at most fifteen seconds, and its writes it
/// stays below the function's time-out.
const RUN_BUDGET: Duration = Duration::from_secs(30);
/// How long a drain has a destination for itself: longer than its function may run.
const LEASE_DURATION: Duration = Duration::from_secs(75);
/// So many deliveries are attempted at once.
const BATCH_SIZE: usize = 40;
/// How often a drain looks again at what has begun to wait before it leaves that to the next one.
const MAX_RELEASE_ATTEMPTS: u32 = 3;
/// What waits longer than this is not there: the longest time to a next attempt, and more.
const FAR_FUTURE: Duration = Duration::from_secs(10 * 24 * 60 * 60);
/// A message that comes within this time may be the one that has woken this drain.
const WAKEUP_TOLERANCE: Duration = Duration::from_secs(1);

fn key(delivery: &PendingDelivery) -> ErrorKey {
    (delivery.workflow_id, delivery.error_id)
}

/// What a drain reads and writes, of one destination.
pub trait DrainStore {
    /// What time it is.
    fn now(&self) -> Timestamp;
    /// Takes the destination for itself until a time; none where another drain has it or nothing was ever noted.
    fn lease(&self, until: Timestamp) -> impl Future<Output = Result<Option<Lease>, StoreError>>;
    /// The destination, none where it was deleted.
    fn destination(&self) -> impl Future<Output = Result<Option<Destination>, StoreError>>;
    /// Its health.
    fn health(&self) -> impl Future<Output = Result<Health, StoreError>>;
    /// What waits and is due by a time, the longest time first.
    fn due(&self, by: Timestamp, limit: usize) -> impl Future<Output = Result<Vec<PendingDelivery>, StoreError>>;
    /// The errors of deliveries, as far as they are still there.
    fn errors(&self, due: &[PendingDelivery]) -> impl Future<Output = Result<HashMap<ErrorKey, ErrorLog>, StoreError>>;
    /// Whether a replay was cancelled.
    fn is_cancelled(&self, replay: ReplayId) -> impl Future<Output = Result<bool, StoreError>>;
    /// Writes down what became of deliveries.
    fn settle(&self, settled: &[Settlement]) -> impl Future<Output = Result<(), StoreError>>;
    /// Notes the destination's health.
    fn record_health(&self, current: &Health, update: &HealthUpdate) -> impl Future<Output = Result<(), StoreError>>;
    /// Switches the destination off.
    fn disable_destination(&self, version: u32, reason: &str) -> impl Future<Output = Result<(), StoreError>>;
    /// What waits, due or not.
    fn backlog(&self) -> impl Future<Output = Result<Backlog, StoreError>>;
    /// Ends the lease.
    fn release(
        &self,
        lease: &Lease,
        backlog_version: Option<u64>,
        backlog: Backlog,
        wake_at: Option<Timestamp>,
    ) -> impl Future<Output = Result<ReleaseOutcome, StoreError>>;
    /// Lets a drain run at a time.
    fn schedule(&self, at: Timestamp) -> impl Future<Output = Result<(), StoreError>>;
    /// Forgets the health of a destination that was deleted.
    fn delete_health(&self) -> impl Future<Output = Result<(), StoreError>>;
}

/// The means of sending, to one destination.
pub trait Sender {
    /// Makes one attempt to send each error. The answer has one outcome per error, in order.
    fn send(&self, destination: &Destination, errors: &[&ErrorLog]) -> impl Future<Output = Vec<Outcome>>;
}

/// Sends what waits for a destination and is due, for up to half a minute, and sees that a drain runs when the next of it
/// is.
///
/// AWS calls: a write; for every forty deliveries two reads of the destination, one query for each of eight partitions, one
/// `BatchGetItem` of the errors, a transaction for twenty and a write of the health; at the end a read, eight queries, a write
/// and a message.
pub async fn drain(store: &impl DrainStore, sender: &impl Sender) -> Result<(), StoreError> {
    let started = store.now();
    let Some(lease) = store.lease(started + LEASE_DURATION).await? else {
        // Whoever has it looks again before it ends.
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
            // Something may have begun to wait that was not seen.
            backlog = Backlog { earliest_due: Some(now + WAKEUP_TOLERANCE), counted: None };
        }
        let next = backlog.earliest_due.map(|due| due.max(health.backoff_until().unwrap_or(now)).max(now));
        let next = next.map(|next| next.min(now + MAX_DELAY));
        // One message is enough: where another comes in time, none is sent, so that messages do not multiply.
        let scheduled = health
            .wake_at
            .filter(|at| now + WAKEUP_TOLERANCE < *at && next.is_some_and(|next| *at <= next + WAKEUP_TOLERANCE));
        let wake_at = scheduled.or(next);
        match store.release(&lease, (!last).then_some(health.backlog_version), backlog, wake_at).await? {
            ReleaseOutcome::BacklogChanged => {}
            // Where the lease was lost, it may have been by an answer that was lost.
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

/// Attempts the deliveries that are due: forty concurrently, a single one while the circuit is open, none while the destination
/// is to be left alone.
async fn drain_batch(
    store: &impl DrainStore,
    sender: &impl Sender,
    destination: &Destination,
) -> Result<ControlFlow<()>, StoreError> {
    let (health, now) = (store.health().await?, store.now());
    // Off means off, also for what is not due yet.
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
        // What was never tried tells more of the destination than an error that it may have reasons to refuse.
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

/// An error may wait twice, by a replay or because its first attempt was written down twice: one is attempted, and the
/// others are taken out.
fn dedup(due: Vec<PendingDelivery>) -> (Vec<PendingDelivery>, Vec<Settlement>) {
    let mut seen = HashSet::new();
    let (unique, duplicates): (Vec<_>, Vec<_>) = due.into_iter().partition(|delivery| seen.insert(key(delivery)));
    (
        unique,
        duplicates.into_iter().map(|duplicate| settle_without_attempt(duplicate, Disposition::Duplicate)).collect(),
    )
}

/// Writes down what became of deliveries without an attempt.
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

/// How many of these do not wait any more.
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

/// The drains of all destinations.
#[derive(Clone, Debug)]
pub struct Drains {
    /// The destinations.
    pub destinations: Destinations,
    /// How they do.
    pub health_store: HealthStore,
    /// What waits for them.
    pub pending: PendingDeliveries,
    /// The errors, of which what waits has only the ids.
    pub errors: Errors,
    /// The replays because of which some of it waits.
    pub replays: Replays,
    /// By which drains are told to run.
    pub scheduler: DrainScheduler,
    /// The means of sending.
    pub senders: Senders,
}

impl Drains {
    /// Drains one destination.
    pub async fn run(&self, route: Route) -> Result<(), StoreError> {
        let destination = DestinationDrain { drains: self, route };
        // Boxed: the compiler's depth limit would not hold what all of it is made of.
        Box::pin(drain(&destination, &destination)).await
    }
}

/// One destination's part of the tables.
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
