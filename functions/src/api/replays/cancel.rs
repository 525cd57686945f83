//! `DELETE /replays/{replayId}`. AWS calls: one DynamoDB write.

use axum::extract::State;
use tenon::{
    domain::id::ReplayId,
    http::{Backend, Json, NoInput, OrNotFound, Path, Problem},
    store::replays::Replays,
};

use super::ReplayBody;

/// Cancels a replay and the deliveries that are still pending because of it. A replay that is done
/// stays done.
#[utoipa::path(delete, path = "/replays/{replayId}", tag = "destinations", security(("apiKey" = ["manage"])),
    responses((status = 200, body = ReplayBody)))]
pub async fn cancel_replay(
    caller: Backend,
    State(replays): State<Replays>,
    Path(id): Path<ReplayId>,
    _: NoInput,
) -> Result<Json<ReplayBody>, Problem> {
    let cancelled = replays.cancel(caller.environment, id).await?;
    cancelled.map(|replay| Json(replay.into())).or_not_found("replay")
}
