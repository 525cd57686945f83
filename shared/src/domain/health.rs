//! How a destination does: its circuit, and what waits for it.
//!
//! Five failures in a row open the circuit. From then on no first attempt is made; what would be sent waits, and one
//! delivery at a time is tried until one succeeds, which closes the circuit. After each such probe that fails the
//! destination is left alone for longer, up to fifteen minutes.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    delivery::{Failure, Outcome},
    timestamp::Timestamp,
};

/// So many failures in a row open the circuit.
pub const OPENS_AFTER: u32 = 5;
/// How long a destination is left alone after the first failed probe; twice as long after each further one.
pub const FIRST_HOLD: Duration = Duration::from_secs(5);
/// The longest time between two probes.
pub const LONGEST_HOLD: Duration = Duration::from_secs(15 * 60);
/// The longest time for which a destination's `Retry-After` is honoured.
pub const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);
/// After so long a time of failures without a success a destination is switched off.
pub const SWITCHED_OFF_AFTER: Duration = Duration::from_secs(5 * 24 * 60 * 60);
/// Why a destination is off that said it was gone.
pub const SWITCHED_OFF_BY_410: &str = "the endpoint answered 410 Gone";
/// Why a destination is off that failed for five days.
pub const SWITCHED_OFF_BY_FAILURES: &str = "every attempt of the last five days has failed";
/// A success is noted again after this time: one write a minute is enough to tell of it.
const NOTED_EVERY: Duration = Duration::from_secs(60);

/// How a destination does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Health {
    /// When an attempt last succeeded, to the minute.
    pub last_success_at: Option<Timestamp>,
    /// When an attempt last failed.
    pub last_failure_at: Option<Timestamp>,
    /// The failures since the last success.
    pub failures: u32,
    /// When the first of them was.
    pub failing_since: Option<Timestamp>,
    /// The failed probes since the circuit opened.
    pub probes: u32,
    /// Before when no probe is made.
    pub hold_until: Option<Timestamp>,
    /// Before when the destination itself does not want to be asked. A success does not end it.
    pub retry_after: Option<Timestamp>,
    /// The deliveries that wait. Exact when a drain has come to its end; between two drains it may be off by what a
    /// process that died had noted twice.
    pub pending: i64,
    /// Since when there has always been one that waits.
    pub waiting_since: Option<Timestamp>,
    /// Grows whenever deliveries begin to wait, so that a drain does not overlook those that it did not see.
    pub noted: u64,
    /// For when a message is under way that wakes the drain.
    pub wake_at: Option<Timestamp>,
    /// Until when a drain has the destination for itself.
    pub leased_until: Option<Timestamp>,
}

/// Whether attempts are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Circuit {
    /// Every error is sent at once.
    Closed,
    /// The destination fails: errors wait while one after the other is tried.
    Open,
}

impl Health {
    /// Whether attempts are made.
    pub fn circuit(&self) -> Circuit {
        if self.failures >= OPENS_AFTER { Circuit::Open } else { Circuit::Closed }
    }

    /// Whether first attempts are to wait.
    pub fn holds_back(&self, now: Timestamp) -> bool {
        self.circuit() == Circuit::Open || self.is_left_alone(now)
    }

    /// Whether no attempt at all is to be made now.
    pub fn is_left_alone(&self, now: Timestamp) -> bool {
        self.left_alone_until().is_some_and(|until| now < until)
    }

    /// Until when no attempt at all is to be made.
    pub fn left_alone_until(&self) -> Option<Timestamp> {
        self.hold_until.max(self.retry_after)
    }

    /// Whether this changes anything that is worth a write.
    pub fn is_news(&self, note: &Note, now: Timestamp) -> bool {
        let Note { tally, waiting, probe: _ } = note;
        let success = tally.delivered > 0
            && (self.failing_since.is_some()
                || self.failures > 0
                || self.last_success_at.is_none_or(|last| last + NOTED_EVERY <= now));
        success || tally.failed > 0 || *waiting != 0
    }

    /// The health after what is noted at `now`. A success ends the row of failures.
    #[must_use]
    pub fn after(&self, note: &Note, now: Timestamp) -> Self {
        let Note { tally, waiting, probe } = note;
        let mut health = self.clone();
        if tally.failed > 0 {
            health.last_failure_at = Some(now);
        }
        if tally.delivered > 0 {
            health.last_success_at = Some(now);
            (health.failures, health.failing_since, health.probes, health.hold_until) = (0, None, 0, None);
        } else if tally.failed > 0 {
            health.failures = self.failures.saturating_add(tally.failed);
            health.failing_since = self.failing_since.or(Some(now));
            if *probe {
                health.hold_until = Some(now + FIRST_HOLD.saturating_mul(1 << self.probes.min(16)).min(LONGEST_HOLD));
                health.probes = self.probes.saturating_add(1);
            }
        }
        health.retry_after = self.retry_after.max(tally.not_before);
        health.pending += waiting;
        if *waiting > 0 {
            health.noted += 1;
            health.waiting_since = self.waiting_since.or(Some(now));
        }
        health
    }

    /// Why a destination is to be switched off after what is noted at `now`; none where it is not.
    pub fn reason_to_switch_off(&self, note: &Note, now: Timestamp) -> Option<&'static str> {
        if note.tally.gone {
            Some(SWITCHED_OFF_BY_410)
        } else if self.after(note, now).is_given_up(now) {
            Some(SWITCHED_OFF_BY_FAILURES)
        } else {
            None
        }
    }

    /// Whether it has failed for so long that nobody is expected to mend it.
    pub fn is_given_up(&self, now: Timestamp) -> bool {
        self.failing_since.is_some_and(|since| since + SWITCHED_OFF_AFTER <= now)
    }

    /// Whether a drain has the destination for itself.
    pub fn is_leased(&self, now: Timestamp) -> bool {
        self.leased_until.is_some_and(|until| now < until)
    }

    /// Whether the drain needs to be told of a delivery that is due at this time: not where it is told already, nor where
    /// one is running, which finds all that was noted before it ends.
    pub fn needs_waking(&self, due: Timestamp, now: Timestamp) -> bool {
        let due = self.left_alone_until().map_or(due, |until| due.max(until));
        let told = self.wake_at.is_some_and(|at| now <= at && at <= due + Duration::from_secs(1));
        !told && !self.is_leased(now)
    }
}

/// What is noted of a destination at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Note {
    /// What came of attempts.
    pub tally: Tally,
    /// So many deliveries more wait now, or less where it is negative.
    pub waiting: i64,
    /// Whether the attempt was a probe, of an open circuit.
    pub probe: bool,
}

/// What came of some attempts, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// So many were taken.
    pub delivered: u32,
    /// So many were not.
    pub failed: u32,
    /// Before when the other side does not want to be asked again.
    pub not_before: Option<Timestamp>,
    /// Whether the other side says that it is gone for good.
    pub gone: bool,
}

impl<'a> FromIterator<&'a Outcome> for Tally {
    fn from_iter<I: IntoIterator<Item = &'a Outcome>>(outcomes: I) -> Self {
        let mut tally = Self::default();
        for outcome in outcomes {
            match outcome {
                Outcome::Delivered(_) => tally.delivered += 1,
                // It says nothing of the destination.
                Outcome::Failed(_, Failure::Unacceptable) | Outcome::NotMade => {}
                Outcome::Failed(_, failure) => {
                    tally.failed += 1;
                    tally.not_before = tally.not_before.max(failure.not_before());
                    tally.gone |= *failure == Failure::Gone;
                }
            }
        }
        tally
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn noted(tally: Tally) -> Note {
        Note { tally, ..Note::default() }
    }

    fn failed(count: u32) -> Note {
        noted(Tally { failed: count, ..Tally::default() })
    }

    fn probe() -> Note {
        Note { probe: true, ..failed(1) }
    }

    fn delivered(count: u32) -> Note {
        noted(Tally { delivered: count, ..Tally::default() })
    }

    #[test]
    fn five_failures_in_a_row_open_the_circuit_and_one_success_closes_it() {
        let now = Timestamp::now();
        let mut health = Health::default();
        for _ in 0..4 {
            health = health.after(&failed(1), now);
            assert_eq!(health.circuit(), Circuit::Closed);
        }
        health = health.after(&failed(1), now);
        assert_eq!(health.circuit(), Circuit::Open);
        assert!(!health.is_left_alone(now), "the first probe is the second attempt");
        health = health.after(&probe(), now);
        assert!(health.is_left_alone(now));
        health = health.after(&delivered(1), now);
        assert_eq!(health.circuit(), Circuit::Closed);
        assert!(!health.holds_back(now));
    }

    #[test]
    fn probes_are_made_less_and_less_often_but_every_fifteen_minutes_at_least() {
        let now = Timestamp::now();
        let mut health = Health::default().after(&failed(5), now);
        let mut holds = Vec::new();
        for _ in 0..30 {
            health = health.after(&probe(), now);
            holds.push(health.hold_until.unwrap().milliseconds() - now.milliseconds());
        }
        assert_eq!(holds[..4], [5_000, 10_000, 20_000, 40_000]);
        assert!(holds.is_sorted());
        assert_eq!(holds.last(), Some(&900_000));
    }

    #[test]
    fn a_destination_is_given_up_after_five_days_without_a_success() {
        let start = Timestamp::now();
        let later = |days: u64| start + Duration::from_secs(days * 24 * 60 * 60);
        let health = Health::default().after(&failed(1), start);
        assert!(!health.after(&failed(1), later(4)).is_given_up(later(4)));
        assert!(health.after(&failed(1), later(5)).is_given_up(later(5)));
        let well = health.after(&delivered(1), later(4)).after(&failed(1), later(4));
        assert!(!well.is_given_up(later(5)));
    }

    #[test]
    fn a_success_is_news_once_a_minute_and_a_failure_always() {
        let now = Timestamp::now();
        let health = Health::default();
        assert!(health.is_news(&delivered(1), now) && health.is_news(&failed(1), now));
        let health = health.after(&delivered(1), now);
        assert!(!health.is_news(&delivered(1), now + Duration::from_secs(59)));
        assert!(health.is_news(&delivered(1), now + Duration::from_secs(60)));
        assert!(health.after(&failed(1), now).is_news(&delivered(1), now));
    }

    #[test]
    fn a_drain_that_is_told_already_or_runs_is_not_told_again() {
        let now = Timestamp::now();
        let due = now + Duration::from_secs(5);
        assert!(Health::default().needs_waking(due, now));
        assert!(!Health { wake_at: Some(due), ..Health::default() }.needs_waking(due, now));
        assert!(Health { wake_at: Some(due + Duration::from_secs(60)), ..Health::default() }.needs_waking(due, now));
        // A wake-up whose time is over may have been lost.
        let past = now - Duration::from_secs(1);
        assert!(Health { wake_at: Some(past), ..Health::default() }.needs_waking(due, now));
        assert!(!Health { leased_until: Some(due), ..Health::default() }.needs_waking(due, now));
    }

    #[test]
    fn a_drain_is_not_needed_before_the_destination_may_be_asked() {
        let now = Timestamp::now();
        let (soon, later) = (now + Duration::from_secs(5), now + Duration::from_secs(3600));
        // The message that is under way comes before anything could be done.
        let health = Health { retry_after: Some(later), wake_at: Some(later), ..Health::default() };
        assert!(!health.needs_waking(soon, now));
    }

    proptest! {
        #[test]
        fn a_destination_that_asks_to_be_left_alone_is_left_alone_whatever_else_happens(
            failures in 0u32..10, seconds in 1u64..86_400, others in prop::collection::vec(0u8..3, 0..5)
        ) {
            let now = Timestamp::now();
            let until = now + Duration::from_secs(seconds);
            let tally = Tally { failed: 1, not_before: Some(until), ..Tally::default() };
            let mut health = Health { failures, ..Health::default() }.after(&noted(tally), now);
            for other in others {
                health = health.after(&match other { 0 => delivered(1), 1 => failed(1), _ => probe() }, now);
            }
            prop_assert!(health.left_alone_until() >= Some(until));
        }
    }
}
