//! `POST /workflows/{workflowId}/errors`. AWS calls: one batch write for 25 errors; two reads
//! (workflow and user) if the process has not read the workflow in the last 30 seconds, and two
//! (errors and erasure) if an `_id` is given; with an Idempotency-Key two more writes, and four
//! more reads for a repetition.

use std::collections::BTreeSet;

use axum::extract;
use serde::Serialize;
use tenon::{
    domain::{
        error_log::{EngineText, ErrorIdentity, ErrorLog, IdentityError, NewError, truncate},
        id::{ErrorId, WorkflowId},
        request_seed::RequestSeed,
        timestamp::Timestamp,
    },
    http::{Accepted, EngineOrBackend, Fields, IdempotencyKey, Input, OrNotFound, Path, Problem, Valid},
    start::FromAws,
    store::{ReadOnly, errors::Errors, users::Users, workflows::WorkflowRefs},
};
use utoipa::ToSchema;

/// Maximum number of errors per request.
const MAX_ERRORS_PER_REQUEST: usize = 100;

/// Error to record.
#[derive(Debug, Input, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[input(check(check_identity: id, created_at))]
pub struct RecordError {
    /// Id of the error; generated from `createdAt` by default. Recording the same id again on the
    /// same workflow changes nothing.
    #[serde(rename = "_id")]
    id: Option<ErrorId>,
    /// Time of the error; the current time by default, and at most five minutes in the future.
    created_at: Option<Timestamp>,
    /// Execution that failed.
    execution_id: EngineText,
    /// Block that failed.
    block_id: EngineText,
    /// Type of the block, such as `alloy.shopify`.
    block_type: EngineText,
    /// Error message; truncated to 64 KiB of UTF-8.
    error: String,
}

fn check_identity(fields: &mut Fields<'_>, id: &Option<ErrorId>, created_at: &Option<Timestamp>) {
    if let Err(error) = ErrorIdentity::new(*id, *created_at, &RequestSeed::new(), 0) {
        let at_id = created_at.is_none() && error != IdentityError::Mismatch;
        fields.reject(if at_id { "_id" } else { "createdAt" }, error);
    }
}

impl RecordError {
    fn into_new_error(self, seed: &RequestSeed, index: usize, is_list: bool) -> Result<NewError, Problem> {
        let Self { id, created_at, execution_id, block_id, block_type, error } = self;
        let identity = ErrorIdentity::new(id, created_at, seed, index)
            // Validated before, but against the current time; a retry uses the time of the first
            // attempt.
            .map_err(|error| Problem::invalid_field(&(pointer(index, is_list) + "/createdAt"), error))?;
        Ok(NewError { identity, execution_id, block_id, block_type, error: truncate(error) })
    }
}

/// One error, or up to 100 as `{"errors": […]}`.
#[derive(Debug, ToSchema)]
#[serde(untagged)]
pub enum RecordErrors {
    /// One error.
    One(RecordError),
    /// List of errors.
    List(ErrorList),
}

/// List of errors to record.
#[derive(Debug, Input, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ErrorList {
    /// Errors, 1 to 100.
    #[input(max = MAX_ERRORS_PER_REQUEST, min = 1)]
    #[schema(min_items = 1, max_items = 100)]
    errors: Vec<RecordError>,
}

impl Input for RecordErrors {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        if fields.has("errors") {
            ErrorList::read(fields).map(Self::List)
        } else {
            RecordError::read(fields).map(Self::One)
        }
    }
}

/// Returns the JSON pointer to an error in the body.
fn pointer(index: usize, is_list: bool) -> String {
    if is_list { format!("/errors/{index}") } else { String::new() }
}

/// Ids of recorded errors.
#[derive(Debug, Serialize, ToSchema)]
pub struct RecordedErrors {
    /// Ids of the errors, in the order of the request.
    ids: Vec<ErrorId>,
}

/// State of the function.
#[derive(Clone, Debug, FromAws)]
// 100 errors are four batches.
#[aws(connections = 4)]
pub struct State {
    users: Users<ReadOnly>,
    workflows: WorkflowRefs,
    errors: Errors,
}

/// Records errors of a workflow. The stream of the table forwards them to the destinations of the
/// environment.
#[utoipa::path(post, path = "/workflows/{workflowId}/errors", tag = "errors",
    security(("apiKey" = ["engine"]), ("apiKey" = ["manage"])), params(IdempotencyKey), request_body = RecordErrors,
    responses((status = 202, body = RecordedErrors),
        (status = 503, description = "some errors were not recorded; the problem document names them")))]
pub async fn record_errors(
    caller: EngineOrBackend,
    extract::State(state): extract::State<State>,
    Path(workflow_id): Path<WorkflowId>,
    seed: RequestSeed,
    Valid(body): Valid<RecordErrors>,
) -> Result<Accepted<RecordedErrors>, Problem> {
    let environment = caller.environment;
    let (errors, is_list) = match body {
        RecordErrors::One(error) => (vec![error], false),
        RecordErrors::List(ErrorList { errors }) => (errors, true),
    };
    let found = if seed.is_retry {
        // A repetition records nothing of a workflow that was deleted since the first attempt.
        state.workflows.read(environment, workflow_id).await?
    } else {
        state.workflows.find(environment, workflow_id).await?
    };
    let workflow = found.or_not_found("workflow")?;

    let now = seed.at;
    let new = errors.into_iter().enumerate().map(|(index, error)| error.into_new_error(&seed, index, is_list));
    let new: Vec<NewError> = new.collect::<Result<_, _>>()?;
    let ids: Vec<ErrorId> = new.iter().map(|error| error.identity.id).collect();
    let possibly_existing = new.iter().filter(|error| error.identity.id_provided || seed.is_retry);
    let possibly_existing: BTreeSet<ErrorId> = possibly_existing.map(|error| error.identity.id).collect();
    let (mut seen, erased_at) = if possibly_existing.is_empty() {
        Default::default()
    } else {
        let existing = state.errors.existing(environment, workflow_id, &possibly_existing);
        tokio::try_join!(existing, state.users.erased_at(environment, workflow.user_id))?
    };

    // What an earlier attempt may have recorded, and an erasure deleted since, is not recorded
    // again.
    let is_erased = |NewError { identity, .. }: &NewError| {
        let earliest = if identity.id_provided { identity.created_at.min(now) } else { now };
        erased_at.is_some_and(|erased_at| earliest <= erased_at)
    };
    // An error that already exists, or occurs earlier in the same request, is accepted and changes
    // nothing.
    let fresh = new.into_iter().enumerate();
    let fresh = fresh.filter(|(_, error)| !is_erased(error) && seen.insert(error.identity.id));
    let (indices, fresh): (Vec<usize>, Vec<ErrorLog>) =
        fresh.map(|(index, error)| (index, error.record(environment, &workflow, now))).unzip();
    let unwritten = state.errors.record(&fresh).await;
    if !unwritten.is_empty() {
        let indices = unwritten.into_iter().filter_map(|index| indices.get(index));
        let pointers = indices.map(|index| pointer(*index, is_list));
        return Err(Problem::not_recorded(&pointers.collect::<Vec<_>>(), ids.len()));
    }
    Ok(Accepted(RecordedErrors { ids }))
}
