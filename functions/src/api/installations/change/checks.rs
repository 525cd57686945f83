//! Checks of a request against the integration, and the present installation and credentials.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use tenon::{
    domain::{
        credential::CredentialStatus, defect::Defect, form, id::CredentialId, installation::MAX_CREATED_CREDENTIALS,
        integration::CredentialType, settings::Settings,
    },
    http::{FieldErrors, Problem},
    store::credentials::SealedCredential,
};

use super::Current;
use crate::api::{
    credentials::SecretObject,
    installations::put::{CredentialData, CredentialSource, PutInstallation},
};

impl Current {
    /// Names everything in a request that is invalid.
    pub(in crate::api::installations) fn check(&self, request: &PutInstallation) -> Result<(), Problem> {
        self.defects(request, &self.settings(request)).into_iter().collect::<FieldErrors>().check()
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
}
