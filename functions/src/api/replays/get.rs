//! `GET /replays/{replayId}`. AWS calls: one DynamoDB read.

use axum::extract::State;
use tenon::{
    domain::id::ReplayId,
    http::{Backend, Json, NoInput, OrNotFound, Path, Problem},
    store::{ReadOnly, replays::Replays},
};

use super::ReplayBody;

/// Returns a replay with its progress.
#[utoipa::path(get, path = "/replays/{replayId}", tag = "destinations", security(("apiKey" = ["manage"])),
    responses((status = 200, body = ReplayBody)))]
pub async fn get_replay(
    caller: Backend,
    State(replays): State<Replays<ReadOnly>>,
    Path(id): Path<ReplayId>,
    _: NoInput,
) -> Result<Json<ReplayBody>, Problem> {
    let replay = replays.get(caller.environment, id).await?;
    replay.map(|replay| Json(replay.into())).or_not_found("replay")
}
