//! Workflows: what a workflow engine runs for a user.

use serde::{Deserialize, Serialize};

use super::{
    id::{CredentialId, UserId, WorkflowId},
    request_seed::RequestSeed,
    text::Text,
    timestamp::Timestamp,
};

/// A workflow as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Workflow {
    /// Its id.
    pub workflow_id: WorkflowId,
    /// Whose it is. This never changes.
    pub user_id: UserId,
    /// Its name, unique for its user.
    pub name: WorkflowName,
    /// The integration that it is an instance of, as the engine calls it.
    pub integration_id: Option<IntegrationId>,
    /// The credentials that it uses.
    pub credential_ids: Vec<CredentialId>,
    /// Whether it was switched on; it reads as inactive while its user is disabled.
    pub active: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// A workflow's name: 1 to 250 characters, which in a sort key have room in any script (1,024 bytes, an AWS limit).
pub type WorkflowName = Text<250>;

/// An integration as the engine calls it: 1 to 128 characters.
pub type IntegrationId = Text<128>;

/// The most credentials that a workflow names.
pub const MAX_CREDENTIALS: usize = 50;

/// What is needed to create a workflow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewWorkflow {
    /// Whose it is.
    pub user_id: UserId,
    /// Its name.
    pub name: WorkflowName,
    /// The integration that it is an instance of.
    pub integration_id: Option<IntegrationId>,
    /// The credentials that it uses.
    pub credential_ids: Vec<CredentialId>,
}

impl NewWorkflow {
    /// The workflow that the request of this seed creates: active.
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
