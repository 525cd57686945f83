//! `GET /environment`. AWS calls: one DynamoDB read.

use axum::extract::State;
use tenon::{
    http::{Backend, Json, NoInput, Problem},
    store::{ReadOnly, environments::Environments},
};

use super::EnvironmentBody;

/// Returns the environment of the caller's API key.
#[utoipa::path(get, path = "/environment", tag = "environment", security(("apiKey" = ["manage"])),
    responses((status = 200, body = EnvironmentBody)))]
pub async fn get_environment(
    caller: Backend,
    State(environments): State<Environments<ReadOnly>>,
    _: NoInput,
) -> Result<Json<EnvironmentBody>, Problem> {
    let found = environments.find(caller.environment).await?.ok_or_else(|| Problem::not_found("environment"))?;
    Ok(Json(found.into()))
}
