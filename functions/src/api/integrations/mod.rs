//! Integrations: the catalogue of what users can install.

use serde::Serialize;
use tenon::{
    domain::{
        form::Field,
        integration::{Content, CredentialType, Hint, Icon, Integration, IntegrationId, WorkflowTemplate},
        names::UserRef,
        text::Text,
        timestamp::Timestamp,
    },
    http::{AnyCaller, Input, Problem, WithEtag},
    store::{ReadOnly, users::Users},
};
use utoipa::{IntoParams, OpenApi, ToSchema};

pub mod delete;
pub mod get;
pub mod list;
pub mod put;

/// Operations of the resource.
#[derive(Debug, OpenApi)]
#[openapi(paths(put::put_integration, list::list_integrations, get::get_integration, delete::delete_integration))]
pub struct Operations;

/// Query parameter that names a user.
#[derive(Debug, Input, IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub struct ForUser {
    /// User for whom the catalogue is read; otherwise 404. A user names only itself.
    user_id: Option<UserRef>,
}

impl ForUser {
    /// Rejects the request with 404 if the caller may not access the user, if one is given.
    async fn check(&self, users: &Users<ReadOnly>, caller: AnyCaller) -> Result<(), Problem> {
        let Some(user) = &self.user_id else { return Ok(()) };
        let found = users.find_as(caller.environment, caller.user, user).await?;
        found.map(|_| ()).ok_or_else(|| Problem::not_found("user"))
    }
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
        }
    }
}

/// Returns the response with an integration and its ETag.
fn shown(integration: Integration) -> WithEtag<IntegrationBody> {
    WithEtag(integration.into())
}
