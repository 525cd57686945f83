//! `DELETE /workflows/{workflowId}`. AWS calls: two DynamoDB reads (workflow and user)
//! and one transaction; again after a conflict with a concurrent request.

use axum::extract;
use tenon::{
    domain::id::WorkflowId,
    http::{Backend, Json, Path, Problem, Valid},
};

use super::{State, UserFilter};
use crate::api::{MAX_CHANGE_ATTEMPTS, success::Success};

/// Deletes a workflow. Its name is free immediately; its errors are kept until they expire.
#[utoipa::path(delete, path = "/workflows/{workflowId}", tag = "workflows", security(("apiKey" = ["manage"])),
    params(UserFilter), responses((status = 200, body = Success),
        (status = 409, description = "the workflow was modified by concurrent requests")))]
pub async fn delete_workflow(
    caller: Backend,
    extract::State(state): extract::State<State>,
    Path(id): Path<WorkflowId>,
    Valid(UserFilter { user_id }): Valid<UserFilter>,
) -> Result<Json<Success>, Problem> {
    for _ in 0..MAX_CHANGE_ATTEMPTS {
        let (workflow, _) = state.find(caller.environment, None, id, user_id.as_ref()).await?;
        if state.workflows.delete(caller.environment, &workflow).await? {
            return Ok(Json(Success::new()));
        }
    }
    Err(Problem::modified_concurrently("workflow"))
}
