//! `PATCH /workflows/{workflowId}`. AWS calls: two DynamoDB reads (workflow and user) and one
//! transaction; again after a conflict with a concurrent request.

use axum::extract;
use tenon::{
    domain::{
        id::{CredentialId, WorkflowId},
        settings::Settings,
        timestamp::Timestamp,
        workflow::{MAX_CREDENTIALS, Workflow, WorkflowChange, WorkflowName},
    },
    http::{Backend, Conflicts, IfMatch, Input, Path, Problem, ProblemType, Revised, Valid},
    store::workflows::ChangeWorkflowError,
};
use utoipa::ToSchema;

use super::{ChangeState, WorkflowBody, deduplicate};
use crate::changes::Changes;

/// Changes to a workflow; absent members remain unchanged.
#[derive(Clone, Debug, Input, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PatchWorkflow {
    /// Name, unique per user.
    name: Option<WorkflowName>,
    /// Credentials of the same user that the workflow uses, at most 50.
    #[input(max = MAX_CREDENTIALS)]
    #[schema(max_items = 50)]
    credential_ids: Option<Vec<CredentialId>>,
    /// Settings that the engine reads, at most 8 KiB as JSON. They replace the former ones.
    settings: Option<Settings>,
    /// Whether the workflow is active.
    active: Option<bool>,
}

/// Updates a workflow. Of a workflow that belongs to an installation, only `name` and `active` can
/// be changed.
#[utoipa::path(patch, path = "/workflows/{workflowId}", tag = "workflows", security(("apiKey" = ["manage"])),
    params(IfMatch), request_body = PatchWorkflow,
    responses((status = 200, body = WorkflowBody, headers(("ETag", description = "entity tag for If-Match"))),
        (status = 409, description = "the name is taken, the workflow belongs to an installation, or concurrent requests modified it")))]
pub async fn patch_workflow(
    caller: Backend,
    extract::State(ChangeState { stores, outbox }): extract::State<ChangeState>,
    Path(id): Path<WorkflowId>,
    if_match: IfMatch,
    Valid(body): Valid<PatchWorkflow>,
) -> Result<Revised<WorkflowBody>, Problem> {
    let PatchWorkflow { name, credential_ids, settings, active } = body;
    let change = WorkflowChange { name, credential_ids: credential_ids.map(deduplicate), settings, active };
    let mut conflicts = Conflicts::new("workflow");
    loop {
        let (before, owner) = super::find(&stores.workflows, caller.environment, None, id, None).await?;
        let owner = owner.owner_status();
        check_installed(&before, &change)?;
        if_match.check_revision(before.shown_revision(owner))?;
        let Some(after) = before.changed(&change, Timestamp::now()) else {
            return Ok(WorkflowBody::new(before, owner).revised());
        };
        let mut changes = Changes::new(caller.environment, caller.actor);
        changes.changed_workflow(&before, &after, owner);
        let events = changes.prepare(&outbox)?;
        let added = after.credential_ids.iter().filter(|id| !before.credential_ids.contains(id));
        let added: Vec<CredentialId> = added.copied().collect();
        match stores.workflows.update(caller.environment, owner, (&before, &after), &added, events).await {
            Ok(()) => return Ok(WorkflowBody::new(after, owner).revised()),
            Err(ChangeWorkflowError::Conflict) => conflicts.retry().await?,
            Err(error) => return Err(error.into()),
        }
    }
}

/// Rejects a change that only the installation of a workflow can make.
fn check_installed(workflow: &Workflow, change: &WorkflowChange) -> Result<(), Problem> {
    let members = [("/credentialIds", change.credential_ids.is_some()), ("/settings", change.settings.is_some())];
    let rejected: Vec<&str> = members.into_iter().filter(|(_, given)| *given).map(|(pointer, _)| pointer).collect();
    if workflow.key.is_none() || rejected.is_empty() {
        return Ok(());
    }
    let problem = Problem::new(
        ProblemType::WorkflowInstalled,
        "the workflow belongs to an installation; change it with PUT /users/{user}/installations/{integrationId}",
    );
    Err(problem.at_each(rejected, "is set by the installation"))
}
