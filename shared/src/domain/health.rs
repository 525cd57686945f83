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
pub const CIRCUIT_OPENS_AFTER: u32 = 5;
/// How long a destination is left alone after the first failed probe; twice as long after each further one.
pub const INITIAL_PROBE_BACKOFF: Duration = Duration::from_secs(5);
/// The longest time between two probes.
pub const MAX_PROBE_BACKOFF: Duration = Duration::from_secs(15 * 60);
/// The longest time for which a destination's `Retry-After` is honoured.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);
/// After so long a time of failures without a success a destination is switched off.
pub const AUTO_DISABLE_AFTER: Duration = Duration::from_secs(5 * 24 * 60 * 60);
/// Why a destination is off that said it was gone.
pub const DISABLED_GONE: &str = "the endpoint answered 410 Gone";
/// Why a destination is off that failed for five days.
pub const DISABLED_FAILING: &str = "every attempt of the last five days has failed";
/// A success is noted again after this time: one write a minute is enough to tell of it.
const SUCCESS_RECORDED_EVERY: Duration = Duration::from_secs(60);

/// How a destination does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Health {
    /// When an attempt last succeeded, to the minute.
    pub last_success_at: Option<Timestamp>,
    /// When an attempt last failed.
    pub last_failure_at: Option<Timestamp>,
    /// The failures since the last success.
    pub consecutive_failures: u32,
    /// When the first of them was.
    pub failing_since: Option<Timestamp>,
    /// The failed probes since the circuit opened.
    pub failed_probes: u32,
    /// Before when no probe is made.
    pub next_probe_at: Option<Timestamp>,
    /// Before when the destination itself does not want to be asked. A success does not end it.
    pub retry_after: Option<Timestamp>,
    /// The deliveries that wait. Exact when a drain has come to its end; between two drains it may be off by what a
    /// process that died had noted twice.
    pub pending: i64,
    /// Since when there has always been one that waits.
    pub pending_since: Option<Timestamp>,
    /// Grows whenever deliveries begin to wait, so that a drain does not overlook those that it did not see.
    pub backlog_version: u64,
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
        if self.consecutive_failures >= CIRCUIT_OPENS_AFTER { Circuit::Open } else { Circuit::Closed }
    }

    /// Whether first attempts are to wait.
    pub fn defers_first_attempts(&self, now: Timestamp) -> bool {
        self.circuit() == Circuit::Open || self.is_backing_off(now)
    }

    /// Whether no attempt at all is to be made now.
    pub fn is_backing_off(&self, now: Timestamp) -> bool {
        self.backoff_until().is_some_and(|until| now < until)
    }

    /// Until when no attempt at all is to be made.
    pub fn backoff_until(&self) -> Option<Timestamp> {
        self.next_probe_at.max(self.retry_after)
    }

    /// Whether this changes anything that is worth a write.
    pub fn needs_write(&self, update: &HealthUpdate, now: Timestamp) -> bool {
        let HealthUpdate { counts, pending_delta, probe: _ } = update;
        let success = counts.delivered > 0
            && (self.failing_since.is_some()
                || self.consecutive_failures > 0
                || self.last_success_at.is_none_or(|last| last + SUCCESS_RECORDED_EVERY <= now));
        success || counts.failed > 0 || *pending_delta != 0
    }

    /// The health after what is noted at `now`. A success ends the row of failures.
    #[must_use]
    pub fn apply(&self, update: &HealthUpdate, now: Timestamp) -> Self {
        let HealthUpdate { counts, pending_delta, probe } = update;
        let mut health = self.clone();
        if counts.failed > 0 {
            health.last_failure_at = Some(now);
        }
        if counts.delivered > 0 {
            health.last_success_at = Some(now);
            (health.consecutive_failures, health.failing_since, health.failed_probes, health.next_probe_at) =
                (0, None, 0, None);
        } else if counts.failed > 0 {
            health.consecutive_failures = self.consecutive_failures.saturating_add(counts.failed);
            health.failing_since = self.failing_since.or(Some(now));
            if *probe {
                health.next_probe_at = Some(
                    now + INITIAL_PROBE_BACKOFF.saturating_mul(1 << self.failed_probes.min(16)).min(MAX_PROBE_BACKOFF),
                );
                health.failed_probes = self.failed_probes.saturating_add(1);
            }
        }
        health.retry_after = self.retry_after.max(counts.not_before);
        health.pending += pending_delta;
        if *pending_delta > 0 {
            health.backlog_version += 1;
            health.pending_since = self.pending_since.or(Some(now));
        }
        health
    }

    /// Why a destination is to be switched off after what is noted at `now`; none where it is not.
    pub fn auto_disable_reason(&self, update: &HealthUpdate, now: Timestamp) -> Option<&'static str> {
        if update.counts.gone {
            Some(DISABLED_GONE)
        } else if self.apply(update, now).should_auto_disable(now) {
            Some(DISABLED_FAILING)
        } else {
            None
        }
    }

    /// Whether it has failed for so long that nobody is expected to mend it.
    pub fn should_auto_disable(&self, now: Timestamp) -> bool {
        self.failing_since.is_some_and(|since| since + AUTO_DISABLE_AFTER <= now)
    }

    /// Whether a drain has the destination for itself.
    pub fn is_leased(&self, now: Timestamp) -> bool {
        self.leased_until.is_some_and(|until| now < until)
    }

    /// Whether the drain needs to be told of a delivery that is due at this time: not where it is told already, nor where
    /// one is running, which finds all that was noted before it ends.
    pub fn needs_wakeup(&self, due: Timestamp, now: Timestamp) -> bool {
        let due = self.backoff_until().map_or(due, |until| due.max(until));
        let is_scheduled = self.wake_at.is_some_and(|at| now <= at && at <= due + Duration::from_secs(1));
        !is_scheduled && !self.is_leased(now)
    }
}

/// What is noted of a destination at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HealthUpdate {
    /// What came of attempts.
    pub counts: OutcomeCounts,
    /// So many deliveries more wait now, or less where it is negative.
    pub pending_delta: i64,
    /// Whether the attempt was a probe, of an open circuit.
    pub probe: bool,
}

/// What came of some attempts, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutcomeCounts {
    /// So many were taken.
    pub delivered: u32,
    /// So many were not.
    pub failed: u32,
    /// Before when the other side does not want to be asked again.
    pub not_before: Option<Timestamp>,
    /// Whether the other side says that it is gone for good.
    pub gone: bool,
}

impl<'a> FromIterator<&'a Outcome> for OutcomeCounts {
    fn from_iter<I: IntoIterator<Item = &'a Outcome>>(outcomes: I) -> Self {
        let mut counts = Self::default();
        for outcome in outcomes {
            match outcome {
                Outcome::Delivered(_) => counts.delivered += 1,
                // It says nothing of the destination.
                Outcome::Failed(_, Failure::Rejected) | Outcome::Skipped => {}
                Outcome::Failed(_, failure) => {
                    counts.failed += 1;
                    counts.not_before = counts.not_before.max(failure.not_before());
                    counts.gone |= *failure == Failure::Gone;
                }
            }
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn update(counts: OutcomeCounts) -> HealthUpdate {
        HealthUpdate { counts, ..HealthUpdate::default() }
    }

    fn failed(count: u32) -> HealthUpdate {
        update(OutcomeCounts { failed: count, ..OutcomeCounts::default() })
    }

    fn probe() -> HealthUpdate {
        HealthUpdate { probe: true, ..failed(1) }
    }

    fn delivered(count: u32) -> HealthUpdate {
        update(OutcomeCounts { delivered: count, ..OutcomeCounts::default() })
    }

    #[test]
    fn five_consecutive_failures_open_the_circuit() {
        let now = Timestamp::now();
        let mut health = Health::default();
        for _ in 0..4 {
            health = health.apply(&failed(1), now);
            assert_eq!(health.circuit(), Circuit::Closed);
        }
        health = health.apply(&failed(1), now);
        assert_eq!(health.circuit(), Circuit::Open);
        assert!(!health.is_backing_off(now), "the first probe is the second attempt");
        health = health.apply(&probe(), now);
        assert!(health.is_backing_off(now));
        health = health.apply(&delivered(1), now);
        assert_eq!(health.circuit(), Circuit::Closed);
        assert!(!health.defers_first_attempts(now));
    }

    #[test]
    fn probe_interval_grows_to_at_most_15_minutes() {
        let now = Timestamp::now();
        let mut health = Health::default().apply(&failed(5), now);
        let mut backoffs = Vec::new();
        for _ in 0..30 {
            health = health.apply(&probe(), now);
            backoffs.push(health.next_probe_at.unwrap().milliseconds() - now.milliseconds());
        }
        assert_eq!(backoffs[..4], [5_000, 10_000, 20_000, 40_000]);
        assert!(backoffs.is_sorted());
        assert_eq!(backoffs.last(), Some(&900_000));
    }

    #[test]
    fn destination_is_disabled_after_five_days_without_success() {
        let start = Timestamp::now();
        let later = |days: u64| start + Duration::from_secs(days * 24 * 60 * 60);
        let health = Health::default().apply(&failed(1), start);
        assert!(!health.apply(&failed(1), later(4)).should_auto_disable(later(4)));
        assert!(health.apply(&failed(1), later(5)).should_auto_disable(later(5)));
        let well = health.apply(&delivered(1), later(4)).apply(&failed(1), later(4));
        assert!(!well.should_auto_disable(later(5)));
    }

    #[test]
    fn success_is_written_once_a_minute_and_failure_always() {
        let now = Timestamp::now();
        let health = Health::default();
        assert!(health.needs_write(&delivered(1), now) && health.needs_write(&failed(1), now));
        let health = health.apply(&delivered(1), now);
        assert!(!health.needs_write(&delivered(1), now + Duration::from_secs(59)));
        assert!(health.needs_write(&delivered(1), now + Duration::from_secs(60)));
        assert!(health.apply(&failed(1), now).needs_write(&delivered(1), now));
    }

    #[test]
    fn scheduled_or_running_drain_is_not_woken_again() {
        let now = Timestamp::now();
        let due = now + Duration::from_secs(5);
        assert!(Health::default().needs_wakeup(due, now));
        assert!(!Health { wake_at: Some(due), ..Health::default() }.needs_wakeup(due, now));
        assert!(Health { wake_at: Some(due + Duration::from_secs(60)), ..Health::default() }.needs_wakeup(due, now));
        // A wake-up whose time is over may have been lost.
        let past = now - Duration::from_secs(1);
        assert!(Health { wake_at: Some(past), ..Health::default() }.needs_wakeup(due, now));
        assert!(!Health { leased_until: Some(due), ..Health::default() }.needs_wakeup(due, now));
    }

    #[test]
    fn drain_is_not_needed_during_back_off() {
        let now = Timestamp::now();
        let (soon, later) = (now + Duration::from_secs(5), now + Duration::from_secs(3600));
        // The message that is under way comes before anything could be done.
        let health = Health { retry_after: Some(later), wake_at: Some(later), ..Health::default() };
        assert!(!health.needs_wakeup(soon, now));
    }

    proptest! {
        #[test]
        fn retry_after_is_kept_whatever_else_happens(
            failures in 0u32..10, seconds in 1u64..86_400, others in prop::collection::vec(0u8..3, 0..5)
        ) {
            let now = Timestamp::now();
            let until = now + Duration::from_secs(seconds);
            let counts = OutcomeCounts { failed: 1, not_before: Some(until), ..OutcomeCounts::default() };
            let mut health = Health { consecutive_failures: failures, ..Health::default() }.apply(&update(counts), now);
            for other in others {
                health = health.apply(&match other { 0 => delivered(1), 1 => failed(1), _ => probe() }, now);
            }
            prop_assert!(health.backoff_until() >= Some(until));
        }
    }
}
