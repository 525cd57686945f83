//! `DELETE /workflows/{workflowId}`. AWS calls: two DynamoDB reads (workflow and user) and one
//! transaction; of an installed workflow also one read of the installation, one of the integration,
//! and one batch read of its workflows and one of the credentials; again after a conflict with a
//! concurrent request.

use axum::extract;
use tenon::{
    domain::{event::EventType, id::WorkflowId, timestamp::Timestamp, user::User, workflow::Workflow},
    http::{Backend, Conflicts, Json, Path, Problem, Valid},
    start::FromAws,
    store::{ReadOnly, StoreError, events::Outbox, installations::Installations, integrations::Integrations},
};

use super::{Stores, UserFilter, WorkflowBody};
use crate::{
    api::{
        installations::{InstallationBody, Parts},
        success::Success,
    },
    changes::Changes,
};

/// State of the function.
#[derive(Clone, Debug, FromAws)]
pub struct DeleteState {
    stores: Stores,
    installations: Installations,
    integrations: Integrations<ReadOnly>,
    parts: Parts,
    outbox: Outbox,
}

impl DeleteState {
    /// Deletes a workflow, also from the installation that it belongs to. Returns false if one of
    /// them was changed since it was read.
    async fn delete(&self, caller: Backend, workflow: &Workflow, owner: &User) -> Result<bool, StoreError> {
        let (environment, now) = (caller.environment, Timestamp::now());
        let mut changes = Changes::new(environment, caller.actor);
        let shown = WorkflowBody::new(workflow.touched(now), owner.owner_status());
        changes.workflow(EventType::WorkflowDeleted, &shown);
        let integration = workflow.integration_id.as_ref().filter(|_| workflow.key.is_some());
        let (before, integration) = match integration.and_then(|id| id.as_str().parse().ok()) {
            Some(id) => tokio::try_join!(
                self.installations.get(environment, workflow.user_id, &id),
                self.integrations.get(environment, &id),
            )?,
            None => (None, None),
        };
        let after = before.as_ref().and_then(|before| before.without(workflow.workflow_id, now));
        let Some((before, after)) = before.zip(after) else {
            return self.stores.workflows.delete(environment, workflow, changes.prepare(&self.outbox)?).await;
        };
        let parts = self.parts.read(environment, std::slice::from_ref(&after)).await?;
        let shown = InstallationBody::new(after.clone(), owner.status, integration.as_slice(), &parts);
        changes.installation(EventType::InstallationUpdated, &shown);
        let events = changes.prepare(&self.outbox)?;
        self.installations.delete_workflow(environment, workflow, (&before, &after), events).await
    }
}

/// Deletes a workflow, also from its installation. Its name is free immediately; its errors are
/// kept until they expire.
#[utoipa::path(delete, path = "/workflows/{workflowId}", tag = "workflows", security(("apiKey" = ["manage"])),
    params(UserFilter), responses((status = 200, body = Success),
        (status = 409, description = "the workflow was modified by concurrent requests")))]
pub async fn delete_workflow(
    caller: Backend,
    extract::State(state): extract::State<DeleteState>,
    Path(id): Path<WorkflowId>,
    Valid(UserFilter { user_id }): Valid<UserFilter>,
) -> Result<Json<Success>, Problem> {
    let mut conflicts = Conflicts::new("workflow");
    loop {
        let (workflow, owner) =
            super::find(&state.stores.workflows, caller.environment, None, id, user_id.as_ref()).await?;
        if state.delete(caller, &workflow, &owner).await? {
            return Ok(Json(Success::new()));
        }
        conflicts.retry().await?;
    }
}
