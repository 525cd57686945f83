//! `POST /users/{user}/credentials`. AWS calls: one DynamoDB read of the user by id, or two by
//! name; one KMS call and one transaction; with an Idempotency-Key two more writes.

use axum::extract;
use tenon::{
    domain::{credential::Credential, event::EventType, names::UserRef, request_seed::RequestSeed, text::Text},
    http::{Backend, Created, IdempotencyKey, Input, Path, Problem, Revised, Valid},
    store::credentials::SealedCredential,
};
use utoipa::ToSchema;

use super::{ChangeStateWithVault, CredentialBody, SecretObject, encryption_context, revised};
use crate::{api::users, changes::Changes};

/// Body of a request to create a credential.
#[derive(Input, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateCredential {
    /// Type of the credential, such as `shopify`.
    #[serde(rename = "type")]
    credential_type: Text<128>,
    /// Display name.
    name: Text<256>,
    /// Secret data, at most 16 KiB as JSON. It is encrypted, and revealed to the engine only.
    #[schema(value_type = Object)]
    data: SecretObject,
}

/// Creates a credential of a user. Its data is encrypted before it is stored.
#[utoipa::path(post, path = "/users/{user}/credentials", tag = "credentials", security(("apiKey" = ["manage"])),
    params(IdempotencyKey), request_body = CreateCredential, responses((status = 201, body = CredentialBody, headers(("ETag", description = "entity tag for If-Match")))))]
pub async fn create_credential(
    caller: Backend,
    extract::State(ChangeStateWithVault { stores, vault, outbox }): extract::State<ChangeStateWithVault>,
    Path(user): Path<UserRef>,
    seed: RequestSeed,
    Valid(body): Valid<CreateCredential>,
) -> Result<Created<Revised<CredentialBody>>, Problem> {
    let CreateCredential { credential_type, name, data: SecretObject(data) } = body;
    let owner = users::find_owner(&stores.users, caller.environment, &user, &seed).await?;
    // Another one if the request is repeated and another user has the name.
    let id = seed.named_id(&format!("credential {}", owner.user_id));
    let credential = Credential::new(id, owner.user_id, credential_type, name, seed.at);
    let context = encryption_context(caller.environment, credential.credential_id);
    let data = vault.seal(&context, 1, data.as_bytes()).await?;
    let mut changes = Changes::new(caller.environment, caller.actor);
    changes.credential(EventType::CredentialCreated, &credential);
    let created = Created::at(format!("credentials/{}", credential.credential_id), revised(credential.clone()));
    let (new, events) = (SealedCredential { credential, data }, changes.prepare(&outbox)?);
    stores.credentials.create(caller.environment, &new, &seed, events).await?;
    Ok(created)
}
