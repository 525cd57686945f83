//! Replays: jobs that send records, which are errors and events, to a destination again.

use serde::Serialize;
use tenon::domain::{
    delivery::DeliveryStatus,
    id::{DestinationId, ErrorId, EventId, ReplayId},
    replay::{Replay, ReplaySelection, ReplayStatus},
    timestamp::Timestamp,
};
use utoipa::{OpenApi, ToSchema};

pub mod cancel;
pub mod get;
pub mod list;

/// Operations of the resource.
#[derive(Debug, OpenApi)]
#[openapi(paths(get::get_replay, cancel::cancel_replay, list::list_replays,))]
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
    /// Selection of the records, as in the request that started the replay.
    request: ReplayRequest,
    /// Status of the replay.
    status: ReplayStatus,
    /// Number of records, errors and events, found and queued for delivery. Equal to `delivered` +
    /// `failed` at the end.
    found: u64,
    /// Number of these records that were delivered.
    delivered: u64,
    /// Number of these records that are not delivered: their attempts are exhausted, their delivery
    /// was cancelled, or they no longer exist.
    failed: u64,
    /// Creation time.
    created_at: Timestamp,
    /// Time of the last step of the search, or of the cancellation.
    updated_at: Timestamp,
}

/// Selection of the records of a replay. Has only the members of its kind.
#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReplayRequest {
    /// Start of the time range, inclusive.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    since: Option<Timestamp>,
    /// End of the time range, exclusive. The time of the request if it had none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    until: Option<Timestamp>,
    /// Ids of the errors.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    error_ids: Option<Vec<ErrorId>>,
    /// Ids of the events.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    event_ids: Option<Vec<EventId>>,
    /// `true` if the replay selects pending deliveries.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pending: Option<bool>,
    /// `true` if the replay selects failed deliveries.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    failed: Option<bool>,
    /// `true` if the replay selects cancelled deliveries.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    cancelled: Option<bool>,
}

impl From<ReplaySelection> for ReplayRequest {
    fn from(selection: ReplaySelection) -> Self {
        match selection {
            ReplaySelection::Range { since, until } => {
                Self { since: Some(since), until: Some(until), ..Self::default() }
            }
            ReplaySelection::Errors(ids) => Self { error_ids: Some(ids), ..Self::default() },
            ReplaySelection::Events(ids) => Self { event_ids: Some(ids), ..Self::default() },
            ReplaySelection::Deliveries(statuses) => {
                let selects = |status| statuses.contains(&status).then_some(true);
                Self {
                    pending: selects(DeliveryStatus::Pending),
                    failed: selects(DeliveryStatus::Failed),
                    cancelled: selects(DeliveryStatus::Cancelled),
                    ..Self::default()
                }
            }
        }
    }
}

impl From<Replay> for ReplayBody {
    fn from(replay: Replay) -> Self {
        let status = replay.status_at(Timestamp::now());
        let Replay {
            replay_id,
            destination_id,
            selection,
            status: _,
            position: _,
            found,
            delivered,
            failed,
            pending: _,
            created_at,
            updated_at,
        } = replay;
        let request = selection.into();
        Self { replay_id, destination_id, request, status, found, delivered, failed, created_at, updated_at }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn request_has_the_members_that_started_the_replay() {
        let (since, until) = (Timestamp::from_seconds(1_795_498_200), Timestamp::from_seconds(1_795_501_800));
        let (error, event) = (ErrorId::new(), EventId::new());
        let (pending, failed, cancelled) = (DeliveryStatus::Pending, DeliveryStatus::Failed, DeliveryStatus::Cancelled);
        for (selection, request) in [
            (
                ReplaySelection::Range { since, until },
                json!({ "since": "2026-11-24T05:30:00.000Z", "until": "2026-11-24T06:30:00.000Z" }),
            ),
            (ReplaySelection::Errors(vec![error]), json!({ "errorIds": [error] })),
            (ReplaySelection::Events(vec![event]), json!({ "eventIds": [event] })),
            (ReplaySelection::Deliveries(vec![failed]), json!({ "failed": true })),
            (ReplaySelection::Deliveries(vec![pending]), json!({ "pending": true })),
            (ReplaySelection::Deliveries(vec![failed, cancelled]), json!({ "failed": true, "cancelled": true })),
        ] {
            assert_eq!(serde_json::to_value(ReplayRequest::from(selection)).unwrap(), request);
        }
    }
}
