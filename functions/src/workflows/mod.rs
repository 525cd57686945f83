//! Workflows.

use serde::Serialize;
use tenon::domain::{
    id::{CredentialId, UserId, WorkflowId},
    timestamp::Timestamp,
    user::Status,
    workflow::{IntegrationId, Workflow, WorkflowName},
};
use utoipa::ToSchema;

pub mod create;

/// A workflow as the API shows it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Workflow)]
pub struct WorkflowBody {
    /// Its id.
    pub workflow_id: WorkflowId,
    /// Whose it is.
    pub user_id: UserId,
    /// Its name, unique for its user.
    pub name: WorkflowName,
    /// The integration that it is an instance of.
    #[schema(required = true)]
    pub integration_id: Option<IntegrationId>,
    /// The credentials that it uses.
    pub credential_ids: Vec<CredentialId>,
    /// Whether it runs: false while its user is disabled.
    pub active: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl WorkflowBody {
    /// A workflow as it reads while its user has this status.
    pub fn new(workflow: Workflow, owner: Status) -> Self {
        let Workflow { workflow_id, user_id, name, integration_id, credential_ids, active, created_at, updated_at } =
            workflow;
        let active = active && owner == Status::Active;
        Self { workflow_id, user_id, name, integration_id, credential_ids, active, created_at, updated_at }
    }
}
