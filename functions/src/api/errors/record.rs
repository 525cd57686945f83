//! `POST /workflows/{workflowId}/errors`. AWS calls: two DynamoDB reads (workflow and user), one
//! more if an `_id` is given, and one batch write for 25 errors; with an Idempotency-Key two more
//! writes.

use std::collections::BTreeSet;

use aws_config::SdkConfig;
use axum::extract::State;
use serde::Serialize;
use tenon::{
    domain::{
        error_log::{EngineText, ErrorIdentity, ErrorLog, IdentityError, NewError, WorkflowRef, truncate},
        id::{ErrorId, WorkflowId},
        request_seed::RequestSeed,
        timestamp::Timestamp,
    },
    http::{
        Accepted, EngineOrBackend, Fields, IdempotentState, Input, Path, Problem, ProblemDocument, StartError, Valid,
    },
    nested_inputs,
    store::{
        Table,
        errors::{Errors, Retention},
        workflows::Workflows,
    },
};
use utoipa::{
    ToSchema,
    openapi::{Array, ObjectBuilder, OneOfBuilder, Ref, RefOr, Schema},
};

/// Maximum number of errors per request.
const MAX_ERRORS_PER_REQUEST: usize = 100;

/// Error to record.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct RecordError {
    /// Id of the error; generated from `createdAt` by default. Recording the same id again on the
    /// same workflow changes nothing.
    #[schema(rename = "_id")]
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

impl Input for RecordError {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let id = fields.optional("_id");
        let created_at = fields.optional("createdAt");
        let execution_id = fields.required("executionId");
        let block_id = fields.required("blockId");
        let block_type = fields.required("blockType");
        let error = fields.required("error");
        if let (Some(id), Some(created_at)) = (id, created_at)
            && let Err(error) = ErrorIdentity::new(id, created_at, &RequestSeed::new(), 0)
        {
            let at_id = created_at.is_none() && error != IdentityError::Mismatch;
            fields.reject(if at_id { "_id" } else { "createdAt" }, error);
        }
        Some(Self {
            id: id?,
            created_at: created_at?,
            execution_id: execution_id?,
            block_id: block_id?,
            block_type: block_type?,
            error: error?,
        })
    }
}

nested_inputs! { RecordError }

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
#[derive(Debug)]
pub struct RecordErrors {
    errors: Vec<RecordError>,
    /// Whether the body is a list of errors.
    is_list: bool,
}

impl utoipa::PartialSchema for RecordErrors {
    fn schema() -> RefOr<Schema> {
        let one = || Ref::from_schema_name("RecordError");
        let list = Array::new(one());
        let many = ObjectBuilder::new().property("errors", list).required("errors");
        OneOfBuilder::new().item(one()).item(many).into()
    }
}

impl ToSchema for RecordErrors {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push(("RecordError".into(), <RecordError as utoipa::PartialSchema>::schema()));
        <RecordError as ToSchema>::schemas(schemas);
    }
}

impl Input for RecordErrors {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        if !fields.has("errors") {
            return Some(Self { errors: vec![fields.as_item()?], is_list: false });
        }
        let errors: Vec<RecordError> = fields.list("errors", MAX_ERRORS_PER_REQUEST)?.unwrap_or_default();
        if errors.is_empty() {
            fields.reject("errors", "must not be empty");
        }
        Some(Self { errors, is_list: true })
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
#[derive(Clone, Debug)]
pub struct Stores {
    workflows: Workflows,
    errors: Errors,
}

impl IdempotentState for Stores {
    fn directory(&self) -> &Table {
        &self.workflows.0
    }
}

/// Connects to both tables.
pub async fn state(config: &SdkConfig) -> Result<Stores, StartError> {
    // 100 errors are four batches.
    let (directory, table) = Table::both(config, 4).await?;
    let errors = Errors { table, retention: Retention::from_env()? };
    Ok(Stores { workflows: Workflows(directory), errors })
}

/// Records errors of a workflow. The stream of the table forwards them to the destinations of the
/// environment.
#[utoipa::path(post, path = "/workflows/{workflowId}/errors", tag = "errors",
    security(("apiKey" = ["engine"]), ("apiKey" = ["manage"])),
    params(("workflowId" = WorkflowId, Path), ("Idempotency-Key" = Option<String>, Header, description = "Unique key of the request, at most 255 characters; a retry with the same key returns the first response.")), request_body = RecordErrors, responses(
    (status = 202, body = RecordedErrors),
    (status = 404, body = ProblemDocument),
    (status = 422, body = ProblemDocument),
    (status = 503, body = ProblemDocument, description = "some errors were not recorded; the problem document names them"),
))]
pub async fn record_errors(
    caller: EngineOrBackend,
    State(stores): State<Stores>,
    Path(workflow_id): Path<WorkflowId>,
    seed: RequestSeed,
    Valid(RecordErrors { errors, is_list }): Valid<RecordErrors>,
) -> Result<Accepted<RecordedErrors>, Problem> {
    let environment = caller.environment;
    let found = stores.workflows.find_with_owner(environment, workflow_id).await?;
    let (workflow, _) = found.ok_or_else(|| Problem::not_found("workflow"))?;
    let workflow = WorkflowRef::from(&workflow);

    let now = seed.at;
    let new = errors.into_iter().enumerate().map(|(index, error)| error.into_new_error(&seed, index, is_list));
    let new: Vec<NewError> = new.collect::<Result<_, _>>()?;
    let ids: Vec<ErrorId> = new.iter().map(|error| error.identity.id).collect();
    let possibly_existing = new.iter().filter(|error| error.identity.id_provided || seed.is_retry);
    let possibly_existing: BTreeSet<ErrorId> = possibly_existing.map(|error| error.identity.id).collect();

    // An error that already exists, or occurs earlier in the same request, is accepted and changes
    // nothing.
    let mut seen = stores.errors.existing(environment, workflow_id, &possibly_existing).await?;
    let fresh = new.into_iter().enumerate().filter(|(_, error)| seen.insert(error.identity.id));
    let (indices, fresh): (Vec<usize>, Vec<ErrorLog>) =
        fresh.map(|(index, error)| (index, error.record(environment, &workflow, now))).unzip();
    let unwritten = stores.errors.record(&fresh).await?;
    if !unwritten.is_empty() {
        let indices = unwritten.into_iter().filter_map(|index| indices.get(index));
        let pointers = indices.map(|index| pointer(*index, is_list));
        return Err(Problem::not_recorded(pointers.collect(), ids.len()));
    }
    Ok(Accepted(RecordedErrors { ids }))
}
