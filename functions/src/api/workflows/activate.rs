//! `PUT /workflows/activate` and `…/deactivate`. AWS calls: one DynamoDB read of the user by id, or
//! two by name; one more for a workflow by name; one batch read and one transaction, both again
//! with a read of the user after a conflict with a concurrent request.

use axum::extract;
use tenon::{
    domain::{id::WorkflowId, names::UserRef, workflow::WorkflowName},
    http::{BackendOrUser, Fields, FromRoute, Input, Problem, Revised, Routed, Valid},
};
use utoipa::ToSchema;

use super::{ChangeState, WorkflowBody};

/// Selection of a workflow by id or name.
#[derive(Debug, Input, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[input(check(require_user: user_id), check(require_either: workflow_id, workflow_name))]
pub struct WorkflowSelector {
    /// User who owns the workflow; optional with a user token.
    user_id: Option<UserRef>,
    /// Id of the workflow.
    workflow_id: Option<WorkflowId>,
    /// Name of the workflow.
    workflow_name: Option<WorkflowName>,
}

fn require_user(fields: &mut Fields<'_>, user: &Option<UserRef>) {
    if user.is_none() && !fields.is_by_user() {
        fields.reject("userId", "is required");
    }
}

fn require_either(fields: &mut Fields<'_>, id: &Option<WorkflowId>, name: &Option<WorkflowName>) {
    if id.is_none() && name.is_none() {
        fields.reject("workflowId", "is required unless `workflowName` is given");
    }
}

/// Change of the state of a workflow.
#[derive(Clone, Copy, Debug)]
pub enum Action {
    /// The workflow becomes active.
    Activate,
    /// The workflow becomes inactive.
    Deactivate,
}

impl FromRoute for Action {
    const ROUTES: &'static [(&'static str, Self)] =
        &[("PUT /workflows/activate", Self::Activate), ("PUT /workflows/deactivate", Self::Deactivate)];
}

/// Activates a workflow. It still reads as inactive while its user is disabled.
#[utoipa::path(put, path = "/workflows/activate", tag = "workflows", operation_id = "activate_workflow",
    security(("apiKey" = ["manage"]), ("userToken" = [])), request_body = WorkflowSelector,
    responses((status = 200, body = WorkflowBody, headers(("ETag", description = "entity tag for If-Match"))), (status = 404, description = "workflow or user not found"),
        (status = 409, description = "the workflow was modified by concurrent requests")))]
pub async fn set_active(
    caller: BackendOrUser,
    extract::State(state): extract::State<ChangeState>,
    Routed(action): Routed<Action>,
    Valid(body): Valid<WorkflowSelector>,
) -> Result<Revised<WorkflowBody>, Problem> {
    let WorkflowSelector { user_id, workflow_id, workflow_name } = body;
    let owner = state.stores.owner(caller.environment, caller.user.as_ref(), user_id.as_ref()).await?;
    let named = match &workflow_name {
        Some(name) => state.stores.workflows.id_by_name(caller.environment, owner.user_id, name).await?,
        None => None,
    };
    let not_found = || Problem::not_found("workflow");
    // If both are given, they must select the same workflow.
    let id = match (workflow_id, &workflow_name) {
        (Some(id), None) => id,
        (Some(id), Some(_)) if named != Some(id) => return Err(not_found()),
        _ => named.ok_or_else(not_found)?,
    };
    let (owner, changed) = state.set_active(&caller, owner, &[id], matches!(action, Action::Activate)).await?;
    let workflow = changed.into_iter().next().ok_or_else(not_found)?;
    Ok(WorkflowBody::new(workflow, owner.owner_status()).revised())
}

/// Deactivates a workflow.
#[utoipa::path(put, path = "/workflows/deactivate", tag = "workflows",
    security(("apiKey" = ["manage"]), ("userToken" = [])), request_body = WorkflowSelector,
    responses((status = 200, body = WorkflowBody, headers(("ETag", description = "entity tag for If-Match"))), (status = 404, description = "workflow or user not found"),
        (status = 409, description = "the workflow was modified by concurrent requests")))]
#[expect(dead_code, reason = "documents the second route of the handler")]
fn deactivate_workflow() {}
