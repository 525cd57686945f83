//! `POST /users/{user}/credentials/{credentialId}/reveal`. AWS calls: one DynamoDB read of the user
//! by id, or two by name, one read and one KMS call.

use axum::extract;
use serde::Serialize;
use serde_json::value::RawValue;
use tenon::{
    domain::{credential::Credential, id::CredentialId, names::UserRef, text::Text},
    http::{Engine, NoInput, NoStore, OrNotFound, Path, Problem, Revised},
    store::credentials::SealedCredential,
    vault::VaultError,
};
use utoipa::ToSchema;

use super::{RevealState, encryption_context};
use crate::api::users;

/// Credential with its decrypted data.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevealedCredential {
    /// Id of the credential.
    credential_id: CredentialId,
    /// Type of the credential.
    #[serde(rename = "type")]
    credential_type: Text<128>,
    /// Data of the credential.
    #[schema(value_type = Object)]
    data: Box<RawValue>,
}

/// Returns the decrypted data of a credential to the engine. Every call is logged.
#[utoipa::path(post, path = "/users/{user}/credentials/{credentialId}/reveal", tag = "credentials",
    security(("apiKey" = ["engine"])), responses((status = 200, body = RevealedCredential,
        headers(("ETag", description = "entity tag of the data, for If-Match")))))]
pub async fn reveal_credential(
    caller: Engine,
    extract::State(RevealState { stores, vault }): extract::State<RevealState>,
    Path(user): Path<UserRef>,
    Path(id): Path<CredentialId>,
    _: NoInput,
) -> Result<NoStore<Revised<RevealedCredential>>, Problem> {
    let Engine { environment, key } = caller;
    let owner = users::find(&stores.users, environment, None, &user).await?;
    let SealedCredential { credential, data } =
        stores.credentials.sealed(environment, owner.user_id, id).await?.or_not_found("credential")?;
    // A warning, so that it is logged at every log level that an operator would choose.
    tracing::warn!(%environment, %key, user = %owner.user_id, credential = %id, "credential revealed");
    let data = vault.open(&encryption_context(environment, id), &data).await?;
    let data = serde_json::from_slice(&data).map_err(|_| VaultError::Undecryptable)?;
    let Credential { credential_id, credential_type, data_revision, .. } = credential;
    Ok(NoStore(Revised::new(data_revision, RevealedCredential { credential_id, credential_type, data })))
}
