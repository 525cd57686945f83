//! Credentials: secrets that let integrations act for users.

use serde::Serialize;
use serde_json::Value;
use tenon::{
    domain::{
        access::{CallingUser, VisibleCredentials},
        credential::{Credential, CredentialStatus, MAX_DATA_BYTES},
        id::{CredentialId, EnvironmentId, UserId},
        settings::compact,
        text::Text,
        timestamp::Timestamp,
    },
    http::{FromJson, Location, OrNotFound, Problem, Revised},
    start::FromAws,
    store::{
        Access, ReadOnly, ReadWrite, credentials::Credentials, events::Outbox, installations::Installations,
        integrations::Catalogue, users::Users,
    },
    vault::{Context, Vault},
};
use utoipa::{OpenApi, ToSchema};
use zeroize::Zeroizing;

pub mod create;
pub mod delete;
pub mod get;
pub mod list;
pub mod replace;
pub mod reveal;
pub mod status;

/// Operations of the resource.
#[derive(Debug, OpenApi)]
#[openapi(paths(
    create::create_credential,
    list::list_credentials,
    list::list_credentials_of_user,
    get::get_credential,
    replace::replace_credential,
    delete::delete_credential,
    reveal::reveal_credential,
    status::set_status,
))]
pub struct Operations;

/// Stores of the functions of credentials.
#[derive(Clone, Debug, FromAws)]
pub struct Stores<A: Access = ReadWrite> {
    users: Users<ReadOnly>,
    credentials: Credentials<A>,
    installations: Installations<ReadOnly>,
    catalogue: Catalogue,
}

/// State of the functions that change credentials without their data.
#[derive(Clone, Debug, FromAws)]
pub struct ChangeState {
    stores: Stores,
    outbox: Outbox,
}

/// State of the function that opens credential data.
#[derive(Clone, Debug, FromAws)]
pub struct RevealState {
    stores: Stores<ReadOnly>,
    #[aws(vault = "CREDENTIALS_KEY")]
    vault: Vault,
}

/// State of the functions that change credential data.
#[derive(Clone, Debug, FromAws)]
pub struct ChangeStateWithVault {
    stores: Stores,
    #[aws(vault = "CREDENTIALS_KEY")]
    vault: Vault,
    outbox: Outbox,
}

impl<A: Access> Stores<A> {
    /// Returns the credentials that exist for a limited token, or none if all exist for the caller.
    /// For a limited token one query, and at most one per megabyte of the catalogue.
    async fn visible(
        &self,
        environment: EnvironmentId,
        caller: Option<&CallingUser>,
    ) -> Result<Option<VisibleCredentials>, Problem> {
        let Some(CallingUser { user_id, allowed }) = caller.filter(|caller| !caller.allowed.is_all()) else {
            return Ok(None);
        };
        let installations = self.installations.by_user(environment, *user_id).await?;
        let catalogue = self.catalogue.all(environment).await?;
        Ok(Some(allowed.credentials(&installations, catalogue.iter())))
    }

    /// Returns a credential of a user if it exists for the caller; 404 otherwise. One read, and the
    /// calls of [`Self::visible`].
    async fn find(
        &self,
        environment: EnvironmentId,
        caller: Option<&CallingUser>,
        owner: UserId,
        id: CredentialId,
    ) -> Result<Credential, Problem> {
        let found = self.credentials.get(environment, owner, id).await?;
        let visible = match found {
            Some(_) => self.visible(environment, caller).await?,
            None => None,
        };
        let found = found.filter(|credential| visible.is_none_or(|visible| visible.contains(credential)));
        found.or_not_found("credential")
    }
}

/// Text of a JSON object with secret values, which keeps numbers of any precision.
pub(crate) struct SecretObject(pub(crate) Zeroizing<String>);

impl FromJson for SecretObject {
    fn from_json(value: &Value, location: &mut Location<'_>) -> Option<Self> {
        let Value::Object(_) = value else {
            return location.reject("must be an object");
        };
        let text = compact(&Zeroizing::new(location.source(value)));
        if text.len() > MAX_DATA_BYTES {
            return location.reject(format_args!("must have at most {MAX_DATA_BYTES} bytes"));
        }
        Some(Self(text))
    }
}

/// Returns the encryption context of credential data.
pub(crate) fn encryption_context(environment: EnvironmentId, id: CredentialId) -> Context {
    Context { environment: environment.to_string(), owner: id.to_string(), purpose: "credential-data" }
}

/// Credential as the API returns it, without its data.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Credential)]
pub struct CredentialBody {
    /// Id of the credential.
    pub credential_id: CredentialId,
    /// Id of the user who owns the credential.
    pub user_id: UserId,
    /// Type of the credential, such as `shopify`.
    #[serde(rename = "type")]
    credential_type: Text<128>,
    /// Display name.
    name: Text<256>,
    /// Whether the data still works, as the engine reported.
    status: CredentialStatus,
    /// Reason why the credential is invalid.
    #[schema(required = true)]
    status_reason: Option<Text<512>>,
    /// Increases with every change.
    revision: u64,
    /// Creation time.
    created_at: Timestamp,
    /// Time of the last change.
    updated_at: Timestamp,
}

impl From<Credential> for CredentialBody {
    fn from(credential: Credential) -> Self {
        let Credential {
            credential_id,
            user_id,
            credential_type,
            name,
            status,
            status_reason,
            revision,
            data_revision: _,
            namings: _,
            created_by_installation: _,
            created_at,
            updated_at,
        } = credential;
        Self { credential_id, user_id, credential_type, name, status, status_reason, revision, created_at, updated_at }
    }
}

/// Returns the response with a credential, whose ETag is that of its data.
fn revised(credential: Credential) -> Revised<CredentialBody> {
    Revised::new(credential.data_revision, credential.into())
}
