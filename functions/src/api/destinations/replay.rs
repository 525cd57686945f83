//! `POST /destinations/{destinationId}/replay`. AWS calls: one DynamoDB read, one write and one
//! message; with an Idempotency-Key two more writes.

use axum::extract;
use serde::Serialize;
use tenon::{
    delivery::queues::{Queue, ReplayStep},
    domain::{
        delivery::DeliveryStatus,
        id::{DestinationId, ErrorId, EventId, ReplayId},
        replay::{MAX_IDS, Replay, ReplaySelection},
        request_seed::RequestSeed,
        timestamp::Timestamp,
    },
    http::{Accepted, Backend, Fields, IdempotencyKey, Input, OrNotFound, Path, Problem, ProblemType, Valid},
    logs::ErrorChain,
    start::FromAws,
    store::{destinations::Destinations, replays::Replays},
};
use utoipa::ToSchema;

/// Selection of the records to replay, of those that the destination wants: a time range, a list of
/// ids, or all whose delivery is pending, failed or was cancelled.
#[derive(Input, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[input(check(check_range: since, until), check(check_selection: pending, failed, cancelled))]
struct StartReplay {
    /// Start of the time range, inclusive; rounded down to a whole second.
    since: Option<Timestamp>,
    /// End of the time range, exclusive; rounded up to a whole second. Defaults to the current
    /// time.
    until: Option<Timestamp>,
    /// Ids of the errors, at most 1,000.
    #[input(max = MAX_IDS, min = 1)]
    #[schema(min_items = 1, max_items = 1000)]
    error_ids: Option<Vec<ErrorId>>,
    /// Ids of the events, at most 1,000.
    #[input(max = MAX_IDS, min = 1)]
    #[schema(min_items = 1, max_items = 1000)]
    event_ids: Option<Vec<EventId>>,
    /// Whether to attempt all pending deliveries to this destination now.
    pending: Option<bool>,
    /// Whether to replay all records whose delivery to this destination failed.
    failed: Option<bool>,
    /// Whether to replay all records whose delivery to this destination was cancelled.
    cancelled: Option<bool>,
}

/// Replay before it is started.
#[derive(Debug)]
pub struct NewReplay(ReplaySelection);

impl Input for NewReplay {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let StartReplay { since, until, error_ids, event_ids, pending, failed, cancelled } = StartReplay::read(fields)?;
        let wanted = [
            (pending, DeliveryStatus::Pending),
            (failed, DeliveryStatus::Failed),
            (cancelled, DeliveryStatus::Cancelled),
        ];
        let wanted = wanted.into_iter().filter(|(wanted, _)| *wanted == Some(true));
        let statuses: Vec<DeliveryStatus> = wanted.map(|(_, status)| status).collect();
        let selection = match (since, until, error_ids, event_ids, statuses.is_empty()) {
            (Some(since), until, None, None, true) => {
                ReplaySelection::Range { since, until: until.unwrap_or_else(Timestamp::now) }
            }
            (None, None, Some(ids), None, true) => ReplaySelection::Errors(sorted_unique(ids)),
            (None, None, None, Some(ids), true) => ReplaySelection::Events(sorted_unique(ids)),
            (None, None, None, None, false) => ReplaySelection::Deliveries(statuses),
            // Rejected by `check_selection`.
            _ => return None,
        };
        Some(Self(selection))
    }
}

fn check_range(fields: &mut Fields<'_>, since: &Option<Timestamp>, until: &Option<Timestamp>) {
    match (since, until) {
        (Some(since), Some(until)) if until <= since => fields.reject("until", "must be after `since`"),
        (Some(since), None) if Timestamp::now() <= *since => fields.reject("since", "must be in the past"),
        _ => {}
    }
}

fn check_selection(fields: &mut Fields<'_>, pending: &Option<bool>, failed: &Option<bool>, cancelled: &Option<bool>) {
    let (has_since, has_until) = (fields.has("since"), fields.has("until"));
    let by_status = [pending, failed, cancelled].contains(&&Some(true));
    let given = [has_since || has_until, fields.has("errorIds"), fields.has("eventIds"), by_status];
    if given.into_iter().filter(|given| *given).count() != 1 {
        fields.reject_object(
            "must contain exactly one of: `since` with an optional `until`; `errorIds`; `eventIds`; any of `pending: true`, `failed: true` and `cancelled: true`",
        );
    } else if has_until && !has_since {
        fields.reject("since", "is required with `until`");
    }
}

fn sorted_unique<T: Ord>(mut ids: Vec<T>) -> Vec<T> {
    ids.sort();
    ids.dedup();
    ids
}

/// State of the function.
#[derive(Clone, Debug, FromAws)]
pub struct State {
    destinations: Destinations,
    replays: Replays,
    #[aws(queue = "REPLAYS_QUEUE")]
    steps: Queue,
}

/// Started replay.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StartedReplay {
    /// Id of the replay, used to query its progress and to cancel it: `/replays/{replayId}`.
    replay_id: ReplayId,
}

/// Starts a replay: queues errors and events for a destination again, including those that were
/// stored while it was disabled.
#[utoipa::path(post, path = "/destinations/{destinationId}/replay", tag = "destinations",
    security(("apiKey" = ["manage"])), params(IdempotencyKey), request_body = StartReplay,
    responses((status = 202, body = StartedReplay), (status = 409, description = "the destination is disabled")))]
pub async fn start_replay(
    caller: Backend,
    extract::State(State { destinations, replays, steps }): extract::State<State>,
    Path(id): Path<DestinationId>,
    seed: RequestSeed,
    Valid(NewReplay(selection)): Valid<NewReplay>,
) -> Result<Accepted<StartedReplay>, Problem> {
    let replay_id = seed.id(0);
    let start_delay = selection.start_delay();
    let existing = if seed.is_retry { replays.get(caller.environment, replay_id).await? } else { None };
    if existing.is_none() {
        let destination = destinations.get(caller.environment, id).await?.or_not_found("destination")?;
        if !destination.enabled {
            let detail = "the destination is disabled: enable it before a replay";
            return Err(Problem::new(ProblemType::DestinationDisabled, detail));
        }
        let replay = Replay::new(replay_id, id, selection, seed.at);
        replays.create(caller.environment, &replay).await?;
    }
    let step = ReplayStep::ReplayStepV1 { environment_id: caller.environment, replay_id, position: None };
    let now = Timestamp::now();
    // The replay exists, so that a failure here must not make the caller start another one.
    if let Err(error) = steps.send(&caller.environment.to_string(), &step, now + start_delay, now).await {
        tracing::warn!(error = %ErrorChain(&error), %replay_id, "failed to start replay; the sweep starts it");
    }
    Ok(Accepted(StartedReplay { replay_id }))
}
