//! Deliveries: attempts to send an error to a destination, and when they are made.

use std::time::Duration;

use rand::Rng;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    id::{DestinationId, ErrorId},
    timestamp::Timestamp,
};

/// One attempt to send an error to a destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// When it began.
    pub at: Timestamp,
    /// The HTTP status that the other side answered with, where it answered.
    pub status: Option<u16>,
    /// How long it took, in milliseconds.
    pub latency_ms: u32,
    /// What the other side said, or why it could not be asked.
    pub response: String,
}

/// The waits between attempts, in seconds: twelve attempts in 77.6 hours.
pub const RETRY_POLICY: [u32; 11] = [5, 300, 1_800, 7_200, 18_000, 36_000, 43_200, 43_200, 43_200, 43_200, 43_200];

/// When the second attempt is due: like [`next_attempt`], but always the same for the same error and destination, so that
/// a batch that is forwarded again notes its failures in the same places.
pub fn second_attempt(recorded_at: Timestamp, error: ErrorId, destination: DestinationId) -> Timestamp {
    let wait = u64::from(RETRY_POLICY[0]) * 1000;
    let spread = crc32fast::hash(format!("{error}{destination}").as_bytes());
    recorded_at + Duration::from_millis(wait + u64::from(spread) % (wait / 10 + 1))
}

/// When the next attempt is due after `attempts` have failed, the last one at `now`: the policy's wait and 0 to 10 %
/// more, so that what failed together does not come back together. None after the twelfth.
pub fn next_attempt(attempts: usize, now: Timestamp) -> Option<Timestamp> {
    let wait = u64::from(*RETRY_POLICY.get(attempts.checked_sub(1)?)?) * 1000;
    let jitter = rand::rng().random_range(0..=wait / 10);
    Some(now + Duration::from_millis(wait + jitter))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn twelve_attempts_take_77_6_hours() {
        let hours = RETRY_POLICY.iter().sum::<u32>() as f64 / 3600.0;
        assert_eq!((RETRY_POLICY.len() + 1, (hours * 10.0).round()), (12, 776.0));
    }

    #[test]
    fn there_is_no_thirteenth_attempt_and_none_before_the_first() {
        let now = Timestamp::now();
        assert!(next_attempt(11, now).is_some());
        assert_eq!(next_attempt(12, now), None);
        assert_eq!(next_attempt(0, now), None);
    }

    #[test]
    fn the_second_attempt_is_due_at_the_same_time_however_often_the_first_is_repeated() {
        let (recorded_at, destination) = (Timestamp::now(), DestinationId::new());
        for error in (0..100).map(|_| ErrorId::new()) {
            let due = second_attempt(recorded_at, error, destination);
            assert_eq!(due, second_attempt(recorded_at, error, destination));
            assert!((5000..=5500).contains(&(due.milliseconds() - recorded_at.milliseconds())));
        }
    }

    proptest! {
        #[test]
        fn a_wait_is_never_shorter_than_the_policy_nor_a_tenth_longer(attempts in 1usize..=11) {
            let now = Timestamp::now();
            let wait = next_attempt(attempts, now).unwrap().milliseconds() - now.milliseconds();
            let policy = i64::from(RETRY_POLICY[attempts - 1]) * 1000;
            prop_assert!((policy..=policy + policy / 10).contains(&wait));
        }
    }
}
