//! Installations: what a user installed of the catalogue.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use serde_json::value::RawValue;
use tenon::{
    domain::{
        access::CallingUser,
        credential::Credential,
        id::{CredentialId, EnvironmentId, UserId, WorkflowId},
        installation::Installation,
        integration::{Integration, IntegrationId},
        names::UserRef,
        timestamp::Timestamp,
        user::{User, UserStatus},
        workflow::{Workflow, WorkflowKey, WorkflowName},
    },
    http::{FieldError, FieldErrors, Input, OrNotFound, Problem, Revised},
    start::FromAws,
    store::{
        Access, ReadOnly, ReadWrite, StoreError, credentials::Credentials, events::Outbox,
        installations::Installations, integrations::Integrations, users::Users, workflows::Workflows,
    },
};
use utoipa::{OpenApi, ToSchema};

use crate::api::users;

mod change;
pub mod delete;
pub mod get;
pub mod list;
pub mod put;

/// Operations of the resource.
#[derive(Debug, OpenApi)]
#[openapi(paths(
    put::put_installation,
    get::get_installation,
    delete::delete_installation,
    list::list_installations_of_user,
    list::list_installations,
))]
pub struct Operations;

/// State of the functions that read or change single installations.
#[derive(Clone, Debug, FromAws)]
pub struct State<A: Access = ReadWrite> {
    users: Users<ReadOnly>,
    integrations: Integrations<ReadOnly>,
    installations: Installations<A>,
    parts: Parts,
}

/// State of the function that deletes installations.
#[derive(Clone, Debug, FromAws)]
pub struct ChangeState {
    state: State,
    outbox: Outbox,
}

impl<A: Access> State<A> {
    /// Returns the requested installation if it exists for the caller, with its user, its
    /// integration unless that was deleted, and its parts.
    async fn find(
        &self,
        environment: EnvironmentId,
        caller: Option<&CallingUser>,
        user: &UserRef,
        id: &IntegrationId,
    ) -> Result<Found, Problem> {
        let owner = users::find(&self.users, environment, caller, user).await?;
        let (found, integration) = tokio::try_join!(
            self.installations.get(environment, owner.user_id, id),
            self.integrations.get(environment, id),
        )?;
        let found = found.filter(|one| is_visible(caller, one));
        let installation = found.or_not_found("installation")?;
        let parts = self.parts.read(environment, std::slice::from_ref(&installation)).await?;
        Ok(Found { owner, installation, integration, parts })
    }
}

/// Installation that was found.
struct Found {
    owner: User,
    installation: Installation,
    integration: Option<Integration>,
    parts: ReadParts,
}

/// Returns whether an installation exists for the caller.
fn is_visible(caller: Option<&CallingUser>, installation: &Installation) -> bool {
    caller.is_none_or(|caller| caller.allowed.allows_installation(installation))
}

/// Workflows and credentials of installations.
#[derive(Clone, Debug, FromAws)]
pub(crate) struct Parts {
    workflows: Workflows<ReadOnly>,
    credentials: Credentials<ReadOnly>,
}

/// Workflows and credentials that were read.
#[derive(Debug)]
pub(crate) struct ReadParts {
    workflows: HashMap<WorkflowId, Workflow>,
    credentials: HashMap<CredentialId, Credential>,
}

impl Parts {
    /// Reads the workflows and credentials of installations. One `BatchGetItem` for each 100
    /// workflows and one for each 100 credentials, concurrently.
    pub(crate) async fn read(
        &self,
        environment: EnvironmentId,
        installations: &[Installation],
    ) -> Result<ReadParts, StoreError> {
        let workflows = installations.iter().flat_map(|one| &one.workflows).map(|workflow| workflow.workflow_id);
        let workflows: Vec<WorkflowId> = workflows.collect();
        let credentials =
            installations.iter().flat_map(|one| one.named_credentials().map(|credential| (one.user_id, credential)));
        let credentials: Vec<(UserId, CredentialId)> = credentials.collect();
        let (workflows, credentials) = tokio::try_join!(
            self.workflows.get_all(environment, &workflows),
            self.credentials.get_all(environment, credentials),
        )?;
        Ok(ReadParts::new(workflows.items, credentials))
    }
}

impl ReadParts {
    pub(crate) fn new(
        workflows: impl IntoIterator<Item = Workflow>,
        credentials: impl IntoIterator<Item = Credential>,
    ) -> Self {
        let workflows = workflows.into_iter().map(|workflow| (workflow.workflow_id, workflow)).collect();
        let credentials = credentials.into_iter().map(|credential| (credential.credential_id, credential)).collect();
        Self { workflows, credentials }
    }
}

/// Installation as the API returns it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Installation)]
pub struct InstallationBody {
    /// Id of the integration.
    pub integration_id: IntegrationId,
    /// Id of the user.
    pub user_id: UserId,
    /// Version of the integration against which the installation was last validated.
    integration_version: u32,
    /// Increases with every change of the installation itself; its workflows and credentials have
    /// their own.
    revision: u64,
    /// Connected credentials, by credential type.
    credential_ids: BTreeMap<String, CredentialId>,
    /// Settings that the engine reads.
    #[schema(value_type = Object)]
    settings: Box<RawValue>,
    /// Workflows that were created so far, also inactive ones.
    workflows: Vec<InstalledWorkflowBody>,
    /// Whether the installation works.
    status: InstallationStatus,
    /// Actions that the user has to take, with pointers into the body of the PUT that would take
    /// them; at most 100.
    attention: Vec<FieldError>,
    /// Creation time.
    installed_at: Timestamp,
    /// Time of the last change.
    updated_at: Timestamp,
}

/// Workflow of an installation.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = InstalledWorkflow)]
pub struct InstalledWorkflowBody {
    /// Id of the workflow.
    workflow_id: WorkflowId,
    /// Workflow of the integration.
    key: WorkflowKey,
    /// Name, unique per user.
    name: WorkflowName,
    /// Id of the integration.
    integration_id: IntegrationId,
    /// Whether the workflow is active; false while its user is disabled.
    active: bool,
}

/// Status of an installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Input, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum InstallationStatus {
    /// At least one workflow is active.
    Active,
    /// No workflow is active.
    Inactive,
    /// A credential is missing or invalid, or settings do not satisfy the integration.
    #[serde(rename = "needs-attention")]
    NeedsAttention,
}

/// Status of an installation, in the catalogue.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct InstallationSummary {
    /// Whether the installation works.
    status: InstallationStatus,
    /// Creation time.
    installed_at: Timestamp,
}

impl InstallationBody {
    /// Creates the body for an installation of a user with this status. `catalogue` has its
    /// integration, unless that was deleted. Workflows and credentials that were not read count as
    /// deleted.
    pub(crate) fn new(
        installation: Installation,
        owner: UserStatus,
        catalogue: &[Integration],
        parts: &ReadParts,
    ) -> Self {
        let integration = catalogue.iter().find(|one| one.integration_id == installation.integration_id);
        let defects = installation.defects(integration, &parts.credentials);
        let (attention, _) = defects.into_iter().collect::<FieldErrors>().into_parts();
        let Installation { integration_id, user_id, integration_version, revision, .. } = installation;
        let Installation { credentials, settings, workflows, installed_at, updated_at, .. } = installation;
        let workflows = workflows.into_iter().filter_map(|installed| {
            let Workflow { workflow_id, name, active, .. } = parts.workflows.get(&installed.workflow_id)?.clone();
            let active = active && owner == UserStatus::Active;
            Some(InstalledWorkflowBody {
                workflow_id,
                key: installed.key,
                name,
                integration_id: integration_id.clone(),
                active,
            })
        });
        let workflows: Vec<InstalledWorkflowBody> = workflows.collect();
        let status = if !attention.is_empty() {
            InstallationStatus::NeedsAttention
        } else if workflows.iter().any(|workflow| workflow.active) {
            InstallationStatus::Active
        } else {
            InstallationStatus::Inactive
        };
        let credential_ids =
            credentials.into_iter().map(|installed| (installed.credential_type.to_string(), installed.credential_id));
        Self {
            credential_ids: credential_ids.collect(),
            settings: settings.into(),
            integration_id,
            user_id,
            integration_version,
            revision,
            workflows,
            status,
            attention,
            installed_at,
            updated_at,
        }
    }

    /// Returns the response with this body, whose ETag is that of the revision.
    fn revised(self) -> Revised<Self> {
        Revised::new(self.revision, self)
    }

    /// Returns the summary in the catalogue.
    pub(crate) fn summary(&self) -> InstallationSummary {
        InstallationSummary { status: self.status, installed_at: self.installed_at }
    }
}

/// Returns the position of an installation in the list of its user.
fn position(installation: &Installation) -> String {
    format!("{}#{}", installation.installed_at, installation.integration_id)
}
