//! `keys-list`, for IAM callers: `{environmentId}` → `{keys: [{keyId, prefix, name, scopes,
//! createdAt, lastUsedOn, revokedAt}]}`. AWS calls: one DynamoDB query.

use lambda_runtime::Diagnostic;
use serde::Serialize;
use serde_json::Value;
use tenon::{
    domain::id::EnvironmentId,
    http::{Input, Problem, Valid},
    store::{ReadOnly, api_keys::ApiKeys},
};

use super::KeyBody;

#[derive(Input)]
struct ListKeys {
    environment_id: EnvironmentId,
}

/// API keys of an environment, newest first, including revoked ones.
#[derive(Debug, Serialize)]
pub struct KeyList {
    keys: Vec<KeyBody>,
}

/// Returns all API keys of an environment, without their secrets.
pub async fn list_keys(keys: ApiKeys<ReadOnly>, payload: Value) -> Result<KeyList, Diagnostic> {
    let Valid(ListKeys { environment_id }) = Valid::payload(&payload)?;
    let records = keys.list(environment_id).await.map_err(Problem::from)?;
    Ok(KeyList { keys: records.into_iter().map(KeyBody::from).collect() })
}
