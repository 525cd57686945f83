//! Replays: errors that are sent to a destination once more.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    id::{DestinationId, ErrorId, ReplayId},
    timestamp::Timestamp,
};

/// The most errors that a replay may name one by one.
pub const MAX_ERROR_IDS: usize = 1000;

/// A replay: a job that lets errors wait for delivery again, step by step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Replay {
    /// Its id.
    pub replay_id: ReplayId,
    /// Where the errors go.
    pub destination_id: DestinationId,
    /// Which errors.
    pub selection: Selection,
    /// How it stands.
    pub status: ReplayStatus,
    /// Where the next step goes on; none before the first.
    #[serde(default)]
    pub position: Option<Position>,
    /// So many errors were found and wait, or waited, for delivery.
    pub found: u64,
    /// So many of these were delivered.
    pub delivered: u64,
    /// So many of these have come to the end of their attempts.
    pub failed: u64,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it last made a step.
    pub updated_at: Timestamp,
}

/// Which errors are replayed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Selection {
    /// Those of a time range.
    #[serde(rename_all = "camelCase")]
    Range {
        /// From the second in which this lies.
        since: Option<Timestamp>,
        /// To the last second that begins before this.
        until: Option<Timestamp>,
    },
    /// These.
    Errors(Vec<ErrorId>),
    /// Those whose deliveries have failed.
    Failed,
}

/// How far a replay is: in which part of what it reads, and after which error there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Position {
    /// The number of the partition that is read, or of the errors that were looked for by their ids.
    pub part: u32,
    /// The sort key that was read last there.
    pub after: Option<String>,
}

/// How a replay stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReplayStatus {
    /// Errors are being looked for.
    Running,
    /// All were found; what was not delivered yet waits for its attempts.
    Done,
    /// It was cancelled: what still waited because of it is not sent.
    Cancelled,
}
