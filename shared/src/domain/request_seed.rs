//! Request seeds: deterministic ids, names and times for the resources that a request creates.

use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use super::{
    id::{EnvironmentId, ObjectId},
    timestamp::Timestamp,
};

/// Source of all ids, names and times that a request generates. A repeated request has the same
/// seed, generates the same values, and so recognizes the resources that an earlier attempt
/// created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestSeed {
    /// Time of the first attempt.
    pub at: Timestamp,
    #[serde(with = "hex")]
    bytes: [u8; 16],
    /// Whether an earlier attempt may have done some of the work.
    #[serde(skip)]
    pub is_retry: bool,
}

/// Alphabet of [`RequestSeed::suffix`]: 32 characters that cannot be confused with each other.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

impl RequestSeed {
    /// Generates a random seed for a request at the current time.
    pub fn new() -> Self {
        Self::of(Timestamp::now())
    }

    /// Generates a random seed for a request at this time.
    pub fn of(at: Timestamp) -> Self {
        Self { at, bytes: rand::random(), is_retry: false }
    }

    /// Returns the same seed, marked as a retry.
    pub fn retried(self) -> Self {
        Self { is_retry: true, ..self }
    }

    /// Derives the id of the item at `index` of the request, with the timestamp `at`.
    pub fn id_at<T: From<ObjectId>>(&self, index: usize, at: Timestamp) -> T {
        let [a, b, c, d, e, f, g, h, ..] = self.derive(index, "id");
        ObjectId::of(at, [a, b, c, d, e, f, g, h]).into()
    }

    /// Derives the id of the item at `index` of the request.
    pub fn id<T: From<ObjectId>>(&self, index: usize) -> T {
        self.id_at(index, self.at)
    }

    /// Derives the id of something that the request names uniquely, such as an event by its type
    /// and object.
    pub fn named_id<T: From<ObjectId>>(&self, name: &str) -> T {
        let [a, b, c, d, e, f, g, h, ..] = self.derive(0, name);
        ObjectId::of(self.at, [a, b, c, d, e, f, g, h]).into()
    }

    /// Derives six random characters (30 bits) for the item at `index` of the request.
    pub fn suffix(&self, index: usize) -> String {
        let random = self.derive(index, "suffix");
        random.iter().take(6).filter_map(|byte| ALPHABET.get(usize::from(byte % 32))).map(|c| char::from(*c)).collect()
    }

    fn derive(&self, index: usize, purpose: &str) -> [u8; 32] {
        let text = [&self.bytes[..], &(index as u64).to_be_bytes(), purpose.as_bytes()].concat();
        digest(&SHA256, &text).as_ref().try_into().unwrap_or_default()
    }
}

/// Identity of an idempotent request: a digest over its idempotency key, route, path parameters and
/// API key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestKey {
    /// Environment of the caller.
    pub environment: EnvironmentId,
    /// SHA-256 digest as 64 hex digits.
    pub digest: String,
}

impl Default for RequestSeed {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::domain::id::UserId;

    #[test]
    fn same_seed_derives_the_same_ids_and_names() {
        let first = RequestSeed::new();
        let stored = serde_json::to_string(&first).unwrap();
        let repeat: RequestSeed = serde_json::from_str(&stored).unwrap();
        let made = |seed: &RequestSeed| (0..100).map(|n| (seed.id::<UserId>(n), seed.suffix(n))).collect::<Vec<_>>();
        assert_eq!(made(&first), made(&repeat));
        let mut all: BTreeSet<_> = made(&first).into_iter().collect();
        all.extend(made(&RequestSeed::new()));
        assert_eq!(all.len(), 200);
        assert!(all.iter().all(|(_, suffix)| suffix.len() == 6));
    }

    #[test]
    fn derived_id_has_the_second_of_the_first_request() {
        let seed = RequestSeed::new();
        assert_eq!(seed.id::<UserId>(7).object_id().timestamp().seconds(), seed.at.seconds());
    }
}
