//! `GET /logs`. AWS calls: eight DynamoDB queries at once and one read; of a user one query and one read, of a workflow one query;
//! a read before them where `userId` is a name. More queries only where filters leave out most of what is read.

use aws_config::SdkConfig;
use axum::{extract::State, response::Response};
use serde_json::Value;
use tenon::{
    domain::{error_log::EngineText, id::WorkflowId, names::UserRef, timestamp::Timestamp},
    http::{Backend, Cursor, Fields, FromJson, Input, Limit, Location, Problem, ProblemDocument, StartError, Valid},
    store::{
        Table,
        errors::{ErrorQuery, ErrorScope, Errors, MAX_SKIP, Retention, SHARDS},
        users::Users,
    },
};
use utoipa::{IntoParams, ToSchema};

use super::{ErrorPage, page_response};

/// Which errors are asked for.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub struct ListLogs {
    /// From the second in which this lies.
    since: Option<Timestamp>,
    /// To the last second that begins before this.
    until: Option<Timestamp>,
    /// Of this user.
    user_id: Option<UserRef>,
    /// Of this workflow.
    workflow_id: Option<WorkflowId>,
    /// Of this execution.
    execution_id: Option<EngineText>,
    /// Of this kind of block.
    block_type: Option<EngineText>,
    /// `desc`, the newest first, where nothing is said.
    sort_order: Option<SortOrder>,
    /// So many errors are passed over, 1,000 at most; not beside `cursor`.
    #[param(value_type = Option<u16>, minimum = 0, maximum = 1000)]
    skip: Option<Skip>,
    /// How many errors a page has at most.
    #[param(value_type = Option<u8>, minimum = 1, maximum = 100)]
    limit: Limit,
    /// Where the page before ended.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
}

/// In which order errors are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum SortOrder {
    /// The oldest first.
    Asc,
    /// The newest first.
    Desc,
}

impl FromJson for SortOrder {
    fn from_json(value: &Value, location: &mut Location<'_>) -> Option<Self> {
        match value.as_str() {
            Some("asc") => Some(Self::Asc),
            Some("desc") => Some(Self::Desc),
            _ => location.reject("must be `asc` or `desc`"),
        }
    }
}

/// How many errors are passed over.
#[derive(Clone, Copy, Debug)]
struct Skip(usize);

impl FromJson for Skip {
    fn from_json(value: &Value, location: &mut Location<'_>) -> Option<Self> {
        match usize::try_from(i64::from_json(value, location)?) {
            Ok(skip) if skip <= MAX_SKIP => Some(Self(skip)),
            _ => location.reject(format_args!("must be a whole number from 0 to {MAX_SKIP}")),
        }
    }
}

impl Input for ListLogs {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let since = fields.optional("since");
        let until = fields.optional("until");
        let user_id = fields.optional("userId");
        let workflow_id = fields.optional("workflowId");
        let execution_id = fields.optional("executionId");
        let block_type = fields.optional("blockType");
        let sort_order = fields.optional("sortOrder");
        let skip = fields.optional("skip");
        let limit = fields.optional("limit");
        let cursor: Option<Option<Cursor>> = fields.optional("cursor");
        if matches!((&skip, &cursor), (Some(Some(_)), Some(Some(_)))) {
            fields.reject("skip", "cannot be given beside `cursor`, which goes on where the page before ended");
        }
        Some(Self {
            since: since?,
            until: until?,
            user_id: user_id?,
            workflow_id: workflow_id?,
            execution_id: execution_id?,
            block_type: block_type?,
            sort_order: sort_order?,
            skip: skip?,
            limit: limit?.unwrap_or_default(),
            cursor: cursor?,
        })
    }
}

/// What the function is given.
#[derive(Clone, Debug)]
pub struct Stores {
    users: Users,
    errors: Errors,
}

/// The stores of both tables.
pub async fn state(config: &SdkConfig) -> Result<Stores, StartError> {
    let (directory, table) = Table::both(config, SHARDS).await?;
    Ok(Stores { users: Users(directory), errors: Errors { table, retention: Retention::from_env()? } })
}

/// Lists the errors of the environment, also those of users and workflows that were deleted.
#[utoipa::path(get, path = "/logs", tag = "errors", security(("apiKey" = ["manage"])), params(ListLogs), responses(
    (status = 200, body = ErrorPage),
    (status = 400, body = ProblemDocument, description = "the cursor is not one of this list"),
    (status = 404, body = ProblemDocument, description = "there is no user of this name"),
    (status = 422, body = ProblemDocument),
))]
pub async fn list_logs(
    caller: Backend,
    State(Stores { users, errors }): State<Stores>,
    Valid(request): Valid<ListLogs>,
) -> Result<Response, Problem> {
    let scope = request.describe();
    let ListLogs {
        since,
        until,
        user_id,
        workflow_id,
        execution_id,
        block_type,
        sort_order,
        skip,
        limit: Limit(limit),
        cursor,
    } = request;
    let after = cursor.map(|cursor| cursor.position(&scope)).transpose()?;
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
        scope: error_scope,
        since,
        until,
        user_id: user_id.filter(|_| workflow_id.is_some()),
        execution_id,
        block_type,
        oldest_first: sort_order == Some(SortOrder::Asc),
        skip: skip.map_or(0, |Skip(skip)| skip),
        after,
        limit,
    };
    Ok(page_response(&errors.page(caller.environment, &query).await?, &scope))
}

impl ListLogs {
    /// The list that a cursor belongs to: its path, filters and order.
    fn describe(&self) -> String {
        let Self {
            since,
            until,
            user_id,
            workflow_id,
            execution_id,
            block_type,
            sort_order,
            skip: _,
            limit: _,
            cursor: _,
        } = self;
        format!(
            "/logs {since:?} {until:?} {user_id:?} {workflow_id:?} {execution_id:?} {block_type:?} {}",
            *sort_order == Some(SortOrder::Asc)
        )
    }
}
