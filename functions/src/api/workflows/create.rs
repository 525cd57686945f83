//! `POST /workflows`. AWS calls: one DynamoDB read of the user by id, or two by name, and one
//! transaction; both again if the user is disabled or enabled meanwhile; with an Idempotency-Key
//! two more writes.

use axum::extract;
use tenon::{
    domain::{
        event::EventType,
        id::CredentialId,
        names::UserRef,
        request_seed::RequestSeed,
        settings::Settings,
        workflow::{EngineIntegrationId, MAX_CREDENTIALS, NewWorkflow, WorkflowName},
    },
    http::{Backend, Conflicts, Created, IdempotencyKey, Input, Problem, Revised, Valid},
    store::workflows::CreateWorkflowError,
};
use utoipa::ToSchema;

use super::{ChangeState, WorkflowBody, deduplicate};
use crate::{api::users, changes::Changes};

/// Body of a request to create a workflow.
#[derive(Debug, Input, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateWorkflow {
    /// User who owns the workflow, by id, username or email address.
    user_id: UserRef,
    /// Name, unique per user.
    name: WorkflowName,
    /// Integration of which the workflow is an instance.
    integration_id: Option<EngineIntegrationId>,
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
    request_body = CreateWorkflow, responses((status = 201, body = WorkflowBody, headers(("ETag", description = "entity tag for If-Match"))),
        (status = 404, description = "user not found"),
        (status = 409, description = "the user already has a workflow with this name, or concurrent requests changed the user")))]
pub async fn create_workflow(
    caller: Backend,
    extract::State(ChangeState { stores, outbox }): extract::State<ChangeState>,
    seed: RequestSeed,
    Valid(body): Valid<CreateWorkflow>,
) -> Result<Created<Revised<WorkflowBody>>, Problem> {
    let CreateWorkflow { user_id, name, integration_id, credential_ids, settings } = body;
    let credential_ids = deduplicate(credential_ids);
    let mut conflicts = Conflicts::new("user");
    loop {
        let owner = users::find_owner(&stores.users, caller.environment, &user_id, &seed).await?;
        let new = NewWorkflow {
            user_id: owner.user_id,
            name: name.clone(),
            integration_id: integration_id.clone(),
            credential_ids: credential_ids.clone(),
            settings: settings.clone(),
        };
        let (workflow, status) = (new.create(&seed), owner.owner_status());
        let shown = WorkflowBody::new(workflow.clone(), status);
        let mut changes = Changes::new(caller.environment, caller.actor);
        changes.workflow(EventType::WorkflowCreated, &shown);
        let events = changes.prepare(&outbox)?;
        match stores.workflows.create(caller.environment, &workflow, status, &seed, events).await {
            Ok(()) => return Ok(Created::at(format!("workflows/{}", workflow.workflow_id), shown.revised())),
            Err(CreateWorkflowError::UserChanged) => conflicts.retry().await?,
            Err(error) => return Err(error.into()),
        }
    }
}
