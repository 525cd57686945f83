//! Environments: made by IAM callers, and shown to the holders of their keys.

use serde::Serialize;
use tenon::domain::{
    environment::{Environment, Kind},
    id::EnvironmentId,
    text::Text,
};
use utoipa::ToSchema;

pub mod create;
pub mod get;

/// An environment.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Environment)]
pub struct EnvironmentBody {
    environment_id: EnvironmentId,
    name: Text<128>,
    kind: Kind,
}

impl From<Environment> for EnvironmentBody {
    fn from(environment: Environment) -> Self {
        let Environment { environment_id, name, kind, created_at: _ } = environment;
        Self { environment_id, name, kind }
    }
}
