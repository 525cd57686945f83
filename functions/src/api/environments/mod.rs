//! Environments, as the API returns them.

use serde::Serialize;
use tenon::domain::{
    VERSION,
    environment::{Environment, Kind},
    id::EnvironmentId,
    text::Text,
};
use utoipa::{OpenApi, ToSchema};

pub mod get;

/// Operations of the resource.
#[derive(Debug, OpenApi)]
#[openapi(paths(get::get_environment,))]
pub struct Operations;

/// Environment.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Environment)]
pub struct EnvironmentBody {
    environment_id: EnvironmentId,
    name: Text<128>,
    kind: Kind,
    /// Version of Tenon that serves the API.
    version: &'static str,
}

impl From<Environment> for EnvironmentBody {
    fn from(environment: Environment) -> Self {
        let Environment { environment_id, name, kind, created_at: _ } = environment;
        Self { environment_id, name, kind, version: VERSION }
    }
}
