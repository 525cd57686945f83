//! `GET /logs`. AWS calls: eight concurrent DynamoDB queries and one read; for a user one query and
//! one read; for a workflow one query; one read before them if `userId` is a username or email
//! address. More queries only if the filters exclude most of the items read.

use axum::{extract, response::Response};
use tenon::{
    domain::{id::WorkflowId, names::UserRef},
    http::{Backend, Input, ListScope, PageParams, Problem, Valid},
    start::FromAws,
    store::{
        ReadOnly,
        errors::{ErrorQuery, ErrorScope, Errors},
        records::SHARDS,
        users::Users,
    },
};
use utoipa::IntoParams;

use super::{ErrorFilters, ErrorPage, page_response};
use crate::api::records::{ListOrder, find_user};

/// Query parameters of the list of errors.
#[derive(Debug, Input, IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub struct ListLogs {
    /// User of the errors.
    user_id: Option<UserRef>,
    /// Workflow of the errors.
    workflow_id: Option<WorkflowId>,
}

/// State of the function.
#[derive(Clone, Debug, FromAws)]
#[aws(connections = SHARDS)]
pub struct State {
    users: Users<ReadOnly>,
    errors: Errors<ReadOnly>,
}

/// Lists the errors of the environment, including those of deleted users and workflows.
#[utoipa::path(get, path = "/logs", tag = "errors", security(("apiKey" = ["manage"])),
    params(ListLogs, ErrorFilters, ListOrder, PageParams),
    responses((status = 200, body = ErrorPage), (status = 404, description = "user not found")))]
pub async fn list_logs(
    caller: Backend,
    extract::State(State { users, errors }): extract::State<State>,
    scope: ListScope,
    Valid(((list, filters), (order, page))): Valid<((ListLogs, ErrorFilters), (ListOrder, PageParams))>,
) -> Result<Response, Problem> {
    let ListLogs { user_id, workflow_id } = list;
    let user_id = find_user(&users, caller.environment, user_id.as_ref()).await?;
    let error_scope = match (workflow_id, user_id) {
        (Some(workflow), _) => ErrorScope::Workflow(workflow),
        (None, Some(user)) => ErrorScope::User(user),
        (None, None) => ErrorScope::Environment,
    };
    let query = ErrorQuery {
        user_id: user_id.filter(|_| workflow_id.is_some()),
        window: order.window(&scope, page.limit),
        ..filters.query(error_scope)
    };
    Ok(page_response(&errors.page(caller.environment, &query).await?, &scope))
}
