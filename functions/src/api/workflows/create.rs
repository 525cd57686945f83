//! `POST /workflows`. AWS calls: one DynamoDB read of the user by id, or two by name, and one
//! transaction; with an Idempotency-Key two more writes.

use axum::extract;
use tenon::{
    domain::{
        id::CredentialId,
        names::UserRef,
        request_seed::RequestSeed,
        settings::Settings,
        workflow::{IntegrationId, MAX_CREDENTIALS, NewWorkflow, WorkflowName},
    },
    http::{Backend, Created, IdempotencyKey, Input, Problem, Valid},
};
use utoipa::ToSchema;

use super::{State, WorkflowBody, deduplicate};

/// Body of a request to create a workflow.
#[derive(Debug, Input, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateWorkflow {
    /// User who owns the workflow, by id, username or email address.
    user_id: UserRef,
    /// Name, unique per user.
    name: WorkflowName,
    /// Integration of which the workflow is an instance.
    integration_id: Option<IntegrationId>,
    /// Credentials of the same user that the workflow uses, at most 50.
    #[input(max = MAX_CREDENTIALS, default)]
    #[schema(required = false, max_items = 50)]
    credential_ids: Vec<CredentialId>,
    /// Settings that the engine reads, at most 8 KiB as JSON.
    #[input(default)]
    #[schema(required = false)]
    settings: Settings,
}

/// Creates a workflow of a user.
#[utoipa::path(post, path = "/workflows", tag = "workflows", security(("apiKey" = ["manage"])), params(IdempotencyKey),
    request_body = CreateWorkflow, responses((status = 201, body = WorkflowBody),
        (status = 404, description = "user not found"),
        (status = 409, description = "the user already has a workflow with this name")))]
pub async fn create_workflow(
    caller: Backend,
    extract::State(state): extract::State<State>,
    seed: RequestSeed,
    Valid(body): Valid<CreateWorkflow>,
) -> Result<Created<WorkflowBody>, Problem> {
    let CreateWorkflow { user_id, name, integration_id, credential_ids, settings } = body;
    let user = state.users.find(caller.environment, &user_id).await?.ok_or_else(|| Problem::not_found("user"))?;
    let credential_ids = deduplicate(credential_ids);
    let new = NewWorkflow { user_id: user.user_id, name, integration_id, credential_ids, settings };
    let workflow = new.create(&seed);
    state.workflows.create(caller.environment, &workflow, &seed).await?;
    Ok(Created::at(format!("workflows/{}", workflow.workflow_id), WorkflowBody::new(workflow, user.status)))
}
