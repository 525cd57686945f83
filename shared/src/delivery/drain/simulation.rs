//! Simulation of the drain with a controlled clock, a failing receiver, and processes that crash
//! between any two steps.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    mem,
    time::Duration,
};

use futures_util::FutureExt;
use proptest::prelude::*;

use super::{batch::BATCH_SIZE, *};
use crate::{
    delivery::{
        pipeline::{self, Batch, Stage},
        recorder::AttemptedBatch,
    },
    domain::{
        delivery::{
            Attempt, DeliveryStatus, Disposition, Failure, Outcome, PendingDelivery, RETRY_SCHEDULE_SECS, Settlement,
        },
        destination::{Filter, Target, Verification, errors_only},
        error_log::{ErrorIdentity, NewError, WorkflowRef},
        event_bus::{BusAccess, EventBridge},
        health::{AUTO_DISABLE_AFTER, Circuit, DISABLED_FAILING, DISABLED_GONE, HealthUpdate},
        id::{DestinationId, EnvironmentId, ErrorId, UserId, WorkflowId},
        record::{Record, RecordRef},
        request_seed::RequestSeed,
    },
    store::health::BacklogCount,
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
    records: RefCell<BTreeMap<RecordKey, Record>>,
    pending: RefCell<BTreeMap<(Timestamp, RecordKey), PendingDelivery>>,
    /// Deliveries, except those that succeeded at the first attempt.
    deliveries: RefCell<BTreeMap<RecordKey, (DeliveryStatus, Vec<Timestamp>)>>,
    /// Records whose items are malformed.
    unreadable_records: RefCell<BTreeSet<RecordKey>>,
    /// Records whose pending deliveries are malformed.
    unreadable_pending: RefCell<BTreeSet<RecordKey>>,
    /// Time until which the item of the destination is malformed.
    unreadable_until: Cell<Timestamp>,
    /// Times at which the queue delivers its messages.
    queue: RefCell<Vec<Timestamp>>,
    /// Number of records that each replay has queued again, and number of those that are settled.
    replays: RefCell<BTreeMap<ReplayId, (u32, u32)>>,
    /// Number of arrivals of each record.
    arrived: RefCell<BTreeMap<RecordKey, u32>>,
    /// Records that the receiver refuses whatever its behavior.
    poison: RefCell<BTreeSet<RecordKey>>,
    /// Time until which reads of the destination fail.
    busy_until: Cell<Timestamp>,
    /// Time until which results of pending deliveries cannot be recorded.
    unrecorded_until: Cell<Timestamp>,
    /// Whether writes of the health fail.
    is_health_busy: Cell<bool>,
    cancelled_replays: RefCell<BTreeSet<ReplayId>>,
    /// Number of times that due deliveries were read.
    reads: Cell<usize>,
    /// Times at which the destination recovered.
    recoveries: RefCell<Vec<Timestamp>>,
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
            access: BusAccess::Role { role_arn: "arn:aws:iam::222222222222:role/tenon".parse().unwrap() },
        };
        let destination = Destination {
            destination_id: DestinationId::new(),
            version: 1,
            enabled: true,
            name: None,
            disabled_reason: None,
            disabled_at: None,
            events: errors_only(),
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
            records: RefCell::default(),
            pending: RefCell::default(),
            deliveries: RefCell::default(),
            unreadable_records: RefCell::default(),
            unreadable_pending: RefCell::default(),
            unreadable_until: Cell::new(start()),
            busy_until: Cell::new(start()),
            unrecorded_until: Cell::new(start()),
            is_health_busy: Cell::new(false),
            cancelled_replays: RefCell::default(),
            reads: Cell::default(),
            queue: RefCell::default(),
            replays: RefCell::default(),
            arrived: RefCell::default(),
            poison: RefCell::default(),
            recoveries: RefCell::default(),
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
        self.recoveries.borrow_mut().extend(before.recovers_with(&update.counts).then(|| self.now.get()));
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
        let record = Record::from(error);
        self.records.borrow_mut().insert(record.key(), record.clone());
        let (destination, health) = (self.destination.borrow().clone(), self.current_health());
        if destination.accepts(&record) {
            let route = Route { environment: record.environment_id(), destination: destination.destination_id };
            let batch = Batch::first_attempts(route, &destination, &health, [&record]);
            pipeline::run(&Receiver(self), self, batch).now_or_never().unwrap().unwrap();
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

    /// Queues up to ten records again, regardless of their status, like a replay.
    fn replay(&self) {
        let (id, now) = (ReplayId::new(), self.now.get());
        let records: Vec<RecordKey> = self.records.borrow().keys().take(10).copied().collect();
        for record in &records {
            let mut next = PendingDelivery::replayed(RecordRef { key: *record, recorded_at: now }, (id, now), now);
            let mut pending = self.pending.borrow_mut();
            let before: Vec<PendingDelivery> = pending.values().filter(|one| one.record == *record).cloned().collect();
            for before in before {
                assert!(next.merge(&before));
                pending.remove(&(before.next_attempt_at, before.record));
            }
            pending.insert((next.next_attempt_at, *record), next);
            self.deliveries.borrow_mut().insert(*record, (DeliveryStatus::Pending, vec![]));
        }
        let count = u32::try_from(records.len()).unwrap();
        self.replays.borrow_mut().insert(id, (count, 0));
        if count > 0 {
            let before = self.update_health(&HealthUpdate { pending_delta: count.into(), ..HealthUpdate::default() });
            if before.needs_wakeup(now, now) {
                self.schedule_drain(now);
            }
        }
    }

    fn attempt(&self, record: &Record) -> Outcome {
        let at = self.now.get();
        let attempt = Attempt { at, status: None, latency_ms: 0, response: String::new() };
        let is_poison = self.poison.borrow().contains(&record.key());
        match (self.behavior)(at) {
            Behavior::Accepts if is_poison => Outcome::Failed(attempt, Failure::Refused),
            Behavior::Accepts => {
                *self.arrived.borrow_mut().entry(record.key()).or_default() += 1;
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
                self.replay();
            } else if message == Some(next) {
                let index = self.queue.borrow().iter().position(|at| *at == next);
                index.map(|index| self.queue.borrow_mut().swap_remove(index));
                self.steps_left.set(crash_after(self.now.get()));
                let route =
                    Route { environment: EnvironmentId::new(), destination: self.destination.borrow().destination_id };
                if drain(route, self, self, self).now_or_never().unwrap().is_err() {
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

/// Receiver of first attempts, which run concurrently with a drain and do not delay it.
struct Receiver<'a>(&'a World);

impl Sender for Receiver<'_> {
    async fn send(&self, _: Route, _: &Destination, records: &[&Record]) -> Vec<Outcome> {
        records.iter().map(|record| self.0.attempt(record)).collect()
    }
}

impl Sender for World {
    async fn send(&self, _: Route, destination: &Destination, records: &[&Record]) -> Vec<Outcome> {
        let (now, health) = (self.now.get(), self.current_health());
        assert!(destination.enabled, "sent to a disabled destination");
        assert!(!health.is_backing_off(now), "sent while the destination was backing off: {health:?}");
        assert!(
            health.circuit() == Circuit::Closed || records.len() == 1,
            "an open circuit must be probed by one error"
        );
        let outcomes = records.iter().map(|record| self.attempt(record)).collect();
        if (self.behavior)(now) == Behavior::Stalls {
            self.now.set(now + Duration::from_secs(15));
        }
        outcomes
    }
}

impl DrainStore for World {
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
        if self.now.get() < self.unreadable_until.get() {
            return Err(StoreError::Malformed("malformed destination".into()));
        }
        if self.now.get() < self.busy_until.get() {
            return Err(StoreError::Busy("throttled".into()));
        }
        self.perform(|| Some(self.destination.borrow().clone()))
    }

    async fn health(&self) -> Result<Health, StoreError> {
        self.perform(|| self.current_health())
    }

    async fn due(&self, by: Timestamp, limit: usize) -> Result<FoundDeliveries, StoreError> {
        self.reads.set(self.reads.get() + 1);
        self.perform(|| {
            let (pending, unreadable) = (self.pending.borrow(), self.unreadable_pending.borrow());
            let due = pending.values().filter(|delivery| delivery.next_attempt_at <= by).take(limit).cloned();
            let (unreadable, readable) = due.partition(|delivery| unreadable.contains(&delivery.record));
            FoundDeliveries { readable, unreadable }
        })
    }

    async fn search(&self, from: Timestamp, limit: usize) -> Result<Search, StoreError> {
        self.perform(|| {
            let (pending, unreadable) = (self.pending.borrow(), self.unreadable_pending.borrow());
            let mut later = pending.values().filter(|delivery| from <= delivery.next_attempt_at).cloned();
            let page: Vec<PendingDelivery> = later.by_ref().take(limit).collect();
            let next = later.next().and(page.last()).map(|last| last.next_attempt_at);
            let (unreadable, readable) = page.into_iter().partition(|one| unreadable.contains(&one.record));
            Search { found: FoundDeliveries { readable, unreadable }, next }
        })
    }

    async fn merge(&self, merges: &[Merge]) -> Result<(), StoreError> {
        self.perform(|| {
            let mut pending = self.pending.borrow_mut();
            for Merge { merged, replaced } in merges {
                for delivery in replaced {
                    pending.remove(&(delivery.next_attempt_at, delivery.record));
                }
                pending.insert((merged.next_attempt_at, merged.record), merged.clone());
            }
        })
    }

    async fn records(&self, wanted: &[RecordKey]) -> Result<FoundRecords, StoreError> {
        self.perform(|| {
            let (records, unreadable) = (self.records.borrow(), self.unreadable_records.borrow());
            let (unreadable, readable): (BTreeSet<RecordKey>, BTreeSet<RecordKey>) =
                wanted.iter().copied().partition(|key| unreadable.contains(key));
            let found = readable.into_iter().filter_map(|key| Some((key, records.get(&key)?.clone())));
            FoundRecords { records: found.collect(), unreadable }
        })
    }

    async fn is_cancelled(&self, replay: ReplayId) -> Result<bool, StoreError> {
        Ok(self.cancelled_replays.borrow().contains(&replay))
    }

    async fn backlog(&self) -> Result<Backlog, StoreError> {
        self.perform(|| {
            let pending = self.pending.borrow();
            let earliest_due = pending.keys().next().map(|(due, _)| *due);
            let count = BacklogCount {
                pending: i64::try_from(pending.len()).unwrap(),
                pending_since: pending.values().map(|delivery| delivery.pending_since).min(),
            };
            Backlog { earliest_due, counted: Some(count) }
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
            if let Some(BacklogCount { pending, pending_since }) = backlog.counted {
                (health.pending, health.pending_since) = (pending, pending_since.or(health.pending_since));
            }
            if backlog.earliest_due.is_none() {
                (health.pending_since, health.outage_since) = (None, None);
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

impl Recorder for World {
    fn now(&self) -> Timestamp {
        self.now.get()
    }

    async fn settle(&self, batch: &AttemptedBatch<'_>) -> Result<BTreeSet<RecordKey>, StoreError> {
        if batch.stage != Stage::First && self.now.get() < self.unrecorded_until.get() {
            return Err(StoreError::Busy("throttled".into()));
        }
        // A chunk is atomic; the process may crash between two chunks.
        for chunk in batch.settled.chunks(20) {
            // DynamoDB rejects a transaction that contains an item twice.
            let mut names: Vec<RecordKey> = chunk.iter().map(|settlement| settlement.delivery.record).collect();
            names.sort();
            assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "an error was settled twice in one transaction");
            self.perform(|| {
                for Settlement { delivery, attempt, disposition } in chunk {
                    self.pending.borrow_mut().remove(&(delivery.next_attempt_at, delivery.record));
                    let status = match disposition {
                        Disposition::Pending(pending) => {
                            let key = (pending.next_attempt_at, pending.record);
                            self.pending.borrow_mut().insert(key, pending.clone());
                            DeliveryStatus::Pending
                        }
                        Disposition::Delivered if batch.stage == Stage::First => continue,
                        Disposition::Delivered => DeliveryStatus::Delivered,
                        Disposition::Failed => DeliveryStatus::Failed,
                        Disposition::Cancelled | Disposition::Dropped => DeliveryStatus::Cancelled,
                    };
                    if status != DeliveryStatus::Pending {
                        for replay in &delivery.replay_ids {
                            self.replays.borrow_mut().get_mut(replay).unwrap().1 += 1;
                        }
                    }
                    let mut deliveries = self.deliveries.borrow_mut();
                    let (current, attempts) = deliveries.entry(delivery.record).or_insert((status, vec![]));
                    *current = status;
                    attempts.extend(attempt.iter().map(|attempt| attempt.at));
                }
            })?;
        }
        Ok(BTreeSet::new())
    }

    async fn announce_backlog(&self) -> Result<(), StoreError> {
        let now = self.now.get();
        self.perform(|| {
            let mut health = self.health.borrow_mut();
            let health = health.get_or_insert_default();
            health.pending_since = health.pending_since.or(Some(now));
        })
    }

    async fn withdraw(&self, pending: &[&PendingDelivery]) -> Result<(), StoreError> {
        self.perform(|| {
            for pending in pending {
                self.pending.borrow_mut().remove(&(pending.next_attempt_at, pending.record));
                self.deliveries.borrow_mut().remove(&pending.record);
            }
        })
    }

    async fn record_health(&self, _: &Health, update: &HealthUpdate, _: Timestamp) -> Result<Health, StoreError> {
        if self.is_health_busy.get() {
            return Err(StoreError::Busy("throttled".into()));
        }
        self.perform(|| self.update_health(update))
    }

    async fn disable_destination(&self, version: u32, reason: &str) -> Result<(), StoreError> {
        self.perform(|| {
            let mut destination = self.destination.borrow_mut();
            if destination.version == version {
                (destination.enabled, destination.disabled_reason) = (false, Some(reason.to_owned()));
                destination.updated_at = self.now.get();
            }
        })
    }

    async fn schedule_drain(&self, due: Timestamp) -> Result<(), StoreError> {
        self.perform(|| World::schedule_drain(self, due))
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
    let off = world.destination.borrow().updated_at;
    assert!(
        off >= start() + AUTO_DISABLE_AFTER && off <= start() + AUTO_DISABLE_AFTER + Duration::from_secs(1200),
        "{off}"
    );
    // The earliest errors had exhausted their attempts before.
    assert!(world.status(DeliveryStatus::Failed) > 0 && world.status(DeliveryStatus::Cancelled) > 0);
}

#[test]
fn outage_is_shown_until_a_success_and_time_without_anything_to_send_disables_nothing() {
    let world = World::new(|at| if at < after(9 * 24 * HOUR) { Behavior::Refuses } else { Behavior::Accepts });
    // The first error has exhausted its attempts after less than four days.
    world.run(&[start()], after(6 * 24 * HOUR), |_| None);
    let health = world.health.borrow().clone().unwrap();
    assert_eq!((world.status(DeliveryStatus::Failed), world.pending.borrow().len()), (1, 0));
    assert!(health.failing_since.is_some_and(|since| since < after(60)) && health.last_failure.is_some(), "{health:?}");
    world.run(&[after(8 * 24 * HOUR)], after(10 * 24 * HOUR), |_| None);
    let health = world.health.borrow().clone().unwrap();
    assert_eq!((health.failing_since, health.last_failure), (None, None));
    assert!(world.destination.borrow().enabled);
}

#[test]
fn delivery_expires_behind_hundreds_that_became_due_before() {
    let world = World::new(|_| Behavior::Stalls);
    (0..300).for_each(|_| world.record());
    let oldest = *world.records.borrow().keys().next_back().unwrap();
    let pending = mem::take(&mut *world.pending.borrow_mut());
    world.pending.borrow_mut().extend(pending.into_values().map(|mut delivery| {
        let is_oldest = delivery.record == oldest;
        (delivery.attempts, delivery.pending_since) = if is_oldest { (10, start()) } else { (0, after(60 * HOUR)) };
        delivery.next_attempt_at = after(if is_oldest { 61 * HOUR } else { 60 * HOUR });
        ((delivery.next_attempt_at, delivery.record), delivery)
    }));

    world.run(&[], after(87 * HOUR), |_| None);

    assert_eq!(world.deliveries.borrow()[&oldest].0, DeliveryStatus::Failed);
    assert!(world.status(DeliveryStatus::Failed) == 1 && world.destination.borrow().enabled);
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
fn gone_at_a_first_attempt_cancels_pending_deliveries() {
    let world = World::new(|at| match at {
        at if at == start() => Behavior::Refuses,
        at if at < after(HOUR) => Behavior::Accepts,
        _ => Behavior::Gone,
    });
    world.record();
    world.poison.borrow_mut().extend(world.records.borrow().keys());
    world.run(&[], after(HOUR), |_| None);
    let due = world.pending.borrow().values().map(|pending| pending.next_attempt_at).min();
    assert!(due.is_some_and(|due| due > after(2 * HOUR)));
    world.run(&[after(HOUR + 1)], after(HOUR + 2), |_| None);
    assert_eq!((world.pending.borrow().len(), world.status(DeliveryStatus::Cancelled)), (0, 1));
}

#[test]
fn unrecorded_first_attempt_leaves_no_pending_delivery() {
    let world = World::new(|_| Behavior::Refuses);
    world.is_health_busy.set(true);
    world.record();
    assert!(world.pending.borrow().is_empty() && world.deliveries.borrow().is_empty());
    // The repeated attempt stores what became of it.
    world.is_health_busy.set(false);
    world.record();
    assert_eq!(world.status(DeliveryStatus::Pending), 1);
}

#[test]
fn recovered_destination_receives_its_backlog_in_15_minutes() {
    let world = World::new(|at| if at < after(5 * HOUR) { Behavior::Stalls } else { Behavior::Accepts });
    let records: Vec<Timestamp> = (0..1000).map(|n| after(4 * HOUR) + Duration::from_millis(n * 3500)).collect();
    world.run(&records, after(5 * HOUR + 1000), |_| None);
    let early = world.arrived.borrow().len();
    assert!(early >= 990, "only {early} of 1000 errors arrived");
}

#[test]
fn recovered_destination_receives_everything_that_waits_for_a_late_attempt() {
    let world = World::new(|at| if at < after(24 * HOUR) { Behavior::Refuses } else { Behavior::Accepts });
    let during: Vec<Timestamp> = (0..5).map(|minute| after(minute * 60)).collect();
    world.run(&during, after(24 * HOUR), |_| None);
    let waiting = world.pending.borrow().values().filter(|one| one.next_attempt_at > after(26 * HOUR)).count();
    assert_eq!(waiting, 5);
    // Sent as a probe, at most 15 minutes after the previous one.
    world.run(&[after(24 * HOUR + 60)], after(24 * HOUR + 1200), |_| None);
    assert_eq!((world.arrived.borrow().len(), world.pending.borrow().len()), (6, 0));
}

#[test]
fn first_attempt_that_succeeds_after_three_failures_sends_what_is_pending() {
    let world = World::new(|at| if at < after(1200) { Behavior::Refuses } else { Behavior::Accepts });
    world.run(&[start()], after(1200), |_| None);
    assert_eq!(world.current_health().consecutive_failures, 3);
    world.run(&[after(1300)], after(1301), |_| None);
    assert_eq!(world.arrived.borrow().len(), 2);
}

#[test]
fn records_that_are_always_refused_keep_their_schedule_while_others_arrive() {
    for refused in [1, 3, 5, 50] {
        let world = World::new(|at| if at == start() { Behavior::Refuses } else { Behavior::Accepts });
        (0..refused).for_each(|_| world.record());
        world.poison.borrow_mut().extend(world.records.borrow().keys());
        let others: Vec<Timestamp> = (1..200).map(|n| after(n * 100)).collect();
        world.run(&others, after(7 * HOUR), |_| None);
        assert_eq!(world.arrived.borrow().len(), 199, "{refused} refused");
        let deliveries = world.deliveries.borrow();
        for record in world.poison.borrow().iter() {
            // After 0 s, 5 s, 5 min, 35 min and 2.6 h, and one before its time.
            let (status, attempts) = &deliveries[record];
            assert!(*status == DeliveryStatus::Pending && attempts.len() <= 6, "{refused} refused: {attempts:?}");
        }
    }
}

#[test]
fn recovery_reaches_deliveries_behind_thousands_that_were_refused_since() {
    let world = World::new(|at| if at < after(60) { Behavior::Refuses } else { Behavior::Accepts });
    (0..3000).for_each(|_| world.record());
    let refused: BTreeSet<RecordKey> = world.records.borrow().keys().take(2900).copied().collect();
    let pending = mem::take(&mut *world.pending.borrow_mut());
    world.pending.borrow_mut().extend(pending.into_values().enumerate().map(|(n, mut delivery)| {
        delivery.early_attempt_failed = refused.contains(&delivery.record);
        let hours = if delivery.early_attempt_failed { 1 } else { 10 };
        delivery.next_attempt_at = after(hours * HOUR) + Duration::from_millis(n as u64);
        ((delivery.next_attempt_at, delivery.record), delivery)
    }));
    world.poison.borrow_mut().clone_from(&refused);
    world.queue.borrow_mut().clear();
    let health = world.current_health();
    let recovered = Health { consecutive_failures: 0, next_probe_at: None, recovered_at: Some(after(60)), ..health };
    *world.health.borrow_mut() = Some(recovered);
    world.now.set(after(61));
    world.schedule_drain(after(61));

    world.run(&[], after(120), |_| None);

    assert_eq!((world.arrived.borrow().len(), world.pending.borrow().len()), (100, 2900));
}

#[test]
fn probes_do_not_wait_for_thousands_of_deliveries_that_need_no_attempt() {
    for cancels in [true, false] {
        let world = World::new(|at| if at < after(60) { Behavior::Refuses } else { Behavior::Accepts });
        let replay = ReplayId::new();
        (0..4000).for_each(|_| world.record());
        world.queue.borrow_mut().clear();
        for delivery in world.pending.borrow_mut().values_mut() {
            if cancels {
                (delivery.replay_only, delivery.replay_ids) = (true, [replay].into());
            } else {
                // An expired record.
                world.records.borrow_mut().remove(&delivery.record);
            }
        }
        world.replays.borrow_mut().insert(replay, (4000, 0));
        world.cancelled_replays.borrow_mut().insert(replay);
        assert_eq!(world.current_health().circuit(), Circuit::Open);
        world.now.set(after(90));
        world.schedule_drain(after(100));

        world.run(&[after(91)], after(HOUR), |_| None);

        assert_eq!((world.arrived.borrow().len(), world.pending.borrow().len()), (1, 0));
        let reads = world.reads.get();
        assert!(reads < 2 * 4000 / BATCH_SIZE, "{reads} reads");
    }
}

#[test]
fn attempts_that_cannot_be_recorded_are_not_repeated_every_five_seconds() {
    let (world, _) = world_with_five_pending_errors();
    world.unrecorded_until.set(after(1200));
    let crashes = world.run(&[], after(1200), |_| None);
    let attempts: u32 = world.arrived.borrow().values().sum();
    assert!(crashes > 0 && attempts <= 12, "{attempts} attempts in 20 minutes, {crashes} failed drains");
    world.run(&[], after(HOUR), |_| None);
    assert_eq!((world.arrived.borrow().len(), world.pending.borrow().len()), (5, 0));
}

#[test]
fn drain_that_an_error_ends_is_continued_soon() {
    let (world, _) = world_with_five_pending_errors();
    world.busy_until.set(after(70));
    let crashes = world.run(&[], after(120), |_| None);
    assert_eq!((crashes, world.arrived.borrow().len(), world.pending.borrow().len()), (0, 5, 0));
}

/// Records five errors that a refusing receiver gets, and lets it recover after a minute.
fn world_with_five_pending_errors() -> (World, Vec<RecordKey>) {
    let world = World::new(|at| if at < after(60) { Behavior::Refuses } else { Behavior::Accepts });
    world.run(&[0, 1, 2, 3, 4].map(after), after(4), |_| None);
    let keys: Vec<RecordKey> = world.records.borrow().keys().copied().collect();
    assert_eq!((keys.len(), world.pending.borrow().len()), (5, 5));
    (world, keys)
}

/// Asserts that the drain delivered all records but `unreadable`, which is recorded as failed.
fn assert_only_one_failed(world: &World, unreadable: RecordKey) {
    assert_eq!(world.arrived.borrow().len(), 4);
    assert!(!world.arrived.borrow().contains_key(&unreadable));
    assert_eq!(world.deliveries.borrow()[&unreadable].0, DeliveryStatus::Failed);
    assert_eq!(world.status(DeliveryStatus::Delivered), 4);
    assert!(world.pending.borrow().is_empty() && world.queue.borrow().is_empty());
    assert_eq!(world.current_health().pending, 0);
}

#[test]
fn unreadable_pending_delivery_fails_alone() {
    let (world, keys) = world_with_five_pending_errors();
    world.unreadable_pending.borrow_mut().insert(keys[2]);
    assert_eq!(world.run(&[], after(2 * HOUR), |_| None), 0);
    assert_only_one_failed(&world, keys[2]);
}

#[test]
fn unreadable_pending_delivery_fails_although_a_recovered_destination_always_refuses_another() {
    let world = World::new(|at| if at < after(60) { Behavior::Refuses } else { Behavior::Accepts });
    world.run(&[start()], after(1), |_| None);
    let refused = *world.records.borrow().keys().next().unwrap();
    world.poison.borrow_mut().insert(refused);
    // It was attempted early after a recovery, and waits for a late attempt.
    let pending = mem::take(&mut *world.pending.borrow_mut());
    world.pending.borrow_mut().extend(pending.into_values().map(|mut delivery| {
        (delivery.early_attempt_failed, delivery.next_attempt_at) = (true, after(12 * HOUR));
        ((delivery.next_attempt_at, delivery.record), delivery)
    }));
    let health = world.current_health();
    *world.health.borrow_mut() = Some(Health { consecutive_failures: 0, recovered_at: Some(after(60)), ..health });
    world.run(&[], after(HOUR), |_| None);

    let mut unreadable = PendingDelivery::first(
        RecordKey::Error { workflow_id: WorkflowId::new(), error_id: ErrorId::new() },
        after(HOUR),
    );
    unreadable.next_attempt_at = after(HOUR - 1);
    world.unreadable_pending.borrow_mut().insert(unreadable.record);
    world.pending.borrow_mut().insert((unreadable.next_attempt_at, unreadable.record), unreadable);
    world.schedule_drain(after(HOUR));
    let mut drains = 0;
    world.run(&[], after(2 * HOUR), |_| {
        drains += 1;
        assert!(drains < 100, "drains repeat without an end");
        None
    });

    assert_eq!((world.status(DeliveryStatus::Failed), world.pending.borrow().len()), (1, 1));
}

#[test]
fn unreadable_error_fails_alone() {
    let (world, keys) = world_with_five_pending_errors();
    world.unreadable_records.borrow_mut().insert(keys[2]);
    assert_eq!(world.run(&[], after(2 * HOUR), |_| None), 0);
    assert_only_one_failed(&world, keys[2]);
}

#[test]
fn unreadable_destination_is_tried_every_15_minutes() {
    let (world, _) = world_with_five_pending_errors();
    world.unreadable_until.set(after(5 * HOUR));
    let mut drains = 0;
    let crashes = world.run(&[], after(5 * HOUR), |_| {
        drains += 1;
        None
    });
    assert_eq!((crashes, world.pending.borrow().len()), (0, 5));
    assert!((20..=21).contains(&drains), "{drains} drains in five hours");
    world.run(&[], after(7 * HOUR), |_| None);
    assert_eq!(world.arrived.borrow().len(), 5);
    assert!(world.pending.borrow().is_empty());
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
        let replayed: u32 = world.replays.borrow().values().map(|(found, _)| found).sum();
        let max = crashes as usize * BATCH_SIZE + replayed as usize;
        prop_assert!(twice as usize <= max, "{} duplicates after {} crashes", twice, crashes);
        // Every replay counts each of its errors once, even if other replays queued them, too.
        for (found, settled) in world.replays.borrow().values() {
            prop_assert_eq!(found, settled);
        }
        // No message remains without a backlog: messages do not multiply.
        prop_assert!(world.queue.borrow().is_empty());
        // No recorded attempt follows the previous one too early.
        for (_, attempts) in world.deliveries.borrow().values().filter(|_| replays.is_empty()) {
            // One may be before its time.
            prop_assert!(attempts.len() <= RETRY_SCHEDULE_SECS.len() + 2);
            for ((wait, policy), pair) in waits(attempts).into_iter().zip(RETRY_SCHEDULE_SECS).zip(attempts.windows(2)) {
                let recovered = world.recoveries.borrow().iter().any(|at| pair[0] < *at && *at <= pair[1]);
                prop_assert!(wait >= i64::from(policy) * 1000 || recovered);
            }
        }
    }
}
