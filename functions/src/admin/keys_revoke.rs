//! `keys-revoke`, for IAM callers: `{environmentId, keyId}` → the key. AWS calls: one DynamoDB read
//! and one transaction.

use lambda_runtime::Diagnostic;
use serde_json::Value;
use tenon::{
    domain::id::{EnvironmentId, KeyId},
    http::{Input, OrNotFound, Problem, Valid},
    store::api_keys::ApiKeys,
};

use super::KeyBody;

#[derive(Input)]
struct RevokeKey {
    environment_id: EnvironmentId,
    key_id: KeyId,
}

/// Revokes a key. API Gateway caches the result of the authorizer for 30 seconds; the key stops
/// working within 60 seconds. Revoking a revoked key changes nothing.
pub async fn revoke_key(keys: ApiKeys, payload: Value) -> Result<KeyBody, Diagnostic> {
    let Valid(RevokeKey { environment_id, key_id }) = Valid::payload(&payload)?;
    let revoked = keys.revoke(environment_id, key_id).await.map_err(Problem::from)?;
    Ok(revoked.or_not_found("key")?.into())
}
