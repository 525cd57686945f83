//! Deliveries: attempts to send an error to a destination, when they are made, and what comes of them.

use std::time::Duration;

use rand::Rng;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    id::{DestinationId, EnvironmentId, ErrorId, ReplayId, WorkflowId},
    timestamp::Timestamp,
};

/// One attempt to send an error to a destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// When it began.
    pub at: Timestamp,
    /// The HTTP status that the other side answered with, where it answered.
    #[schema(required = true)]
    pub status: Option<u16>,
    /// How long it took, in milliseconds.
    pub latency_ms: u32,
    /// What the other side said, or why it could not be asked.
    pub response: String,
}

/// What came of an attempt to send one error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The other side took it.
    Delivered(Attempt),
    /// The other side did not take it, or could not be asked.
    Failed(Attempt, Failure),
    /// It was not made, for a reason on this side that passes. It does not count.
    Skipped,
}

/// Why an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No connection, no answer in time, or an answer that broke off. Tried again.
    Unreachable,
    /// The other side is there and refused: a status, keys that may not. Tried again, since whoever runs it may mend it.
    Refused,
    /// The other side asks to be left alone, perhaps until a time. Tried again, never before that.
    Busy(Option<Timestamp>),
    /// The other side says that it is gone for good (410): the destination is switched off.
    Gone,
    /// The other side will never take this one error, such as one that is too large for it. Not tried again.
    Rejected,
}

impl Failure {
    /// Whether another attempt can have another end.
    pub fn retryable(self) -> bool {
        match self {
            Self::Unreachable | Self::Refused | Self::Busy(_) => true,
            Self::Gone | Self::Rejected => false,
        }
    }

    /// Before when the other side is not to be asked again.
    pub fn not_before(self) -> Option<Timestamp> {
        match self {
            Self::Busy(until) => until,
            Self::Unreachable | Self::Refused | Self::Gone | Self::Rejected => None,
        }
    }
}

/// The waits between attempts, in seconds: twelve attempts in 77.6 hours.
pub const RETRY_SCHEDULE_SECS: [u32; 11] =
    [5, 300, 1_800, 7_200, 18_000, 36_000, 43_200, 43_200, 43_200, 43_200, 43_200];

/// The longest time that an error waits for a destination that is not asked at all: the policy, every wait a tenth longer.
pub const MAX_PENDING_AGE: Duration = Duration::from_secs(279_305 * 11 / 10);

/// When the next attempt is due after `attempts` have failed, the last one at `now`: the policy's wait and 0 to 10 %
/// more, so that what failed together does not come back together. None after the twelfth.
pub fn next_attempt(attempts: u32, now: Timestamp) -> Option<Timestamp> {
    let index = usize::try_from(attempts.checked_sub(1)?).ok()?;
    let wait = u64::from(*RETRY_SCHEDULE_SECS.get(index)?) * 1000;
    let jitter = rand::rng().random_range(0..=wait / 10);
    Some(now + Duration::from_millis(wait + jitter))
}

/// A delivery that waits for its next attempt. It names the error and does not repeat it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PendingDelivery {
    /// The workflow of the error, by which the error is found.
    pub workflow_id: WorkflowId,
    /// The error that is to be sent.
    pub error_id: ErrorId,
    /// How many attempts have failed.
    pub attempts: u32,
    /// Since when it waits.
    pub pending_since: Timestamp,
    /// When it is tried again.
    pub next_attempt_at: Timestamp,
    /// The replay that asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replay_id: Option<ReplayId>,
}

impl PendingDelivery {
    /// One that no attempt was made for yet, due five seconds after the error was recorded; always the same for the same
    /// error, so that a batch that is forwarded again notes it in the same place.
    pub fn deferred(workflow_id: WorkflowId, error_id: ErrorId, recorded_at: Timestamp) -> Self {
        let due = recorded_at + Duration::from_secs(u64::from(RETRY_SCHEDULE_SECS[0]));
        Self { workflow_id, error_id, attempts: 0, pending_since: recorded_at, next_attempt_at: due, replay_id: None }
    }

    /// What it becomes by an attempt at `now`.
    pub fn disposition(&self, outcome: &Outcome, now: Timestamp) -> Disposition {
        match outcome {
            Outcome::Delivered(_) => Disposition::Delivered,
            Outcome::Failed(_, failure) => match next_attempt(self.attempts + 1, now) {
                Some(policy) if failure.retryable() => Disposition::Pending(Self {
                    attempts: self.attempts + 1,
                    next_attempt_at: failure.not_before().map_or(policy, |until| policy.max(until)),
                    ..self.clone()
                }),
                _ => Disposition::Failed,
            },
            Outcome::Skipped => Disposition::Pending(Self {
                next_attempt_at: now + Duration::from_secs(u64::from(RETRY_SCHEDULE_SECS[0])),
                ..self.clone()
            }),
        }
    }

    /// Whether it has waited longer than any schedule, for a destination that was not to be asked.
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.pending_since + MAX_PENDING_AGE < now
    }
}

/// What becomes of a delivery that was pending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// The other side has taken it.
    Delivered,
    /// It waits again.
    Pending(PendingDelivery),
    /// It has come to the end of its attempts.
    Failed,
    /// It is not wanted any more: the destination is off or limited otherwise, or the replay was cancelled.
    Cancelled,
    /// The error is not there any more.
    Dropped,
    /// It waits twice, and the other one is attempted.
    Duplicate,
}

/// How a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryStatus {
    /// The other side has taken it.
    Delivered,
    /// It waits for its next attempt.
    Pending,
    /// It has come to the end of its attempts, and can be replayed.
    Failed,
    /// It was given up because the destination was switched off or limited otherwise, or its replay was cancelled.
    Cancelled,
}

impl DeliveryStatus {
    /// As it is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Pending => "pending",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Why a text is not the status of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be `delivered`, `pending`, `failed` or `cancelled`")]
pub struct DeliveryStatusError;

impl std::str::FromStr for DeliveryStatus {
    type Err = DeliveryStatusError;

    fn from_str(text: &str) -> Result<Self, DeliveryStatusError> {
        let all = [Self::Delivered, Self::Pending, Self::Failed, Self::Cancelled];
        all.into_iter().find(|status| status.as_str() == text).ok_or(DeliveryStatusError)
    }
}

/// A delivery as it is told of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    /// The error.
    pub error_id: ErrorId,
    /// Where it goes.
    pub destination_id: DestinationId,
    /// How it stands.
    pub status: DeliveryStatus,
    /// The attempts so far, the first one first.
    pub attempts: Vec<Attempt>,
    /// When it is tried again.
    #[serde(default)]
    #[schema(required = true)]
    pub next_attempt_at: Option<Timestamp>,
}

impl Delivery {
    /// One that is not tried again.
    pub fn finished(
        error_id: ErrorId,
        destination_id: DestinationId,
        status: DeliveryStatus,
        attempts: Vec<Attempt>,
    ) -> Self {
        Self { error_id, destination_id, status, attempts, next_attempt_at: None }
    }

    /// One delivery of two that are told of, as when one that had succeeded at once was replayed: it stands as the one says
    /// that waits, or was attempted last.
    pub fn merge(self, other: Self) -> Self {
        let recency = |delivery: &Self| (delivery.next_attempt_at, delivery.attempts.last().map(|attempt| attempt.at));
        let (later, earlier) = if recency(&self) < recency(&other) { (other, self) } else { (self, other) };
        let mut attempts = [earlier.attempts, later.attempts].concat();
        attempts.sort_by_key(|attempt| attempt.at);
        Self { attempts, ..later }
    }
}

/// Where a delivery belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    /// The environment of error and destination.
    pub environment: EnvironmentId,
    /// Where errors go.
    pub destination: DestinationId,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn attempt(at: Timestamp) -> Attempt {
        Attempt { at, status: Some(500), latency_ms: 1, response: String::new() }
    }

    fn pending(now: Timestamp) -> PendingDelivery {
        PendingDelivery { attempts: 0, ..PendingDelivery::deferred(WorkflowId::new(), ErrorId::new(), now) }
    }

    #[test]
    fn merged_delivery_has_the_status_of_the_latest_attempt() {
        let now = Timestamp::now();
        let (error, destination) = (ErrorId::new(), DestinationId::new());
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
            match delivery.disposition(&Outcome::Failed(attempt(now), Failure::Refused), now) {
                Disposition::Pending(next) => delivery = next,
                other => panic!("{other:?} after {made} attempts"),
            }
        }
        assert_eq!(
            delivery.disposition(&Outcome::Failed(attempt(now), Failure::Unreachable), now),
            Disposition::Failed
        );
    }

    #[test]
    fn skipped_attempt_does_not_count() {
        let now = Timestamp::now();
        match pending(now).disposition(&Outcome::Skipped, now) {
            Disposition::Pending(next) => assert_eq!(next.attempts, 0),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn deferred_delivery_has_a_stable_key() {
        let (workflow, error, at) = (WorkflowId::new(), ErrorId::new(), Timestamp::now());
        assert_eq!(PendingDelivery::deferred(workflow, error, at), PendingDelivery::deferred(workflow, error, at));
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
            let delivery = PendingDelivery { attempts, ..pending(now) };
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
