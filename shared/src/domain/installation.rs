//! Installations: each is one user's use of one integration.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::{
    credential::{Credential, CredentialStatus},
    defect::Defect,
    form::{self, Field, ValueError},
    id::{CredentialId, ObjectId, UserId, WorkflowId},
    integration::{Content, Integration, IntegrationId, MAX_WORKFLOWS},
    revision::next_revision,
    settings::{Settings, SettingsError},
    text::Text,
    timestamp::Timestamp,
    workflow::{Workflow, WorkflowKey, WorkflowName},
};

/// Maximum number of workflows of an installation, including those that the integration no longer
/// has. They are deleted in one transaction, of at most 100 items (AWS limit).
pub const MAX_INSTALLED_WORKFLOWS: usize = MAX_WORKFLOWS + 4;
/// Maximum number of credentials that an installation creates, and that are deleted with it in the
/// same transaction.
pub const MAX_CREATED_CREDENTIALS: usize = 8;

// The check of the user; the installation with its tombstone and event; each workflow with its
// pointer and event; and each credential with its tombstone and event.
const _: () = assert!(4 + 3 * MAX_INSTALLED_WORKFLOWS + 3 * MAX_CREATED_CREDENTIALS <= 100);

/// Installation as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Installation {
    /// Installed integration.
    pub integration_id: IntegrationId,
    /// Owner; never changes.
    pub user_id: UserId,
    /// Version of the integration against which it was last validated.
    pub integration_version: u32,
    /// Increases with every change.
    pub revision: u64,
    /// Connected accounts.
    pub credentials: Vec<InstalledCredential>,
    /// Settings, which its workflows have too.
    pub settings: Settings,
    /// Workflows, in the order of their creation.
    pub workflows: Vec<InstalledWorkflow>,
    /// Credentials that the installation created, and that are deleted with it unless something
    /// else names them.
    pub created_credentials: Vec<CredentialId>,
    /// Creation time.
    pub installed_at: Timestamp,
    /// Time of the last change.
    pub updated_at: Timestamp,
}

/// Credential of an installation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InstalledCredential {
    /// Credential type of the integration.
    pub credential_type: Text<128>,
    /// Credential of that type.
    pub credential_id: CredentialId,
    /// Revision of the data that the installation last stored in it; none if it never did.
    pub data_revision: Option<u64>,
}

/// Workflow of an installation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InstalledWorkflow {
    /// Workflow id.
    pub workflow_id: WorkflowId,
    /// Workflow of the integration.
    pub key: WorkflowKey,
}

impl Installation {
    /// Returns the credential of a type.
    pub fn credential(&self, credential_type: &str) -> Option<&InstalledCredential> {
        self.credentials.iter().find(|installed| installed.credential_type.as_str() == credential_type)
    }

    /// Returns the ids of the connected credentials.
    pub fn named_credentials(&self) -> impl Iterator<Item = CredentialId> {
        self.credentials.iter().map(|installed| installed.credential_id)
    }

    /// Returns the ids of the connected credentials, and of those that the installation created.
    /// Some are in both.
    pub fn own_credentials(&self) -> impl Iterator<Item = CredentialId> {
        self.named_credentials().chain(self.created_credentials.iter().copied())
    }

    /// Returns the installation without a workflow, or none if it does not have it.
    pub fn without(&self, workflow: WorkflowId, now: Timestamp) -> Option<Self> {
        let mut rest = self.clone();
        rest.workflows.retain(|installed| installed.workflow_id != workflow);
        (rest.workflows.len() < self.workflows.len()).then(|| rest.touched(now))
    }

    /// Returns the installation with the next revision, such as the last one before it is deleted.
    pub fn touched(&self, now: Timestamp) -> Self {
        Self { revision: next_revision(Some(self.revision), now), updated_at: now, ..self.clone() }
    }

    /// Returns the defects that need the user's attention: accounts that are not connected or whose
    /// credential is deleted or invalid, and settings that do not satisfy the integration. Without
    /// the integration the settings are not checked.
    pub fn defects(
        &self,
        integration: Option<&Integration>,
        credentials: &HashMap<CredentialId, Credential>,
    ) -> Vec<Defect> {
        let types: Vec<&str> = match integration {
            Some(Integration { content, .. }) => {
                content.credential_types.iter().map(|one| one.credential_type.as_str()).collect()
            }
            None => self.credentials.iter().map(|installed| installed.credential_type.as_str()).collect(),
        };
        let account = |name: &&str| {
            let Some(installed) = self.credential(name) else { return Some("is not connected".to_owned()) };
            match credentials.get(&installed.credential_id) {
                None => Some("was deleted".to_owned()),
                Some(Credential { status: CredentialStatus::Valid, .. }) => None,
                Some(Credential { status_reason: Some(reason), .. }) => Some(format!("is invalid: {reason}")),
                Some(_) => Some("is invalid".to_owned()),
            }
        };
        let accounts = types.iter().filter_map(|name| Some(Defect::new(&["credentials", name], account(name)?)));
        let changed = integration.filter(|integration| !self.is_validated_against(integration));
        let settings = changed.map(|Integration { content, .. }| {
            content.check_settings(&self.settings.of_form(&content.settings), &Settings::default())
        });
        accounts.chain(settings.into_iter().flatten()).collect()
    }

    /// Returns whether the settings were valid for this version of the integration, so that they
    /// need not be checked again, which is slow for some patterns.
    fn is_validated_against(&self, Integration { version, created_at, .. }: &Integration) -> bool {
        // The versions of an integration that was deleted and created again begin at 1.
        self.integration_version == *version && *created_at <= self.installed_at
    }
}

impl Settings {
    /// Returns the members that a form defines.
    pub fn of_form(&self, fields: &[Field]) -> Self {
        self.filter(|name, _| fields.iter().any(|field| field.name.as_str() == name))
    }
}

impl Content {
    /// Returns the defects of settings, and of the empty values with which a request clears
    /// members.
    pub fn check_settings(&self, settings: &Settings, cleared: &Settings) -> Vec<Defect> {
        let members = settings.members().chain(cleared.members());
        let mut found = defects(&["settings"], form::check(&self.settings, members));
        if settings.is_too_long() {
            found.push(Defect::new(&["settings"], SettingsError::TooLong.to_string()));
        }
        found
    }

    /// Returns the defects of the data of a credential of this type. The members are JSON texts.
    pub fn check_data<'a>(
        &self,
        credential_type: &str,
        members: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Vec<Defect> {
        match self.credential_types.iter().find(|one| one.credential_type.as_str() == credential_type) {
            Some(found) => defects(&["credentials", credential_type, "data"], form::check(&found.fields, members)),
            None => {
                let types: Vec<&str> = self.credential_types.iter().map(|one| one.credential_type.as_str()).collect();
                let detail = form::unknown("is not a credential type", credential_type, &types);
                vec![Defect::new(&["credentials", credential_type], detail)]
            }
        }
    }

    /// Returns the credential types without fields, which only the app can connect.
    pub fn app_connected_types(&self) -> impl Iterator<Item = &str> {
        self.credential_types.iter().filter(|one| one.fields.is_empty()).map(|one| one.credential_type.as_str())
    }

    /// Returns the defects of a selection of workflows: keys that are not workflows of the
    /// integration or, from an earlier version of it, of the installation, and keys that are given
    /// more than once.
    pub fn check_workflows(&self, keys: &[WorkflowKey], installed: &[InstalledWorkflow]) -> Vec<Defect> {
        let mut seen = HashSet::new();
        let mut known: Vec<&str> = self.workflows.iter().map(|template| template.key.as_str()).collect();
        let former = installed.iter().map(|workflow| workflow.key.as_str()).filter(|key| !known.contains(key));
        known.extend(former.collect::<Vec<_>>());
        let reason = |key: &WorkflowKey| {
            if !known.contains(&key.as_str()) {
                Some(format!("must be one of {}", known.join(", ")))
            } else {
                (!seen.insert(key.as_str().to_owned())).then(|| "is given more than once".to_owned())
            }
        };
        let reasons = keys.iter().map(reason).collect::<Vec<_>>().into_iter().enumerate();
        reasons.filter_map(|(index, reason)| Some(Defect::new(&["workflows", &index.to_string()], reason?))).collect()
    }
}

fn defects(path: &[&str], errors: Vec<ValueError>) -> Vec<Defect> {
    let defect = |ValueError { name, detail }: ValueError| Defect::new(&[path, &[name.as_str()]].concat(), detail);
    errors.into_iter().map(defect).collect()
}

/// Selection of the workflows that are active after a change of an installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkflowSelection<'a> {
    /// All, of a new installation.
    All,
    /// The same as before.
    Unchanged,
    /// Those with these keys.
    Only(&'a [WorkflowKey]),
}

/// Workflows of an installation after a change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkflowPlan {
    /// Workflows to create.
    pub new: Vec<Workflow>,
    /// Workflows to replace, each as it is at present and as it will be.
    pub changed: Vec<(Workflow, Workflow)>,
    /// Workflows that stay as they are.
    pub unchanged: Vec<Workflow>,
}

impl WorkflowPlan {
    /// Plans the workflows of an installation with its credentials and settings. `present` are its
    /// workflows before. A workflow is created when it is first selected; names avoid those in
    /// `taken`.
    pub fn new(
        installation: &Installation,
        present: Vec<Workflow>,
        integration: &Integration,
        selection: WorkflowSelection<'_>,
        taken: &HashSet<String>,
    ) -> Self {
        let now = installation.updated_at;
        let credential_ids: Vec<CredentialId> = installation.named_credentials().collect();
        let mut plan = Self::default();
        let mut taken = taken.clone();
        for template in &integration.content.workflows {
            let is_selected = match selection {
                WorkflowSelection::All => true,
                WorkflowSelection::Unchanged => false,
                WorkflowSelection::Only(keys) => keys.contains(&template.key),
            };
            if !is_selected || present.iter().any(|workflow| workflow.key.as_ref() == Some(&template.key)) {
                continue;
            }
            let name = free_name(&template.name, &taken);
            taken.insert(name.as_str().to_owned());
            plan.new.push(Workflow {
                workflow_id: ObjectId::at(now).into(),
                user_id: installation.user_id,
                name,
                integration_id: Some(integration.integration_id.to_engine_id()),
                key: Some(template.key.clone()),
                credential_ids: credential_ids.clone(),
                settings: installation.settings.clone(),
                active: true,
                revision: next_revision(None, now),
                created_at: now,
                updated_at: now,
            });
        }
        for before in present {
            let is_active = match (selection, &before.key) {
                (WorkflowSelection::Only(keys), Some(key)) => keys.contains(key),
                _ => before.active,
            };
            let after = Workflow {
                credential_ids: credential_ids.clone(),
                settings: installation.settings.clone(),
                active: is_active,
                ..before.clone()
            };
            if after == before {
                plan.unchanged.push(before);
            } else {
                plan.changed.push((before.clone(), after.touched(now)));
            }
        }
        plan
    }
}

/// Returns the name, followed by the first number from 2 with which it is not taken.
fn free_name(name: &Text<200>, taken: &HashSet<String>) -> WorkflowName {
    let mut candidate = name.with_suffix("");
    let mut number = 1;
    while taken.contains(candidate.as_str()) {
        number += 1;
        candidate = name.with_suffix(&format!(" ({number})"));
    }
    candidate
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        form::FieldType,
        integration::{CredentialType, WorkflowTemplate},
    };

    fn field(name: &str, required: bool) -> Field {
        Field {
            name: name.parse().unwrap(),
            label: "Label".parse().unwrap(),
            field_type: FieldType::Text,
            required,
            help: None,
            placeholder: None,
            pattern: None,
            options: Vec::new(),
        }
    }

    fn integration(keys: &[&str]) -> Integration {
        let workflow = |key: &&str| WorkflowTemplate {
            key: key.parse().unwrap(),
            name: "Orders".parse().unwrap(),
            description: None,
        };
        let shop = CredentialType {
            credential_type: "shop".parse().unwrap(),
            name: "Shop".parse().unwrap(),
            fields: vec![field("token", true)],
        };
        let content = Content {
            name: "Orders".parse().unwrap(),
            description: None,
            icon: None,
            credential_types: vec![shop],
            settings: vec![field("region", true)],
            workflows: keys.iter().map(workflow).collect(),
            hints: Vec::new(),
            enabled: true,
        };
        let at = Timestamp::now();
        Integration { integration_id: "orders".parse().unwrap(), content, version: 1, created_at: at, updated_at: at }
    }

    fn installation() -> Installation {
        let now = Timestamp::now();
        Installation {
            integration_id: "orders".parse().unwrap(),
            user_id: UserId::new(),
            integration_version: 1,
            revision: 1,
            credentials: Vec::new(),
            settings: r#"{"region":"eu","former":1}"#.parse().unwrap(),
            workflows: Vec::new(),
            created_credentials: Vec::new(),
            installed_at: now,
            updated_at: now,
        }
    }

    fn keys(keys: &[&str]) -> Vec<WorkflowKey> {
        keys.iter().map(|key| key.parse().unwrap()).collect()
    }

    #[test]
    fn workflows_are_created_once_and_activated_as_selected() {
        let (integration, installation, taken) = (integration(&["a", "b", "c"]), installation(), HashSet::new());
        let plan = |present: &[Workflow], selection: WorkflowSelection<'_>| {
            WorkflowPlan::new(&installation, present.to_vec(), &integration, selection, &taken)
        };
        let all = plan(&[], WorkflowSelection::All).new;
        assert_eq!(all.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["Orders", "Orders (2)", "Orders (3)"]);
        assert!(plan(&[], WorkflowSelection::Unchanged).new.is_empty());
        let first = plan(&[], WorkflowSelection::Only(&keys(&["b"]))).new;
        assert_eq!(first.len(), 1);

        let second = plan(&first, WorkflowSelection::Only(&keys(&["a"])));
        assert_eq!((second.new.len(), second.changed.len(), second.unchanged.len()), (1, 1, 0));
        let (before, deactivated) = &second.changed[0];
        assert!(!deactivated.active && deactivated.revision > before.revision);
        let unchanged = plan(&all, WorkflowSelection::Only(&keys(&["c", "b", "a"])));
        assert_eq!(unchanged, WorkflowPlan { unchanged: all, ..WorkflowPlan::default() });
    }

    #[test]
    fn new_names_are_numbered() {
        let (integration, installation) = (integration(&["a"]), installation());
        let taken = ["Orders", "Orders (2)", "Orders (4)"].map(str::to_owned).into();
        let plan = WorkflowPlan::new(&installation, Vec::new(), &integration, WorkflowSelection::All, &taken);
        assert_eq!(plan.new[0].name.as_str(), "Orders (3)");
    }

    #[test]
    fn every_defect_has_its_path() {
        let mut integration = integration(&["a"]);
        let content = integration.content.clone();
        let paths = |defects: Vec<Defect>| defects.into_iter().map(|one| one.path.join("/")).collect::<Vec<_>>();
        assert_eq!(paths(content.check_workflows(&keys(&["a", "b", "a"]), &[])), ["workflows/1", "workflows/2"]);
        let former = InstalledWorkflow { workflow_id: WorkflowId::new(), key: "b".parse().unwrap() };
        assert_eq!(paths(content.check_workflows(&keys(&["a", "b", "c"]), &[former])), ["workflows/2"]);
        assert_eq!(
            paths(content.check_settings(&r#"{"x":1}"#.parse().unwrap(), &Settings::default())),
            ["settings/x", "settings/region"]
        );
        assert_eq!(
            paths(content.check_data("shop", [("x", "1")])),
            ["credentials/shop/data/x", "credentials/shop/data/token"]
        );
        assert_eq!(paths(content.check_data("other", [])), ["credentials/other"]);

        // Settings that the integration no longer has are ignored.
        let none = HashMap::new();
        let mut installation = installation();
        let not_connected = Defect::new(&["credentials", "shop"], "is not connected");
        assert_eq!(installation.defects(Some(&integration), &none), std::slice::from_ref(&not_connected));
        // Settings are checked against another version, or another integration with the same id.
        installation.settings = Settings::default();
        let missing = Defect::new(&["settings", "region"], "is required");
        assert_eq!(installation.defects(Some(&integration), &none), std::slice::from_ref(&not_connected));
        integration.version = 2;
        assert_eq!(installation.defects(Some(&integration), &none), [not_connected.clone(), missing.clone()]);
        integration.version = 1;
        integration.created_at = installation.installed_at + std::time::Duration::from_secs(1);
        assert_eq!(installation.defects(Some(&integration), &none), [not_connected, missing]);
        assert!(installation.defects(None, &none).is_empty());
    }
}
