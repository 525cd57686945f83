//! Workflows: automations that the workflow engine runs for a user.

use serde::{Deserialize, Serialize};

use super::{
    id::{CredentialId, UserId, WorkflowId},
    request_seed::RequestSeed,
    text::Text,
    timestamp::Timestamp,
};

/// Workflow as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Workflow {
    /// Workflow id.
    pub workflow_id: WorkflowId,
    /// Owner; never changes.
    pub user_id: UserId,
    /// Name, unique for its owner.
    pub name: WorkflowName,
    /// Integration of which it is an instance, as named by the engine.
    pub integration_id: Option<IntegrationId>,
    /// Credentials that it uses.
    pub credential_ids: Vec<CredentialId>,
    /// Whether it is activated. The API shows it as inactive while its owner is disabled.
    pub active: bool,
    /// Creation time.
    pub created_at: Timestamp,
    /// Time of the last change.
    pub updated_at: Timestamp,
}

/// Name of a workflow: 1 to 250 characters, which fit into a sort key in any script (at most 1,024
/// bytes, an AWS limit).
pub type WorkflowName = Text<250>;

/// Name of an integration in the engine: 1 to 128 characters.
pub type IntegrationId = Text<128>;

/// Maximum number of credentials per workflow.
pub const MAX_CREDENTIALS: usize = 50;

/// Input for creating a workflow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewWorkflow {
    /// Owner.
    pub user_id: UserId,
    /// Name.
    pub name: WorkflowName,
    /// Integration of which it is an instance.
    pub integration_id: Option<IntegrationId>,
    /// Credentials that it uses.
    pub credential_ids: Vec<CredentialId>,
}

impl NewWorkflow {
    /// Creates an active workflow with ids and times from the seed.
    pub fn create(self, seed: &RequestSeed) -> Workflow {
        let now = seed.at;
        let Self { user_id, name, integration_id, credential_ids } = self;
        Workflow {
            workflow_id: seed.id(0),
            user_id,
            name,
            integration_id,
            credential_ids,
            active: true,
            created_at: now,
            updated_at: now,
        }
    }
}
