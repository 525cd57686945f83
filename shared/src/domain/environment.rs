//! The unit of isolation.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{id::EnvironmentId, text::Text, timestamp::Timestamp};

/// All that belongs together and is kept apart from everything else: users, workflows, errors, destinations, keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Environment {
    /// Its id.
    pub environment_id: EnvironmentId,
    /// A name for people, such as `acme-production`.
    pub name: Text<128>,
    /// Live or test; shown in the prefix of its keys.
    pub kind: Kind,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What an environment is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Real users.
    Live,
    /// Trials.
    Test,
}

impl Kind {
    /// As it is written in documents and in the prefix of a key.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Test => "test",
        }
    }
}

/// Why a text is not a kind of environment.
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
