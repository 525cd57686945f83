//! Simulation of the drain with a controlled clock, a failing receiver, and processes that crash
//! between any two steps.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use futures_util::FutureExt;
use proptest::prelude::*;

use super::*;
use crate::domain::{
    delivery::{DeliveryStatus, Failure, RETRY_SCHEDULE_SECS},
    destination::{EventBridge, Filter, Target, Verification},
    error_log::{ErrorIdentity, NewError, WorkflowRef},
    health::{AUTO_DISABLE_AFTER, DISABLED_FAILING, DISABLED_GONE},
    id::{DestinationId, EnvironmentId, ErrorId, UserId, WorkflowId},
    request_seed::RequestSeed,
    secret::Sealed,
};

/// Behavior of the receiver.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Behavior {
    Accepts,
    Refuses,
    Stalls,
    Busy(u64),
    Gone,
}

/// Storage, queue and receiver of one destination, in memory.
struct World {
    now: Cell<Timestamp>,
    destination: RefCell<Destination>,
    health: RefCell<Option<Health>>,
    lease: RefCell<Option<Lease>>,
    errors: RefCell<BTreeMap<ErrorId, ErrorLog>>,
    pending: RefCell<BTreeMap<(Timestamp, ErrorId), PendingDelivery>>,
    deliveries: RefCell<BTreeMap<ErrorId, (DeliveryStatus, Vec<Timestamp>)>>,
    /// Times at which the queue delivers its messages.
    queue: RefCell<Vec<Timestamp>>,
    /// Number of errors that replays have queued again.
    replayed: Cell<u32>,
    /// Number of arrivals of each error.
    arrived: RefCell<BTreeMap<ErrorId, u32>>,
    /// Number of steps until the process crashes.
    steps_left: Cell<Option<u32>>,
    behavior: Box<dyn Fn(Timestamp) -> Behavior>,
}

fn start() -> Timestamp {
    "2026-11-24T00:00:00Z".parse().unwrap()
}

fn after(seconds: u64) -> Timestamp {
    start() + Duration::from_secs(seconds)
}

const HOUR: u64 = 3600;

impl World {
    fn new(behavior: impl Fn(Timestamp) -> Behavior + 'static) -> Self {
        let bus = EventBridge {
            region: "us-east-1".parse().unwrap(),
            event_bus_name: "errors".parse().unwrap(),
            masked_access_key_id: String::new(),
            credentials: Sealed { version: 1, wrapped_key: vec![], nonce: vec![], ciphertext: vec![] },
        };
        let destination = Destination {
            destination_id: DestinationId::new(),
            version: 1,
            enabled: true,
            disabled_reason: None,
            filter: Filter::default(),
            target: Target::EventBridge(bus),
            verification: Verification { verified: true, reason: String::new() },
            created_at: start(),
            updated_at: start(),
        };
        Self {
            now: Cell::new(start()),
            destination: RefCell::new(destination),
            health: RefCell::default(),
            lease: RefCell::default(),
            errors: RefCell::default(),
            pending: RefCell::default(),
            deliveries: RefCell::default(),
            queue: RefCell::default(),
            replayed: Cell::default(),
            arrived: RefCell::default(),
            steps_left: Cell::new(None),
            behavior: Box::new(behavior),
        }
    }

    /// Counts a step, at which the process may crash.
    fn step(&self) -> Result<(), StoreError> {
        match self.steps_left.get() {
            Some(0) => Err(StoreError::Busy("the process crashed".into())),
            remaining => {
                self.steps_left.set(remaining.map(|remaining| remaining - 1));
                Ok(())
            }
        }
    }

    /// Performs an operation; the process may crash before or after it.
    fn perform<T>(&self, operation: impl FnOnce() -> T) -> Result<T, StoreError> {
        self.step()?;
        let done = operation();
        self.step()?;
        Ok(done)
    }

    fn current_health(&self) -> Health {
        self.health.borrow().clone().unwrap_or_default()
    }

    fn update_health(&self, update: &HealthUpdate) -> Health {
        let before = self.current_health();
        *self.health.borrow_mut() = Some(before.apply(update, self.now.get()));
        before
    }

    /// Records an error and makes its first attempt, like the forwarder.
    fn record(&self) {
        let now = self.now.get();
        let new = NewError {
            identity: ErrorIdentity::new(None, None, &RequestSeed::of(now), 0).unwrap(),
            execution_id: "e".parse().unwrap(),
            block_id: "b".parse().unwrap(),
            block_type: "shopify".parse().unwrap(),
            error: String::new(),
        };
        let error = new.record(
            EnvironmentId::new(),
            &WorkflowRef { workflow_id: WorkflowId::new(), user_id: UserId::new(), integration_id: None },
            now,
        );
        let id = error.error_id;
        self.errors.borrow_mut().insert(id, error.clone());
        if !self.destination.borrow().enabled {
            return;
        }
        let is_deferred = self.current_health().defers_first_attempts(now);
        let outcome = if is_deferred { Outcome::Skipped } else { self.attempt(&error) };
        let counts: OutcomeCounts = [&outcome].into_iter().collect();
        let made = if is_deferred { vec![] } else { vec![now] };
        let pending = PendingDelivery::deferred(error.workflow_id, id, now);
        let disposition = if is_deferred { Disposition::Pending(pending) } else { pending.disposition(&outcome, now) };
        let (update, due) = match disposition {
            Disposition::Pending(pending) => {
                let due = pending.next_attempt_at;
                self.pending.borrow_mut().insert((due, id), pending);
                self.deliveries.borrow_mut().insert(id, (DeliveryStatus::Pending, made));
                (HealthUpdate { counts, pending_delta: 1, probe: false }, Some(due))
            }
            Disposition::Delivered => (HealthUpdate { counts, ..HealthUpdate::default() }, None),
            _ => {
                self.deliveries.borrow_mut().insert(id, (DeliveryStatus::Failed, made));
                (HealthUpdate { counts, ..HealthUpdate::default() }, None)
            }
        };
        let before = self.update_health(&update);
        if counts.gone {
            self.destination.borrow_mut().enabled = false;
        }
        if let Some(due) = due.filter(|due| before.needs_wakeup(*due, now)) {
            self.schedule_drain(due);
        }
    }

    /// Enqueues a drain and records the wake-up.
    fn schedule_drain(&self, at: Timestamp) {
        let now = self.now.get();
        let at = at.max(now).min(now + MAX_DELAY);
        self.queue.borrow_mut().push(at);
        let health = Health { wake_at: Some(at), ..self.current_health() };
        *self.health.borrow_mut() = Some(health);
    }

    /// Queues up to ten errors again, regardless of their status, like a replay.
    fn replay(&self) -> u32 {
        let now = self.now.get();
        let errors: Vec<ErrorLog> = self.errors.borrow().values().take(10).cloned().collect();
        for error in &errors {
            let deferred = PendingDelivery::deferred(error.workflow_id, error.error_id, now);
            let pending = PendingDelivery { next_attempt_at: now, ..deferred };
            self.pending.borrow_mut().insert((now, error.error_id), pending);
            self.deliveries.borrow_mut().insert(error.error_id, (DeliveryStatus::Pending, vec![]));
        }
        let count = u32::try_from(errors.len()).unwrap();
        if count > 0 {
            let before = self.update_health(&HealthUpdate { pending_delta: count.into(), ..HealthUpdate::default() });
            if before.needs_wakeup(now, now) {
                self.schedule_drain(now);
            }
        }
        count
    }

    fn attempt(&self, error: &ErrorLog) -> Outcome {
        let at = self.now.get();
        let attempt = Attempt { at, status: None, latency_ms: 0, response: String::new() };
        match (self.behavior)(at) {
            Behavior::Accepts => {
                *self.arrived.borrow_mut().entry(error.error_id).or_default() += 1;
                Outcome::Delivered(attempt)
            }
            Behavior::Refuses => Outcome::Failed(attempt, Failure::Refused),
            Behavior::Stalls => Outcome::Failed(attempt, Failure::Unreachable),
            Behavior::Busy(seconds) => Outcome::Failed(attempt, Failure::Busy(Some(at + Duration::from_secs(seconds)))),
            Behavior::Gone => Outcome::Failed(attempt, Failure::Gone),
        }
    }

    /// Advances time: records errors at their times, delivers messages to drains, and sweeps every
    /// five minutes. `crash_after` returns the number of steps after which a drain crashes, if it
    /// does.
    fn run(&self, records: &[Timestamp], until: Timestamp, crash_after: impl FnMut(Timestamp) -> Option<u32>) -> u32 {
        self.run_with_replays(records, &[], until, crash_after)
    }

    fn run_with_replays(
        &self,
        records: &[Timestamp],
        replays: &[Timestamp],
        until: Timestamp,
        mut crash_after: impl FnMut(Timestamp) -> Option<u32>,
    ) -> u32 {
        let (mut records, mut replays) = (records.iter().copied().peekable(), replays.iter().copied().peekable());
        let (mut crashes, mut last_sweep) = (0, start());
        loop {
            let message = self.queue.borrow().iter().copied().min();
            let sweep = last_sweep + Duration::from_secs(300);
            let next = [message, records.peek().copied(), replays.peek().copied(), Some(sweep)];
            let next = next.into_iter().flatten().min().unwrap();
            if next > until {
                return crashes;
            }
            self.now.set(self.now.get().max(next));
            if records.peek() == Some(&next) {
                records.next();
                self.record();
            } else if replays.peek() == Some(&next) {
                replays.next();
                self.replayed.set(self.replayed.get() + self.replay());
            } else if message == Some(next) {
                let index = self.queue.borrow().iter().position(|at| *at == next);
                index.map(|index| self.queue.borrow_mut().swap_remove(index));
                self.steps_left.set(crash_after(self.now.get()));
                if drain(self, self).now_or_never().unwrap().is_err() {
                    crashes += 1;
                    // The queue redelivers the message after its visibility timeout, except that
                    // every third one is lost.
                    if crashes % 3 != 0 {
                        self.queue.borrow_mut().push(self.now.get() + Duration::from_secs(120));
                    }
                }
                self.steps_left.set(None);
            } else {
                last_sweep = sweep;
                let (health, now) = (self.current_health(), self.now.get());
                let late = health.wake_at.is_none_or(|at| at + Duration::from_secs(60) <= now);
                if health.pending_since.is_some() && !health.is_leased(now) && late {
                    self.schedule_drain(now);
                }
            }
        }
    }

    fn status(&self, status: DeliveryStatus) -> usize {
        self.deliveries.borrow().values().filter(|(recorded, _)| *recorded == status).count()
    }
}

impl Sender for World {
    async fn send(&self, destination: &Destination, errors: &[&ErrorLog]) -> Vec<Outcome> {
        let (now, health) = (self.now.get(), self.current_health());
        assert!(destination.enabled, "sent to a disabled destination");
        assert!(!health.is_backing_off(now), "sent while the destination was backing off: {health:?}");
        assert!(
            health.circuit() == Circuit::Closed || errors.len() == 1,
            "an open circuit must be probed by one error"
        );
        let outcomes = errors.iter().map(|error| self.attempt(error)).collect();
        if (self.behavior)(now) == Behavior::Stalls {
            self.now.set(now + Duration::from_secs(15));
        }
        outcomes
    }
}

impl DrainStore for World {
    fn now(&self) -> Timestamp {
        self.now.get()
    }

    async fn lease(&self, until: Timestamp) -> Result<Option<Lease>, StoreError> {
        self.perform(|| {
            let health = self.health.borrow().clone().filter(|health| !health.is_leased(self.now.get()))?;
            let health = Health { leased_until: Some(until), ..health };
            let lease = Lease::new(self.now.get());
            *self.health.borrow_mut() = Some(health);
            *self.lease.borrow_mut() = Some(lease.clone());
            Some(lease)
        })
    }

    async fn destination(&self) -> Result<Option<Destination>, StoreError> {
        self.perform(|| Some(self.destination.borrow().clone()))
    }

    async fn health(&self) -> Result<Health, StoreError> {
        self.perform(|| self.current_health())
    }

    async fn due(&self, by: Timestamp, limit: usize) -> Result<Vec<PendingDelivery>, StoreError> {
        self.perform(|| {
            let pending = self.pending.borrow();
            pending.values().filter(|delivery| delivery.next_attempt_at <= by).take(limit).cloned().collect()
        })
    }

    async fn errors(&self, due: &[PendingDelivery]) -> Result<HashMap<ErrorKey, ErrorLog>, StoreError> {
        let errors = self.errors.borrow();
        self.perform(|| {
            due.iter().filter_map(|delivery| Some((key(delivery), errors.get(&delivery.error_id)?.clone()))).collect()
        })
    }

    async fn is_cancelled(&self, _: ReplayId) -> Result<bool, StoreError> {
        Ok(false)
    }

    async fn settle(&self, settled: &[Settlement]) -> Result<(), StoreError> {
        // A chunk is atomic; the process may crash between two chunks.
        for chunk in settled.chunks(20) {
            // DynamoDB rejects a transaction that contains an item twice.
            let settled = chunk.iter().filter(|settlement| settlement.disposition != Disposition::Duplicate);
            let mut names: Vec<ErrorKey> = settled.map(|settlement| key(&settlement.delivery)).collect();
            names.sort();
            assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "an error was settled twice in one transaction");
            self.perform(|| {
                for Settlement { delivery, attempt, disposition } in chunk {
                    self.pending.borrow_mut().remove(&(delivery.next_attempt_at, delivery.error_id));
                    let status = match disposition {
                        Disposition::Pending(pending) => {
                            let key = (pending.next_attempt_at, pending.error_id);
                            self.pending.borrow_mut().insert(key, pending.clone());
                            DeliveryStatus::Pending
                        }
                        Disposition::Delivered => DeliveryStatus::Delivered,
                        Disposition::Failed => DeliveryStatus::Failed,
                        Disposition::Cancelled | Disposition::Dropped => DeliveryStatus::Cancelled,
                        Disposition::Duplicate => continue,
                    };
                    let mut deliveries = self.deliveries.borrow_mut();
                    let (current, attempts) = deliveries.entry(delivery.error_id).or_insert((status, vec![]));
                    *current = status;
                    attempts.extend(attempt.iter().map(|attempt| attempt.at));
                }
            })?;
        }
        Ok(())
    }

    async fn record_health(&self, _: &Health, update: &HealthUpdate) -> Result<(), StoreError> {
        self.perform(|| self.update_health(update)).map(|_| ())
    }

    async fn disable_destination(&self, version: u32, reason: &str) -> Result<(), StoreError> {
        self.perform(|| {
            let mut destination = self.destination.borrow_mut();
            if destination.version == version {
                (destination.enabled, destination.disabled_reason) = (false, Some(reason.to_owned()));
            }
        })
    }

    async fn backlog(&self) -> Result<Backlog, StoreError> {
        self.perform(|| {
            let pending = self.pending.borrow();
            let earliest_due = pending.keys().next().map(|(due, _)| *due);
            let oldest = pending.values().map(|delivery| delivery.pending_since).min();
            Backlog { earliest_due, counted: i64::try_from(pending.len()).ok().map(|count| (count, oldest)) }
        })
    }

    async fn release(
        &self,
        lease: &Lease,
        backlog_version: Option<u64>,
        backlog: Backlog,
        wake_at: Option<Timestamp>,
    ) -> Result<ReleaseOutcome, StoreError> {
        self.perform(|| {
            let mut health = self.current_health();
            if self.lease.borrow().as_ref() != Some(lease) {
                return ReleaseOutcome::LeaseLost;
            }
            if backlog_version.is_some_and(|version| health.backlog_version != version) {
                return ReleaseOutcome::BacklogChanged;
            }
            health.leased_until = None;
            health.wake_at = wake_at;
            if let Some((count, oldest)) = backlog.counted {
                (health.pending, health.pending_since) = (count, oldest.or(health.pending_since));
            }
            if backlog.earliest_due.is_none() {
                (health.pending_since, health.failing_since) = (None, None);
            }
            *self.lease.borrow_mut() = None;
            *self.health.borrow_mut() = Some(health);
            ReleaseOutcome::Released
        })
    }

    async fn schedule(&self, at: Timestamp) -> Result<(), StoreError> {
        self.perform(|| self.queue.borrow_mut().push(at))
    }

    async fn delete_health(&self) -> Result<(), StoreError> {
        self.perform(|| *self.health.borrow_mut() = None)
    }
}

fn waits(attempts: &[Timestamp]) -> Vec<i64> {
    attempts.windows(2).map(|pair| pair[1].milliseconds() - pair[0].milliseconds()).collect()
}

#[test]
fn error_fails_after_twelve_scheduled_attempts() {
    let world = World::new(|_| Behavior::Refuses);
    world.run(&[start()], after(100 * HOUR), |_| None);
    let deliveries = world.deliveries.borrow();
    let (status, attempts) = deliveries.values().next().unwrap();
    assert_eq!((*status, attempts.len()), (DeliveryStatus::Failed, 12));
    for (wait, policy) in waits(attempts).into_iter().zip(RETRY_SCHEDULE_SECS) {
        let policy = i64::from(policy) * 1000;
        // A drain scheduled for a probe may run up to 15 minutes late.
        assert!((policy..=policy + policy / 10 + 900_000).contains(&wait), "waited {wait} ms instead of {policy} ms");
    }
    assert!(world.pending.borrow().is_empty() && world.current_health().pending == 0);
}

#[test]
fn retries_follow_the_schedule_until_the_destination_recovers() {
    // Four failures do not open the circuit.
    let world = World::new(|at| if at < after(2400) { Behavior::Refuses } else { Behavior::Accepts });
    world.run(&[start()], after(10 * HOUR), |_| None);
    let deliveries = world.deliveries.borrow();
    let (status, attempts) = deliveries.values().next().unwrap();
    assert_eq!((*status, attempts.len()), (DeliveryStatus::Delivered, 5));
    for (wait, policy) in waits(attempts).into_iter().zip(RETRY_SCHEDULE_SECS) {
        let policy = i64::from(policy) * 1000;
        assert!((policy..=policy + policy / 10).contains(&wait), "waited {wait} ms instead of {policy} ms");
    }
}

#[test]
fn dead_destination_is_disabled_after_five_days() {
    let world = World::new(|_| Behavior::Stalls);
    let records: Vec<Timestamp> = (0..6 * 24).map(|hour| after(hour * HOUR)).collect();
    world.run(&records, after(8 * 24 * HOUR), |_| None);
    assert_eq!(world.destination.borrow().disabled_reason.as_deref(), Some(DISABLED_FAILING));
    assert!(world.pending.borrow().is_empty());
    let off = world.current_health().last_failure_at.unwrap();
    assert!(
        off >= start() + AUTO_DISABLE_AFTER && off <= start() + AUTO_DISABLE_AFTER + Duration::from_secs(1200),
        "{off}"
    );
    // The earliest errors had exhausted their attempts before.
    assert!(world.status(DeliveryStatus::Failed) > 0 && world.status(DeliveryStatus::Cancelled) > 0);
}

#[test]
fn gone_destination_is_disabled_immediately() {
    let world = World::new(|at| if at < after(60) { Behavior::Refuses } else { Behavior::Gone });
    world.run(&[start(), after(30), after(31), after(500)], after(HOUR), |_| None);
    assert_eq!(world.destination.borrow().disabled_reason.as_deref(), Some(DISABLED_GONE));
    assert!(world.pending.borrow().is_empty());
    assert!(world.arrived.borrow().is_empty());
}

#[test]
fn recovered_destination_receives_its_backlog_in_15_minutes() {
    let world = World::new(|at| if at < after(5 * HOUR) { Behavior::Stalls } else { Behavior::Accepts });
    let records: Vec<Timestamp> = (0..1000).map(|n| after(4 * HOUR) + Duration::from_millis(n * 3500)).collect();
    world.run(&records, after(5 * HOUR + 1000), |_| None);
    let early = world.arrived.borrow().len();
    assert!(early >= 990, "only {early} of 1000 errors arrived");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]
    #[test]
    fn all_errors_arrive_after_any_faults_end(
        phases in prop::collection::vec((1u64..6 * HOUR, 0u8..5, 1u64..20_000), 1..8),
        records in prop::collection::vec(0u64..20 * HOUR, 1..120),
        replays in prop::collection::vec(0u64..30 * HOUR, 0..5),
        lifetimes in prop::collection::vec(prop::option::weighted(0.5, 0u32..60), 1..50),
    ) {
        let mut end = 0;
        let phases: Vec<(Timestamp, Behavior)> = phases.into_iter().map(|(length, kind, seconds)| {
            end += length;
            let behavior = match kind {
                0 | 1 => Behavior::Accepts,
                2 => Behavior::Refuses,
                3 => Behavior::Stalls,
                _ => Behavior::Busy(seconds),
            };
            (after(end), behavior)
        }).collect();
        let world = World::new(move |at| {
            phases.iter().find(|(until, _)| at < *until).map_or(Behavior::Accepts, |(_, behavior)| *behavior)
        });
        let mut records: Vec<Timestamp> = records.into_iter().map(after).collect();
        records.sort();
        let faults_end = after(end);
        let mut drains = 0;
        let mut replays: Vec<Timestamp> = replays.into_iter().map(after).collect();
        replays.sort();
        let crashes = world.run_with_replays(&records, &replays, after(200 * HOUR), |now| {
            drains += 1;
            lifetimes.get(drains % lifetimes.len()).copied().flatten().filter(|_| now < faults_end)
        });

        prop_assert_eq!(world.arrived.borrow().len(), records.len());
        prop_assert!(world.pending.borrow().is_empty());
        prop_assert_eq!(world.current_health().pending, 0);
        prop_assert_eq!(world.status(DeliveryStatus::Pending), 0);
        // Only errors that a crashed process had sent, or that were replayed, arrive twice.
        let twice: u32 = world.arrived.borrow().values().map(|times| times - 1).sum();
        let max = crashes as usize * BATCH_SIZE + world.replayed.get() as usize;
        prop_assert!(twice as usize <= max, "{} duplicates after {} crashes", twice, crashes);
        // No message remains without a backlog: messages do not multiply.
        prop_assert!(world.queue.borrow().is_empty());
        // No recorded attempt follows the previous one too early.
        for (_, attempts) in world.deliveries.borrow().values().filter(|_| replays.is_empty()) {
            for (wait, policy) in waits(attempts).into_iter().zip(RETRY_SCHEDULE_SECS) {
                prop_assert!(wait >= i64::from(policy) * 1000);
            }
        }
    }
}
