//! Workflows: automations that the workflow engine runs for a user.

use serde::{Deserialize, Serialize};

use super::{
    id::{CredentialId, UserId, WorkflowId},
    request_seed::RequestSeed,
    revision::next_revision,
    settings::Settings,
    text::{Text, string_newtype},
    timestamp::Timestamp,
    user::OwnerStatus,
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
    pub integration_id: Option<EngineIntegrationId>,
    /// Workflow of the integration that the installation created it from; none for one that the
    /// back end created.
    pub key: Option<WorkflowKey>,
    /// Credentials that it uses.
    pub credential_ids: Vec<CredentialId>,
    /// Settings that the engine reads.
    pub settings: Settings,
    /// Whether it is activated. The API shows it as inactive while its owner is disabled.
    pub active: bool,
    /// Increases with every change.
    pub revision: u64,
    /// Creation time.
    pub created_at: Timestamp,
    /// Time of the last change.
    pub updated_at: Timestamp,
}

/// Name of a workflow: 1 to 250 characters, which fit into a sort key in any script (at most 1,024
/// bytes, an AWS limit).
pub type WorkflowName = Text<250>;

/// Id of an integration as the engine names it: 1 to 128 characters, not necessarily an id of the
/// catalogue.
pub type EngineIntegrationId = Text<128>;

string_newtype! {
    /// Name of a workflow within its integration: 1 to 64 letters, digits, `_` and `-`, starting
    /// with a letter or digit.
    WorkflowKey,
    /// Error for a text that is not a key of a workflow.
    #[error("must be 1 to 64 letters, digits, `_` or `-`, starting with a letter or digit")]
    WorkflowKeyError,
    "^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$",
    |text| {
        let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        text.len() <= 64 && text.starts_with(|first: char| first.is_ascii_alphanumeric()) && text.bytes().all(is_valid)
    }
}

/// Maximum number of credentials per workflow.
pub const MAX_CREDENTIALS: usize = 50;

/// Change of a workflow. `None` leaves an attribute unchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkflowChange {
    /// Name.
    pub name: Option<WorkflowName>,
    /// Credentials that it uses.
    pub credential_ids: Option<Vec<CredentialId>>,
    /// Settings that the engine reads.
    pub settings: Option<Settings>,
    /// Whether it is activated.
    pub active: Option<bool>,
}

impl Workflow {
    /// Returns whether the API shows the workflow as active.
    pub fn shows_active(&self, owner: OwnerStatus) -> bool {
        self.active && owner.is_active()
    }

    /// Returns the revision that the API shows. It increases with every change of the workflow, and
    /// also when its owner is disabled or enabled, because that changes what the workflow shows.
    pub fn shown_revision(&self, owner: OwnerStatus) -> u64 {
        self.revision.saturating_add(owner.changes())
    }

    /// Returns the changed workflow, or none if nothing changes.
    pub fn changed(&self, change: &WorkflowChange, now: Timestamp) -> Option<Self> {
        let WorkflowChange { name, credential_ids, settings, active } = change.clone();
        let unchanged = self.clone();
        let changed = Self {
            name: name.unwrap_or(unchanged.name),
            credential_ids: credential_ids.unwrap_or(unchanged.credential_ids),
            settings: settings.unwrap_or(unchanged.settings),
            active: active.unwrap_or(unchanged.active),
            ..unchanged
        };
        (changed != *self).then(|| changed.touched(now))
    }

    /// Returns the workflow with the next revision, such as the last one before a deletion.
    pub fn touched(&self, now: Timestamp) -> Self {
        Self { revision: next_revision(Some(self.revision), now), updated_at: now, ..self.clone() }
    }
}

/// Input for creating a workflow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewWorkflow {
    /// Owner.
    pub user_id: UserId,
    /// Name.
    pub name: WorkflowName,
    /// Integration of which it is an instance.
    pub integration_id: Option<EngineIntegrationId>,
    /// Credentials that it uses.
    pub credential_ids: Vec<CredentialId>,
    /// Settings that the engine reads.
    pub settings: Settings,
}

impl NewWorkflow {
    /// Creates an active workflow with times from the seed. The id depends on the user too: if the
    /// request is repeated, another user may have the name that it gives.
    pub fn create(self, seed: &RequestSeed) -> Workflow {
        let now = seed.at;
        let Self { user_id, name, integration_id, credential_ids, settings } = self;
        Workflow {
            workflow_id: seed.named_id(&format!("workflow {user_id}")),
            user_id,
            name,
            integration_id,
            key: None,
            credential_ids,
            settings,
            active: true,
            revision: next_revision(None, now),
            created_at: now,
            updated_at: now,
        }
    }
}
