//! `keys-create`, for IAM callers: `{environmentId, name, scopes}` → `{keyId, key}`. AWS calls: one
//! DynamoDB read and one transaction.

use lambda_runtime::Diagnostic;
use serde::Serialize;
use serde_json::Value;
use tenon::{
    domain::{
        api_key::{ApiKey, KeyRecord, Scope},
        id::{EnvironmentId, KeyId},
        text::Text,
        timestamp::Timestamp,
    },
    http::{Input, OrNotFound, Problem, Valid},
    start::FromAws,
    store::{api_keys::ApiKeys, environments::Environments},
};

#[derive(Input)]
struct CreateKey {
    environment_id: EnvironmentId,
    name: Text<128>,
    #[input(max = 3, min = 1)]
    scopes: Vec<Scope>,
}

/// Created API key. The secret is returned only here.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CreatedKey {
    key_id: KeyId,
    key: String,
}

/// State of the function.
#[derive(Clone, Debug, FromAws)]
pub struct State {
    environments: Environments,
    keys: ApiKeys,
}

/// Creates an API key. The response is the only place that contains the secret.
pub async fn create_key(state: State, payload: Value) -> Result<CreatedKey, Diagnostic> {
    let Valid(body) = Valid::payload(&payload)?;
    create(state, body).await.map_err(Diagnostic::from)
}

async fn create(state: State, body: CreateKey) -> Result<CreatedKey, Problem> {
    let CreateKey { environment_id, name, scopes } = body;
    let environment = state.environments.get(environment_id).await?.or_not_found("environment")?;
    let key = ApiKey::generate(environment.kind);
    let record = KeyRecord {
        key_id: KeyId::new(),
        prefix: key.prefix(),
        hash: key.hash(),
        name,
        scopes,
        created_at: Timestamp::now(),
        last_used_on: None,
        revoked_at: None,
    };
    state.keys.create(environment_id, &record).await?;
    Ok(CreatedKey { key_id: record.key_id, key: key.expose().to_owned() })
}
