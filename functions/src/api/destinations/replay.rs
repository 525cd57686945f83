//! `POST /destinations/{destinationId}/replay`. AWS calls: one DynamoDB read, one write and one message; two writes
//! more with an Idempotency-Key.

use aws_config::SdkConfig;
use axum::extract::State;
use serde::Serialize;
use tenon::{
    aws::setting,
    delivery::queues::{Queue, ReplayStep},
    domain::{
        id::{DestinationId, ErrorId, ReplayId},
        replay::{MAX_ERROR_IDS, Replay, ReplayStatus, Selection},
        request_seed::RequestSeed,
        timestamp::Timestamp,
    },
    http::{Accepted, Backend, Fields, IdempotentState, Input, Path, Problem, ProblemDocument, StartError, Valid},
    store::{Table, destinations::Destinations, replays::Replays},
};
use utoipa::ToSchema;

/// What the function is given.
#[derive(Clone, Debug)]
pub struct AppState {
    destinations: Destinations,
    replays: Replays,
    steps: Queue,
}

impl IdempotentState for AppState {
    fn directory(&self) -> &Table {
        &self.replays.0
    }
}

/// Opens the connection to DynamoDB.
pub async fn state(config: &SdkConfig) -> Result<AppState, StartError> {
    let directory = Table::directory(config, 1).await?;
    let steps = Queue::new(config, setting("REPLAYS_QUEUE")?);
    Ok(AppState { destinations: Destinations(directory.clone()), replays: Replays(directory), steps })
}

/// Which errors are sent once more: those of a time range, these, or all whose deliveries have failed.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "it describes for the document what NewReplay reads")]
struct StartReplay {
    /// From the second in which this lies.
    since: Option<Timestamp>,
    /// To the last second that begins before this; now where it is absent.
    until: Option<Timestamp>,
    /// These errors, up to 1,000.
    error_ids: Option<Vec<ErrorId>>,
    /// All whose deliveries to this destination have failed.
    failed: Option<bool>,
}

/// A replay before it is started.
#[derive(Debug)]
pub struct NewReplay {
    selection: Selection,
}

impl Input for NewReplay {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let since = fields.optional::<Timestamp>("since");
        let until = fields.optional::<Timestamp>("until");
        let error_ids = fields.list::<ErrorId>("errorIds", MAX_ERROR_IDS);
        let failed = fields.optional::<bool>("failed");
        let selection = match (since?, until?, error_ids?, failed?) {
            (Some(since), until, None, None | Some(false)) => {
                if until.is_some_and(|until| until <= since) {
                    fields.reject("until", "must be after `since`");
                }
                Selection::Range { since: Some(since), until: Some(until.unwrap_or_else(Timestamp::now)) }
            }
            (None, None, Some(mut ids), None | Some(false)) => {
                ids.sort();
                ids.dedup();
                if ids.is_empty() {
                    fields.reject("errorIds", "must name at least one error");
                }
                Selection::Errors(ids)
            }
            (None, None, None, Some(true)) => Selection::Failed,
            (None, Some(_), None, None | Some(false)) => {
                fields.reject("since", "is required beside `until`");
                return None;
            }
            _ => {
                fields.reject_all("must name one of: `since` and `until`, `errorIds`, or `failed: true`");
                return None;
            }
        };
        Some(Self { selection })
    }
}

/// That errors are sent once more.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StartedReplay {
    /// By which progress is told and the replay is cancelled: `/replays/{replayId}`.
    replay_id: ReplayId,
}

/// Sends errors to a destination once more, also such as were recorded while it was off.
#[utoipa::path(post, path = "/destinations/{destinationId}/replay", tag = "destinations",
    security(("apiKey" = ["manage"])), params(("destinationId" = DestinationId, Path), ("Idempotency-Key" = Option<String>, Header, description = "by which a repeat gets the first answer again")), request_body = StartReplay,
    responses(
    (status = 202, body = StartedReplay),
    (status = 404, body = ProblemDocument),
    (status = 409, body = ProblemDocument, description = "the destination is off"),
    (status = 422, body = ProblemDocument),
))]
pub async fn start_replay(
    caller: Backend,
    State(AppState { destinations, replays, steps }): State<AppState>,
    Path(id): Path<DestinationId>,
    seed: RequestSeed,
    Valid(NewReplay { selection }): Valid<NewReplay>,
) -> Result<Accepted<StartedReplay>, Problem> {
    let replay_id = seed.id(0);
    let existing = if seed.is_retry { replays.get(caller.environment, replay_id).await? } else { None };
    if existing.is_none() {
        let found = destinations.get(caller.environment, id).await?;
        let destination = found.ok_or_else(|| Problem::not_found("destination"))?;
        if !destination.enabled {
            return Err(Problem::conflict(
                "destination-disabled",
                "the destination is off: switch it on before a replay",
            ));
        }
        let now = seed.at;
        let replay = Replay {
            replay_id,
            destination_id: id,
            selection,
            status: ReplayStatus::Running,
            position: None,
            found: 0,
            delivered: 0,
            failed: 0,
            created_at: now,
            updated_at: now,
        };
        replays.create(caller.environment, &replay).await?;
    }
    let step = ReplayStep::ReplayStepV1 { environment_id: caller.environment, replay_id };
    let now = Timestamp::now();
    // Where this fails, nobody is told of the replay; a repeat with the same Idempotency-Key goes on with it.
    steps.send(&caller.environment.to_string(), &step, now, now).await?;
    Ok(Accepted(StartedReplay { replay_id }))
}
