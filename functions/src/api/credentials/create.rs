//! `POST /users/{user}/credentials`. AWS calls: one DynamoDB read of the user by id, or two by
//! name; one KMS call and one transaction; with an Idempotency-Key two more writes.

use axum::extract;
use serde_json::Value;
use tenon::{
    domain::{
        credential::{Credential, CredentialStatus, MAX_DATA_BYTES},
        names::UserRef,
        request_seed::RequestSeed,
        text::Text,
    },
    http::{Backend, Created, FromJson, IdempotencyKey, Input, Location, Path, Problem, Valid},
    store::credentials::SealedCredential,
};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::{CredentialBody, StateWithVault, encryption_context};

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

/// Text of a JSON object with secret values, which keeps numbers of any precision.
struct SecretObject(Zeroizing<String>);

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

/// Returns a JSON text without the whitespace between its tokens.
fn compact(json: &str) -> Zeroizing<String> {
    let (mut compact, mut in_string, mut escaped) = (Zeroizing::new(String::with_capacity(json.len())), false, false);
    for character in json.chars() {
        if !in_string && character.is_ascii_whitespace() {
            continue;
        }
        in_string ^= character == '"' && !escaped;
        escaped = character == '\\' && !escaped;
        compact.push(character);
    }
    compact
}

/// Creates a credential of a user. Its data is encrypted before it is stored.
#[utoipa::path(post, path = "/users/{user}/credentials", tag = "credentials", security(("apiKey" = ["manage"])),
    params(IdempotencyKey), request_body = CreateCredential, responses((status = 201, body = CredentialBody)))]
pub async fn create_credential(
    caller: Backend,
    extract::State(StateWithVault { state, vault }): extract::State<StateWithVault>,
    Path(user): Path<UserRef>,
    seed: RequestSeed,
    Valid(body): Valid<CreateCredential>,
) -> Result<Created<CredentialBody>, Problem> {
    let CreateCredential { credential_type, name, data: SecretObject(data) } = body;
    let owner = state.owner(caller.environment, None, &user).await?;
    let (credential_id, now) = (seed.id(0), seed.at);
    let data = vault.seal(&encryption_context(caller.environment, credential_id), 1, data.as_bytes()).await?;
    let credential = Credential {
        credential_id,
        user_id: owner.user_id,
        credential_type,
        name,
        status: CredentialStatus::Valid,
        status_reason: None,
        revision: Credential::next_revision(None, now),
        created_at: now,
        updated_at: now,
    };
    let sealed = SealedCredential { credential: credential.clone(), data };
    state.credentials.create(caller.environment, &sealed, &seed).await?;
    Ok(Created::at(format!("credentials/{credential_id}"), credential.into()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    proptest! {
        #[test]
        fn compact_text_is_equal_without_whitespace(key in "\\PC{0,8}", value in "[ \\\\\"a\n]{0,8}", number in any::<i64>()) {
            let data = json!({ key: [value, " "], "n": number });
            let compact = compact(&serde_json::to_string_pretty(&data).unwrap());
            prop_assert_eq!(compact.as_str(), data.to_string());
        }
    }
}
