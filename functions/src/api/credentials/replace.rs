//! `PUT /users/{user}/credentials/{credentialId}`. AWS calls: one DynamoDB read of the user by id,
//! or two by name; one read, one KMS call and one transaction; all again after a conflict with a
//! concurrent request.

use axum::extract;
use tenon::{
    domain::{event::EventType, id::CredentialId, names::UserRef, text::Text, timestamp::Timestamp},
    http::{Conflicts, EngineOrBackend, IfMatch, Input, OrNotFound, Path, Problem, Revised, Valid},
    store::credentials::SealedCredential,
};
use utoipa::ToSchema;

use super::{ChangeStateWithVault, CredentialBody, SecretObject, encryption_context, revised};
use crate::{api::users, changes::Changes};

/// New data of a credential.
#[derive(Input, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplaceCredential {
    /// Secret data, at most 16 KiB as JSON, which replaces the former data.
    #[schema(value_type = Object)]
    data: SecretObject,
    /// New display name; without it the name stays.
    name: Option<Text<256>>,
}

/// Replaces the data of a credential, which becomes valid. Its id stays, and so do the workflows
/// that use it.
#[utoipa::path(put, path = "/users/{user}/credentials/{credentialId}", tag = "credentials",
    security(("apiKey" = ["engine"]), ("apiKey" = ["manage"])), params(IfMatch), request_body = ReplaceCredential,
    responses((status = 200, body = CredentialBody,
        headers(("ETag", description = "entity tag of the data, for If-Match"))),
        (status = 409, description = "the credential was modified by concurrent requests")))]
pub async fn replace_credential(
    caller: EngineOrBackend,
    extract::State(ChangeStateWithVault { stores, vault, outbox }): extract::State<ChangeStateWithVault>,
    Path(user): Path<UserRef>,
    Path(id): Path<CredentialId>,
    if_match: IfMatch,
    Valid(body): Valid<ReplaceCredential>,
) -> Result<Revised<CredentialBody>, Problem> {
    let EngineOrBackend { environment, actor } = caller;
    let ReplaceCredential { data: SecretObject(data), name } = body;
    let mut conflicts = Conflicts::new("credential");
    loop {
        let owner = users::find(&stores.users, environment, None, &user).await?;
        let SealedCredential { credential, data: old } =
            stores.credentials.sealed(environment, owner.user_id, id).await?.or_not_found("credential")?;
        if_match.check_revision(credential.data_revision)?;
        let data = vault.seal(&encryption_context(environment, id), old.version + 1, data.as_bytes()).await?;
        let after = SealedCredential { credential: credential.replaced(name.as_ref(), Timestamp::now()), data };
        let mut changes = Changes::new(environment, actor);
        changes.credential(EventType::CredentialReplaced, &after.credential);
        let events = changes.prepare(&outbox)?;
        if stores.credentials.replace(environment, &credential, &after, events).await? {
            return Ok(revised(after.credential));
        }
        conflicts.retry().await?;
    }
}
