//! Request that installs an integration or changes an installation: what it finds, whether it is
//! valid, and what it changes.

use std::collections::{BTreeMap, HashMap, HashSet};

use tenon::{
    domain::{
        form,
        id::{CredentialId, EnvironmentId, UserId},
        installation::Installation,
        integration::{Integration, IntegrationId},
        readable::Readable,
        settings::Settings,
        workflow::Workflow,
    },
    http::{BackendOrUser, Problem},
    store::credentials::SealedCredential,
};

use super::{
    State,
    put::{CredentialData, CredentialSource, PutInstallation},
};

mod checks;
mod plan;

/// Data revisions of the credentials of an installation, by type, as it recorded them.
pub(super) type DataRevisions = BTreeMap<String, Option<u64>>;

/// Present state of what a request changes.
pub(super) struct Current {
    environment: EnvironmentId,
    user: UserId,
    pub(super) integration: Integration,
    /// Present installation.
    pub(super) before: Option<Installation>,
    workflows: Vec<Workflow>,
    /// Credentials of the user that the installation or the request names, or that the installation
    /// created.
    credentials: HashMap<CredentialId, SealedCredential>,
    /// Those of these credentials that are not readable.
    unreadable: HashSet<CredentialId>,
    /// Credentials that the caller must not change, because installations or workflows outside the
    /// limit of its token use them.
    of_others: HashSet<CredentialId>,
}

impl Current {
    /// Reads the integration, which the caller must be able to install, and the present
    /// installation.
    pub(super) async fn read(
        state: &State,
        caller: &BackendOrUser,
        user: UserId,
        id: &IntegrationId,
        request: &PutInstallation,
    ) -> Result<Self, Problem> {
        let BackendOrUser { environment, user: caller, .. } = caller;
        let (environment, allowed) = (*environment, caller.as_ref().map(|caller| &caller.allowed));
        let is_allowed = allowed.is_none_or(|allowed| allowed.allows_integration(id.as_str()));
        let (integration, before) =
            tokio::try_join!(state.integrations.get(environment, id), state.installations.get(environment, user, id),)?;
        let integration = match integration.filter(|_| is_allowed) {
            Some(integration) if integration.content.enabled => integration,
            Some(_) if caller.is_none() => {
                return Err(Problem::integration_disabled());
            }
            _ => return Err(Problem::not_found("integration")),
        };
        let own: HashSet<CredentialId> = before.iter().flat_map(Installation::own_credentials).collect();
        let requested = request.credentials.0.values().filter_map(|source| match source {
            CredentialSource::Existing(id) => Some(*id),
            CredentialSource::Data(_) => None,
        });
        let requested: Vec<CredentialId> = requested.collect();
        let ids = own.iter().copied().chain(requested).map(|id| (user, id));
        let workflows: Vec<_> =
            before.iter().flat_map(|one| &one.workflows).map(|workflow| workflow.workflow_id).collect();
        let (workflows, (mut credentials, unreadable)): (Readable<Workflow>, (Vec<SealedCredential>, _)) = tokio::try_join!(
            state.parts.workflows.get_all(environment, &workflows),
            state.parts.credentials.get_readable(environment, ids),
        )?;
        let workflows = workflows.require_all("workflow")?;
        // After the credentials: a reference that is added later is a conflict.
        let limit = allowed.filter(|allowed| !allowed.is_all() && !request.credentials.0.is_empty());
        let (visible, of_others) = match limit {
            Some(allowed) => {
                let (installations, workflows) = tokio::try_join!(
                    state.installations.by_user(environment, user),
                    state.parts.workflows.by_user_except(environment, user, &[]),
                )?;
                let of_others = match (installations.all(), workflows.all()) {
                    (Some(installations), Some(workflows)) => allowed.credentials_of_others(installations, workflows),
                    // What cannot be read may use any of them.
                    _ => own.clone(),
                };
                (Some(allowed.credentials(&installations, [&integration])), of_others)
            }
            None => (None, HashSet::new()),
        };
        credentials.retain(|SealedCredential { credential, .. }| {
            own.contains(&credential.credential_id)
                || visible.as_ref().is_none_or(|visible| visible.contains(credential))
        });
        let credentials = credentials.into_iter().map(|sealed| (sealed.credential.credential_id, sealed)).collect();
        Ok(Self { environment, user, integration, before, workflows, credentials, unreadable, of_others })
    }

    /// Returns the revisions of the data that the installation last stored.
    pub(super) fn data_revisions(&self) -> DataRevisions {
        let installed = self.before.iter().flat_map(|one| &one.credentials);
        installed.map(|installed| (installed.credential_type.to_string(), installed.data_revision)).collect()
    }

    fn types(&self) -> impl Iterator<Item = &str> {
        self.integration.content.credential_types.iter().map(|one| one.credential_type.as_str())
    }

    /// Returns whether the request sets settings. Otherwise they stay, even if the integration has
    /// changed, so that an account can always be connected again.
    fn sets_settings(&self, request: &PutInstallation) -> bool {
        self.before.is_none() || !request.settings.is_empty()
    }

    /// Returns the settings after the request, without empty ones and those that the integration no
    /// longer has.
    fn settings(&self, request: &PutInstallation) -> Settings {
        let before = self.before.as_ref().map(|one| &one.settings);
        match before {
            Some(before) if !self.sets_settings(request) => before.clone(),
            _ => {
                let before = before.map(|before| before.of_form(&self.integration.content.settings));
                before.unwrap_or_default().merge(&request.settings).filter(|_, value| !form::is_empty(value))
            }
        }
    }

    /// Returns whether a credential exists, even if it cannot be read.
    fn exists(&self, id: &CredentialId) -> bool {
        self.credentials.contains_key(id) || self.unreadable.contains(id)
    }

    /// Returns the credential of this type that the installation names.
    fn present(&self, name: &str) -> Option<&SealedCredential> {
        self.credentials.get(&self.before.as_ref()?.credential(name)?.credential_id)
    }

    /// Returns the credential whose data a request replaces, or none if it creates one. A
    /// credential that the caller must not change stays for the others.
    fn replaced(&self, name: &str, data: &CredentialData) -> Option<&SealedCredential> {
        self.present(name).filter(|present| !data.is_new && !self.of_others.contains(&present.credential.credential_id))
    }
}
