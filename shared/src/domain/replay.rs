//! Replays: jobs that send recorded errors to a destination again.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    id::{DestinationId, ErrorId, ReplayId},
    timestamp::Timestamp,
};

/// Maximum number of error ids in a replay.
pub const MAX_ERROR_IDS: usize = 1000;

/// Replay: a job that queues recorded errors for delivery, step by step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Replay {
    /// Replay id.
    pub replay_id: ReplayId,
    /// Destination of the errors.
    pub destination_id: DestinationId,
    /// Errors to replay.
    pub selection: Selection,
    /// Status.
    pub status: ReplayStatus,
    /// Position from which the next step continues; `None` before the first step.
    #[serde(default)]
    pub position: Option<Position>,
    /// Number of errors that were found and queued for delivery.
    pub found: u64,
    /// Number of replayed errors that were delivered.
    pub delivered: u64,
    /// Number of replayed errors whose delivery failed.
    pub failed: u64,
    /// Creation time.
    pub created_at: Timestamp,
    /// Time of the last step.
    pub updated_at: Timestamp,
}

impl Replay {
    /// Creates a replay before its first step.
    pub fn new(replay_id: ReplayId, destination_id: DestinationId, selection: Selection, now: Timestamp) -> Self {
        Self {
            replay_id,
            destination_id,
            selection,
            status: ReplayStatus::Running,
            position: None,
            found: 0,
            delivered: 0,
            failed: 0,
            created_at: now,
            updated_at: now,
        }
    }
}

/// Selection of the errors to replay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Selection {
    /// Errors of a time range.
    #[serde(rename_all = "camelCase")]
    Range {
        /// Start of the range, inclusive, rounded down to the second.
        since: Option<Timestamp>,
        /// End of the range, exclusive, rounded up to the second.
        until: Option<Timestamp>,
    },
    /// Errors with these ids.
    Errors(Vec<ErrorId>),
    /// Errors whose delivery to the destination failed.
    Failed,
}

/// Position of a replay in the data that it reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Position {
    /// Number of the partition that is read, or number of errors looked up by id.
    pub part: u32,
    /// Last sort key read in that partition.
    pub after: Option<String>,
}

/// Status of a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReplayStatus {
    /// The job is searching for errors.
    Running,
    /// All errors were found. Some deliveries may still be pending.
    Done,
    /// The replay was cancelled: its pending deliveries are not sent.
    Cancelled,
}
