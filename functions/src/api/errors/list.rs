//! `GET /workflows/{workflowId}/errors`. AWS calls: two DynamoDB reads (workflow and user) and one
//! query; more queries only if the filters exclude most of the items read.

use axum::{extract, response::Response};
use tenon::{
    domain::{id::WorkflowId, names::UserRef},
    http::{BackendOrUser, Input, ListScope, PageParams, Path, Problem, Valid},
    start::FromAws,
    store::{
        ReadOnly,
        errors::{ErrorQuery, ErrorScope, Errors},
        record_pages::Window,
        workflows::Workflows,
    },
};
use utoipa::IntoParams;

use super::{ErrorFilters, ErrorPage, page_response};

/// Query parameters of the list of errors.
#[derive(Debug, Input, IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub struct ListErrors {
    /// User who must own the workflow; otherwise 404.
    user_id: Option<UserRef>,
}

/// State of the function.
#[derive(Clone, Debug, FromAws)]
pub struct State {
    workflows: Workflows<ReadOnly>,
    errors: Errors<ReadOnly>,
}

/// Lists the errors of a workflow, newest first.
#[utoipa::path(get, path = "/workflows/{workflowId}/errors", tag = "errors",
    security(("apiKey" = ["manage"]), ("userToken" = [])), params(ListErrors, ErrorFilters, PageParams),
    responses((status = 200, body = ErrorPage)))]
pub async fn list_errors(
    caller: BackendOrUser,
    extract::State(state): extract::State<State>,
    scope: ListScope,
    Path(workflow_id): Path<WorkflowId>,
    Valid((ListErrors { user_id }, (filters, page))): Valid<(ListErrors, (ErrorFilters, PageParams))>,
) -> Result<Response, Problem> {
    let environment = caller.environment;
    let after = page.after(&scope)?;

    let found = state.workflows.find_with_owner(environment, caller.user.as_ref(), workflow_id).await?;
    let found = found.filter(|(_, owner)| user_id.as_ref().is_none_or(|user| owner.matches(user)));
    found.ok_or_else(|| Problem::not_found("workflow"))?;

    let query = ErrorQuery {
        window: Window { after, limit: page.limit, ..Window::default() },
        ..filters.query(ErrorScope::Workflow(workflow_id))
    };
    Ok(page_response(&state.errors.page(environment, &query).await?, &scope))
}
