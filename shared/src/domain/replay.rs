//! Replays: jobs that send records to a destination again.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    delivery::{DeliveryStatus, MAX_PENDING_AGE},
    id::{DestinationId, ErrorId, EventId, ReplayId},
    timestamp::Timestamp,
};

/// Maximum number of ids in a replay.
pub const MAX_IDS: usize = 1000;

/// Replay: a job that queues records for delivery, step by step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Replay {
    /// Replay id.
    pub replay_id: ReplayId,
    /// Destination of the records.
    pub destination_id: DestinationId,
    /// Records to replay.
    pub selection: ReplaySelection,
    /// Status of the search for records (see [`Replay::status_at`]).
    pub status: ReplayStatus,
    /// Position from which the next step continues; `None` before the first step.
    #[serde(default)]
    pub position: Option<ReplayPosition>,
    /// Number of records that were found and queued for delivery.
    pub found: u64,
    /// Number of found records that were delivered.
    pub delivered: u64,
    /// Number of found records that are not delivered: their attempts are exhausted, their delivery
    /// was cancelled, or they no longer exist.
    pub failed: u64,
    /// Number of found records that are neither delivered nor failed.
    pub pending: i64,
    /// Creation time.
    pub created_at: Timestamp,
    /// Time of the last step.
    pub updated_at: Timestamp,
}

impl Replay {
    /// Creates a replay before its first step.
    pub fn new(replay_id: ReplayId, destination_id: DestinationId, selection: ReplaySelection, now: Timestamp) -> Self {
        Self {
            replay_id,
            destination_id,
            selection,
            status: ReplayStatus::Running,
            position: None,
            found: 0,
            delivered: 0,
            failed: 0,
            pending: 0,
            created_at: now,
            updated_at: now,
        }
    }

    /// Returns the status of search and deliveries.
    ///
    /// Deliveries that were deleted, with their destination or by an erasure, stay in `pending`.
    /// They count until no delivery can still be pending.
    pub fn status_at(&self, now: Timestamp) -> ReplayStatus {
        let pending = self.pending > 0 && now < self.updated_at + MAX_PENDING_AGE;
        if self.status == ReplayStatus::Done && pending { ReplayStatus::Running } else { self.status }
    }
}

/// Time in which DynamoDB updates the index in which a replay finds records, usually within a
/// second. The ids and times of records do not show when they were stored: the engine may choose
/// them.
const INDEX_DELAY: Duration = Duration::from_secs(3);

/// Selection of the records to replay, of those that the destination wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ReplaySelection {
    /// Records of a time range.
    #[serde(rename_all = "camelCase")]
    Range {
        /// Start of the range, inclusive, rounded down to the second.
        since: Timestamp,
        /// End of the range, exclusive, rounded up to the second.
        until: Timestamp,
    },
    /// Errors with these ids.
    Errors(Vec<ErrorId>),
    /// Events with these ids.
    Events(Vec<EventId>),
    /// Records whose delivery to the destination has one of these statuses.
    Deliveries(Vec<DeliveryStatus>),
}

impl ReplaySelection {
    /// Returns the time from the request to the first step, so that the replay finds what was
    /// stored before the request. Deliveries that are still pending are sent in any case, so that
    /// those alone are not waited for.
    pub fn start_delay(&self) -> Duration {
        match self {
            Self::Deliveries(statuses) if statuses.iter().all(|status| *status == DeliveryStatus::Pending) => {
                Duration::ZERO
            }
            _ => INDEX_DELAY,
        }
    }
}

/// Position of a replay in the data that it reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplayPosition {
    /// Number of the partition or delivery status that is read, or number of records looked up by
    /// id.
    pub part: u32,
    /// Last sort key read in that partition.
    pub after: Option<String>,
}

/// Status of a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReplayStatus {
    /// The replay is searching for records, or some of their deliveries are pending.
    Running,
    /// Every record was delivered or has failed.
    Done,
    /// The replay was cancelled: its pending deliveries are not sent.
    Cancelled,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replay_waits_for_the_index_unless_it_selects_only_what_is_sent_in_any_case() {
        let range = ReplaySelection::Range { since: Timestamp::from_seconds(0), until: Timestamp::from_seconds(1) };
        let cancelled = ReplaySelection::Deliveries(vec![DeliveryStatus::Pending, DeliveryStatus::Cancelled]);
        for selection in [range, ReplaySelection::Errors(Vec::new()), ReplaySelection::Events(Vec::new()), cancelled] {
            assert_eq!(selection.start_delay(), INDEX_DELAY, "{selection:?}");
        }
        assert_eq!(ReplaySelection::Deliveries(vec![DeliveryStatus::Pending]).start_delay(), Duration::ZERO);
    }
}
