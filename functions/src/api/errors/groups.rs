//! `GET /errors/groups`. AWS calls: eight DynamoDB queries at once and one read; more queries only where errors lie unevenly.

use aws_config::SdkConfig;
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use tenon::{
    domain::{error_log::ErrorDocument, fingerprint::Fingerprint, id::WorkflowId, timestamp::Timestamp},
    http::{Backend, Fields, Input, Json, Problem, ProblemDocument, StartError, Valid},
    store::{
        Table,
        errors::{Errors, Group, Retention, SHARDS},
    },
};
use utoipa::{IntoParams, ToSchema};

/// Of which time errors are grouped.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct GroupErrors {
    /// From the second in which this lies.
    since: Option<Timestamp>,
    /// To the last second that begins before this.
    until: Option<Timestamp>,
}

impl Input for GroupErrors {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let since = fields.optional("since");
        let until = fields.optional("until");
        Some(Self { since: since?, until: until? })
    }
}

/// Equal errors as one, the largest groups first.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorGroups<'a> {
    /// Up to 100 groups.
    groups: Vec<ErrorGroup<'a>>,
    /// Whether these are all, and all errors of the time range are counted: the newest 5,000 are looked at.
    complete: bool,
}

/// Errors of a workflow and a kind of block that say the same but for numbers, ids, URLs' queries and quoted values.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ErrorGroup<'a> {
    /// The same for all of them, at any time.
    fingerprint: &'a Fingerprint,
    /// How many there are.
    count: usize,
    /// When the first of them went wrong.
    first_seen: Timestamp,
    /// When the last of them went wrong.
    last_seen: Timestamp,
    /// Their workflow.
    workflow_id: WorkflowId,
    /// Their kind of block.
    block_type: &'a str,
    /// The newest of them.
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

/// The store that the function is given.
pub async fn state(config: &SdkConfig) -> Result<Errors, StartError> {
    Ok(Errors { table: Table::errors(config, SHARDS).await?, retention: Retention::from_env()? })
}

/// Groups the errors of a time range, so that what went wrong thousands of times is one line.
#[utoipa::path(get, path = "/errors/groups", tag = "errors", security(("apiKey" = ["manage"])), params(GroupErrors),
    responses((status = 200, body = ErrorGroups), (status = 422, body = ProblemDocument)))]
pub async fn group_errors(
    caller: Backend,
    State(errors): State<Errors>,
    Valid(GroupErrors { since, until }): Valid<GroupErrors>,
) -> Result<Response, Problem> {
    let (groups, complete) = errors.groups(caller.environment, (since, until)).await?;
    Ok(Json(ErrorGroups { groups: groups.iter().map(ErrorGroup::from).collect(), complete }).into_response())
}
