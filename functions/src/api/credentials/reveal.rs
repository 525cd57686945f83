//! `POST /users/{user}/credentials/{credentialId}/reveal`. AWS calls: one DynamoDB read of the user
//! by id, or two by name, one read and one KMS call.

use axum::extract;
use serde::Serialize;
use serde_json::value::RawValue;
use tenon::{
    domain::{id::CredentialId, names::UserRef},
    http::{Engine, Json, NoInput, NoStore, Path, Problem},
    store::ReadOnly,
    vault::VaultError,
};
use utoipa::ToSchema;

use super::{StateWithVault, encryption_context};

/// Decrypted data of a credential.
#[derive(Serialize, ToSchema)]
pub struct RevealedCredential {
    /// Data of the credential.
    #[schema(value_type = Object)]
    data: Box<RawValue>,
}

/// Returns the decrypted data of a credential to the engine. Every call is logged.
#[utoipa::path(post, path = "/users/{user}/credentials/{credentialId}/reveal", tag = "credentials",
    security(("apiKey" = ["engine"])), responses((status = 200, body = RevealedCredential)))]
pub async fn reveal_credential(
    caller: Engine,
    extract::State(StateWithVault { state, vault }): extract::State<StateWithVault<ReadOnly>>,
    Path(user): Path<UserRef>,
    Path(id): Path<CredentialId>,
    _: NoInput,
) -> Result<NoStore<Json<RevealedCredential>>, Problem> {
    let Engine { environment, key } = caller;
    let owner = state.owner(environment, None, &user).await?;
    let sealed = state.credentials.data(environment, owner.user_id, id).await?;
    let sealed = sealed.ok_or_else(|| Problem::not_found("credential"))?;
    // A warning, so that it is logged at every log level that an operator would choose.
    tracing::warn!(%environment, %key, user = %owner.user_id, credential = %id, "credential revealed");
    let data = vault.open(&encryption_context(environment, id), &sealed).await?;
    let data = serde_json::from_slice(&data).map_err(|_| VaultError::Undecryptable)?;
    Ok(NoStore(Json(RevealedCredential { data })))
}
