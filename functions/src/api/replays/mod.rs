//! Replays: jobs that send records, which are errors and events, to a destination again.

use serde::Serialize;
use tenon::domain::{
    id::{DestinationId, ReplayId},
    replay::{Replay, ReplayStatus},
    timestamp::Timestamp,
};
use utoipa::{OpenApi, ToSchema};

pub mod cancel;
pub mod get;

/// Operations of the resource.
#[derive(Debug, OpenApi)]
#[openapi(paths(get::get_replay, cancel::cancel_replay,))]
pub struct Operations;

/// Replay as the API returns it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Replay)]
pub struct ReplayBody {
    /// Id of the replay.
    replay_id: ReplayId,
    /// Destination of the records.
    destination_id: DestinationId,
    /// Status of the replay.
    status: ReplayStatus,
    /// Number of records, errors and events, found and queued for delivery. Equal to `delivered` + `failed` at the end.
    found: u64,
    /// Number of these records that were delivered.
    delivered: u64,
    /// Number of these records that are not delivered: their attempts are exhausted, their delivery was
    /// cancelled, or they no longer exist.
    failed: u64,
    /// Creation time.
    created_at: Timestamp,
    /// Time of the last step of the search, or of the cancellation.
    updated_at: Timestamp,
}

impl From<Replay> for ReplayBody {
    fn from(replay: Replay) -> Self {
        let Replay { replay_id, destination_id, found, delivered, failed, created_at, updated_at, .. } = replay;
        let status = replay.status_at(Timestamp::now());
        Self { replay_id, destination_id, status, found, delivered, failed, created_at, updated_at }
    }
}
