//! `signing-keys-rotate`, triggered by a schedule: creates the next key ahead of its use and
//! removes keys that are no longer needed. AWS calls: one DynamoDB read; for a new key one KMS call
//! and one write; one write for each removed key.

use lambda_runtime::Diagnostic;
use serde::Serialize;
use serde_json::Value;
use tenon::{
    domain::timestamp::Timestamp,
    http::Problem,
    start::FromAws,
    store::signing_keys::SigningKeys,
    tokens::{create_signing_key, rotation},
    vault::Vault,
};

/// State of the function.
#[derive(Clone, Debug, FromAws)]
pub struct State {
    keys: SigningKeys,
    #[aws(lazy_vault = "SIGNING_KEY")]
    vault: Vault,
}

/// Result of a rotation.
#[derive(Debug, Default, Serialize)]
pub struct RotationResult {
    /// Ids of the created keys.
    created: Vec<String>,
    /// Ids of the removed keys.
    removed: Vec<String>,
}

/// Creates and removes signing keys as the rotation plan requires, which usually is nothing.
pub async fn rotate_signing_keys(state: State, _: Value) -> Result<RotationResult, Diagnostic> {
    rotate(state, Timestamp::now()).await.map_err(Diagnostic::from)
}

async fn rotate(State { keys, vault }: State, now: Timestamp) -> Result<RotationResult, Problem> {
    let stored = keys.list().await?;
    let signs_from: Vec<Timestamp> = stored.iter().map(|key| key.signs_from).collect();
    let plan = rotation::plan(&signs_from, now);
    let mut rotated = RotationResult::default();
    if let Some(signs_from) = plan.create {
        let key = create_signing_key(&vault, signs_from).await?;
        keys.create(&key).await?;
        rotated.created.push(key.kid);
    }
    for key in plan.remove.iter().filter_map(|index| stored.get(*index)) {
        keys.remove(&key.kid).await?;
        rotated.removed.push(key.kid.clone());
    }
    tracing::info!(created = rotated.created.len(), removed = rotated.removed.len(), "signing key rotation completed");
    Ok(rotated)
}
