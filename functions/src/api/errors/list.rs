//! `GET /workflows/{workflowId}/errors`. AWS calls: two DynamoDB reads (workflow and user) and one
//! query; more queries only if the filters exclude most of the items read.

use axum::{extract, response::Response};
use tenon::{
    domain::id::WorkflowId,
    http::{BackendOrUser, ListScope, PageParams, Path, Problem, Valid},
    start::FromAws,
    store::{
        ReadOnly,
        errors::{ErrorQuery, ErrorScope, Errors},
        record_pages::Window,
        workflows::Workflows,
    },
};

use super::{ErrorFilters, ErrorPage, page_response};
use crate::api::workflows::{self, UserFilter};

/// State of the function.
#[derive(Clone, Debug, FromAws)]
pub struct State {
    workflows: Workflows<ReadOnly>,
    errors: Errors<ReadOnly>,
}

/// Lists the errors of a workflow, newest first.
#[utoipa::path(get, path = "/workflows/{workflowId}/errors", tag = "errors",
    security(("apiKey" = ["manage"]), ("userToken" = [])), params(UserFilter, ErrorFilters, PageParams),
    responses((status = 200, body = ErrorPage)))]
pub async fn list_errors(
    caller: BackendOrUser,
    extract::State(state): extract::State<State>,
    scope: ListScope,
    Path(workflow_id): Path<WorkflowId>,
    Valid((UserFilter { user_id }, (filters, page))): Valid<(UserFilter, (ErrorFilters, PageParams))>,
) -> Result<Response, Problem> {
    let environment = caller.environment;
    workflows::find(&state.workflows, environment, caller.user.as_ref(), workflow_id, user_id.as_ref()).await?;
    let query = ErrorQuery {
        window: Window { after: scope.after().map(str::to_owned), limit: page.limit, ..Window::default() },
        ..filters.query(ErrorScope::Workflow(workflow_id))
    };
    Ok(page_response(&state.errors.page(environment, &query).await?, &scope))
}
