//! Credentials: secrets that let integrations act for users.

use aws_config::SdkConfig;
use serde::Serialize;
use tenon::{
    aws::setting,
    domain::{
        credential::Credential,
        id::{CredentialId, EnvironmentId, UserId},
        names::UserRef,
        text::Text,
        timestamp::Timestamp,
        user::User,
    },
    http::{IdempotentState, Problem, StartError},
    store::{Access, ReadOnly, ReadWrite, Table, credentials::Credentials, users::Users},
    vault::{Context, Vault},
};
use utoipa::ToSchema;

pub mod create;
pub mod delete;
pub mod get;
pub mod list;
pub mod reveal;

/// State of the functions that do not need the vault.
#[derive(Clone, Debug)]
pub struct Stores<A: Access = ReadWrite> {
    users: Users<A>,
    credentials: Credentials<A>,
}

/// Connects to the directory table.
pub async fn state(config: &SdkConfig) -> Result<Stores, StartError> {
    Stores::open(config).await
}

/// Connects to the directory table, for functions that only read.
pub async fn read_only_state(config: &SdkConfig) -> Result<Stores<ReadOnly>, StartError> {
    Stores::open(config).await
}

/// State of the functions that seal or open credential data.
#[derive(Clone, Debug)]
pub struct StoresWithVault<A: Access = ReadWrite> {
    stores: Stores<A>,
    vault: Vault,
}

/// Connects to DynamoDB and KMS.
pub async fn state_with_vault(config: &SdkConfig) -> Result<StoresWithVault, StartError> {
    StoresWithVault::open(config).await
}

/// Connects to DynamoDB and KMS, for functions that only read.
pub async fn read_only_state_with_vault(config: &SdkConfig) -> Result<StoresWithVault<ReadOnly>, StartError> {
    StoresWithVault::open(config).await
}

impl<A: Access> StoresWithVault<A> {
    async fn open(config: &SdkConfig) -> Result<Self, StartError> {
        let vault = Vault::new(config, setting::<String>("CREDENTIALS_KEY")?);
        let (stores, ()) = tokio::join!(Stores::open(config), vault.connect());
        Ok(Self { stores: stores?, vault })
    }
}

impl IdempotentState for StoresWithVault {
    fn directory(&self) -> &Table {
        &self.stores.credentials.0
    }
}

impl<A: Access> Stores<A> {
    async fn open(config: &SdkConfig) -> Result<Self, StartError> {
        let directory = Table::directory(config, 1).await?;
        Ok(Self { users: Users(directory.clone()), credentials: Credentials(directory) })
    }

    /// Returns the requested user if the caller may access it.
    async fn owner(
        &self,
        environment: EnvironmentId,
        user: &UserRef,
        can_access: impl Fn(UserId) -> bool,
    ) -> Result<User, Problem> {
        let found = self.users.find(environment, user).await?;
        found.filter(|user| can_access(user.user_id)).ok_or_else(|| Problem::not_found("user"))
    }
}

/// Returns the encryption context of credential data.
fn encryption_context(environment: EnvironmentId, id: CredentialId) -> Context {
    Context { environment: environment.to_string(), owner: id.to_string(), purpose: "credential-data" }
}

/// Credential as the API returns it, without its data.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Credential)]
pub struct CredentialBody {
    /// Id of the credential.
    credential_id: CredentialId,
    /// Id of the user who owns the credential.
    user_id: UserId,
    /// Type of the credential, such as `shopify`.
    #[serde(rename = "type")]
    credential_type: Text<128>,
    /// Display name.
    name: Text<256>,
    /// Creation time.
    created_at: Timestamp,
    /// Time of the last change.
    updated_at: Timestamp,
}

impl From<Credential> for CredentialBody {
    fn from(credential: Credential) -> Self {
        let Credential { credential_id, user_id, credential_type, name, created_at, updated_at } = credential;
        Self { credential_id, user_id, credential_type, name, created_at, updated_at }
    }
}
