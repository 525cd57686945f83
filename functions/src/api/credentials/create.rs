//! `POST /users/{user}/credentials`. AWS calls: one DynamoDB read of the user by id, two by name; one of KMS, and one
//! transaction; two writes more with an Idempotency-Key.

use axum::extract::State;
use serde_json::Value;
use tenon::{
    domain::{
        credential::{Credential, MAX_DATA_BYTES},
        names::UserRef,
        request_seed::RequestSeed,
        text::Text,
    },
    http::{Backend, Created, Fields, FromJson, Input, Location, Path, Problem, ProblemDocument, Valid},
    store::credentials::SealedCredential,
};
use utoipa::ToSchema;
use zeroize::Zeroizing;

pub use super::state_with_vault as state;
use super::{CredentialBody, StoresWithVault, encryption_context};

/// What is needed to create a credential.
#[derive(ToSchema)]
pub struct CreateCredential {
    /// What it is for, such as `shopify`.
    #[schema(rename = "type")]
    credential_type: Text<128>,
    /// A name for people.
    name: Text<256>,
    /// What the user entered, up to 16 KiB. It is encrypted, and shown to the engine alone.
    #[schema(value_type = Object)]
    data: SecretObject,
}

/// A JSON object that is a secret, as text.
struct SecretObject(Zeroizing<String>);

impl FromJson for SecretObject {
    fn from_json(value: &Value, location: &mut Location<'_>) -> Option<Self> {
        let Value::Object(_) = value else {
            return location.reject("must be an object");
        };
        if !is_exact(value) {
            return location.reject("has a number that cannot be kept exactly: send it as a string");
        }
        let text = Zeroizing::new(value.to_string());
        if text.len() > MAX_DATA_BYTES {
            return location.reject(format_args!("must have at most {MAX_DATA_BYTES} bytes"));
        }
        Some(Self(text))
    }
}

/// Whether all numbers are whole ones of 64 bits, or are small enough for a double to tell them apart.
fn is_exact(value: &Value) -> bool {
    const EXACT_BELOW: f64 = 9_007_199_254_740_992.0;
    match value {
        Value::Number(number) => !number.is_f64() || number.as_f64().is_some_and(|number| number.abs() < EXACT_BELOW),
        Value::Array(items) => items.iter().all(is_exact),
        Value::Object(members) => members.values().all(is_exact),
        Value::Null | Value::Bool(_) | Value::String(_) => true,
    }
}

impl Input for CreateCredential {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let credential_type = fields.required("type");
        let name = fields.required("name");
        let data = fields.required("data");
        Some(Self { credential_type: credential_type?, name: name?, data: data? })
    }
}

/// Creates a credential of a user. Its data are encrypted before they are stored.
#[utoipa::path(post, path = "/users/{user}/credentials", tag = "credentials", security(("apiKey" = ["manage"])),
    params(("user" = UserRef, Path), ("Idempotency-Key" = Option<String>, Header, description = "by which a repeat gets the first answer again")), request_body = CreateCredential, responses(
    (status = 201, body = CredentialBody, headers(("Location", description = "where the credential is found"))),
    (status = 404, body = ProblemDocument),
    (status = 422, body = ProblemDocument),
))]
pub async fn create_credential(
    caller: Backend,
    State(StoresWithVault { stores, vault }): State<StoresWithVault>,
    Path(user): Path<UserRef>,
    seed: RequestSeed,
    Valid(body): Valid<CreateCredential>,
) -> Result<Created<CredentialBody>, Problem> {
    let CreateCredential { credential_type, name, data: SecretObject(data) } = body;
    let owner = stores.owner(caller.environment, &user, |_| true).await?;
    let (credential_id, now) = (seed.id(0), seed.at);
    let data = vault.seal(&encryption_context(caller.environment, credential_id), 1, data.as_bytes()).await?;
    let credential =
        Credential { credential_id, user_id: owner.user_id, credential_type, name, created_at: now, updated_at: now };
    stores.credentials.create(caller.environment, &SealedCredential { credential: credential.clone(), data }).await?;
    Ok(Created::at(format!("users/{}/credentials/{credential_id}", owner.user_id), credential.into()))
}
