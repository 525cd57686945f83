//! Rotation of signing keys: the times at which keys are created, sign and are removed. A valid
//! token never fails because of a rotation.
//!
//! Verifiers and signers may use keys that they read up to [`KEYS_TTL`] ago. A new key is therefore
//! published [`PUBLISHED_AHEAD`] of its first signature, and an old key stays published until its
//! last token has expired.

use std::time::Duration;

use crate::domain::timestamp::Timestamp;

/// Time for which processes and clients of the published key set use the keys that they have read.
pub const KEYS_TTL: Duration = Duration::from_secs(5 * 60);
/// Time for which a key signs before the next key takes over.
pub const SIGNING_PERIOD: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Time for which a key is published before it signs.
pub const PUBLISHED_AHEAD: Duration = Duration::from_secs(60 * 60);
/// Time for which a key is published after the next key has taken over: longer than the lifetime of
/// a token plus two cache lifetimes.
pub const PUBLISHED_AFTER: Duration = Duration::from_secs(60 * 60);

/// Changes to make to the keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Create a key that signs from this time.
    pub create: Option<Timestamp>,
    /// Remove the keys at these indices, which are no longer needed.
    pub remove: Vec<usize>,
}

/// Returns the index of the key that signs at `now`: the one with the latest `signs_from` that has
/// passed.
pub fn current(signs_from: &[Timestamp], now: Timestamp) -> Option<usize> {
    let begun = signs_from.iter().enumerate().filter(|(_, from)| **from <= now);
    begun.max_by_key(|(_, from)| **from).map(|(index, _)| index)
}

/// Returns the changes to make at `now` to keys with these `signs_from` times.
///
/// Applying a plan twice, late or in part is safe: a key is removed only after its successor has
/// signed for [`PUBLISHED_AFTER`].
pub fn plan(signs_from: &[Timestamp], now: Timestamp) -> Plan {
    let Some(current) = current(signs_from, now).and_then(|index| signs_from.get(index).copied()) else {
        // If no key signs, because there is none yet or it was deleted manually, a new key signs
        // immediately.
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
        /// Rotations at arbitrary times: every process knows a key before it signs, and until its
        /// last token has expired.
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
                prop_assert!(next.made + KEYS_TTL <= next.signs_from, "a key that verifiers may not know never signs");
                // A signer with a cached key set uses this key for up to `KEYS_TTL` longer.
                let last_signature = next.signs_from + KEYS_TTL;
                let last_use = last_signature + TOKEN_LIFE;
                prop_assert!(key.gone.is_none_or(|gone| gone >= last_use), "a key is not removed before its last token expires");
            }
        }
    }
}
