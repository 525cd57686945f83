//! Plan of a valid request: the installation after it, and what must be stored for it.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::value::RawValue;
use tenon::{
    domain::{
        credential::{Credential, CredentialStatus},
        event::EventType,
        form,
        id::{CredentialId, ObjectId},
        installation::{
            Installation, InstalledCredential, InstalledWorkflow, MAX_INSTALLED_WORKFLOWS, WorkflowPlan,
            WorkflowSelection,
        },
        integration::{CredentialType, Integration},
        revision::next_revision,
        settings::Settings,
        text::Text,
        timestamp::Timestamp,
        user::{OwnerStatus, UserStatus},
        workflow::Workflow,
    },
    http::{Problem, ProblemType},
    store::{credentials::SealedCredential, installations::InstallationChange},
    vault::Vault,
};
use zeroize::Zeroizing;

use super::{Current, DataRevisions};
use crate::{
    api::{
        credentials::{SecretObject, encryption_context},
        installations::{
            InstallationBody, ReadParts,
            put::{CredentialData, CredentialSource, PutInstallation},
        },
        workflows::WorkflowBody,
    },
    changes::Changes,
};

/// Installation after a request, with its workflows and credentials.
pub(in crate::api::installations) struct Planned {
    /// Change to store; unused if nothing changes.
    change: InstallationChange,
    is_changed: bool,
    unchanged_workflows: Vec<Workflow>,
    credentials: HashMap<CredentialId, Credential>,
}

impl Current {
    /// Plans the change that a valid request asks for. `seen` are the data revisions when the
    /// request began; `taken` are names of workflows that are known to be taken. One KMS call for
    /// each credential with data.
    pub(in crate::api::installations) async fn plan(
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
            return Err(Problem::new(ProblemType::TooManyWorkflows, detail));
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
    pub(in crate::api::installations) fn change(&self) -> Option<&InstallationChange> {
        self.is_changed.then_some(&self.change)
    }

    /// Returns the body of the response.
    pub(in crate::api::installations) fn body(&self, owner: UserStatus, integration: &Integration) -> InstallationBody {
        let InstallationChange { installation, new_workflows, changed_workflows, .. } = &self.change;
        let changed = changed_workflows.iter().map(|(_, workflow)| workflow);
        let workflows = self.unchanged_workflows.iter().chain(new_workflows).chain(changed).cloned();
        let parts = ReadParts::new(workflows, self.credentials.values().cloned());
        InstallationBody::new(installation.clone(), owner, std::slice::from_ref(integration), &parts)
    }

    /// Adds the events of the change.
    pub(in crate::api::installations) fn add_events(
        &self,
        changes: &mut Changes,
        before: Option<&Installation>,
        owner: OwnerStatus,
        shown: &InstallationBody,
    ) {
        let InstallationChange { new_workflows, changed_workflows, new_credentials, replaced_credentials, .. } =
            &self.change;
        for SealedCredential { credential, .. } in new_credentials {
            changes.credential(EventType::CredentialCreated, credential);
        }
        for (_, SealedCredential { credential, .. }) in replaced_credentials {
            changes.credential(EventType::CredentialReplaced, credential);
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
