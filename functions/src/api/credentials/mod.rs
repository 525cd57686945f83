//! Credentials: what users entered so that integrations can act for them.

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
    store::{Table, credentials::Credentials, users::Users},
    vault::{Context, Vault},
};
use utoipa::ToSchema;

pub mod create;
pub mod delete;
pub mod get;
pub mod list;
pub mod reveal;

/// What the functions are given that need no vault.
#[derive(Clone, Debug)]
pub struct Stores {
    users: Users,
    credentials: Credentials,
}

/// The stores of the directory.
pub async fn state(config: &SdkConfig) -> Result<Stores, StartError> {
    let directory = Table::directory(config, 1).await?;
    Ok(Stores { users: Users(directory.clone()), credentials: Credentials(directory) })
}

/// What the functions are given that seal or open data.
#[derive(Clone, Debug)]
pub struct StoresWithVault {
    stores: Stores,
    vault: Vault,
}

/// Opens the connections to DynamoDB and KMS.
pub async fn state_with_vault(config: &SdkConfig) -> Result<StoresWithVault, StartError> {
    let vault = Vault::new(config, setting::<String>("CREDENTIALS_KEY")?);
    let (stores, ()) = tokio::join!(state(config), vault.connect());
    Ok(StoresWithVault { stores: stores?, vault })
}

impl IdempotentState for StoresWithVault {
    fn directory(&self) -> &Table {
        &self.stores.credentials.0
    }
}

impl Stores {
    /// The user whose credentials are asked for: one that the caller may see.
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

/// What the data of a credential are sealed for.
fn encryption_context(environment: EnvironmentId, id: CredentialId) -> Context {
    Context { environment: environment.to_string(), owner: id.to_string(), purpose: "credential-data" }
}

/// A credential as the API shows it, without its data.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Credential)]
pub struct CredentialBody {
    /// Its id.
    credential_id: CredentialId,
    /// Whose it is.
    user_id: UserId,
    /// What it is for, such as `shopify`.
    #[serde(rename = "type")]
    credential_type: Text<128>,
    /// A name for people.
    name: Text<256>,
    /// When it was created.
    created_at: Timestamp,
    /// When it was last changed.
    updated_at: Timestamp,
}

impl From<Credential> for CredentialBody {
    fn from(credential: Credential) -> Self {
        let Credential { credential_id, user_id, credential_type, name, created_at, updated_at } = credential;
        Self { credential_id, user_id, credential_type, name, created_at, updated_at }
    }
}
