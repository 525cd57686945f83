//! `PUT /users/{user}/deactivate-workflows`. AWS calls: one DynamoDB read of the user by id, or two
//! by name; one query of the names of its workflows; one read of each workflow, and one write for each
//! that is active, at most 20 concurrently.

use axum::extract;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde::Serialize;
use tenon::{
    domain::{
        access::{Allowed, CallingUser},
        names::UserRef,
    },
    http::{Backend, Json, NoInput, Path, Problem},
};
use utoipa::ToSchema;

use super::State;

/// Maximum number of concurrent writes.
const MAX_CONCURRENT: usize = 20;

/// Confirmation of success.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeactivatedWorkflows {
    /// Always `Success`.
    message: &'static str,
}

/// Deactivates all workflows of a user.
#[utoipa::path(put, path = "/users/{user}/deactivate-workflows", tag = "workflows", security(("apiKey" = ["manage"])),
    responses((status = 200, body = DeactivatedWorkflows),
        (status = 409, description = "a workflow was modified by concurrent requests")))]
pub async fn deactivate_workflows(
    caller: Backend,
    extract::State(state): extract::State<State>,
    Path(user): Path<UserRef>,
    _: NoInput,
) -> Result<Json<DeactivatedWorkflows>, Problem> {
    let owner = state.owner(caller.environment, None, Some(&user)).await?;
    let ids = state.workflows.list_ids_by_user(caller.environment, owner.user_id).await?;
    let user = CallingUser { user_id: owner.user_id, allowed: Allowed::default() };
    let writes = ids.into_iter().map(|id| state.set_active(caller.environment, &user, id, false));
    stream::iter(writes).buffer_unordered(MAX_CONCURRENT).try_for_each(async |_| Ok(())).await?;
    Ok(Json(DeactivatedWorkflows { message: "Success" }))
}
