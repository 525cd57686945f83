//! Tombstones: marks of deleted resources. The repetition of an idempotent creation has the ids of
//! its first attempt, and would otherwise create again what was deleted in the meantime. A restore
//! from a backup would bring back what was deleted since.

use std::time::Duration;

use serde::Serialize;

use super::{
    keys::{self, Key},
    table::{Put, StoreError, Write, number, to_item},
};
use crate::domain::{request_seed::RequestSeed, timestamp::Timestamp};

#[derive(Serialize)]
struct Tombstone {}

/// Time for which deletions are remembered: a day longer than the 35 days for which DynamoDB can
/// restore a table (AWS limit), and longer than any request can be repeated.
pub(super) const REMEMBERED: Duration = Duration::from_secs(36 * 24 * 60 * 60);

/// Returns the write that marks a resource as deleted.
pub(super) fn mark_deleted(key: &Key) -> Result<Write, StoreError> {
    let mut item = to_item("tombstone", &keys::tombstone(key), &Tombstone {}, &[])?;
    item.insert("expiresAt".into(), number((Timestamp::now() + REMEMBERED).seconds()));
    Ok(Put::new(item).into())
}

/// Returns the check that a resource was not deleted. Needed by repetitions only: nothing has the
/// id of a first attempt.
pub(super) fn check_not_deleted(key: &Key, seed: &RequestSeed) -> Option<Write> {
    seed.is_retry.then(|| Write::check_absent(&keys::tombstone(key)))
}
