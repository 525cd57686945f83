//! `GET /workflows/{workflowId}`. AWS calls: two DynamoDB reads (workflow and user).

use axum::extract;
use tenon::{
    domain::id::WorkflowId,
    http::{AnyCaller, Path, Problem, Revised, Valid},
    store::ReadOnly,
};

use super::{Stores, UserFilter, WorkflowBody};

/// Returns a workflow.
#[utoipa::path(get, path = "/workflows/{workflowId}", tag = "workflows",
    security(("apiKey" = ["manage"]), ("apiKey" = ["engine"]), ("userToken" = [])), params(UserFilter),
    responses((status = 200, body = WorkflowBody, headers(("ETag", description = "entity tag for If-Match")))))]
pub async fn get_workflow(
    caller: AnyCaller,
    extract::State(state): extract::State<Stores<ReadOnly>>,
    Path(id): Path<WorkflowId>,
    Valid(UserFilter { user_id }): Valid<UserFilter>,
) -> Result<Revised<WorkflowBody>, Problem> {
    let (workflow, owner) =
        super::find(&state.workflows, caller.environment, caller.user.as_ref(), id, user_id.as_ref()).await?;
    Ok(WorkflowBody::new(workflow, owner.owner_status()).revised())
}
