//! Replays: errors that are sent to a destination once more.

use aws_config::SdkConfig;
use serde::Serialize;
use tenon::{
    domain::{
        id::{DestinationId, ReplayId},
        replay::{Replay, ReplayStatus},
        timestamp::Timestamp,
    },
    http::StartError,
    store::{Table, replays::Replays},
};
use utoipa::ToSchema;

pub mod cancel;
pub mod get;

/// The directory.
pub async fn state(config: &SdkConfig) -> Result<Replays, StartError> {
    Ok(Replays(Table::directory(config, 1).await?))
}

/// A replay as the API shows it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Replay)]
pub struct ReplayBody {
    /// Its id.
    replay_id: ReplayId,
    /// Where the errors go.
    destination_id: DestinationId,
    /// How it stands.
    status: ReplayStatus,
    /// So many errors were found and wait, or waited, for delivery.
    found: u64,
    /// So many of these were delivered.
    delivered: u64,
    /// So many of these have come to the end of their attempts.
    failed: u64,
    /// When it was asked for.
    created_at: Timestamp,
    /// When it last made a step.
    updated_at: Timestamp,
}

impl From<Replay> for ReplayBody {
    fn from(replay: Replay) -> Self {
        let Replay {
            replay_id,
            destination_id,
            selection: _,
            status,
            position: _,
            found,
            delivered,
            failed,
            created_at,
            updated_at,
        } = replay;
        Self { replay_id, destination_id, status, found, delivered, failed, created_at, updated_at }
    }
}
