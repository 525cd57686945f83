//! `DELETE /workflows/{workflowId}`. AWS calls: two DynamoDB reads (workflow and user), one more of the
//! installation that the workflow belongs to, and one transaction; again after a conflict with a
//! concurrent request.

use axum::extract;
use tenon::{
    domain::{
        id::{EnvironmentId, WorkflowId},
        timestamp::Timestamp,
        workflow::Workflow,
    },
    http::{Backend, Json, Path, Problem, Valid},
    start::FromAws,
    store::{StoreError, installations::Installations},
};

use super::{State, UserFilter};
use crate::api::{MAX_CHANGE_ATTEMPTS, success::Success};

/// State of the function.
#[derive(Clone, Debug, FromAws)]
pub struct DeleteState {
    state: State,
    installations: Installations,
}

impl DeleteState {
    /// Deletes a workflow, also from the installation that it belongs to. Returns false if one of them was
    /// changed since it was read.
    async fn delete(&self, environment: EnvironmentId, workflow: &Workflow) -> Result<bool, StoreError> {
        let integration = workflow.integration_id.as_ref().filter(|_| workflow.key.is_some());
        let before = match integration.and_then(|id| id.as_str().parse().ok()) {
            Some(id) => self.installations.get(environment, workflow.user_id, &id).await?,
            None => None,
        };
        let after = before.as_ref().and_then(|before| before.without(workflow.workflow_id, Timestamp::now()));
        match before.zip(after) {
            Some((before, after)) => self.installations.delete_workflow(environment, workflow, &before, &after).await,
            None => self.state.workflows.delete(environment, workflow).await,
        }
    }
}

/// Deletes a workflow, also from its installation. Its name is free immediately; its errors are kept until
/// they expire.
#[utoipa::path(delete, path = "/workflows/{workflowId}", tag = "workflows", security(("apiKey" = ["manage"])),
    params(UserFilter), responses((status = 200, body = Success),
        (status = 409, description = "the workflow was modified by concurrent requests")))]
pub async fn delete_workflow(
    caller: Backend,
    extract::State(state): extract::State<DeleteState>,
    Path(id): Path<WorkflowId>,
    Valid(UserFilter { user_id }): Valid<UserFilter>,
) -> Result<Json<Success>, Problem> {
    for _ in 0..MAX_CHANGE_ATTEMPTS {
        let (workflow, _) = state.state.find(caller.environment, None, id, user_id.as_ref()).await?;
        if state.delete(caller.environment, &workflow).await? {
            return Ok(Json(Success::new()));
        }
    }
    Err(Problem::modified_concurrently("workflow"))
}
