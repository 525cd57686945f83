//! `GET /workflows`. AWS calls: one DynamoDB read of the user by id, or two by name; one query of
//! the names of its workflows, and one read for the page.

use axum::extract;
use serde::Serialize;
use tenon::{
    domain::names::UserRef,
    http::{AnyCaller, Cursor, Input, Invalid, InvalidCursor, Json, PageParams, Problem, ProblemDocument, Valid},
    store::ReadOnly,
};
use utoipa::{IntoParams, ToSchema};

use super::{State, WorkflowBody};

/// Query parameters of the list of workflows.
#[derive(Debug, Input, IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub struct ListWorkflows {
    /// User who owns the workflows; optional with a user token.
    user_id: Option<UserRef>,
}

/// Page of workflows, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct WorkflowPage {
    /// Workflows of the page.
    data: Vec<WorkflowBody>,
    /// Cursor of the next page; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
}

/// Lists the workflows of a user, newest first.
#[utoipa::path(get, path = "/workflows", tag = "workflows",
    security(("apiKey" = ["manage"]), ("apiKey" = ["engine"]), ("userToken" = [])), params(ListWorkflows, PageParams), responses(
    (status = 200, body = WorkflowPage),
    (status = 404, body = ProblemDocument, description = "user not found"),
    InvalidCursor, Invalid,
))]
pub async fn list_workflows(
    caller: AnyCaller,
    extract::State(state): extract::State<State<ReadOnly>>,
    Valid((ListWorkflows { user_id }, page)): Valid<(ListWorkflows, PageParams)>,
) -> Result<Json<WorkflowPage>, Problem> {
    let owner = state.owner(caller.environment, caller.user, user_id.as_ref()).await?;
    let scope = format!("/workflows?userId={}", owner.user_id);
    let after = page.after(&scope)?;
    let mut ids = state.workflows.list_ids_by_user(caller.environment, owner.user_id).await?;
    ids.retain(|id| after.as_ref().is_none_or(|after| id.to_string() < *after));
    let more = ids.len() > page.limit();
    ids.truncate(page.limit());
    let workflows = state.workflows.get_all(caller.environment, &ids).await?;
    let cursor = ids.last().filter(|_| more).map(|last| Cursor::new(&scope, &last.to_string()).into_string());
    let data = workflows.into_iter().map(|workflow| WorkflowBody::new(workflow, owner.status)).collect();
    Ok(Json(WorkflowPage { data, cursor }))
}
