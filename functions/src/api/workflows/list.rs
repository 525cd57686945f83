//! `GET /workflows`. AWS calls: one DynamoDB read of the user by id, or two by name; one query of
//! the names of its workflows, and one read for the page.

use axum::extract;
use tenon::{
    domain::{id::WorkflowId, names::UserRef},
    http::{AnyCaller, Input, Json, List, PageParams, Problem, Valid},
    store::{Page, ReadOnly},
};
use utoipa::IntoParams;

use super::{State, WorkflowBody};

/// Query parameters of the list of workflows.
#[derive(Debug, Input, IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub struct ListWorkflows {
    /// User who owns the workflows; optional with a user token.
    user_id: Option<UserRef>,
}

/// Lists the workflows of a user, newest first.
#[utoipa::path(get, path = "/workflows", tag = "workflows",
    security(("apiKey" = ["manage"]), ("apiKey" = ["engine"]), ("userToken" = [])), params(ListWorkflows, PageParams),
    responses((status = 200, body = List<WorkflowBody>), (status = 404, description = "user not found")))]
pub async fn list_workflows(
    caller: AnyCaller,
    extract::State(state): extract::State<State<ReadOnly>>,
    Valid((ListWorkflows { user_id }, page)): Valid<(ListWorkflows, PageParams)>,
) -> Result<Json<List<WorkflowBody>>, Problem> {
    let owner = state.owner(caller.environment, caller.user, user_id.as_ref()).await?;
    let scope = format!("/workflows?userId={}", owner.user_id);
    let after = page.after(&scope)?;
    let ids = state.workflows.list_ids_by_user(caller.environment, owner.user_id).await?;
    let Page { items: ids, next } = page.select(ids, after.as_deref(), WorkflowId::to_string);
    let workflows = state.workflows.get_all(caller.environment, &ids).await?;
    let items = workflows.into_iter().map(|workflow| WorkflowBody::new(workflow, owner.status)).collect();
    Ok(List::of(&scope, Page::<WorkflowBody> { items, next }))
}
