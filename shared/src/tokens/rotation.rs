//! When signing keys are made, sign and go, so that at no moment a valid token fails.
//!
//! Whoever verifies may have read the published keys up to [`KEYS_TTL`] ago, and so may whoever signs. A new key is
//! therefore published [`PUBLISHED_AHEAD`] of its first signature, and an old one stays published until its last token has
//! expired everywhere.

use std::time::Duration;

use crate::domain::timestamp::Timestamp;

/// How long a process, or a client of the published key set, uses the keys that it has read.
pub const KEYS_TTL: Duration = Duration::from_secs(5 * 60);
/// How long a key signs before another takes its place.
pub const SIGNING_PERIOD: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// How long a key is published before it signs.
pub const PUBLISHED_AHEAD: Duration = Duration::from_secs(60 * 60);
/// How long a key is published after another has taken its place: more than a token's life and two caches.
pub const PUBLISHED_AFTER: Duration = Duration::from_secs(60 * 60);

/// What is to be done with the keys now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Make a key that signs from then on.
    pub create: Option<Timestamp>,
    /// Remove the keys in these places: nobody needs them any more.
    pub remove: Vec<usize>,
}

/// The place of the key that signs at `now`, among keys that sign from the given times on: the one whose turn came last.
pub fn current(signs_from: &[Timestamp], now: Timestamp) -> Option<usize> {
    let begun = signs_from.iter().enumerate().filter(|(_, from)| **from <= now);
    begun.max_by_key(|(_, from)| **from).map(|(index, _)| index)
}

/// What is to be done at `now` with keys that sign from the given times on. Doing it twice does no harm, nor does doing it
/// late or only in part: keys are removed only when another has long been signing.
pub fn plan(signs_from: &[Timestamp], now: Timestamp) -> Plan {
    let Some(current) = current(signs_from, now).and_then(|index| signs_from.get(index).copied()) else {
        // Where none signs, because it is the first or one was removed by hand, there is nothing to wait for.
        return Plan { create: Some(now), remove: Vec::new() };
    };
    let successor = signs_from.iter().any(|from| *from > current);
    let create = (!successor && current + SIGNING_PERIOD <= now).then(|| now + PUBLISHED_AHEAD);
    let superseded = signs_from.iter().enumerate().filter(|(_, from)| **from < current);
    let gone = current + PUBLISHED_AFTER <= now;
    Plan { create, remove: superseded.filter(|_| gone).map(|(index, _)| index).collect() }
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
    fn first_key_signs_immediately_and_is_replaced_after_30_days() {
        assert_eq!(plan(&[], at(0)), Plan { create: Some(at(0)), remove: vec![] });
        let days = |days: u64| at(days * 24 * 60 * 60);
        assert_eq!(plan(&[days(0)], days(29)), Plan { create: None, remove: vec![] });
        assert_eq!(plan(&[days(0)], days(30)), Plan { create: Some(days(30) + PUBLISHED_AHEAD), remove: vec![] });
    }

    #[test]
    fn concurrent_rotation_creates_no_second_key() {
        let keys = [at(0), at(0) + SIGNING_PERIOD + PUBLISHED_AHEAD];
        assert_eq!(plan(&keys, at(0) + SIGNING_PERIOD), Plan { create: None, remove: vec![] });
    }

    #[test]
    fn manually_deleted_signing_key_is_replaced_immediately() {
        assert_eq!(plan(&[at(3600)], at(0)), Plan { create: Some(at(0)), remove: vec![] });
    }

    proptest! {
        /// Rotations at any times: each key is known everywhere before it signs, and until its last token has expired.
        #[test]
        fn valid_token_never_fails_during_rotation(
            pauses in prop::collection::vec(prop_oneof![60u64..7200, 7200u64..40 * 24 * 60 * 60], 1..60),
        ) {
            struct Key { made: Timestamp, signs_from: Timestamp, gone: Option<Timestamp> }
            let mut keys: Vec<Key> = Vec::new();
            let mut now = at(0);
            for pause in std::iter::once(&0).chain(&pauses) {
                now = now + Duration::from_secs(*pause);
                let there: Vec<usize> = (0..keys.len()).filter(|index| keys[*index].gone.is_none()).collect();
                let signs_from: Vec<Timestamp> = there.iter().map(|index| keys[*index].signs_from).collect();
                prop_assert!(keys.is_empty() || current(&signs_from, now).is_some());
                let Plan { create, remove } = plan(&signs_from, now);
                remove.iter().for_each(|index| keys[there[*index]].gone = Some(now));
                keys.extend(create.map(|signs_from| Key { made: now, signs_from, gone: None }));
            }
            for (key, next) in keys.iter().zip(keys.iter().skip(1)) {
                prop_assert!(next.made + KEYS_TTL <= next.signs_from, "nobody signs with a key that others may not know");
                // Who has not read the keys since the next one was made signs with this one for so long.
                let last_signature = next.signs_from + KEYS_TTL;
                let last_use = last_signature + TOKEN_LIFE;
                prop_assert!(key.gone.is_none_or(|gone| gone >= last_use), "no key goes before its last token");
            }
        }
    }
}
