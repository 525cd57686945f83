//! Environments: the unit of isolation.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    id::EnvironmentId,
    modal::Modal,
    text::{Text, string_enum},
    timestamp::Timestamp,
};

/// Environment. Owns users, workflows, errors, destinations and API keys, which no other
/// environment can access.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Environment {
    /// Environment id.
    pub environment_id: EnvironmentId,
    /// Display name, such as `acme-production`.
    pub name: Text<128>,
    /// Live or test; part of the prefix of its API keys.
    pub kind: EnvironmentKind,
    /// Defaults of the embedded modal.
    pub modal: Modal,
    /// Increases with every change. Detects concurrent changes.
    pub version: u32,
    /// Creation time.
    pub created_at: Timestamp,
}

/// Purpose of an environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum EnvironmentKind {
    /// Production use.
    Live,
    /// Tests and trials.
    Test,
}

string_enum!(EnvironmentKind { Live = "live", Test = "test" });
