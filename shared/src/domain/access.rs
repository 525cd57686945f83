//! Access of user tokens: what a token may do, and the integrations to which it is limited.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    credential::Credential,
    id::{CredentialId, UserId},
    installation::Installation,
    integration::{Integration, IntegrationId, IntegrationIdError},
    readable::Readable,
    text::string_enum,
    workflow::Workflow,
};

/// Maximum number of integrations to which a token can be limited.
pub const MAX_TOKEN_INTEGRATIONS: usize = 20;
/// Maximum number of origins of a token.
pub const MAX_TOKEN_ORIGINS: usize = 5;

/// Permissions of a user token. Each mode includes those before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum TokenMode {
    /// Read only.
    Read,
    /// Also install integrations and change installations.
    Install,
    /// Also uninstall, activate and deactivate workflows, and delete credentials.
    // Tokens without a mode stem from a version that had none.
    #[default]
    Manage,
}

string_enum!(TokenMode { Read = "read", Install = "install", Manage = "manage" });

impl TokenMode {
    /// Returns the mode that a token needs for a route, such as `GET /session`.
    pub fn needed_for(route: &str) -> Self {
        if route.starts_with("GET ") {
            Self::Read
        } else if route == "PUT /users/{user}/installations/{integrationId}" {
            Self::Install
        } else {
            Self::Manage
        }
    }
}

/// Integrations that exist for a token: all, or those of a list. In the authorizer context they are
/// a text, separated by spaces.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Allowed(Option<Vec<IntegrationId>>);

impl Allowed {
    /// Limits a token to a list of integrations, if one is given.
    pub fn only(list: Option<Vec<IntegrationId>>) -> Self {
        Self(list)
    }

    /// Returns whether all integrations are allowed.
    pub fn is_all(&self) -> bool {
        self.0.is_none()
    }

    /// Returns the list, if there is one.
    pub fn list(&self) -> Option<&[IntegrationId]> {
        self.0.as_deref()
    }

    /// Returns whether an integration exists for the token.
    pub fn allows_integration(&self, id: &str) -> bool {
        self.0.as_ref().is_none_or(|list| list.iter().any(|allowed| allowed.as_str() == id))
    }

    /// Returns whether a workflow exists for the token: all do without a limit, otherwise those of
    /// an allowed integration.
    pub fn allows_workflow(&self, workflow: &Workflow) -> bool {
        self.is_all() || workflow.integration_id.as_ref().is_some_and(|id| self.allows_integration(id.as_str()))
    }

    /// Returns whether an installation exists for the token.
    pub fn allows_installation(&self, installation: &Installation) -> bool {
        self.allows_integration(installation.integration_id.as_str())
    }

    /// Returns the credentials that the installations of a limited token name.
    pub fn installed_credentials(&self, installations: &[Installation]) -> HashSet<CredentialId> {
        named_by(installations.iter().filter(|installation| self.allows_installation(installation)))
    }

    /// Returns the credentials that installations of other integrations and workflows outside of
    /// the limit name. A limited token changes none of them.
    pub fn credentials_of_others(
        &self,
        installations: &[Installation],
        workflows: &[Workflow],
    ) -> HashSet<CredentialId> {
        let installations = installations.iter().filter(|installation| !self.allows_installation(installation));
        let workflows = workflows.iter().filter(|workflow| !self.allows_workflow(workflow));
        named_by(installations)
            .into_iter()
            .chain(workflows.flat_map(|one| one.credential_ids.iter().copied()))
            .collect()
    }

    /// Returns whether a limited token may delete a credential: its installations name it, and
    /// nothing else.
    pub fn may_delete(&self, id: CredentialId, installations: &[Installation], workflows: &[Workflow]) -> bool {
        self.installed_credentials(installations).contains(&id)
            && !self.credentials_of_others(installations, workflows).contains(&id)
    }

    /// Returns the credentials that exist for a limited token, from the installations of its user
    /// and the integrations of the environment.
    pub fn credentials<'a>(
        &self,
        installations: &Readable<Installation>,
        integrations: impl IntoIterator<Item = &'a Integration>,
    ) -> VisibleCredentials {
        let of_others = installations.all().map(|all| {
            let others = all.iter().filter(|installation| !self.allows_installation(installation));
            others.flat_map(|one| &one.created_credentials).copied().collect()
        });
        let offered = integrations
            .into_iter()
            .filter(|one| one.content.enabled && self.allows_integration(one.integration_id.as_str()));
        VisibleCredentials {
            installed: self.installed_credentials(&installations.items),
            of_others,
            app_connected: offered.flat_map(|one| one.content.app_connected_types()).map(str::to_owned).collect(),
        }
    }
}

/// Returns the credentials that installations name.
fn named_by<'a>(installations: impl Iterator<Item = &'a Installation>) -> HashSet<CredentialId> {
    installations.flat_map(Installation::named_credentials).collect()
}

/// Credentials that exist for a limited token: those that its installations name, and those of
/// types that the app connects for its integrations, so that the user can choose one.
#[derive(Clone, Debug)]
pub struct VisibleCredentials {
    installed: HashSet<CredentialId>,
    /// Credentials that installations of other integrations created, or none if one of these cannot
    /// be read.
    of_others: Option<HashSet<CredentialId>>,
    /// Types that the app connects.
    app_connected: HashSet<String>,
}

impl VisibleCredentials {
    /// Returns whether a credential exists for the token.
    pub fn contains(&self, credential: &Credential) -> bool {
        let id = &credential.credential_id;
        let is_of_others = match &self.of_others {
            Some(of_others) => of_others.contains(id),
            None => credential.created_by_installation,
        };
        self.installed.contains(id)
            || (self.app_connected.contains(credential.credential_type.as_str()) && !is_of_others)
    }
}

impl From<Allowed> for String {
    fn from(allowed: Allowed) -> Self {
        let list = allowed.0.unwrap_or_default();
        list.iter().map(IntegrationId::as_str).collect::<Vec<_>>().join(" ")
    }
}

impl TryFrom<String> for Allowed {
    type Error = IntegrationIdError;

    fn try_from(text: String) -> Result<Self, IntegrationIdError> {
        text.split_whitespace().map(str::parse).collect::<Result<_, _>>().map(|list| Self(Some(list)))
    }
}

/// User who calls with a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallingUser {
    /// User id.
    pub user_id: UserId,
    /// Integrations that exist for the token.
    pub allowed: Allowed,
}

impl CallingUser {
    /// Returns whether a workflow exists for the caller.
    pub fn can_access(&self, workflow: &Workflow) -> bool {
        self.user_id == workflow.user_id && self.allowed.allows_workflow(workflow)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mode_depends_on_what_a_route_changes() {
        assert_eq!(TokenMode::needed_for("GET /session"), TokenMode::Read);
        assert_eq!(TokenMode::needed_for("PUT /users/{user}/installations/{integrationId}"), TokenMode::Install);
        for route in ["DELETE /users/{user}/installations/{integrationId}", "PUT /workflows/activate", ""] {
            assert_eq!(TokenMode::needed_for(route), TokenMode::Manage);
        }
        assert!(TokenMode::Read < TokenMode::Install && TokenMode::Install < TokenMode::Manage);
    }

    #[test]
    fn limit_survives_the_authorizer_context() {
        let limited = Allowed::only(Some(vec!["a".parse().unwrap(), "b-2".parse().unwrap()]));
        for allowed in [limited, Allowed::only(Some(Vec::new()))] {
            let text = String::from(allowed.clone());
            assert_eq!(Allowed::try_from(text).unwrap(), allowed);
        }
        assert!(Allowed::try_from("A".to_owned()).is_err());
        assert!(Allowed::default().allows_integration("x") && !Allowed::only(Some(Vec::new())).allows_integration("x"));
    }
}
