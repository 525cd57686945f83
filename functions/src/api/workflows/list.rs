//! `GET /workflows`. AWS calls: of a user, one DynamoDB read of the user by id, or two by name, one
//! query of the names of its workflows, and one read for the page, or of all of them for a limited
//! token; of the environment, one query for each of four partitions and one batch read of the
//! owners.

use axum::extract;
use tenon::{
    domain::{id::WorkflowId, names::UserRef},
    http::{AnyCaller, Input, Json, List, ListScope, PageParams, Problem, Valid},
    store::{Page, ReadOnly},
};
use utoipa::IntoParams;

use super::{Stores, WorkflowBody};

/// Query parameters of the list of workflows.
#[derive(Debug, Input, IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub struct ListWorkflows {
    /// User who owns the workflows; with a user token always that of the token.
    user_id: Option<UserRef>,
}

/// Lists the workflows of a user, or of the whole environment, newest first. A new workflow can be
/// missing from the list of the environment for a moment.
#[utoipa::path(get, path = "/workflows", tag = "workflows",
    security(("apiKey" = ["manage"]), ("apiKey" = ["engine"]), ("userToken" = [])), params(ListWorkflows, PageParams),
    responses((status = 200, body = List<WorkflowBody>), (status = 404, description = "user not found")))]
pub async fn list_workflows(
    caller: AnyCaller,
    extract::State(state): extract::State<Stores<ReadOnly>>,
    scope: ListScope,
    Valid((ListWorkflows { user_id }, page)): Valid<(ListWorkflows, PageParams)>,
) -> Result<Json<List<WorkflowBody>>, Problem> {
    if caller.user.is_none() && user_id.is_none() {
        let found = state.workflows.page(caller.environment, page.request(&scope)).await?;
        return Ok(List::of(&scope, found.map(|(workflow, owner)| WorkflowBody::new(workflow, owner.owner_status()))));
    }
    let owner = state.owner(caller.environment, caller.user.as_ref(), user_id.as_ref()).await?;
    let ids = state.workflows.ids_by_user(caller.environment, owner.user_id).await?.items;
    let found = match &caller.user {
        Some(user) if !user.allowed.is_all() => {
            let mut all = state.workflows.get_all(caller.environment, &ids).await?.items;
            all.retain(|workflow| user.can_access(workflow));
            page.select(all, &scope, |workflow| workflow.workflow_id.to_string())
        }
        _ => {
            let Page { items, next } = page.select(ids, &scope, WorkflowId::to_string);
            Page { items: state.workflows.get_all(caller.environment, &items).await?.items, next }
        }
    };
    Ok(List::of(&scope, found.map(|workflow| WorkflowBody::new(workflow, owner.owner_status()))))
}
