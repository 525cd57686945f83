//! When signing keys are made, sign and go, so that at no moment a valid token fails.
//!
//! Whoever verifies may have read the published keys up to [`CACHED_FOR`] ago, and so may whoever signs. A new key is
//! therefore published [`PUBLISHED_AHEAD`] of its first signature, and an old one stays published until its last token has
//! expired everywhere.

use std::time::Duration;

use crate::domain::timestamp::Timestamp;

/// How long a process, or a client of the published key set, uses the keys that it has read.
pub const CACHED_FOR: Duration = Duration::from_secs(5 * 60);
/// How long a key signs before another takes its place.
pub const SIGNS_FOR: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// How long a key is published before it signs.
pub const PUBLISHED_AHEAD: Duration = Duration::from_secs(60 * 60);
/// How long a key is published after another has taken its place: more than a token's life and two caches.
pub const PUBLISHED_AFTER: Duration = Duration::from_secs(60 * 60);

/// What is to be done with the keys now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Make a key that signs from then on.
    pub make: Option<Timestamp>,
    /// Remove the keys in these places: nobody needs them any more.
    pub remove: Vec<usize>,
}

/// The place of the key that signs at `now`, among keys that sign from the given times on: the one whose turn came last.
pub fn signing(signs_from: &[Timestamp], now: Timestamp) -> Option<usize> {
    let begun = signs_from.iter().enumerate().filter(|(_, from)| **from <= now);
    begun.max_by_key(|(_, from)| **from).map(|(place, _)| place)
}

/// What is to be done at `now` with keys that sign from the given times on. Doing it twice does no harm, nor does doing it
/// late or only in part: keys are removed only when another has long been signing.
pub fn plan(signs_from: &[Timestamp], now: Timestamp) -> Plan {
    let Some(current) = signing(signs_from, now).and_then(|place| signs_from.get(place).copied()) else {
        // Without a key there are no tokens that anyone could fail to verify.
        let make = signs_from.is_empty().then_some(now);
        return Plan { make, remove: Vec::new() };
    };
    let successor = signs_from.iter().any(|from| *from > current);
    let make = (!successor && current + SIGNS_FOR <= now).then(|| now + PUBLISHED_AHEAD);
    let superseded = signs_from.iter().enumerate().filter(|(_, from)| **from < current);
    let gone = current + PUBLISHED_AFTER <= now;
    Plan { make, remove: superseded.filter(|_| gone).map(|(place, _)| place).collect() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TOKEN_LIFE: Duration = Duration::from_secs(30 * 60);

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_seconds(1_795_000_000) + Duration::from_secs(seconds)
    }

    #[test]
    fn the_first_key_signs_at_once_and_is_followed_after_thirty_days() {
        assert_eq!(plan(&[], at(0)), Plan { make: Some(at(0)), remove: vec![] });
        let days = |days: u64| at(days * 24 * 60 * 60);
        assert_eq!(plan(&[days(0)], days(29)), Plan { make: None, remove: vec![] });
        assert_eq!(plan(&[days(0)], days(30)), Plan { make: Some(days(30) + PUBLISHED_AHEAD), remove: vec![] });
    }

    #[test]
    fn a_second_rotation_at_once_makes_no_second_key() {
        let keys = [at(0), at(0) + SIGNS_FOR + PUBLISHED_AHEAD];
        assert_eq!(plan(&keys, at(0) + SIGNS_FOR), Plan { make: None, remove: vec![] });
    }

    proptest! {
        /// Rotations at any times, and between them a token that is signed and verified by processes whose caches are of
        /// any age: the verifier always has the key.
        #[test]
        fn at_no_moment_does_a_valid_token_fail(
            pauses in prop::collection::vec(60u64..40 * 24 * 60 * 60, 1..40),
            signed_after in 0u64..200 * 24 * 60 * 60,
            verified_after in 0u64..1800,
            signer_cache in 0u64..300,
            verifier_cache in 0u64..300,
        ) {
            // All keys ever made, with the times in which they are published.
            let mut keys: Vec<(Timestamp, Timestamp, Option<Timestamp>)> = Vec::new();
            let mut now = at(0);
            for pause in std::iter::once(&0).chain(&pauses) {
                now = now + Duration::from_secs(*pause);
                let there: Vec<usize> = (0..keys.len()).filter(|place| keys[*place].2.is_none()).collect();
                let turns: Vec<Timestamp> = there.iter().map(|place| keys[*place].1).collect();
                let Plan { make, remove } = plan(&turns, now);
                remove.iter().for_each(|place| keys[there[*place]].2 = Some(now));
                keys.extend(make.map(|signs_from| (now, signs_from, None)));
            }
            let published = |at: Timestamp| -> Vec<usize> {
                (0..keys.len()).filter(|p| keys[*p].0 <= at && keys[*p].2.is_none_or(|gone| at < gone)).collect()
            };
            let signed = at(signed_after);
            // A process reads the keys when it starts, at the earliest when the first one is there.
            let known = published(at(signed_after.saturating_sub(signer_cache)));
            let turns: Vec<Timestamp> = known.iter().map(|place| keys[*place].1).collect();
            let Some(place) = signing(&turns, signed) else { return Ok(()) };
            let verified = at((signed_after + verified_after.min(TOKEN_LIFE.as_secs())).saturating_sub(verifier_cache));
            prop_assert!(published(verified.max(at(0))).contains(&known[place]));
        }
    }
}
