//! `environments-create`, for IAM callers: `{name, kind}` → `{environmentId, name, kind}`. AWS
//! calls: one DynamoDB read and one write; for the first environment of the stack also one KMS call
//! and one transaction, which create the first signing key.

use aws_config::SdkConfig;
use lambda_runtime::Diagnostic;
use serde_json::Value;
use tenon::{
    aws::setting,
    domain::{
        environment::{Environment, Kind},
        id::EnvironmentId,
        text::Text,
        timestamp::Timestamp,
    },
    http::{Input, Problem, StartError, Valid},
    store::{Table, environments::Environments, signing_keys::SigningKeys},
    tokens::create_signing_key,
    vault::Vault,
};

use crate::api::environments::EnvironmentBody;

#[derive(Input)]
struct CreateEnvironment {
    name: Text<128>,
    kind: Kind,
}

/// State of the function.
#[derive(Clone, Debug)]
pub struct Stores {
    environments: Environments,
    signing_keys: SigningKeys,
    vault: Vault,
}

/// Connects to the directory table and creates the vault of the signing keys.
pub async fn state(config: &SdkConfig) -> Result<Stores, StartError> {
    let directory = Table::directory(config, 1).await?;
    let vault = Vault::new(config, setting::<String>("SIGNING_KEY")?);
    Ok(Stores { environments: Environments(directory.clone()), signing_keys: SigningKeys(directory), vault })
}

/// Creates an environment, and the first signing key of the stack if there is none.
pub async fn create_environment(stores: Stores, payload: Value) -> Result<EnvironmentBody, Diagnostic> {
    let Valid(CreateEnvironment { name, kind }) = Valid::payload(&payload)?;
    create(stores, name, kind).await.map_err(Diagnostic::from)
}

async fn create(stores: Stores, name: Text<128>, kind: Kind) -> Result<EnvironmentBody, Problem> {
    let now = Timestamp::now();
    if stores.signing_keys.list().await?.is_empty() {
        stores.signing_keys.create_first(&create_signing_key(&stores.vault, now).await?).await?;
    }
    let environment = Environment { environment_id: EnvironmentId::new(), name, kind, created_at: now };
    stores.environments.create(&environment).await?;
    Ok(environment.into())
}
