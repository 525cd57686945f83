//! `POST /users/{user}/credentials/{credentialId}/reveal`. AWS calls: one DynamoDB read of the user by id, two by name, one read
//! and one of KMS.

use aws_config::SdkConfig;
use axum::extract::State;
use serde::Serialize;
use serde_json::value::RawValue;
use tenon::{
    aws::setting,
    domain::{id::CredentialId, names::UserRef},
    http::{Engine, Json, Path, Private, Problem, ProblemDocument, StartError},
    vault::{Vault, VaultError},
};
use utoipa::ToSchema;

use super::{Stores, context};

/// What the function is given.
#[derive(Clone, Debug)]
pub struct Opening {
    stores: Stores,
    vault: Vault,
}

/// Opens the connections to DynamoDB and KMS.
pub async fn state(config: &SdkConfig) -> Result<Opening, StartError> {
    let vault = Vault::new(config, setting::<String>("CREDENTIALS_KEY")?);
    let (stores, ()) = tokio::join!(super::state(config), vault.connect());
    Ok(Opening { stores: stores?, vault })
}

/// The data of a credential.
#[derive(Serialize, ToSchema)]
pub struct Revealed {
    /// What the user entered.
    #[schema(value_type = Object)]
    data: Box<RawValue>,
}

/// Shows the engine what the user entered. Every call is logged.
#[utoipa::path(post, path = "/users/{user}/credentials/{credentialId}/reveal", tag = "credentials",
    security(("apiKey" = ["engine"])), params(("user" = UserRef, Path), ("credentialId" = CredentialId, Path)), responses(
    (status = 200, body = Revealed),
    (status = 404, body = ProblemDocument),
))]
pub async fn reveal_credential(
    caller: Engine,
    State(Opening { stores, vault }): State<Opening>,
    Path(user): Path<UserRef>,
    Path(id): Path<CredentialId>,
) -> Result<Private<Json<Revealed>>, Problem> {
    let Engine { environment, key } = caller;
    let owner = stores.owner(environment, &user, |_| true).await?;
    let sealed = stores.credentials.data(environment, owner.user_id, id).await?;
    let sealed = sealed.ok_or_else(|| Problem::not_found("credential"))?;
    tracing::info!(%environment, %key, user = %owner.user_id, credential = %id, "a credential is revealed");
    let data = vault.open(&context(environment, id), &sealed).await?;
    let data = serde_json::from_slice(&data).map_err(|_| VaultError::Undecryptable)?;
    Ok(Private(Json(Revealed { data })))
}
