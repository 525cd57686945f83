//! Environments, as the API returns them.

use serde::Serialize;
use tenon::{
    domain::{
        VERSION,
        api_key::Scope,
        environment::{Environment, EnvironmentKind},
        id::EnvironmentId,
        modal::Modal,
        text::Text,
    },
    http::Revised,
};
use utoipa::{OpenApi, ToSchema};

pub mod get;
pub mod patch;

/// Operations of the resource.
#[derive(Debug, OpenApi)]
#[openapi(paths(get::get_environment, patch::patch_environment))]
pub struct Operations;

/// Environment.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Environment)]
pub struct EnvironmentBody {
    environment_id: EnvironmentId,
    name: Text<128>,
    kind: EnvironmentKind,
    /// Version of Tenon that serves the API.
    version: &'static str,
    /// Defaults of the embedded modal.
    modal: Modal,
    /// Broadest scope of the key that made the request, in the order `manage`, `engine`, `read`.
    scope: Scope,
}

/// Returns the response to a caller, with the environment and the ETag of its revision.
fn revised(environment: Environment, scope: Scope) -> Revised<EnvironmentBody> {
    let Environment { environment_id, name, kind, modal, version: revision, created_at: _ } = environment;
    Revised::new(revision, EnvironmentBody { environment_id, name, kind, version: VERSION, modal, scope })
}
