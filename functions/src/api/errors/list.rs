//! `GET /workflows/{workflowId}/errors`. AWS calls: two DynamoDB reads (workflow and user), one
//! more if `userId` is a username or email address, and one query; more queries only if the filters
//! exclude most of the items read.

use axum::{extract, response::Response};
use tenon::{
    domain::{error_log::EngineText, id::WorkflowId, names::UserRef, timestamp::Timestamp},
    http::{BackendOrUser, Input, Invalid, InvalidCursor, NotFound, PageParams, Path, Problem, Valid},
    start::FromAws,
    store::{
        ReadOnly,
        errors::{ErrorQuery, ErrorScope, Errors},
        users::Users,
        workflows::Workflows,
    },
};
use utoipa::IntoParams;

use super::{ErrorPage, page_response};

/// Query parameters of the list of errors.
#[derive(Debug, Input, IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub struct ListErrors {
    /// Start of the time range, inclusive; rounded down to a whole second.
    since: Option<Timestamp>,
    /// End of the time range, exclusive; rounded up to a whole second.
    until: Option<Timestamp>,
    /// Execution of the errors.
    execution_id: Option<EngineText>,
    /// Block type of the errors.
    block_type: Option<EngineText>,
    /// User who must own the workflow; otherwise 404.
    user_id: Option<UserRef>,
}

/// State of the function.
#[derive(Clone, Debug, FromAws)]
pub struct State {
    users: Users<ReadOnly>,
    workflows: Workflows<ReadOnly>,
    errors: Errors<ReadOnly>,
}

/// Lists the errors of a workflow, newest first.
#[utoipa::path(get, path = "/workflows/{workflowId}/errors", tag = "errors",
    security(("apiKey" = ["manage"]), ("userToken" = [])),
    params(("workflowId" = WorkflowId, Path), ListErrors, PageParams), responses(
    (status = 200, body = ErrorPage),
    InvalidCursor, NotFound, Invalid,
))]
pub async fn list_errors(
    caller: BackendOrUser,
    extract::State(state): extract::State<State>,
    Path(workflow_id): Path<WorkflowId>,
    Valid((filter, page)): Valid<(ListErrors, PageParams)>,
) -> Result<Response, Problem> {
    let environment = caller.environment;
    let scope = filter.describe(workflow_id);
    let ListErrors { since, until, execution_id, block_type, user_id } = filter;
    let after = page.after(&scope)?;

    let not_found = || Problem::not_found("workflow");
    let (_, owner) = state.workflows.find_with_owner(environment, workflow_id).await?.ok_or_else(not_found)?;
    let named = match &user_id {
        Some(user) => state.users.resolve(environment, user).await?,
        None => Some(owner.user_id),
    };
    if !caller.can_access(owner.user_id) || named != Some(owner.user_id) {
        return Err(not_found());
    }

    let error_scope = ErrorScope::Workflow(workflow_id);
    let query = ErrorQuery {
        scope: error_scope,
        since,
        until,
        execution_id,
        block_type,
        after,
        limit: page.limit(),
        ..ErrorQuery::default()
    };
    Ok(page_response(&state.errors.page(environment, &query).await?, &scope))
}

impl ListErrors {
    /// Returns the list to which a cursor belongs: path and filters.
    fn describe(&self, workflow_id: WorkflowId) -> String {
        let Self { since, until, execution_id, block_type, user_id } = self;
        format!("/workflows/{workflow_id}/errors {since:?} {until:?} {execution_id:?} {block_type:?} {user_id:?}")
    }
}
