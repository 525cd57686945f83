//! Where the ids, names and times of what a request makes come from, and how a request is known again.

use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use super::{
    id::{EnvironmentId, ObjectId},
    timestamp::Timestamp,
};

/// What a request makes is identified by its seed: a repeat of the request, which has the same, makes the same again and
/// recognises what is there already as its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestSeed {
    /// When the request was made first.
    pub at: Timestamp,
    #[serde(with = "hex")]
    bytes: [u8; 16],
    /// Whether an earlier try may have done some of the work.
    #[serde(skip)]
    pub is_retry: bool,
}

/// The characters of [`RequestSeed::suffix`]: 32, none of which is taken for another.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

impl RequestSeed {
    /// The seed of a request that is made now, unlike any other.
    pub fn new() -> Self {
        Self::of(Timestamp::now())
    }

    /// The seed of a request that is made at this time, unlike any other.
    pub fn of(at: Timestamp) -> Self {
        Self { at, bytes: rand::random(), is_retry: false }
    }

    /// The same seed, for another try of the request.
    pub fn retried(self) -> Self {
        Self { is_retry: true, ..self }
    }

    /// The id of the thing in this place of the request, of the second in which `at` lies.
    pub fn id_at<T: From<ObjectId>>(&self, index: usize, at: Timestamp) -> T {
        let [a, b, c, d, e, f, g, h, ..] = self.derive(index, "id");
        ObjectId::of(at, [a, b, c, d, e, f, g, h]).into()
    }

    /// The id of the thing in this place of the request.
    pub fn id<T: From<ObjectId>>(&self, index: usize) -> T {
        self.id_at(index, self.at)
    }

    /// Six characters, of 30 random bits, for the thing in this place of the request.
    pub fn suffix(&self, index: usize) -> String {
        let random = self.derive(index, "suffix");
        random.iter().take(6).filter_map(|byte| ALPHABET.get(usize::from(byte % 32))).map(|c| char::from(*c)).collect()
    }

    fn derive(&self, index: usize, purpose: &str) -> [u8; 32] {
        let text = [&self.bytes[..], &(index as u64).to_be_bytes(), purpose.as_bytes()].concat();
        digest(&SHA256, &text).as_ref().try_into().unwrap_or_default()
    }
}

/// Which request is meant: what its key, method, path and caller come to, as 64 hex digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestKey {
    /// The environment of the caller.
    pub environment: EnvironmentId,
    /// The digest.
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
