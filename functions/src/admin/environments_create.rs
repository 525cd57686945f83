//! `environments-create`, for IAM callers: `{name, kind}` → `{environmentId, name, kind}`. AWS
//! calls: one DynamoDB read and one write; for the first environment of the stack also one KMS call
//! and one transaction, which create the first signing key.

use lambda_runtime::Diagnostic;
use serde::Serialize;
use serde_json::Value;
use tenon::{
    domain::{
        environment::{Environment, EnvironmentKind},
        id::EnvironmentId,
        modal::Modal,
        text::Text,
        timestamp::Timestamp,
    },
    http::{Input, Problem, Valid},
    start::FromAws,
    store::{environments::Environments, signing_keys::SigningKeys},
    tokens::create_signing_key,
    vault::Vault,
};

/// New environment.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CreatedEnvironment {
    environment_id: EnvironmentId,
    name: Text<128>,
    kind: EnvironmentKind,
}

#[derive(Input)]
struct CreateEnvironment {
    name: Text<128>,
    kind: EnvironmentKind,
}

/// State of the function.
#[derive(Clone, Debug, FromAws)]
pub struct State {
    environments: Environments,
    signing_keys: SigningKeys,
    #[aws(lazy_vault = "SIGNING_KEY")]
    vault: Vault,
}

/// Creates an environment, and the first signing key of the stack if there is none.
pub async fn create_environment(state: State, payload: Value) -> Result<CreatedEnvironment, Diagnostic> {
    let Valid(CreateEnvironment { name, kind }) = Valid::payload(&payload)?;
    create(state, name, kind).await.map_err(Diagnostic::from)
}

async fn create(state: State, name: Text<128>, kind: EnvironmentKind) -> Result<CreatedEnvironment, Problem> {
    let now = Timestamp::now();
    if state.signing_keys.list().await?.is_empty() {
        state.signing_keys.create_first(&create_signing_key(&state.vault, now).await?).await?;
    }
    let environment_id = EnvironmentId::new();
    let environment = Environment { environment_id, name, kind, modal: Modal::default(), version: 1, created_at: now };
    state.environments.create(&environment).await?;
    let Environment { environment_id, name, kind, .. } = environment;
    Ok(CreatedEnvironment { environment_id, name, kind })
}
