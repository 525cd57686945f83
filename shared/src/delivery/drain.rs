//! The drain of a destination: sends what waits for it and is due.
//!
//! One drain at a time has a destination, by a lease. It may die between any two of its steps: what it had sent and not
//! written down is sent again, what it had not sent is still waiting, and its lease runs out.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    time::Duration,
};

use super::{outlets::Outlets, queues::LONGEST_DELAY, wake::Waker};
use crate::{
    domain::{
        delivery::{Attempt, Next, Outcome, PendingDelivery, Route},
        destination::Destination,
        error_log::{ErrorKey, ErrorLog},
        health::{Circuit, Health, Note, Tally},
        id::ReplayId,
        replay::ReplayStatus,
        timestamp::Timestamp,
    },
    metrics::{self, Metric},
    store::{
        StoreError,
        destinations::Destinations,
        errors::Errors,
        health::{Healths, Lease, Released, Waiting},
        pending::{PendingDeliveries, Settlement},
        replays::Replays,
    },
};

/// How long a drain goes on to begin rounds of attempts. With the last one, of at most fifteen seconds, and its writes it
/// stays below the function's time-out.
const RUNS_FOR: Duration = Duration::from_secs(30);
/// How long a drain has a destination for itself: longer than its function may run.
const LEASED_FOR: Duration = Duration::from_secs(75);
/// So many deliveries are attempted at once.
const ROUND: usize = 40;
/// How often a drain looks again at what has begun to wait before it leaves that to the next one.
const LOOKS: u32 = 3;
/// What waits longer than this is not there: the longest time to a next attempt, and more.
const FOR_EVER: Duration = Duration::from_secs(10 * 24 * 60 * 60);
/// A message that comes within this time may be the one that has woken this drain.
const SOON: Duration = Duration::from_secs(1);

fn key(delivery: &PendingDelivery) -> ErrorKey {
    (delivery.workflow_id, delivery.error_id)
}

/// What a drain reads and writes, of one destination.
pub trait Ledger {
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
    fn note(&self, known: &Health, note: &Note) -> impl Future<Output = Result<(), StoreError>>;
    /// Switches the destination off.
    fn switch_off(&self, version: u32, reason: &str) -> impl Future<Output = Result<(), StoreError>>;
    /// What waits, due or not.
    fn waiting(&self) -> impl Future<Output = Result<Waiting, StoreError>>;
    /// Ends the lease.
    fn release(
        &self,
        lease: &Lease,
        noted: Option<u64>,
        waiting: Waiting,
        wake_at: Option<Timestamp>,
    ) -> impl Future<Output = Result<Released, StoreError>>;
    /// Lets a drain run at a time.
    fn wake(&self, at: Timestamp) -> impl Future<Output = Result<(), StoreError>>;
    /// Forgets the health of a destination that was deleted.
    fn forget(&self) -> impl Future<Output = Result<(), StoreError>>;
}

/// The means of sending, to one destination.
pub trait Outlet {
    /// Makes one attempt to send each error. The answer has one outcome per error, in order.
    fn send(&self, destination: &Destination, errors: &[&ErrorLog]) -> impl Future<Output = Vec<Outcome>>;
}

/// Sends what waits for a destination and is due, for up to half a minute, and sees that a drain runs when the next of it
/// is.
///
/// AWS calls: a write; for every forty deliveries two reads of the destination, one query for each of eight partitions, one
/// `BatchGetItem` of the errors, a transaction for twenty and a write of the health; at the end a read, eight queries, a write
/// and a message.
pub async fn drain(ledger: &impl Ledger, outlet: &impl Outlet) -> Result<(), StoreError> {
    let started = ledger.now();
    let Some(lease) = ledger.lease(started + LEASED_FOR).await? else {
        // Whoever has it looks again before it ends.
        return Ok(());
    };
    while ledger.now() < started + RUNS_FOR {
        let Some(destination) = ledger.destination().await? else {
            return ledger.forget().await;
        };
        match round(ledger, outlet, &destination).await? {
            Round::Again => {}
            Round::Over => break,
        }
    }
    for look in 1.. {
        let health = ledger.health().await?;
        let mut waiting = ledger.waiting().await?;
        let now = ledger.now();
        let last = look == LOOKS;
        if last {
            // Something may have begun to wait that was not seen.
            waiting = Waiting { earliest: Some(now + SOON), counted: None };
        }
        let next = waiting.earliest.map(|earliest| earliest.max(health.left_alone_until().unwrap_or(now)).max(now));
        let next = next.map(|next| next.min(now + LONGEST_DELAY));
        // One message is enough: where another comes in time, none is sent, so that messages do not multiply.
        let under_way = health.wake_at.filter(|at| now + SOON < *at && next.is_some_and(|next| *at <= next + SOON));
        let wake_at = under_way.or(next);
        match ledger.release(&lease, (!last).then_some(health.noted), waiting, wake_at).await? {
            Released::NotYet => {}
            // Where the lease was lost, it may have been by an answer that was lost.
            Released::Free | Released::Lost => {
                return match wake_at.filter(|_| under_way.is_none()) {
                    Some(at) => ledger.wake(at).await,
                    None => Ok(()),
                };
            }
        }
    }
    Ok(())
}

enum Round {
    /// There may be more to do now.
    Again,
    /// There is nothing to do for now.
    Over,
}

/// Attempts the deliveries that are due: forty at once, a single one while the circuit is open, none while the destination
/// is to be left alone.
async fn round(ledger: &impl Ledger, outlet: &impl Outlet, destination: &Destination) -> Result<Round, StoreError> {
    let (health, now) = (ledger.health().await?, ledger.now());
    // Off means off, also for what is not due yet.
    let by = if destination.enabled { now } else { now + FOR_EVER };
    let (mut due, twins) = without_twins(ledger.due(by, ROUND).await?);
    if due.is_empty() {
        return Ok(Round::Over);
    }
    if !destination.enabled {
        return settle(ledger, &health, due, Next::Cancelled, twins).await;
    }
    if health.is_left_alone(now) {
        due.retain(|delivery| delivery.has_expired(now));
        if due.is_empty() {
            return Ok(Round::Over);
        }
        return settle(ledger, &health, due, Next::Failed, twins).await;
    }
    let probe = health.circuit() == Circuit::Open;
    if probe {
        // What was never tried tells more of the destination than an error that it may have reasons to refuse.
        due.sort_by_key(|delivery| delivery.attempts);
        due.truncate(1);
    }
    let errors = ledger.errors(&due).await?;
    let mut cancelled = HashMap::new();
    for replay in due.iter().filter_map(|delivery| delivery.replay_id) {
        if let Entry::Vacant(entry) = cancelled.entry(replay) {
            entry.insert(ledger.is_cancelled(replay).await?);
        }
    }
    let is_cancelled = |delivery: &PendingDelivery| {
        delivery.replay_id.and_then(|replay| cancelled.get(&replay).copied()).unwrap_or(false)
    };
    let (mut settled, mut sent, mut sending) = (twins, Vec::new(), Vec::new());
    for delivery in due {
        match errors.get(&key(&delivery)) {
            None => settled.push(ended(delivery, Next::Dropped)),
            Some(error) if !destination.wants(error) || is_cancelled(&delivery) => {
                settled.push(ended(delivery, Next::Cancelled));
            }
            Some(error) => {
                sent.push(delivery);
                sending.push(error);
            }
        }
    }
    let outcomes = if sending.is_empty() { Vec::new() } else { outlet.send(destination, &sending).await };
    let now = ledger.now();
    let tally: Tally = outcomes.iter().collect();
    let not_made = outcomes.contains(&Outcome::NotMade);
    settled.extend(sent.into_iter().zip(&outcomes).map(|(delivery, outcome)| Settlement {
        next: delivery.after(outcome, now),
        attempt: attempt(outcome),
        delivery,
    }));
    emit(&settled, &tally);
    ledger.settle(&settled).await?;
    let note = Note { tally, waiting: -gone(&settled), probe };
    ledger.note(&health, &note).await?;
    if let Some(reason) = health.reason_to_switch_off(&note, now) {
        ledger.switch_off(destination.version, reason).await?;
    }
    Ok(if not_made { Round::Over } else { Round::Again })
}

/// An error may wait twice, by a replay or because its first attempt was written down twice: one is attempted, and the
/// others are taken out.
fn without_twins(due: Vec<PendingDelivery>) -> (Vec<PendingDelivery>, Vec<Settlement>) {
    let mut seen = HashSet::new();
    let (first, twins): (Vec<_>, Vec<_>) = due.into_iter().partition(|delivery| seen.insert(key(delivery)));
    (first, twins.into_iter().map(|twin| ended(twin, Next::Twin)).collect())
}

/// Writes down what became of deliveries without an attempt.
async fn settle(
    ledger: &impl Ledger,
    health: &Health,
    deliveries: Vec<PendingDelivery>,
    next: Next,
    twins: Vec<Settlement>,
) -> Result<Round, StoreError> {
    let mut settled = twins;
    settled.extend(deliveries.into_iter().map(|delivery| ended(delivery, next.clone())));
    emit(&settled, &Tally::default());
    ledger.settle(&settled).await?;
    ledger.note(health, &Note { waiting: -gone(&settled), ..Note::default() }).await?;
    Ok(Round::Again)
}

fn ended(delivery: PendingDelivery, next: Next) -> Settlement {
    Settlement { delivery, attempt: None, next }
}

fn attempt(outcome: &Outcome) -> Option<Attempt> {
    match outcome {
        Outcome::Delivered(attempt) | Outcome::Failed(attempt, _) => Some(attempt.clone()),
        Outcome::NotMade => None,
    }
}

/// How many of these do not wait any more.
fn gone(settled: &[Settlement]) -> i64 {
    count(settled, |next| !matches!(next, Next::Pending(_)))
}

fn count(settled: &[Settlement], is: impl Fn(&Next) -> bool) -> i64 {
    i64::try_from(settled.iter().filter(|settlement| is(&settlement.next)).count()).unwrap_or(i64::MAX)
}

fn emit(settled: &[Settlement], tally: &Tally) {
    let retried = settled.iter().filter(|s| s.attempt.is_some() && s.delivery.attempts > 0).count();
    let mut metrics = vec![
        (Metric::Delivered, i64::from(tally.delivered)),
        (Metric::FailedAttempts, i64::from(tally.failed)),
        (Metric::Retried, i64::try_from(retried).unwrap_or(i64::MAX)),
        (Metric::Failed, count(settled, |next| *next == Next::Failed)),
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
    pub healths: Healths,
    /// What waits for them.
    pub pending: PendingDeliveries,
    /// The errors, of which what waits has only the ids.
    pub errors: Errors,
    /// The replays because of which some of it waits.
    pub replays: Replays,
    /// By which drains are told to run.
    pub waker: Waker,
    /// The means of sending.
    pub outlets: Outlets,
}

impl Drains {
    /// Drains one destination.
    pub async fn run(&self, route: Route) -> Result<(), StoreError> {
        let one = One { drains: self, route };
        // Boxed: the compiler's depth limit would not hold what all of it is made of.
        Box::pin(drain(&one, &one)).await
    }
}

/// One destination's part of the tables.
struct One<'a> {
    drains: &'a Drains,
    route: Route,
}

impl Outlet for One<'_> {
    async fn send(&self, destination: &Destination, errors: &[&ErrorLog]) -> Vec<Outcome> {
        self.drains.outlets.send(self.route, destination, errors).await
    }
}

impl Ledger for One<'_> {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    async fn lease(&self, until: Timestamp) -> Result<Option<Lease>, StoreError> {
        Ok(self.drains.healths.lease(self.route, self.now(), until).await?.map(|(lease, _)| lease))
    }

    async fn destination(&self) -> Result<Option<Destination>, StoreError> {
        self.drains.destinations.get(self.route.environment, self.route.destination).await
    }

    async fn health(&self) -> Result<Health, StoreError> {
        self.drains.healths.get(self.route).await
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

    async fn note(&self, known: &Health, note: &Note) -> Result<(), StoreError> {
        self.drains.healths.note(self.route, known, note, self.now()).await.map(|_| ())
    }

    async fn switch_off(&self, version: u32, reason: &str) -> Result<(), StoreError> {
        self.drains.destinations.switch_off(self.route, version, reason, self.now()).await
    }

    async fn waiting(&self) -> Result<Waiting, StoreError> {
        self.drains.pending.waiting(self.route).await
    }

    async fn release(
        &self,
        lease: &Lease,
        noted: Option<u64>,
        waiting: Waiting,
        wake_at: Option<Timestamp>,
    ) -> Result<Released, StoreError> {
        self.drains.healths.release(self.route, lease, noted, waiting, wake_at).await
    }

    async fn wake(&self, at: Timestamp) -> Result<(), StoreError> {
        self.drains.waker.send(self.route, at, self.now()).await
    }

    async fn forget(&self) -> Result<(), StoreError> {
        self.drains.healths.forget(self.route).await
    }
}

#[cfg(test)]
mod simulation;
