//! `DELETE /workflows/{workflowId}`. AWS calls: two DynamoDB reads (workflow and user)
//! and one transaction.

use axum::extract;
use tenon::{
    domain::id::WorkflowId,
    http::{Backend, Json, Path, Problem, Valid},
};

use super::{State, UserFilter};
use crate::api::success::Success;

/// Deletes a workflow. Its name is free immediately; its errors are kept until they expire.
#[utoipa::path(delete, path = "/workflows/{workflowId}", tag = "workflows", security(("apiKey" = ["manage"])),
    params(UserFilter), responses((status = 200, body = Success)))]
pub async fn delete_workflow(
    caller: Backend,
    extract::State(state): extract::State<State>,
    Path(id): Path<WorkflowId>,
    Valid(UserFilter { user_id }): Valid<UserFilter>,
) -> Result<Json<Success>, Problem> {
    let (workflow, _) = state.find(caller.environment, None, id, user_id.as_ref()).await?;
    match state.workflows.delete(caller.environment, &workflow).await? {
        true => Ok(Json(Success::new())),
        false => Err(Problem::not_found("workflow")),
    }
}
