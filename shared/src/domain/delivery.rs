//! Deliveries: attempts to send a record to a destination, their outcomes and the retry schedule.

use std::{collections::BTreeSet, time::Duration};

use rand::Rng;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    id::{DestinationId, EnvironmentId, ReplayId},
    record::{RecordId, RecordKey, RecordRef},
    text::string_enum,
    timestamp::Timestamp,
};

/// Attempt to send a record to a destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// Start of the attempt.
    pub at: Timestamp,
    /// HTTP status of the response; null if there was none.
    #[schema(required = true)]
    pub status: Option<u16>,
    /// Duration in milliseconds.
    pub latency_ms: u32,
    /// Response of the destination, or the reason why there was none.
    pub response: String,
}

/// Outcome of an attempt to send one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The destination accepted the record.
    Delivered(Attempt),
    /// The destination did not accept the record or could not be reached.
    Failed(Attempt, Failure),
    /// No attempt was made, for a temporary reason on Tenon's side. Does not count as an attempt.
    Skipped,
}

impl Outcome {
    /// Returns the attempt, if one was made.
    pub fn attempt(&self) -> Option<&Attempt> {
        match self {
            Self::Delivered(attempt) | Self::Failed(attempt, _) => Some(attempt),
            Self::Skipped => None,
        }
    }
}

/// Reason why an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No connection, no response within the timeout, or an incomplete response. Retried.
    Unreachable,
    /// The destination refused the record, for example with an HTTP status or because of missing
    /// permissions. Retried, because its operator can fix the cause.
    Refused,
    /// The destination requested a pause, optionally until a given time. Retried, but never before
    /// that time.
    Busy(Option<Timestamp>),
    /// The destination reported that it is permanently gone (410). Disables the destination.
    Gone,
    /// The destination can never accept this record, for example because of its size. Not retried.
    Rejected,
}

impl Failure {
    /// Returns whether another attempt can succeed.
    pub fn retryable(self) -> bool {
        match self {
            Self::Unreachable | Self::Refused | Self::Busy(_) => true,
            Self::Gone | Self::Rejected => false,
        }
    }

    /// Returns the time before which the destination must not receive another attempt.
    pub fn not_before(self) -> Option<Timestamp> {
        match self {
            Self::Busy(until) => until,
            Self::Unreachable | Self::Refused | Self::Gone | Self::Rejected => None,
        }
    }
}

/// Waits between the twelve attempts, in seconds: 77.6 hours in total.
pub const RETRY_SCHEDULE_SECS: [u32; 11] =
    [5, 300, 1_800, 7_200, 18_000, 36_000, 43_200, 43_200, 43_200, 43_200, 43_200];

/// Maximum age of a delivery that receives no attempts: the retry schedule with the maximum jitter
/// of 10 % on every wait.
pub const MAX_PENDING_AGE: Duration = Duration::from_secs(279_305 * 11 / 10);

/// Returns the time of the next attempt after `attempts` failed attempts, the last one at `now`, or
/// `None` after the twelfth.
///
/// The scheduled wait is extended by a random 0–10 %, so that deliveries that failed together are
/// not retried together.
pub fn next_attempt(attempts: u32, now: Timestamp) -> Option<Timestamp> {
    let index = usize::try_from(attempts.checked_sub(1)?).ok()?;
    let wait = u64::from(*RETRY_SCHEDULE_SECS.get(index)?) * 1000;
    let jitter = rand::rng().random_range(0..=wait / 10);
    Some(now + Duration::from_millis(wait + jitter))
}

/// Delivery that waits for its next attempt. It references the record and does not contain it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PendingDelivery {
    /// Record to send.
    #[serde(flatten)]
    pub record: RecordKey,
    /// Number of failed attempts.
    pub attempts: u32,
    /// Time at which the delivery became pending.
    pub pending_since: Timestamp,
    /// Time at which the record was stored; none if the delivery has been pending since then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded_at: Option<Timestamp>,
    /// Time of the next attempt.
    pub next_attempt_at: Timestamp,
    /// Time at which the next attempt was scheduled; none if none was scheduled since the delivery
    /// became pending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled_at: Option<Timestamp>,
    /// Whether an attempt before the time of the next one failed. There is at most one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub early_attempt_failed: bool,
    /// Replays that queued the delivery and count its result.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub replay_ids: BTreeSet<ReplayId>,
    /// `true` if only replays queued the delivery, so that it is cancelled with the last of them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replay_only: bool,
    /// Delivery before replays queued it, as long as no attempt was made since. It is restored if
    /// the delivery is cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub former: Option<Former>,
}

/// Delivery before replays queued it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Former {
    /// It had this status.
    Status(DeliveryStatus),
    /// None was stored: the record was delivered at its first attempt, or recorded while the
    /// destination did not want it.
    NotStored,
}

/// Maximum number of replays that count the result of one delivery. With their updates, a
/// settlement fits into a transaction.
pub const MAX_REPLAYS_PER_DELIVERY: usize = 90;

impl PendingDelivery {
    /// Creates the delivery of a record before its first attempt. If that attempt is deferred, it
    /// is due five seconds after the record was stored.
    ///
    /// The result depends on the arguments only, so that forwarding a batch twice stores it under
    /// the same key.
    pub fn first(record: RecordKey, recorded_at: Timestamp) -> Self {
        let due = recorded_at + Duration::from_secs(u64::from(RETRY_SCHEDULE_SECS[0]));
        Self {
            record,
            attempts: 0,
            pending_since: recorded_at,
            recorded_at: None,
            next_attempt_at: due,
            scheduled_at: None,
            early_attempt_failed: false,
            replay_ids: BTreeSet::new(),
            replay_only: false,
            former: None,
        }
    }

    /// Creates the delivery of a record that a replay queues.
    pub fn replayed(
        RecordRef { key: record, recorded_at }: RecordRef,
        (replay, created_at): (ReplayId, Timestamp),
        next_attempt_at: Timestamp,
    ) -> Self {
        Self {
            record,
            attempts: 0,
            pending_since: created_at,
            recorded_at: Some(recorded_at),
            next_attempt_at,
            scheduled_at: None,
            early_attempt_failed: false,
            replay_ids: BTreeSet::from([replay]),
            replay_only: true,
            former: None,
        }
    }

    /// Merges another pending delivery of the same record into this one, which keeps its key and
    /// the time of its next attempt. The result continues the schedule of the one with fewer
    /// attempts. Returns false, and changes nothing, if too many replays would count its result.
    pub fn merge(&mut self, other: &Self) -> bool {
        let replay_ids = &self.replay_ids | &other.replay_ids;
        if replay_ids.len() > MAX_REPLAYS_PER_DELIVERY {
            return false;
        }
        self.replay_ids = replay_ids;
        self.replay_only &= other.replay_only;
        self.former = self.former.filter(|_| other.former.is_some());
        self.attempts = self.attempts.min(other.attempts);
        self.recorded_at = Some(self.recorded_at().min(other.recorded_at()));
        self.pending_since = self.pending_since.max(other.pending_since);
        true
    }

    /// Returns the time at which the record was stored.
    pub fn recorded_at(&self) -> Timestamp {
        self.recorded_at.unwrap_or(self.pending_since)
    }

    /// Returns whether the recovery of the destination at the given time makes the delivery due: if
    /// its next attempt was scheduled before, and once only, so that a record that is always
    /// refused keeps its schedule.
    pub fn is_due_by_recovery(&self, at: Timestamp) -> bool {
        !self.early_attempt_failed && self.scheduled_at.unwrap_or(self.pending_since) < at
    }

    /// Returns whether an attempt at `now` is before the time of the next one.
    fn is_early(&self, now: Timestamp) -> bool {
        self.attempts > 0 && now < self.next_attempt_at
    }

    /// Returns the disposition of the delivery after an attempt with this outcome at `now`.
    pub fn disposition(&self, outcome: &Outcome, now: Timestamp) -> Disposition {
        match outcome {
            Outcome::Delivered(_) => Disposition::Delivered,
            // In addition to the schedule.
            Outcome::Failed(_, failure) if failure.retryable() && self.is_early(now) => {
                // Another key, because a transaction cannot delete and put the same item.
                let next = self.next_attempt_at + Duration::from_millis(1);
                Disposition::Pending(Self {
                    former: None,
                    next_attempt_at: failure.not_before().map_or(next, |until| next.max(until)),
                    early_attempt_failed: true,
                    ..self.clone()
                })
            }
            Outcome::Failed(_, failure) => match next_attempt(self.attempts + 1, now) {
                Some(policy) if failure.retryable() => Disposition::Pending(Self {
                    attempts: self.attempts + 1,
                    former: None,
                    next_attempt_at: failure.not_before().map_or(policy, |until| policy.max(until)),
                    scheduled_at: Some(now),
                    ..self.clone()
                }),
                _ => Disposition::Failed,
            },
            Outcome::Skipped if self.has_expired(now) => Disposition::Failed,
            Outcome::Skipped => Disposition::Pending(Self {
                next_attempt_at: now + Duration::from_secs(u64::from(RETRY_SCHEDULE_SECS[0])),
                scheduled_at: Some(now),
                ..self.clone()
            }),
        }
    }

    /// Returns whether the delivery has exceeded [`MAX_PENDING_AGE`], which happens when its
    /// destination receives no attempts.
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.pending_since + MAX_PENDING_AGE < now
    }
}

/// Result of one step of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// The destination accepted the record.
    Delivered,
    /// Another attempt is due later.
    Pending(PendingDelivery),
    /// No further attempt is made: the attempts are exhausted, the failure is not retryable, or an
    /// item cannot be read.
    Failed,
    /// The delivery is no longer wanted: the destination is disabled, its filter excludes the
    /// record, or the replay was cancelled.
    Cancelled,
    /// The record no longer exists.
    Dropped,
}

/// Delivery after a step, to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// Delivery before the step.
    pub delivery: PendingDelivery,
    /// Attempt, if one was made.
    pub attempt: Option<Attempt>,
    /// Result of the step.
    pub disposition: Disposition,
}

impl Settlement {
    /// Settles a delivery without an attempt.
    pub fn without_attempt(delivery: PendingDelivery, disposition: Disposition) -> Self {
        Self { delivery, attempt: None, disposition }
    }
}

/// Status of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryStatus {
    /// The destination accepted the record.
    Delivered,
    /// The next attempt is pending.
    Pending,
    /// All attempts failed. The record can be replayed.
    Failed,
    /// The delivery was cancelled because the destination was disabled, its filter excludes the
    /// record, or the replay was cancelled.
    Cancelled,
}

string_enum!(DeliveryStatus {
    Delivered = "delivered",
    Pending = "pending",
    Failed = "failed",
    Cancelled = "cancelled"
});

/// Delivery of a record to a destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    /// Id of the error or event.
    #[serde(flatten)]
    pub record: RecordId,
    /// Destination id.
    pub destination_id: DestinationId,
    /// Status.
    pub status: DeliveryStatus,
    /// Attempts so far, oldest first.
    pub attempts: Vec<Attempt>,
    /// Time of the next attempt.
    #[serde(default)]
    #[schema(required = true)]
    pub next_attempt_at: Option<Timestamp>,
}

impl Delivery {
    /// Creates a delivery without a next attempt.
    pub fn finished(
        record: RecordId,
        destination_id: DestinationId,
        status: DeliveryStatus,
        attempts: Vec<Attempt>,
    ) -> Self {
        Self { record, destination_id, status, attempts, next_attempt_at: None }
    }

    /// Cancels the delivery if it is pending.
    pub fn cancel(&mut self) {
        if self.status == DeliveryStatus::Pending {
            (self.status, self.next_attempt_at) = (DeliveryStatus::Cancelled, None);
        }
    }

    /// Merges two records of the same delivery, such as an immediate success and a later replay.
    ///
    /// Status and next attempt are those of the record with the later next attempt, or else with
    /// the later last attempt. Attempts of both are sorted by time.
    pub fn merge(self, other: Self) -> Self {
        let recency = |delivery: &Self| (delivery.next_attempt_at, delivery.attempts.last().map(|attempt| attempt.at));
        let (later, earlier) = if recency(&self) < recency(&other) { (other, self) } else { (self, other) };
        let mut attempts = [earlier.attempts, later.attempts].concat();
        attempts.sort_by_key(|attempt| attempt.at);
        Self { attempts, ..later }
    }
}

/// Environment and destination of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Route {
    /// Environment of the record and the destination.
    pub environment: EnvironmentId,
    /// Destination.
    pub destination: DestinationId,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::id::{ErrorId, EventId, UserId, WorkflowId};

    fn attempt(at: Timestamp) -> Attempt {
        Attempt { at, status: Some(500), latency_ms: 1, response: String::new() }
    }

    fn pending(now: Timestamp) -> PendingDelivery {
        PendingDelivery::first(RecordKey::Error { workflow_id: WorkflowId::new(), error_id: ErrorId::new() }, now)
    }

    #[test]
    fn merged_delivery_has_the_status_of_the_latest_attempt() {
        let now = Timestamp::now();
        let (error, destination) = (RecordId::Error { error_id: ErrorId::new() }, DestinationId::new());
        let immediate = Delivery::finished(error, destination, DeliveryStatus::Delivered, vec![attempt(now)]);
        let later = now + Duration::from_secs(60);
        let failed = Delivery::finished(error, destination, DeliveryStatus::Failed, vec![attempt(later)]);
        let pending_delivery = Delivery {
            status: DeliveryStatus::Pending,
            attempts: Vec::new(),
            next_attempt_at: Some(later),
            ..immediate.clone()
        };
        for (a, b) in [(&immediate, &failed), (&failed, &immediate)] {
            let merged = a.clone().merge(b.clone());
            assert_eq!((merged.status, merged.attempts), (DeliveryStatus::Failed, vec![attempt(now), attempt(later)]));
        }
        assert_eq!(
            immediate.merge(pending_delivery.clone()),
            Delivery { attempts: vec![attempt(now)], ..pending_delivery }
        );
    }

    #[test]
    fn twelve_attempts_take_77_6_hours() {
        let (minute, hour) = (60, 60 * 60);
        let waits = [5, 5 * minute, 30 * minute, 2 * hour, 5 * hour, 10 * hour];
        assert_eq!(RETRY_SCHEDULE_SECS.to_vec(), [&waits[..], &[12 * hour; 5]].concat());
        let seconds = RETRY_SCHEDULE_SECS.iter().sum::<u32>();
        assert_eq!((RETRY_SCHEDULE_SECS.len() + 1, (f64::from(seconds) / 360.0).round()), (12, 776.0));
        assert_eq!(MAX_PENDING_AGE, Duration::from_secs(u64::from(seconds) * 11 / 10));
    }

    #[test]
    fn schedule_ends_after_twelve_attempts() {
        let now = Timestamp::now();
        assert!(next_attempt(11, now).is_some());
        assert_eq!(next_attempt(12, now), None);
        assert_eq!(next_attempt(0, now), None);
    }

    #[test]
    fn delivery_fails_after_twelve_attempts_or_a_permanent_error() {
        let now = Timestamp::now();
        for failure in [Failure::Gone, Failure::Rejected] {
            assert_eq!(pending(now).disposition(&Outcome::Failed(attempt(now), failure), now), Disposition::Failed);
        }
        let mut delivery = pending(now);
        for made in 1..=11 {
            let due = delivery.next_attempt_at;
            match delivery.disposition(&Outcome::Failed(attempt(due), Failure::Refused), due) {
                Disposition::Pending(next) => delivery = next,
                other => panic!("{other:?} after {made} attempts"),
            }
        }
        let due = delivery.next_attempt_at;
        assert_eq!(
            delivery.disposition(&Outcome::Failed(attempt(due), Failure::Unreachable), due),
            Disposition::Failed
        );
    }

    #[test]
    fn one_attempt_before_its_time_does_not_count() {
        let now = Timestamp::now();
        let failed = |delivery: &PendingDelivery, at| match delivery
            .disposition(&Outcome::Failed(attempt(at), Failure::Refused), at)
        {
            Disposition::Pending(next) => next,
            other => panic!("{other:?}"),
        };
        let first = failed(&pending(now), now);
        let (recovery, later) = (now + Duration::from_secs(1), now + Duration::from_secs(2));
        assert!(first.is_due_by_recovery(recovery) && !first.is_due_by_recovery(now));
        let early = failed(&first, later);
        assert_eq!((early.attempts, early.next_attempt_at), (1, first.next_attempt_at + Duration::from_millis(1)));
        assert!(!early.is_due_by_recovery(later + Duration::from_secs(1)));
        assert_eq!(failed(&early, early.next_attempt_at).attempts, 2);
    }

    #[test]
    fn skipped_attempt_does_not_count() {
        let now = Timestamp::now();
        match pending(now).disposition(&Outcome::Skipped, now) {
            Disposition::Pending(next) => assert_eq!(next.attempts, 0),
            other => panic!("{other:?}"),
        }
        let late = now + MAX_PENDING_AGE + Duration::from_millis(1);
        assert_eq!(pending(now).disposition(&Outcome::Skipped, late), Disposition::Failed);
    }

    #[test]
    fn deferred_delivery_has_a_stable_key() {
        let (record, at) = (pending(Timestamp::now()).record, Timestamp::now());
        assert_eq!(PendingDelivery::first(record, at), PendingDelivery::first(record, at));
    }

    #[test]
    fn pending_delivery_is_stored_with_the_key_of_its_record() {
        let (workflow_id, error_id) = (WorkflowId::new(), ErrorId::new());
        let (user_id, event_id) = (UserId::new(), EventId::new());
        let at = "2026-11-24T05:30:00Z".parse().unwrap();
        for (record, [owner, id]) in [
            (
                RecordKey::Error { workflow_id, error_id },
                [("workflowId", workflow_id.to_string()), ("errorId", error_id.to_string())],
            ),
            (
                RecordKey::Event { user_id, event_id },
                [("userId", user_id.to_string()), ("eventId", event_id.to_string())],
            ),
        ] {
            let delivery = PendingDelivery::first(record, at);
            let stored: serde_dynamo::Item = serde_dynamo::to_item(&delivery).unwrap();
            let stored = serde_json::to_value(&stored).unwrap();
            assert_eq!(
                stored,
                serde_json::json!({
                    owner.0: { "S": owner.1 }, id.0: { "S": id.1 }, "attempts": { "N": "0" },
                    "pendingSince": { "S": "2026-11-24T05:30:00.000Z" },
                    "nextAttemptAt": { "S": "2026-11-24T05:30:05.000Z" },
                })
            );
            let mut item: serde_dynamo::Item = serde_json::from_value(stored).unwrap();
            item.inner_mut().insert("expiresAt".into(), serde_dynamo::AttributeValue::N("1800000000".into()));
            assert_eq!(serde_dynamo::from_item::<_, PendingDelivery>(item).unwrap(), delivery);
        }
    }

    proptest! {
        #[test]
        fn jitter_adds_at_most_ten_percent(attempts in 1u32..=11) {
            let now = Timestamp::now();
            let wait = next_attempt(attempts, now).unwrap().milliseconds() - now.milliseconds();
            let policy = i64::from(RETRY_SCHEDULE_SECS[attempts as usize - 1]) * 1000;
            prop_assert!((policy..=policy + policy / 10).contains(&wait));
        }

        #[test]
        fn next_attempt_is_not_before_retry_after(attempts in 0u32..11, seconds in 0u64..100_000) {
            let now = Timestamp::now();
            let until = now + Duration::from_secs(seconds);
            let delivery = PendingDelivery { attempts, next_attempt_at: now, ..pending(now) };
            match delivery.disposition(&Outcome::Failed(attempt(now), Failure::Busy(Some(until))), now) {
                Disposition::Pending(next) => {
                    prop_assert!(next.next_attempt_at >= until);
                    prop_assert!(next.next_attempt_at >= now + Duration::from_secs(RETRY_SCHEDULE_SECS[attempts as usize].into()));
                }
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }
}
