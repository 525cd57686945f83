//! `GET /errors/groups`. AWS calls: eight concurrent DynamoDB queries and one read; more queries
//! only if errors are unevenly distributed.

use axum::{
    extract,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use tenon::{
    domain::{error_log::ErrorDocument, fingerprint::Fingerprint, id::WorkflowId, timestamp::Timestamp},
    http::{Backend, Input, Invalid, Json, Problem, Valid},
    start::FromAws,
    store::{
        ReadOnly,
        errors::{Errors, Group, SHARDS},
    },
};
use utoipa::{IntoParams, ToSchema};

/// Query parameters of the groups of errors.
#[derive(Debug, Input, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct GroupErrors {
    /// Start of the time range, inclusive; rounded down to a whole second.
    since: Option<Timestamp>,
    /// End of the time range, exclusive; rounded up to a whole second.
    until: Option<Timestamp>,
}

/// Groups of similar errors, largest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorGroups<'a> {
    /// Groups, at most 100.
    groups: Vec<ErrorGroup<'a>>,
    /// Whether the groups cover all errors of the time range; false if there are more than 100
    /// groups or more than 5,000 errors, of which the newest are counted.
    complete: bool,
}

/// Errors of one workflow and block type whose messages differ only in numbers, ids, URL queries
/// and quoted values.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ErrorGroup<'a> {
    /// Fingerprint of the group, stable over time.
    fingerprint: &'a Fingerprint,
    /// Number of errors.
    count: usize,
    /// Time of the oldest error.
    first_seen: Timestamp,
    /// Time of the newest error.
    last_seen: Timestamp,
    /// Workflow of the errors.
    workflow_id: WorkflowId,
    /// Block type of the errors.
    block_type: &'a str,
    /// Newest error of the group.
    example: ErrorDocument<'a>,
}

impl<'a> From<&'a Group> for ErrorGroup<'a> {
    fn from(group: &'a Group) -> Self {
        let Group { count, first_seen, last_seen, example } = group;
        Self {
            fingerprint: &example.fingerprint,
            count: *count,
            first_seen: *first_seen,
            last_seen: *last_seen,
            workflow_id: example.workflow_id,
            block_type: example.block_type.as_str(),
            example: example.document(),
        }
    }
}

/// State of the function.
#[derive(Clone, Debug, FromAws)]
#[aws(connections = SHARDS)]
pub struct State {
    errors: Errors<ReadOnly>,
}

/// Groups the similar errors of a time range.
#[utoipa::path(get, path = "/errors/groups", tag = "errors", security(("apiKey" = ["manage"])), params(GroupErrors),
    responses((status = 200, body = ErrorGroups), Invalid))]
pub async fn group_errors(
    caller: Backend,
    extract::State(State { errors }): extract::State<State>,
    Valid(GroupErrors { since, until }): Valid<GroupErrors>,
) -> Result<Response, Problem> {
    let (groups, complete) = errors.groups(caller.environment, (since, until)).await?;
    Ok(Json(ErrorGroups { groups: groups.iter().map(ErrorGroup::from).collect(), complete }).into_response())
}
