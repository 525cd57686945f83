//! Tombstones: marks of deleted resources. The repetition of an idempotent creation has the ids of
//! its first attempt, and would otherwise create again what was deleted in the meantime.

use std::time::Duration;

use serde::Serialize;

use super::{
    keys::{self, Key},
    table::{Put, StoreError, Write, number, to_item},
};
use crate::domain::{id::ObjectId, request_seed::RequestSeed, timestamp::Timestamp};

#[derive(Serialize)]
struct Tombstone {}

/// Time after the first attempt of a creation during which it can be repeated: as long as its
/// idempotency record is kept, and an hour for a request that is in progress.
pub(super) const REPEATABLE: Duration = Duration::from_secs(25 * 60 * 60);

/// Returns the write that marks a resource as deleted. None for ids so old that their creation cannot
/// be repeated.
pub(super) fn mark_deleted(key: &Key, id: &ObjectId) -> Result<Option<Write>, StoreError> {
    let until = id.timestamp() + REPEATABLE;
    if until <= Timestamp::now() {
        return Ok(None);
    }
    let mut item = to_item("tombstone", &keys::tombstone(key), &Tombstone {}, &[])?;
    item.insert("expiresAt".into(), number(until.seconds()));
    Ok(Some(Put::new(item).into()))
}

/// Returns the check that a resource was not deleted. Needed by repetitions only: nothing has the id
/// of a first attempt.
pub(super) fn check_not_deleted(key: &Key, seed: &RequestSeed) -> Option<Write> {
    seed.is_retry.then(|| Write::check_absent(&keys::tombstone(key)))
}
