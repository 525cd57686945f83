//! Integrations: the catalogue of what users can install.

use std::collections::HashMap;

use serde::Serialize;
use tenon::{
    domain::{
        access::CallingUser,
        form::Field,
        id::{EnvironmentId, UserId},
        installation::Installation,
        integration::{Content, CredentialType, Hint, Icon, Integration, IntegrationId, WorkflowTemplate},
        names::UserRef,
        text::Text,
        timestamp::Timestamp,
        user::{User, UserStatus},
    },
    http::{AnyCaller, Input, Problem, Revised},
    store::{ReadOnly, users::Users},
};
use utoipa::{IntoParams, OpenApi, ToSchema};

use crate::api::{
    installations::{InstallationBody, InstallationSummary, Parts},
    users,
};

pub mod delete;
pub mod get;
pub mod install_url;
pub mod list;
pub mod put;

/// Operations of the resource.
#[derive(Debug, OpenApi)]
#[openapi(paths(
    put::put_integration,
    list::list_integrations,
    get::get_integration,
    delete::delete_integration,
    install_url::create_install_url,
))]
pub struct Operations;

/// Query parameter that names a user.
#[derive(Debug, Input, IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub struct ForUser {
    /// User for whom the catalogue is read; otherwise 404. A user names only itself.
    user_id: Option<UserRef>,
}

/// User for whom the catalogue is shown.
struct Viewer {
    user_id: UserId,
    status: UserStatus,
}

impl ForUser {
    /// Returns the user for whom the catalogue is shown, if any: the one that is named, which the
    /// caller must be able to access, or the calling user.
    async fn viewer(&self, users: &Users<ReadOnly>, caller: &AnyCaller) -> Result<Option<Viewer>, Problem> {
        let Some(user) = &self.user_id else {
            // Tokens of disabled users are refused.
            return Ok(caller.user.as_ref().map(|user| Viewer { user_id: user.user_id, status: UserStatus::Active }));
        };
        let User { user_id, status, .. } = users::find(users, caller.environment, caller.user.as_ref(), user).await?;
        Ok(Some(Viewer { user_id, status }))
    }
}

/// Returns whether an integration exists for the caller: users see enabled ones that their token
/// allows.
fn is_visible(caller: &AnyCaller, Integration { integration_id, content, .. }: &Integration) -> bool {
    let allows = |user: &CallingUser| content.enabled && user.allowed.allows_integration(integration_id.as_str());
    caller.user.as_ref().is_none_or(allows)
}

/// Returns the summaries of a user's installations, by integration.
async fn summaries(
    parts: &Parts,
    environment: EnvironmentId,
    viewer: &Viewer,
    installations: Vec<Installation>,
    integrations: &[Integration],
) -> Result<HashMap<String, InstallationSummary>, Problem> {
    let parts = parts.read(environment, &installations).await?;
    let summary = |installation: Installation| {
        let id = installation.integration_id.to_string();
        (id, InstallationBody::new(installation, viewer.status, integrations, &parts).summary())
    };
    Ok(installations.into_iter().map(summary).collect())
}

/// Integration as the API returns it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Integration)]
pub struct IntegrationBody {
    /// Id of the integration.
    integration_id: IntegrationId,
    /// Display name.
    name: Text<128>,
    /// Description.
    #[schema(required = true)]
    description: Option<Text<1000>>,
    /// Image as a data URI.
    #[schema(required = true)]
    icon: Option<Icon>,
    /// Accounts that a user connects.
    credential_types: Vec<CredentialType>,
    /// Settings that a user fills in.
    settings: Vec<Field>,
    /// Workflows that an installation creates.
    workflows: Vec<WorkflowTemplate>,
    /// Explanations of errors for the user.
    hints: Vec<Hint>,
    /// Whether users see the integration and can install it.
    enabled: bool,
    /// Increases whenever the content changes.
    version: u32,
    /// Creation time.
    created_at: Timestamp,
    /// Time of the last change.
    updated_at: Timestamp,
    /// Installation of the user for whom the integration is read, null if there is none; absent
    /// without a user.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<InstallationSummary>)]
    installation: Option<Option<InstallationSummary>>,
}

impl From<Integration> for IntegrationBody {
    fn from(integration: Integration) -> Self {
        let Integration { integration_id, content, version, created_at, updated_at } = integration;
        let Content { name, description, icon, credential_types, settings, workflows, hints, enabled } = content;
        Self {
            integration_id,
            name,
            description,
            icon,
            credential_types,
            settings,
            workflows,
            hints,
            enabled,
            version,
            created_at,
            updated_at,
            installation: None,
        }
    }
}

impl IntegrationBody {
    /// Returns this integration with the installation of a user, by integration.
    fn of_user(mut self, installations: &HashMap<String, InstallationSummary>) -> Self {
        self.installation = Some(installations.get(self.integration_id.as_str()).cloned());
        self
    }
}

/// Returns the response with an integration, whose ETag is that of its revision.
fn revised(integration: Integration) -> Revised<IntegrationBody> {
    Revised::new(integration.revision(), integration.into())
}
