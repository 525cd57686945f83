//! `GET /logs`. AWS calls: eight concurrent DynamoDB queries and one read; for a user one query and
//! one read; for a workflow one query; one read before them if `userId` is a username or email
//! address. More queries only if the filters exclude most of the items read.

use axum::{extract, response::Response};
use tenon::{
    domain::{id::WorkflowId, names::UserRef},
    http::{Backend, Fields, Input, PageParams, Problem, Valid},
    start::FromAws,
    store::{
        Position, ReadOnly,
        errors::{ErrorQuery, ErrorScope, Errors, SHARDS},
        record_pages::{MAX_SKIP, Window},
        users::Users,
    },
};
use utoipa::{IntoParams, ToSchema};

use super::{ErrorFilters, ErrorPage, page_response};

/// Query parameters of the list of errors.
#[derive(Debug, Input, IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub struct ListLogs {
    /// User of the errors.
    user_id: Option<UserRef>,
    /// Workflow of the errors.
    workflow_id: Option<WorkflowId>,
}

/// Query parameters of lists of records: their order and start.
#[derive(Debug, Input, IntoParams)]
#[input(check(check_skip: skip))]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub struct ListOrder {
    /// Sort order.
    #[param(default = "desc")]
    pub(crate) sort_order: Option<SortOrder>,
    /// Number of items to skip, at most 1,000; not allowed with `cursor`.
    #[input(max = MAX_SKIP)]
    #[param(value_type = Option<u16>, minimum = 0, maximum = 1000, default = 0)]
    skip: Option<usize>,
}

/// Sort order of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Input, ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum SortOrder {
    /// Oldest first.
    Asc,
    /// Newest first.
    Desc,
}

impl ListOrder {
    /// Returns the part of the list after a position.
    pub(crate) fn window(&self, after: Option<Position>, limit: usize) -> Window {
        let oldest_first = self.sort_order == Some(SortOrder::Asc);
        Window { oldest_first, skip: self.skip.unwrap_or_default(), after, limit }
    }
}

fn check_skip(fields: &mut Fields<'_>, skip: &Option<usize>) {
    if skip.is_some() && fields.has("cursor") {
        fields.reject("skip", "cannot be combined with `cursor`");
    }
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
    Valid(((list, filters), order, page)): Valid<((ListLogs, ErrorFilters), ListOrder, PageParams)>,
) -> Result<Response, Problem> {
    let ListLogs { user_id, workflow_id } = list;
    let scope = format!("/logs {filters:?} {user_id:?} {workflow_id:?} {:?}", order.sort_order);
    let after = page.after(&scope)?;
    let user_id = match &user_id {
        Some(user) => {
            let found = users.resolve(caller.environment, user).await?;
            Some(found.ok_or_else(|| Problem::not_found("user"))?)
        }
        None => None,
    };
    let error_scope = match (workflow_id, user_id) {
        (Some(workflow), _) => ErrorScope::Workflow(workflow),
        (None, Some(user)) => ErrorScope::User(user),
        (None, None) => ErrorScope::Environment,
    };
    let query = ErrorQuery {
        user_id: user_id.filter(|_| workflow_id.is_some()),
        window: order.window(after, page.limit),
        ..filters.query(error_scope)
    };
    Ok(page_response(&errors.page(caller.environment, &query).await?, &scope))
}
