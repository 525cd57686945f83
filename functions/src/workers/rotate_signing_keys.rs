//! `signing-keys-rotate`, by a schedule: makes the next key before its turn, and removes keys that nobody needs any more.
//! AWS calls: one DynamoDB read; for a new key one of KMS and one write, for each old one a write.

use aws_config::SdkConfig;
use lambda_runtime::Diagnostic;
use serde::Serialize;
use serde_json::Value;
use tenon::{
    aws::setting,
    domain::timestamp::Timestamp,
    http::{Problem, StartError},
    store::{Table, signing_keys::SigningKeys},
    tokens::{create_signing_key, rotation},
    vault::Vault,
};

/// What the function is given.
#[derive(Clone, Debug)]
pub struct Rotation {
    keys: SigningKeys,
    vault: Vault,
}

/// The directory, and the vault of signing keys.
pub async fn state(config: &SdkConfig) -> Result<Rotation, StartError> {
    let vault = Vault::new(config, setting::<String>("SIGNING_KEY")?);
    Ok(Rotation { keys: SigningKeys(Table::directory(config, 1).await?), vault })
}

/// What was done.
#[derive(Debug, Default, Serialize)]
pub struct RotationResult {
    /// The names of keys that were made.
    created: Vec<String>,
    /// The names of keys that were removed.
    removed: Vec<String>,
}

/// Does what the time has come for, which mostly is nothing.
pub async fn rotate_signing_keys(rotation: Rotation, _: Value) -> Result<RotationResult, Diagnostic> {
    rotate(rotation, Timestamp::now()).await.map_err(Diagnostic::from)
}

async fn rotate(Rotation { keys, vault }: Rotation, now: Timestamp) -> Result<RotationResult, Problem> {
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
    tracing::info!(created = rotated.created.len(), removed = rotated.removed.len(), "rotated");
    Ok(rotated)
}
