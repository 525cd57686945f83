//! Health of a destination: its circuit, backoff and backlog.
//!
//! Five consecutive failures open the circuit. While it is open, no first attempts are made: new
//! deliveries become pending, and one delivery at a time is sent as a probe. A success closes the
//! circuit. Every failed probe doubles the wait before the next one, up to 15 minutes.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    delivery::{Attempt, Failure, Outcome},
    timestamp::Timestamp,
};

/// Number of consecutive failures that opens the circuit.
pub const CIRCUIT_OPENS_AFTER: u32 = 5;
/// Number of consecutive failures after which a success makes the pending deliveries due.
pub const RECOVERS_AFTER: u32 = 3;
/// Wait after the first failed probe. Doubles with every further failed probe.
pub const INITIAL_PROBE_BACKOFF: Duration = Duration::from_secs(5);
/// Maximum wait between two probes.
pub const MAX_PROBE_BACKOFF: Duration = Duration::from_secs(15 * 60);
/// Maximum `Retry-After` that is honoured.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);
/// Duration of failures without a success after which a destination is disabled.
pub const AUTO_DISABLE_AFTER: Duration = Duration::from_secs(5 * 24 * 60 * 60);
/// Reason shown for a destination that was disabled by a 410 response.
pub const DISABLED_GONE: &str = "the endpoint returned 410 Gone";
/// Reason shown for a destination that was disabled after [`AUTO_DISABLE_AFTER`].
pub const DISABLED_FAILING: &str = "all attempts of the last five days failed";
/// Minimum interval between two writes of the time of the last success, to save writes.
const SUCCESS_RECORDED_EVERY: Duration = Duration::from_secs(60);

/// Health of a destination as stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Health {
    /// Time of the last success, to the minute.
    pub last_success_at: Option<Timestamp>,
    /// Time of the last failure.
    pub last_failure_at: Option<Timestamp>,
    /// Number of failures since the last success.
    pub consecutive_failures: u32,
    /// Time of the first failure since the last success.
    pub failing_since: Option<Timestamp>,
    /// Time of the first failure since the last success, or since there was nothing to send.
    pub outage_since: Option<Timestamp>,
    /// Newest failed attempt since the last success.
    pub last_failure: Option<Attempt>,
    /// Number of failed probes since the circuit opened.
    pub failed_probes: u32,
    /// Time before which no probe is made.
    pub next_probe_at: Option<Timestamp>,
    /// Time before which the destination asked for no requests. A success does not reset it.
    pub retry_after: Option<Timestamp>,
    /// Time of the last recovery: a success after an outage, or a change by which the destination
    /// was enabled or redirected. A delivery whose next attempt was scheduled before is due.
    pub recovered_at: Option<Timestamp>,
    /// Number of changes of the destination after which earlier results say nothing about it.
    pub generation: u32,
    /// Number of pending deliveries. Exact after a drain that has counted them, which is one with
    /// fewer than 1,000 left in each partition; otherwise it can be off by updates that a crashed
    /// process recorded twice.
    pub pending: i64,
    /// Time since which the oldest pending delivery has been pending. Between drains that have
    /// counted them, time since which at least one has been pending without interruption.
    pub pending_since: Option<Timestamp>,
    /// Increases whenever deliveries become pending, so that a drain detects those that it has not
    /// read.
    pub backlog_version: u64,
    /// Due time of the wake-up message in the queue, at most 15 minutes after it was sent.
    pub wake_at: Option<Timestamp>,
    /// Time of the next attempt when the last wake-up was scheduled or the last drain ended.
    pub next_due_at: Option<Timestamp>,
    /// End of the lease of the running drain.
    pub leased_until: Option<Timestamp>,
}

/// State of the circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Circuit {
    /// Records are sent immediately.
    Closed,
    /// The destination fails: records are queued, and one at a time is sent as a probe.
    Open,
}

impl Health {
    /// Returns the state of the circuit.
    pub fn circuit(&self) -> Circuit {
        if self.consecutive_failures >= CIRCUIT_OPENS_AFTER { Circuit::Open } else { Circuit::Closed }
    }

    /// Returns whether first attempts are deferred.
    pub fn defers_first_attempts(&self, now: Timestamp) -> bool {
        self.circuit() == Circuit::Open || self.is_backing_off(now)
    }

    /// Returns whether no attempt may be made at `now`.
    pub fn is_backing_off(&self, now: Timestamp) -> bool {
        self.backoff_until().is_some_and(|until| now < until)
    }

    /// Returns the time until which no attempt may be made.
    pub fn backoff_until(&self) -> Option<Timestamp> {
        self.next_probe_at.max(self.retry_after)
    }

    /// Returns the time of the next attempt, at the earliest, or none if nothing is pending.
    pub fn next_attempt_at(&self) -> Option<Timestamp> {
        let due = self.next_due_at.or(self.wake_at).filter(|_| self.pending > 0)?;
        Some(self.backoff_until().map_or(due, |until| due.max(until)))
    }

    /// Returns whether results end an outage.
    pub fn recovers_with(&self, counts: &OutcomeCounts) -> bool {
        counts.delivered > 0 && self.consecutive_failures >= RECOVERS_AFTER
    }

    /// Returns the time of a recovery since which attempts may be made and something has been
    /// pending.
    pub fn recovery(&self, now: Timestamp) -> Option<Timestamp> {
        let at = self.recovered_at.filter(|_| !self.defers_first_attempts(now))?;
        self.pending_since.is_some_and(|since| since <= at).then_some(at)
    }

    /// Returns whether an update is worth a write.
    pub fn needs_write(&self, update: &HealthUpdate, now: Timestamp) -> bool {
        let HealthUpdate { counts, pending_delta, last_failure: _, probe: _ } = update;
        let success = counts.delivered > 0
            && (self.failing_since.is_some()
                || self.consecutive_failures > 0
                || self.last_success_at.is_none_or(|last| last + SUCCESS_RECORDED_EVERY <= now));
        success || counts.failed > 0 || *pending_delta != 0
    }

    /// Returns the health after an update at `now`. A success resets the consecutive failures.
    #[must_use]
    pub fn apply(&self, update: &HealthUpdate, now: Timestamp) -> Self {
        let HealthUpdate { counts, pending_delta, last_failure, probe } = update;
        let mut health = self.clone();
        if counts.failed > 0 {
            health.last_failure_at = Some(now);
        }
        if self.recovers_with(counts) {
            health.recovered_at = Some(now);
        }
        if counts.delivered > 0 {
            health.last_success_at = Some(now);
            (health.consecutive_failures, health.failed_probes, health.next_probe_at) = (0, 0, None);
            (health.failing_since, health.outage_since, health.last_failure) = (None, None, None);
        } else if counts.failed > 0 {
            health.consecutive_failures = self.consecutive_failures.saturating_add(counts.failed);
            health.failing_since = self.failing_since.or(Some(now));
            health.outage_since = self.outage_since.or(Some(now));
            health.last_failure.clone_from(last_failure);
            if *probe {
                health.next_probe_at = Some(
                    now + INITIAL_PROBE_BACKOFF.saturating_mul(1 << self.failed_probes.min(16)).min(MAX_PROBE_BACKOFF),
                );
                health.failed_probes = self.failed_probes.saturating_add(1);
            }
        }
        health.retry_after = self.retry_after.max(counts.not_before);
        health.pending += pending_delta;
        if *pending_delta > 0 || self.recovers_with(counts) {
            // A drain that is running notices it.
            health.backlog_version += 1;
        }
        if *pending_delta > 0 {
            health.pending_since = self.pending_since.or(Some(now));
        }
        health
    }

    /// Returns the reason to disable the destination after an update at `now`, if there is one.
    pub fn auto_disable_reason(&self, update: &HealthUpdate, now: Timestamp) -> Option<&'static str> {
        if update.counts.gone {
            Some(DISABLED_GONE)
        } else if self.apply(update, now).should_auto_disable(now) {
            Some(DISABLED_FAILING)
        } else {
            None
        }
    }

    /// Returns whether the destination has failed for [`AUTO_DISABLE_AFTER`]. A time in which there
    /// was nothing to send does not count.
    pub fn should_auto_disable(&self, now: Timestamp) -> bool {
        self.outage_since.is_some_and(|since| since + AUTO_DISABLE_AFTER <= now)
    }

    /// Returns whether a drain holds the lease.
    pub fn is_leased(&self, now: Timestamp) -> bool {
        self.leased_until.is_some_and(|until| now < until)
    }

    /// Returns whether a wake-up must be scheduled for a delivery that is due at `due`.
    ///
    /// None is needed if one is already scheduled in time, or if a drain is running: it processes
    /// all deliveries that become pending before it ends.
    pub fn needs_wakeup(&self, due: Timestamp, now: Timestamp) -> bool {
        let due = self.backoff_until().map_or(due, |until| due.max(until));
        let is_scheduled = self.wake_at.is_some_and(|at| now <= at && at <= due + Duration::from_secs(1));
        !is_scheduled && !self.is_leased(now)
    }
}

/// Update of a destination's health.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HealthUpdate {
    /// Outcomes of attempts.
    pub counts: OutcomeCounts,
    /// One of the failed attempts.
    pub last_failure: Option<Attempt>,
    /// Change in the number of pending deliveries.
    pub pending_delta: i64,
    /// Whether the attempt was a probe of an open circuit.
    pub probe: bool,
}

impl HealthUpdate {
    /// Returns whether a probe of an open circuit failed.
    pub fn is_failed_probe(&self) -> bool {
        self.probe && self.counts.delivered == 0 && self.counts.failed > 0
    }
}

/// Number of outcomes by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutcomeCounts {
    /// Number of accepted records.
    pub delivered: u32,
    /// Number of failed attempts that count against the destination.
    pub failed: u32,
    /// Time before which the destination asked for no requests.
    pub not_before: Option<Timestamp>,
    /// Whether the destination reported that it is permanently gone.
    pub gone: bool,
}

impl<'a> FromIterator<&'a Outcome> for OutcomeCounts {
    fn from_iter<I: IntoIterator<Item = &'a Outcome>>(outcomes: I) -> Self {
        let mut counts = Self::default();
        for outcome in outcomes {
            match outcome {
                Outcome::Delivered(_) => counts.delivered += 1,
                // Says nothing about the health of the destination.
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
        // An overdue wake-up may have been lost.
        let past = now - Duration::from_secs(1);
        assert!(Health { wake_at: Some(past), ..Health::default() }.needs_wakeup(due, now));
        assert!(!Health { leased_until: Some(due), ..Health::default() }.needs_wakeup(due, now));
    }

    #[test]
    fn wakeup_at_the_end_of_the_backoff_suffices() {
        let now = Timestamp::now();
        let (soon, later) = (now + Duration::from_secs(5), now + Duration::from_secs(3600));
        // The scheduled wake-up arrives before an attempt is allowed.
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
