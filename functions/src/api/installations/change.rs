//! Plan of a request that installs an integration or changes an installation.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::value::RawValue;
use tenon::{
    domain::{
        credential::{Credential, CredentialStatus},
        defect::Defect,
        event::EventType,
        form,
        id::{CredentialId, EnvironmentId, ObjectId, UserId},
        installation::{
            Installation, InstalledCredential, InstalledWorkflow, MAX_CREATED_CREDENTIALS, MAX_INSTALLED_WORKFLOWS,
            WorkflowPlan, WorkflowSelection,
        },
        integration::{CredentialType, Integration, IntegrationId},
        revision::next_revision,
        settings::Settings,
        text::Text,
        timestamp::Timestamp,
        user::{OwnerStatus, UserStatus},
        workflow::Workflow,
    },
    http::{BackendOrUser, FieldErrors, Problem},
    store::{credentials::SealedCredential, installations::InstallationChange},
    vault::Vault,
};
use zeroize::Zeroizing;

use super::{
    InstallationBody, ReadParts, State,
    put::{CredentialData, CredentialSource, PutInstallation},
};
use crate::{
    api::{
        credentials::{SecretObject, encryption_context},
        workflows::WorkflowBody,
    },
    changes::Changes,
};

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

/// Installation after a request, with its workflows and credentials.
pub(super) struct Planned {
    /// Change to store; unused if nothing changes.
    change: InstallationChange,
    is_changed: bool,
    unchanged_workflows: Vec<Workflow>,
    credentials: HashMap<CredentialId, Credential>,
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
        let (workflows, (mut credentials, unreadable)): (_, (Vec<SealedCredential>, _)) = tokio::try_join!(
            state.parts.workflows.get_all_intact(environment, &workflows),
            state.parts.credentials.get_readable(environment, ids),
        )?;
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

    /// Names everything in a request that is invalid.
    pub(super) fn check(&self, request: &PutInstallation) -> Result<(), Problem> {
        self.defects(request, &self.settings(request)).into_iter().collect::<FieldErrors>().check()
    }

    /// Plans the change that a valid request asks for. `seen` are the data revisions when the
    /// request began; `taken` are names of workflows that are known to be taken. One KMS call for
    /// each credential with data.
    pub(super) async fn plan(
        &self,
        request: &PutInstallation,
        seen: &DataRevisions,
        taken: &HashSet<String>,
        vault: &Vault,
    ) -> Result<Planned, Problem> {
        let settings = self.settings(request);
        let known: Vec<&str> = self.types().filter(|name| self.is_superseded(name, request, seen)).collect();
        if !known.is_empty() {
            // Requests of which only the data can differ are in effect if one of them is.
            let planned = self.plan_with(request, &settings, &known, taken, vault).await?;
            if !planned.is_changed {
                return Ok(planned);
            }
        }
        self.plan_with(request, &settings, &[], taken, vault).await
    }

    fn types(&self) -> impl Iterator<Item = &str> {
        self.integration.content.credential_types.iter().map(|one| one.credential_type.as_str())
    }

    /// Plans a valid change without the data of some credential types.
    async fn plan_with(
        &self,
        request: &PutInstallation,
        settings: &Settings,
        without: &[&str],
        taken: &HashSet<String>,
        vault: &Vault,
    ) -> Result<Planned, Problem> {
        let now = Timestamp::now();
        let mut planned = Planned {
            change: InstallationChange {
                installation: self.installation(settings.clone(), self.sets_settings(request), now),
                new_workflows: Vec::new(),
                changed_workflows: Vec::new(),
                new_credentials: Vec::new(),
                replaced_credentials: Vec::new(),
                referenced_credentials: Vec::new(),
            },
            is_changed: false,
            unchanged_workflows: Vec::new(),
            credentials: self.credentials.iter().map(|(id, sealed)| (*id, sealed.credential.clone())).collect(),
        };
        for credential_type in &self.integration.content.credential_types {
            let name = &credential_type.credential_type;
            match request.credentials.0.get(name.as_str()) {
                Some(CredentialSource::Existing(id)) => planned.reference_credential(name, *id),
                Some(CredentialSource::Data(input)) if !without.contains(&name.as_str()) => {
                    self.store_data(&mut planned, credential_type, input, vault).await?;
                }
                Some(CredentialSource::Data(_)) | None => {}
            }
        }
        self.plan_workflows(&mut planned, request, taken)?;
        planned.keep_unchanged(self.before.as_ref());
        Ok(planned)
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

    /// Returns everything that the integration does not allow.
    fn defects(&self, request: &PutInstallation, settings: &Settings) -> Vec<Defect> {
        let content = &self.integration.content;
        let mut defects = Vec::new();
        for (name, source) in &request.credentials.0 {
            match source {
                CredentialSource::Existing(id) => defects.extend(self.defects_of_existing(name, *id)),
                CredentialSource::Data(input) => defects.extend(self.defects_of_data(name, input)),
            }
        }
        defects.extend(self.defects_of_number(request));
        if self.before.is_none() {
            let missing = self.types().filter(|name| !request.credentials.0.contains_key(*name));
            defects.extend(missing.map(|name| Defect::new(&["credentials", name], "is required")));
        }
        if self.sets_settings(request) {
            let cleared = request.settings.filter(|_, value| form::is_empty(value));
            defects.extend(content.check_settings(settings, &cleared));
        }
        let installed = self.before.as_ref().map(|before| before.workflows.as_slice()).unwrap_or_default();
        defects.extend(content.check_workflows(request.workflows.as_deref().unwrap_or_default(), installed));
        defects
    }

    /// Returns why an existing credential cannot be connected as one of this type.
    fn defects_of_existing(&self, name: &str, id: CredentialId) -> Vec<Defect> {
        if self.types().all(|known| known != name) {
            return self.integration.content.check_data(name, []);
        }
        let found = self.credentials.get(&id).map(|sealed| sealed.credential.credential_type.as_str());
        let detail = "must be a credential of this user with this type, which the caller may use";
        let defect = (found != Some(name)).then(|| Defect::new(&["credentials", name, "credentialId"], detail));
        defect.into_iter().collect()
    }

    /// Returns why data cannot be stored in a credential of this type.
    fn defects_of_data(&self, name: &str, CredentialData { data, is_new, .. }: &CredentialData) -> Vec<Defect> {
        let content = &self.integration.content;
        let SecretObject(text) = data;
        let members: BTreeMap<String, &RawValue> = serde_json::from_str(text).unwrap_or_default();
        let members = members.iter().map(|(name, value)| (name.as_str(), value.get()));
        let mut defects = content.check_data(name, members);
        let is_app_connected = content.app_connected_types().any(|app_connected| app_connected == name);
        let present = self.present(name);
        let stays = |present: &SealedCredential| !is_new && present.credential.status == CredentialStatus::Valid;
        if is_app_connected && !present.is_some_and(stays) {
            let detail =
                "is connected by the app, because the type has no fields; send the credentialId of a valid credential";
            defects.push(Defect::new(&["credentials", name], detail));
        }
        defects
    }

    /// Returns why the installation cannot create all new credentials. Uninstalling deletes all of
    /// them in one transaction, so that their number is limited.
    fn defects_of_number(&self, request: &PutInstallation) -> Vec<Defect> {
        let created = self.before.iter().flat_map(|before| &before.created_credentials);
        let existing = created.filter(|id| self.exists(id)).count();
        let types = self.integration.content.credential_types.iter().filter(|one| !one.fields.is_empty());
        let new = types.filter_map(|CredentialType { credential_type, .. }| {
            let name = credential_type.as_str();
            match request.credentials.0.get(name)? {
                CredentialSource::Data(data) => self.replaced(name, data).is_none().then_some((name, data.is_new)),
                CredentialSource::Existing(_) => None,
            }
        });
        let new: Vec<(&str, bool)> = new.collect();
        if existing + new.len() <= MAX_CREATED_CREDENTIALS {
            return Vec::new();
        }
        let detail = format!(
            "is not possible: the installation would have created more than {MAX_CREATED_CREDENTIALS} credentials; \
             use or delete one of them"
        );
        let defect = |(name, is_new)| {
            Defect::new(&["credentials", name, if is_new { "new" } else { "credentialId" }], detail.clone())
        };
        new.into_iter().map(defect).collect()
    }

    /// Returns whether a credential exists, even if it cannot be read.
    fn exists(&self, id: &CredentialId) -> bool {
        self.credentials.contains_key(id) || self.unreadable.contains(id)
    }

    /// Returns the installation with these settings, before its credentials and workflows are
    /// changed.
    fn installation(&self, settings: Settings, is_validated: bool, now: Timestamp) -> Installation {
        let integration_version = self.integration.version;
        match &self.before {
            Some(before) => {
                let mut credentials = before.credentials.clone();
                credentials.retain(|installed| self.types().any(|name| name == installed.credential_type.as_str()));
                let mut created = before.created_credentials.clone();
                created.retain(|id| self.exists(id));
                Installation {
                    integration_version: if is_validated { integration_version } else { before.integration_version },
                    revision: next_revision(Some(before.revision), now),
                    credentials,
                    settings,
                    created_credentials: created,
                    updated_at: now,
                    ..before.clone()
                }
            }
            None => Installation {
                integration_id: self.integration.integration_id.clone(),
                user_id: self.user,
                integration_version,
                revision: next_revision(None, now),
                credentials: Vec::new(),
                settings,
                workflows: Vec::new(),
                created_credentials: Vec::new(),
                installed_at: now,
                updated_at: now,
            },
        }
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

    /// Returns whether another request stored valid data for the credential type while this one was
    /// in progress, so that this one counts as the earlier of the two. A request for a new
    /// credential adds it in any case.
    fn is_superseded(&self, name: &str, request: &PutInstallation, seen: &DataRevisions) -> bool {
        let source = request.credentials.0.get(name);
        let adds = matches!(source, Some(CredentialSource::Data(CredentialData { is_new: true, .. })));
        let installed = self.before.as_ref().and_then(|before| before.credential(name)).filter(|_| !adds);
        installed.is_some_and(|InstalledCredential { credential_id, data_revision, .. }| {
            let present = self.credentials.get(credential_id).map(|sealed| &sealed.credential);
            let present = present.filter(|credential| credential.status == CredentialStatus::Valid);
            data_revision.is_some()
                && *data_revision == present.map(|credential| credential.data_revision)
                && seen.get(name).copied().flatten() != *data_revision
        })
    }

    /// Replaces the data of the present credential, or creates one. The present data stays if the
    /// type has no fields: the app stored it, such as an OAuth grant.
    async fn store_data(
        &self,
        planned: &mut Planned,
        CredentialType { credential_type, name, fields }: &CredentialType,
        input: &CredentialData,
        vault: &Vault,
    ) -> Result<(), Problem> {
        let now = planned.change.installation.updated_at;
        if fields.is_empty() && self.present(credential_type.as_str()).is_some() {
            return Ok(());
        }
        let CredentialData { data: SecretObject(data), name: display_name, .. } = input;
        let replaced = self.replaced(credential_type.as_str(), input);
        let (credential, version) = match replaced {
            Some(SealedCredential { credential, data }) => {
                (credential.replaced(display_name.as_ref(), now), data.version + 1)
            }
            None => {
                let name = display_name.clone().unwrap_or_else(|| name.with_suffix(""));
                let id = ObjectId::at(now).into();
                let credential = Credential::new(id, self.user, credential_type.clone(), name, now);
                (Credential { created_by_installation: true, ..credential }, 1)
            }
        };
        let id = credential.credential_id;
        let data = without_empty(data);
        let data = vault.seal(&encryption_context(self.environment, id), version, data.as_bytes()).await?;
        planned.credentials.insert(id, credential.clone());
        planned.connect(credential_type, id, Some(credential.data_revision));
        let sealed = SealedCredential { credential, data };
        let change = &mut planned.change;
        match replaced {
            Some(before) => change.replaced_credentials.push((before.credential.clone(), sealed)),
            None => {
                change.new_credentials.push(sealed);
                change.installation.created_credentials.push(id);
            }
        }
        Ok(())
    }

    fn plan_workflows(
        &self,
        planned: &mut Planned,
        request: &PutInstallation,
        taken: &HashSet<String>,
    ) -> Result<(), Problem> {
        let selection = match (&request.workflows, &self.before) {
            (Some(keys), _) => WorkflowSelection::Only(keys),
            (None, None) => WorkflowSelection::All,
            (None, Some(_)) => WorkflowSelection::Unchanged,
        };
        let installation = &mut planned.change.installation;
        let plan = WorkflowPlan::new(installation, self.workflows.clone(), &self.integration, selection, taken);
        let WorkflowPlan { new, changed, unchanged } = plan;
        installation.workflows.extend(new.iter().filter_map(|workflow| {
            Some(InstalledWorkflow { workflow_id: workflow.workflow_id, key: workflow.key.clone()? })
        }));
        if installation.workflows.len() > MAX_INSTALLED_WORKFLOWS {
            let detail = format!(
                "the installation would have more than {MAX_INSTALLED_WORKFLOWS} workflows; delete some that the integration no longer has"
            );
            return Err(Problem::conflict("too-many-workflows", detail));
        }
        planned.change.new_workflows = new;
        planned.change.changed_workflows = changed;
        planned.unchanged_workflows = unchanged;
        Ok(())
    }
}

/// Returns the members of a JSON object that are not empty. The text may be secret.
fn without_empty(json: &str) -> Zeroizing<String> {
    let mut members: BTreeMap<String, &RawValue> = serde_json::from_str(json).unwrap_or_default();
    members.retain(|_, value| !form::is_empty(value.get()));
    Zeroizing::new(serde_json::to_string(&members).unwrap_or_default())
}

impl Planned {
    /// Returns the change to store, or none if nothing changes.
    pub(super) fn change(&self) -> Option<&InstallationChange> {
        self.is_changed.then_some(&self.change)
    }

    /// Returns the body of the response.
    pub(super) fn body(&self, owner: UserStatus, integration: &Integration) -> InstallationBody {
        let InstallationChange { installation, new_workflows, changed_workflows, .. } = &self.change;
        let changed = changed_workflows.iter().map(|(_, workflow)| workflow);
        let workflows = self.unchanged_workflows.iter().chain(new_workflows).chain(changed).cloned();
        let parts = ReadParts::new(workflows, self.credentials.values().cloned());
        InstallationBody::new(installation.clone(), owner, std::slice::from_ref(integration), &parts)
    }

    /// Adds the events of the change.
    pub(super) fn add_events(
        &self,
        changes: &mut Changes,
        before: Option<&Installation>,
        owner: OwnerStatus,
        shown: &InstallationBody,
    ) {
        let InstallationChange { new_workflows, changed_workflows, new_credentials, replaced_credentials, .. } =
            &self.change;
        for SealedCredential { credential, .. } in new_credentials {
            changes.credential(EventType::CredentialCreated, &credential.clone().into());
        }
        for (_, SealedCredential { credential, .. }) in replaced_credentials {
            changes.credential(EventType::CredentialReplaced, &credential.clone().into());
        }
        let event_type = match before {
            None => EventType::InstallationCreated,
            Some(_) => EventType::InstallationUpdated,
        };
        changes.installation(event_type, shown);
        for workflow in new_workflows {
            changes.workflow(EventType::WorkflowCreated, &WorkflowBody::new(workflow.clone(), owner));
        }
        for (before, after) in changed_workflows {
            changes.changed_workflow(before, after, owner);
        }
    }

    /// Keeps the present installation if nothing changes.
    fn keep_unchanged(&mut self, before: Option<&Installation>) {
        let InstallationChange { installation, new_workflows, changed_workflows, replaced_credentials, .. } =
            &mut self.change;
        let stays = new_workflows.is_empty() && changed_workflows.is_empty() && replaced_credentials.is_empty();
        match before {
            Some(Installation { revision, updated_at, .. }) if stays => {
                let after = Installation { revision: *revision, updated_at: *updated_at, ..installation.clone() };
                self.is_changed = before != Some(&after);
                if !self.is_changed {
                    *installation = after;
                }
            }
            _ => self.is_changed = true,
        }
    }

    /// Connects a credential of the user.
    fn reference_credential(&mut self, name: &Text<128>, id: CredentialId) {
        let present = self.change.installation.credential(name.as_str());
        if present.is_none_or(|present| present.credential_id != id) {
            self.connect(name, id, None);
            self.change.referenced_credentials.push(id);
        }
    }

    fn connect(&mut self, name: &Text<128>, credential_id: CredentialId, data_revision: Option<u64>) {
        let credentials = &mut self.change.installation.credentials;
        let connected = InstalledCredential { credential_type: name.clone(), credential_id, data_revision };
        match credentials.iter_mut().find(|installed| installed.credential_type == *name) {
            Some(installed) => *installed = connected,
            None => credentials.push(connected),
        }
    }
}
