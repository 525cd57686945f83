//! `PUT /users/{user}/installations/{integrationId}`. AWS calls: one DynamoDB read of the user by
//! id, or two by name; one read of the integration and one of the installation, one batch read of
//! its workflows and one of the credentials; one KMS call for each credential with data, and one
//! transaction. All again after a conflict with a concurrent request, one query if a name is taken,
//! and one for a limited token that changes a credential, or two if an installation cannot be read.

use std::collections::{BTreeMap, HashSet};

use axum::{
    extract,
    response::{IntoResponse, Response},
};
use serde_json::Value;
use tenon::{
    domain::{
        id::CredentialId,
        installation::MAX_INSTALLED_WORKFLOWS,
        integration::{IntegrationId, MAX_CREDENTIAL_TYPES},
        names::UserRef,
        settings::Settings,
        text::Text,
        workflow::WorkflowKey,
    },
    http::{
        BackendOrUser, Conflicts, Created, Fields, FromJson, IfMatch, IfNoneMatch, Input, Location, Path,
        Preconditions, Problem, Valid,
    },
    start::FromAws,
    store::{events::Outbox, installations::ChangeInstallationError},
    vault::Vault,
};
use utoipa::ToSchema;

use super::{InstallationBody, State, change::Current};
use crate::{
    api::{credentials::SecretObject, users},
    changes::Changes,
};

/// Installation of an integration. Absent members leave an existing installation as it is.
#[derive(Input, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PutInstallation {
    /// Credentials by credential type. A new installation needs all types of the integration.
    #[input(default)]
    #[schema(required = false, value_type = BTreeMap<String, CredentialInput>)]
    pub(super) credentials: Credentials,
    /// Settings, merged with those of an existing installation; null clears a member. At most 8 KiB
    /// as JSON.
    #[input(default)]
    #[schema(required = false)]
    pub(super) settings: Settings,
    /// Keys of the active workflows, of the integration or of those that the installation has;
    /// others are deactivated. Without it, all workflows of a new installation are active.
    #[input(max = MAX_INSTALLED_WORKFLOWS)]
    #[schema(max_items = 24)]
    pub(super) workflows: Option<Vec<WorkflowKey>>,
}

/// Credentials by type.
#[derive(Default)]
pub(super) struct Credentials(pub(super) BTreeMap<String, CredentialSource>);

/// Source of a credential of an installation.
pub(super) enum CredentialSource {
    /// Existing credential of the user.
    Existing(CredentialId),
    /// Data, which is stored in a new credential or replaces that of the present one.
    Data(CredentialData),
}

/// Data of a credential of an installation.
pub(super) struct CredentialData {
    /// Data.
    pub(super) data: SecretObject,
    /// Display name.
    pub(super) name: Option<Text<256>>,
    /// Whether the data is stored in a new credential although one is connected.
    pub(super) is_new: bool,
}

/// Credential of an installation: an existing one of the user, or data that is stored in a new one
/// or replaces that of the present one.
#[derive(Input, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[input(check(check_source), check(check_new: new))]
struct CredentialInput {
    /// Credential of the user, of this type.
    credential_id: Option<CredentialId>,
    /// Display name, with `data`; a new credential is otherwise named like its type.
    name: Option<Text<256>>,
    /// Data as the fields of the credential type require it, at most 16 KiB as JSON.
    #[schema(value_type = Object, required = false)]
    data: Option<SecretObject>,
    /// Whether `data` is stored in a new credential although one is connected, which stays for what
    /// else uses it; by default false.
    #[input(default)]
    #[schema(required = false, default = false)]
    new: bool,
}

/// Maximum number of attempts while concurrent requests change the installation or take the names
/// of its workflows.
const MAX_ATTEMPTS: u32 = 20;

impl FromJson for Credentials {
    fn from_json(value: &Value, location: &mut Location<'_>) -> Option<Self> {
        location.pairs(value, MAX_CREDENTIAL_TYPES, CredentialSource::from_json).map(Self)
    }
}

impl FromJson for CredentialSource {
    fn from_json(value: &Value, location: &mut Location<'_>) -> Option<Self> {
        let CredentialInput { credential_id, name, data, new } = CredentialInput::from_json(value, location)?;
        match (credential_id, data) {
            (Some(id), None) => Some(Self::Existing(id)),
            (None, Some(data)) => Some(Self::Data(CredentialData { data, name, is_new: new })),
            // Rejected by `check_source`.
            _ => None,
        }
    }
}

fn check_source(fields: &mut Fields<'_>) {
    match (fields.has("credentialId"), fields.has("data")) {
        (false, false) => fields.reject_object("must have `credentialId` or `data`"),
        (true, true) => fields.reject("data", "cannot be combined with `credentialId`"),
        _ => {}
    }
    if fields.has("name") && !fields.has("data") {
        fields.reject("name", "requires `data`");
    }
}

fn check_new(fields: &mut Fields<'_>, new: &bool) {
    if *new && !fields.has("data") {
        fields.reject("new", "requires `data`");
    }
}

/// State of the function.
#[derive(Clone, Debug, FromAws)]
pub struct ChangeStateWithVault {
    state: State,
    #[aws(vault = "CREDENTIALS_KEY")]
    vault: Vault,
    outbox: Outbox,
}

/// Installs an integration for a user, or changes the installation: its credentials, its settings
/// and which of its workflows are active. Everything is changed or nothing.
#[utoipa::path(put, path = "/users/{user}/installations/{integrationId}", tag = "installations",
    security(("apiKey" = ["manage"]), ("userToken" = [])), params(IfMatch, IfNoneMatch), request_body = PutInstallation,
    responses((status = 200, body = InstallationBody, headers(("ETag", description = "entity tag for If-Match"))),
        (status = 201, body = InstallationBody, description = "the integration was installed",
            headers(("ETag", description = "entity tag for If-Match"))),
        (status = 409, description = "the integration is disabled, the installation has too many workflows, or concurrent requests changed it")))]
pub async fn put_installation(
    caller: BackendOrUser,
    extract::State(ChangeStateWithVault { state, vault, outbox }): extract::State<ChangeStateWithVault>,
    Path(user): Path<UserRef>,
    Path(id): Path<IntegrationId>,
    preconditions: Preconditions,
    Valid(body): Valid<PutInstallation>,
) -> Result<Response, Problem> {
    let (mut taken, mut seen) = (HashSet::new(), None);
    let mut conflicts = Conflicts::up_to(MAX_ATTEMPTS, "installation");
    loop {
        let owner = users::find(&state.users, caller.environment, caller.user.as_ref(), &user).await?;
        let current = Current::read(&state, &caller, owner.user_id, &id, &body).await?;
        current.check(&body)?;
        match &current.before {
            Some(before) => preconditions.check_revision(before.revision)?,
            None => preconditions.check_absent()?,
        }
        let seen = seen.get_or_insert_with(|| current.data_revisions());
        let planned = current.plan(&body, seen, &taken, &vault).await?;
        let (status, shown) = (owner.owner_status(), planned.body(owner.status, &current.integration));
        let changed = match planned.change() {
            Some(change) => {
                let mut changes = Changes::new(caller.environment, caller.actor);
                planned.add_events(&mut changes, current.before.as_ref(), status, &shown);
                let events = changes.prepare(&outbox)?;
                let before = current.before.as_ref();
                state.installations.change(caller.environment, status, before, change, events).await
            }
            None => Ok(()),
        };
        match changed {
            Ok(()) => {
                let shown = shown.revised();
                return Ok(match current.before {
                    Some(_) => shown.into_response(),
                    None => Created::at(id.to_string(), shown).into_response(),
                });
            }
            Err(ChangeInstallationError::NameTaken) => {
                conflicts.retry().await?;
                taken = state.parts.workflows.names_by_user(caller.environment, owner.user_id).await?;
            }
            Err(ChangeInstallationError::Conflict) => conflicts.retry().await?,
            Err(error) => return Err(error.into()),
        }
    }
}
