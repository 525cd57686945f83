//! `GET /environment`. AWS calls: one DynamoDB read.

use aws_config::SdkConfig;
use axum::extract::State;
use tenon::{
    http::{Backend, Invalid, Json, NoInput, NotFound, Problem, StartError},
    store::{ReadOnly, Table, environments::Environments},
};

use super::EnvironmentBody;

/// Connects to the directory table.
pub async fn state(config: &SdkConfig) -> Result<Environments<ReadOnly>, StartError> {
    Ok(Environments(Table::directory(config, 1).await?))
}

/// Returns the environment of the caller's API key.
#[utoipa::path(get, path = "/environment", tag = "environment", security(("apiKey" = ["manage"])), responses(
    (status = 200, body = EnvironmentBody),
    NotFound, Invalid,
))]
pub async fn get_environment(
    caller: Backend,
    State(environments): State<Environments<ReadOnly>>,
    _: NoInput,
) -> Result<Json<EnvironmentBody>, Problem> {
    let found = environments.find(caller.environment).await?.ok_or_else(|| Problem::not_found("environment"))?;
    Ok(Json(found.into()))
}
