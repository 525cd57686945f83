//! Environments: the unit of isolation.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{id::EnvironmentId, modal::Modal, text::Text, timestamp::Timestamp};

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
    pub kind: Kind,
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
#[schema(as = EnvironmentKind)]
pub enum Kind {
    /// Production use.
    Live,
    /// Tests and trials.
    Test,
}

impl Kind {
    /// Returns the form used in JSON and in API key prefixes.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Test => "test",
        }
    }
}

/// Error for a text that is not a kind of environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be `live` or `test`")]
pub struct KindError;

impl FromStr for Kind {
    type Err = KindError;
    fn from_str(text: &str) -> Result<Self, KindError> {
        match text {
            "live" => Ok(Self::Live),
            "test" => Ok(Self::Test),
            _ => Err(KindError),
        }
    }
}
