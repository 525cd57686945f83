//! `PUT /users/{user}/deactivate-workflows`. AWS calls: one DynamoDB read of the user by id, or two
//! by name; one query of the names of its workflows; one batch read for each 100 workflows, and one
//! transaction for each 49 that are active.

use axum::extract;
use serde::Serialize;
use tenon::{
    domain::names::UserRef,
    http::{Backend, BackendOrUser, Json, NoInput, Path, Problem},
};
use utoipa::ToSchema;

use super::ChangeState;

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
    extract::State(state): extract::State<ChangeState>,
    Path(user): Path<UserRef>,
    _: NoInput,
) -> Result<Json<DeactivatedWorkflows>, Problem> {
    let Backend { environment, actor, .. } = caller;
    let owner = state.stores.owner(environment, None, Some(&user)).await?;
    let ids = state.stores.workflows.ids_by_user(environment, owner.user_id).await?.require_all("workflow")?;
    state.set_active(&BackendOrUser { environment, actor, user: None }, owner, &ids, false).await?;
    Ok(Json(DeactivatedWorkflows { message: "Success" }))
}
