//! `GET /environment`. AWS calls: one DynamoDB read.

use axum::extract::State;
use tenon::{
    http::{Backend, NoInput, OrNotFound, Problem, Revised},
    store::{ReadOnly, environments::Environments},
};

use super::{EnvironmentBody, revised};

/// Returns the environment of the caller's API key.
#[utoipa::path(get, path = "/environment", tag = "environment", security(("apiKey" = ["manage"])),
    responses((status = 200, body = EnvironmentBody, headers(("ETag", description = "entity tag for If-Match")))))]
pub async fn get_environment(
    caller: Backend,
    State(environments): State<Environments<ReadOnly>>,
    _: NoInput,
) -> Result<Revised<EnvironmentBody>, Problem> {
    let found = environments.get(caller.environment).await?.or_not_found("environment")?;
    Ok(revised(found, caller.scope))
}
