//! The drain under a simulated clock, with a receiver that fails and processes that die between any two steps.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use futures_util::FutureExt;
use proptest::prelude::*;

use super::*;
use crate::domain::{
    delivery::{DeliveryStatus, Failure, RETRY_POLICY},
    destination::{EventBridge, Filter, Target, Verification},
    error_log::{ErrorIdentity, NewError, WorkflowRef},
    health::{SWITCHED_OFF_AFTER, SWITCHED_OFF_BY_410, SWITCHED_OFF_BY_FAILURES},
    id::{DestinationId, EnvironmentId, ErrorId, UserId, WorkflowId},
    origin::Origin,
    secret::Sealed,
};

/// How a receiver behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Behaviour {
    Takes,
    Refuses,
    Stalls,
    Busy(u64),
    Gone,
}

/// A destination's part of the tables, its queue and its receiver, in memory.
struct World {
    now: Cell<Timestamp>,
    destination: RefCell<Destination>,
    health: RefCell<Option<Health>>,
    lease: RefCell<Option<Lease>>,
    errors: RefCell<BTreeMap<ErrorId, ErrorLog>>,
    pending: RefCell<BTreeMap<(Timestamp, ErrorId), PendingDelivery>>,
    told: RefCell<BTreeMap<ErrorId, (DeliveryStatus, Vec<Timestamp>)>>,
    /// When the queue gives a message to a drain.
    queue: RefCell<Vec<Timestamp>>,
    /// The errors that were let wait once more.
    replayed: Cell<u32>,
    /// How often each error has arrived.
    arrived: RefCell<BTreeMap<ErrorId, u32>>,
    /// The steps that the process has left to live.
    lives_for: Cell<Option<u32>>,
    behaves: Box<dyn Fn(Timestamp) -> Behaviour>,
}

fn start() -> Timestamp {
    "2026-11-24T00:00:00Z".parse().unwrap()
}

fn after(seconds: u64) -> Timestamp {
    start() + Duration::from_secs(seconds)
}

const HOUR: u64 = 3600;

impl World {
    fn new(behaves: impl Fn(Timestamp) -> Behaviour + 'static) -> Self {
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
            told: RefCell::default(),
            queue: RefCell::default(),
            replayed: Cell::default(),
            arrived: RefCell::default(),
            lives_for: Cell::new(None),
            behaves: Box::new(behaves),
        }
    }

    /// A step before or after which the process may die.
    fn step(&self) -> Result<(), StoreError> {
        match self.lives_for.get() {
            Some(0) => Err(StoreError::Busy("the process died".into())),
            left => {
                self.lives_for.set(left.map(|left| left - 1));
                Ok(())
            }
        }
    }

    /// Does something, before or after which the process may die.
    fn does<T>(&self, what: impl FnOnce() -> T) -> Result<T, StoreError> {
        self.step()?;
        let done = what();
        self.step()?;
        Ok(done)
    }

    fn known(&self) -> Health {
        self.health.borrow().clone().unwrap_or_default()
    }

    fn apply(&self, note: &Note) -> Health {
        let before = self.known();
        *self.health.borrow_mut() = Some(before.after(note, self.now.get()));
        before
    }

    /// Records an error and makes its first attempt, as the forwarder does.
    fn record(&self) {
        let now = self.now.get();
        let new = NewError {
            identity: ErrorIdentity::new(None, None, &Origin::of(now), 0).unwrap(),
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
        let held = self.known().holds_back(now);
        let outcome = if held { Outcome::NotMade } else { self.attempt(&error) };
        let tally: Tally = [&outcome].into_iter().collect();
        let made = if held { vec![] } else { vec![now] };
        let pending = PendingDelivery::held(error.workflow_id, id, now);
        let next = if held { Next::Pending(pending) } else { pending.after(&outcome, now) };
        let (note, due) = match next {
            Next::Pending(pending) => {
                let due = pending.next_attempt_at;
                self.pending.borrow_mut().insert((due, id), pending);
                self.told.borrow_mut().insert(id, (DeliveryStatus::Pending, made));
                (Note { tally, waiting: 1, probe: false }, Some(due))
            }
            Next::Delivered => (Note { tally, ..Note::default() }, None),
            _ => {
                self.told.borrow_mut().insert(id, (DeliveryStatus::Failed, made));
                (Note { tally, ..Note::default() }, None)
            }
        };
        let before = self.apply(&note);
        if tally.gone {
            self.destination.borrow_mut().enabled = false;
        }
        if let Some(due) = due.filter(|due| before.needs_waking(*due, now)) {
            self.tell(due);
        }
    }

    /// Lets the drain run at a time, and notes that.
    fn tell(&self, at: Timestamp) {
        let now = self.now.get();
        let at = at.max(now).min(now + LONGEST_DELAY);
        self.queue.borrow_mut().push(at);
        let health = Health { wake_at: Some(at), ..self.known() };
        *self.health.borrow_mut() = Some(health);
    }

    /// Lets some errors wait once more, whatever has become of them, as a replay does.
    fn replay(&self) -> u32 {
        let now = self.now.get();
        let errors: Vec<ErrorLog> = self.errors.borrow().values().take(10).cloned().collect();
        for error in &errors {
            let held = PendingDelivery::held(error.workflow_id, error.error_id, now);
            let pending = PendingDelivery { next_attempt_at: now, ..held };
            self.pending.borrow_mut().insert((now, error.error_id), pending);
            self.told.borrow_mut().insert(error.error_id, (DeliveryStatus::Pending, vec![]));
        }
        let count = u32::try_from(errors.len()).unwrap();
        if count > 0 {
            let before = self.apply(&Note { waiting: count.into(), ..Note::default() });
            if before.needs_waking(now, now) {
                self.tell(now);
            }
        }
        count
    }

    fn attempt(&self, error: &ErrorLog) -> Outcome {
        let at = self.now.get();
        let attempt = Attempt { at, status: None, latency_ms: 0, response: String::new() };
        match (self.behaves)(at) {
            Behaviour::Takes => {
                *self.arrived.borrow_mut().entry(error.error_id).or_default() += 1;
                Outcome::Delivered(attempt)
            }
            Behaviour::Refuses => Outcome::Failed(attempt, Failure::Refused),
            Behaviour::Stalls => Outcome::Failed(attempt, Failure::Unreachable),
            Behaviour::Busy(seconds) => {
                Outcome::Failed(attempt, Failure::Busy(Some(at + Duration::from_secs(seconds))))
            }
            Behaviour::Gone => Outcome::Failed(attempt, Failure::Gone),
        }
    }

    /// Lets time pass: errors are recorded at their times, messages reach drains, the sweep runs every five minutes.
    /// `dies` says after how many steps a drain's process dies, if at all.
    fn run(&self, records: &[Timestamp], until: Timestamp, dies: impl FnMut(Timestamp) -> Option<u32>) -> u32 {
        self.run_with_replays(records, &[], until, dies)
    }

    fn run_with_replays(
        &self,
        records: &[Timestamp],
        replays: &[Timestamp],
        until: Timestamp,
        mut dies: impl FnMut(Timestamp) -> Option<u32>,
    ) -> u32 {
        let (mut records, mut replays) = (records.iter().copied().peekable(), replays.iter().copied().peekable());
        let (mut deaths, mut swept) = (0, start());
        loop {
            let message = self.queue.borrow().iter().copied().min();
            let sweep = swept + Duration::from_secs(300);
            let next = [message, records.peek().copied(), replays.peek().copied(), Some(sweep)];
            let next = next.into_iter().flatten().min().unwrap();
            if next > until {
                return deaths;
            }
            self.now.set(self.now.get().max(next));
            if records.peek() == Some(&next) {
                records.next();
                self.record();
            } else if replays.peek() == Some(&next) {
                replays.next();
                self.replayed.set(self.replayed.get() + self.replay());
            } else if message == Some(next) {
                let place = self.queue.borrow().iter().position(|at| *at == next);
                place.map(|place| self.queue.borrow_mut().swap_remove(place));
                self.lives_for.set(dies(self.now.get()));
                if drain(self, self).now_or_never().unwrap().is_err() {
                    deaths += 1;
                    // The queue gives the message to another drain after its visibility time-out; now and then it is lost.
                    if deaths % 3 != 0 {
                        self.queue.borrow_mut().push(self.now.get() + Duration::from_secs(120));
                    }
                }
                self.lives_for.set(None);
            } else {
                swept = sweep;
                let (health, now) = (self.known(), self.now.get());
                let late = health.wake_at.is_none_or(|at| at + Duration::from_secs(60) <= now);
                if health.waiting_since.is_some() && !health.is_leased(now) && late {
                    self.tell(now);
                }
            }
        }
    }

    fn status(&self, status: DeliveryStatus) -> usize {
        self.told.borrow().values().filter(|(told, _)| *told == status).count()
    }
}

impl Outlet for World {
    async fn send(&self, destination: &Destination, errors: &[&ErrorLog]) -> Vec<Outcome> {
        let (now, health) = (self.now.get(), self.known());
        assert!(destination.enabled, "nothing is sent to a destination that is off");
        assert!(!health.is_left_alone(now), "a destination that is to be left alone is left alone: {health:?}");
        assert!(
            health.circuit() == Circuit::Closed || errors.len() == 1,
            "an open circuit is probed by a single error"
        );
        let outcomes = errors.iter().map(|error| self.attempt(error)).collect();
        if (self.behaves)(now) == Behaviour::Stalls {
            self.now.set(now + Duration::from_secs(15));
        }
        outcomes
    }
}

impl Ledger for World {
    fn now(&self) -> Timestamp {
        self.now.get()
    }

    async fn lease(&self, until: Timestamp) -> Result<Option<Lease>, StoreError> {
        self.does(|| {
            let health = self.health.borrow().clone().filter(|health| !health.is_leased(self.now.get()))?;
            let health = Health { leased_until: Some(until), ..health };
            let lease = Lease::new(self.now.get());
            *self.health.borrow_mut() = Some(health);
            *self.lease.borrow_mut() = Some(lease.clone());
            Some(lease)
        })
    }

    async fn destination(&self) -> Result<Option<Destination>, StoreError> {
        self.does(|| Some(self.destination.borrow().clone()))
    }

    async fn health(&self) -> Result<Health, StoreError> {
        self.does(|| self.known())
    }

    async fn due(&self, by: Timestamp, limit: usize) -> Result<Vec<PendingDelivery>, StoreError> {
        self.does(|| {
            let pending = self.pending.borrow();
            pending.values().filter(|delivery| delivery.next_attempt_at <= by).take(limit).cloned().collect()
        })
    }

    async fn errors(&self, due: &[PendingDelivery]) -> Result<HashMap<ErrorKey, ErrorLog>, StoreError> {
        let errors = self.errors.borrow();
        self.does(|| due.iter().filter_map(|one| Some((key(one), errors.get(&one.error_id)?.clone()))).collect())
    }

    async fn is_cancelled(&self, _: ReplayId) -> Result<bool, StoreError> {
        Ok(false)
    }

    async fn settle(&self, settled: &[Settlement]) -> Result<(), StoreError> {
        // All of a chunk or nothing; the process may die between two.
        for chunk in settled.chunks(20) {
            // DynamoDB refuses a transaction that names an item twice.
            let told = chunk.iter().filter(|settlement| settlement.next != Next::Twin);
            let mut names: Vec<ErrorKey> = told.map(|settlement| key(&settlement.delivery)).collect();
            names.sort();
            assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "an error is settled once");
            self.does(|| {
                for Settlement { delivery, attempt, next } in chunk {
                    self.pending.borrow_mut().remove(&(delivery.next_attempt_at, delivery.error_id));
                    let status = match next {
                        Next::Pending(pending) => {
                            let key = (pending.next_attempt_at, pending.error_id);
                            self.pending.borrow_mut().insert(key, pending.clone());
                            DeliveryStatus::Pending
                        }
                        Next::Delivered => DeliveryStatus::Delivered,
                        Next::Failed => DeliveryStatus::Failed,
                        Next::Cancelled | Next::Dropped => DeliveryStatus::Cancelled,
                        Next::Twin => continue,
                    };
                    let mut told = self.told.borrow_mut();
                    let (stands, attempts) = told.entry(delivery.error_id).or_insert((status, vec![]));
                    *stands = status;
                    attempts.extend(attempt.iter().map(|attempt| attempt.at));
                }
            })?;
        }
        Ok(())
    }

    async fn note(&self, _: &Health, note: &Note) -> Result<(), StoreError> {
        self.does(|| self.apply(note)).map(|_| ())
    }

    async fn switch_off(&self, version: u32, reason: &str) -> Result<(), StoreError> {
        self.does(|| {
            let mut destination = self.destination.borrow_mut();
            if destination.version == version {
                (destination.enabled, destination.disabled_reason) = (false, Some(reason.to_owned()));
            }
        })
    }

    async fn waiting(&self) -> Result<Waiting, StoreError> {
        self.does(|| {
            let pending = self.pending.borrow();
            let earliest = pending.keys().next().map(|(due, _)| *due);
            let oldest = pending.values().map(|delivery| delivery.waiting_since).min();
            Waiting { earliest, counted: i64::try_from(pending.len()).ok().map(|count| (count, oldest)) }
        })
    }

    async fn release(
        &self,
        lease: &Lease,
        noted: Option<u64>,
        waiting: Waiting,
        wake_at: Option<Timestamp>,
    ) -> Result<Released, StoreError> {
        self.does(|| {
            let mut health = self.known();
            if self.lease.borrow().as_ref() != Some(lease) {
                return Released::Lost;
            }
            if noted.is_some_and(|noted| health.noted != noted) {
                return Released::NotYet;
            }
            health.leased_until = None;
            health.wake_at = wake_at;
            if let Some((count, oldest)) = waiting.counted {
                (health.pending, health.waiting_since) = (count, oldest.or(health.waiting_since));
            }
            if waiting.earliest.is_none() {
                (health.waiting_since, health.failing_since) = (None, None);
            }
            *self.lease.borrow_mut() = None;
            *self.health.borrow_mut() = Some(health);
            Released::Free
        })
    }

    async fn wake(&self, at: Timestamp) -> Result<(), StoreError> {
        self.does(|| self.queue.borrow_mut().push(at))
    }

    async fn forget(&self) -> Result<(), StoreError> {
        self.does(|| *self.health.borrow_mut() = None)
    }
}

fn waits(attempts: &[Timestamp]) -> Vec<i64> {
    attempts.windows(2).map(|pair| pair[1].milliseconds() - pair[0].milliseconds()).collect()
}

#[test]
fn a_single_error_is_tried_twelve_times_by_the_policy_and_then_failed() {
    let world = World::new(|_| Behaviour::Refuses);
    world.run(&[start()], after(100 * HOUR), |_| None);
    let told = world.told.borrow();
    let (status, attempts) = told.values().next().unwrap();
    assert_eq!((*status, attempts.len()), (DeliveryStatus::Failed, 12));
    for (wait, policy) in waits(attempts).into_iter().zip(RETRY_POLICY) {
        let policy = i64::from(policy) * 1000;
        // A drain that a probe was scheduled for comes up to fifteen minutes later.
        assert!((policy..=policy + policy / 10 + 900_000).contains(&wait), "{wait} instead of {policy}");
    }
    assert!(world.pending.borrow().is_empty() && world.known().pending == 0);
}

#[test]
fn an_error_after_which_the_destination_mends_itself_is_tried_exactly_by_the_policy() {
    // Four failures do not open the circuit.
    let world = World::new(|at| if at < after(2400) { Behaviour::Refuses } else { Behaviour::Takes });
    world.run(&[start()], after(10 * HOUR), |_| None);
    let told = world.told.borrow();
    let (status, attempts) = told.values().next().unwrap();
    assert_eq!((*status, attempts.len()), (DeliveryStatus::Delivered, 5));
    for (wait, policy) in waits(attempts).into_iter().zip(RETRY_POLICY) {
        let policy = i64::from(policy) * 1000;
        assert!((policy..=policy + policy / 10).contains(&wait), "{wait} instead of {policy}");
    }
}

#[test]
fn a_dead_destination_is_switched_off_after_five_days_and_what_waits_is_cancelled() {
    let world = World::new(|_| Behaviour::Stalls);
    let records: Vec<Timestamp> = (0..6 * 24).map(|hour| after(hour * HOUR)).collect();
    world.run(&records, after(8 * 24 * HOUR), |_| None);
    assert_eq!(world.destination.borrow().disabled_reason.as_deref(), Some(SWITCHED_OFF_BY_FAILURES));
    assert!(world.pending.borrow().is_empty());
    let off = world.known().last_failure_at.unwrap();
    assert!(
        off >= start() + SWITCHED_OFF_AFTER && off <= start() + SWITCHED_OFF_AFTER + Duration::from_secs(1200),
        "{off}"
    );
    // What was recorded first had come to the end of its schedule before.
    assert!(world.status(DeliveryStatus::Failed) > 0 && world.status(DeliveryStatus::Cancelled) > 0);
}

#[test]
fn a_destination_that_says_it_is_gone_is_switched_off_at_once() {
    let world = World::new(|at| if at < after(60) { Behaviour::Refuses } else { Behaviour::Gone });
    world.run(&[start(), after(30), after(31), after(500)], after(HOUR), |_| None);
    assert_eq!(world.destination.borrow().disabled_reason.as_deref(), Some(SWITCHED_OFF_BY_410));
    assert!(world.pending.borrow().is_empty());
    assert!(world.arrived.borrow().is_empty());
}

#[test]
fn a_recovered_destination_gets_all_that_waited_within_a_quarter_of_an_hour() {
    let world = World::new(|at| if at < after(5 * HOUR) { Behaviour::Stalls } else { Behaviour::Takes });
    let records: Vec<Timestamp> = (0..1000).map(|n| after(4 * HOUR) + Duration::from_millis(n * 3500)).collect();
    world.run(&records, after(5 * HOUR + 1000), |_| None);
    let early = world.arrived.borrow().len();
    assert!(early >= 990, "{early} of 1000 arrived; the others were tried meanwhile and wait for their time");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]
    #[test]
    fn whatever_fails_and_dies_every_error_arrives_once_the_faults_have_ended(
        phases in prop::collection::vec((1u64..6 * HOUR, 0u8..5, 1u64..20_000), 1..8),
        records in prop::collection::vec(0u64..20 * HOUR, 1..120),
        replays in prop::collection::vec(0u64..30 * HOUR, 0..5),
        lives in prop::collection::vec(prop::option::weighted(0.5, 0u32..60), 1..50),
    ) {
        let mut end = 0;
        let phases: Vec<(Timestamp, Behaviour)> = phases.into_iter().map(|(length, kind, seconds)| {
            end += length;
            let behaviour = match kind {
                0 | 1 => Behaviour::Takes,
                2 => Behaviour::Refuses,
                3 => Behaviour::Stalls,
                _ => Behaviour::Busy(seconds),
            };
            (after(end), behaviour)
        }).collect();
        let world = World::new(move |at| {
            phases.iter().find(|(until, _)| at < *until).map_or(Behaviour::Takes, |(_, behaviour)| *behaviour)
        });
        let mut records: Vec<Timestamp> = records.into_iter().map(after).collect();
        records.sort();
        let faults_end = after(end);
        let mut drains = 0;
        let mut replays: Vec<Timestamp> = replays.into_iter().map(after).collect();
        replays.sort();
        let deaths = world.run_with_replays(&records, &replays, after(200 * HOUR), |now| {
            drains += 1;
            lives.get(drains % lives.len()).copied().flatten().filter(|_| now < faults_end)
        });

        prop_assert_eq!(world.arrived.borrow().len(), records.len());
        prop_assert!(world.pending.borrow().is_empty());
        prop_assert_eq!(world.known().pending, 0);
        prop_assert_eq!(world.status(DeliveryStatus::Pending), 0);
        // Nothing arrives twice but what was sent by a process that died, or replayed.
        let twice: u32 = world.arrived.borrow().values().map(|times| times - 1).sum();
        let most = deaths as usize * ROUND + world.replayed.get() as usize;
        prop_assert!(twice as usize <= most, "{} duplicates of {} deaths", twice, deaths);
        // One message is under way, and none while nothing waits: messages do not multiply.
        prop_assert!(world.queue.borrow().is_empty());
        // No attempt that was written down came too early after the one before.
        for (_, attempts) in world.told.borrow().values().filter(|_| replays.is_empty()) {
            for (wait, policy) in waits(attempts).into_iter().zip(RETRY_POLICY) {
                prop_assert!(wait >= i64::from(policy) * 1000);
            }
        }
    }
}
