//! Integrations: entries of an environment's catalogue, which users install.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    form::Field,
    text::{Text, string_enum, string_newtype},
    timestamp::Timestamp,
    workflow::{EngineIntegrationId, WorkflowKey},
};

/// Maximum number of integrations in an environment.
pub const MAX_INTEGRATIONS: usize = 200;
/// Maximum size of an integration as JSON, in bytes.
pub const MAX_INTEGRATION_BYTES: usize = 48 * 1024;
/// Maximum number of credential types of an integration.
pub const MAX_CREDENTIAL_TYPES: usize = 5;
/// Maximum number of workflows of an integration.
pub const MAX_WORKFLOWS: usize = 20;
/// Maximum number of hints of an integration.
pub const MAX_HINTS: usize = 50;

/// Integration as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Integration {
    /// Id, which the customer chooses.
    pub integration_id: IntegrationId,
    /// Attributes that the customer sets.
    #[serde(flatten)]
    pub content: Content,
    /// Increases whenever the content changes.
    pub version: u32,
    /// Creation time.
    pub created_at: Timestamp,
    /// Time of the last change.
    pub updated_at: Timestamp,
}

impl Integration {
    /// Returns the revision, which increases with every change and exceeds that of a deleted
    /// predecessor with the same id: each change takes longer than a millisecond.
    pub fn revision(&self) -> u64 {
        u64::try_from(self.created_at.milliseconds()).unwrap_or_default() + u64::from(self.version)
    }
}

/// Attributes of an integration that the customer sets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Content {
    /// Display name.
    pub name: Text<128>,
    /// Description.
    pub description: Option<Text<1000>>,
    /// Image.
    pub icon: Option<Icon>,
    /// Accounts that a user connects.
    pub credential_types: Vec<CredentialType>,
    /// Settings that a user fills in.
    pub settings: Vec<Field>,
    /// Workflows that an installation creates.
    pub workflows: Vec<WorkflowTemplate>,
    /// Explanations of errors for the user.
    pub hints: Vec<Hint>,
    /// Whether users see the integration and can install it.
    pub enabled: bool,
}

string_newtype! {
    /// Id of an integration, such as `shopify-orders`.
    IntegrationId,
    /// Error for a text that is not the id of an integration.
    #[error("must be 1 to 64 lower-case letters, digits, `_` or `-`, starting with a letter or digit")]
    IntegrationIdError,
    "^[a-z0-9][a-z0-9_-]{0,63}$",
    |text| {
        let is_valid = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-');
        (1..=64).contains(&text.len()) && !text.starts_with(['_', '-']) && text.bytes().all(is_valid)
    }
}

impl IntegrationId {
    /// Returns the id as workflows, errors and events have it.
    pub fn to_engine_id(&self) -> EngineIntegrationId {
        EngineIntegrationId::of(self.as_str())
    }
}

/// Maximum size of an icon, in bytes.
const MAX_ICON_BYTES: usize = 16 * 1024;
/// Media types of icons, as data URIs begin.
const ICON_PREFIXES: [&str; 4] =
    ["data:image/png;base64,", "data:image/jpeg;base64,", "data:image/webp;base64,", "data:image/svg+xml;base64,"];

string_newtype! {
    /// Image as a data URI (RFC 2397) of at most 16 KiB.
    Icon,
    /// Error for a text that is not an icon.
    #[error("must be a data URI of at most 16 KiB, such as `data:image/png;base64,…` (png, jpeg, webp or svg+xml)")]
    IconError,
    r"^data:image/(png|jpeg|webp|svg\+xml);base64,[A-Za-z0-9+/]+={0,2}$",
    |text| {
        let data = ICON_PREFIXES.iter().find_map(|prefix| text.strip_prefix(prefix));
        text.len() <= MAX_ICON_BYTES && data.is_some_and(is_base64)
    }
}

fn is_base64(text: &str) -> bool {
    !text.is_empty() && BASE64_STANDARD.decode(text).is_ok()
}

/// Account that a user connects for an integration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CredentialType {
    /// Type of the credentials, unique within the integration.
    #[serde(rename = "type")]
    pub credential_type: Text<128>,
    /// Display name.
    pub name: Text<128>,
    /// Form of the data.
    pub fields: Vec<Field>,
}

/// Workflow that an installation creates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkflowTemplate {
    /// Key, unique within the integration.
    pub key: WorkflowKey,
    /// Display name, with which the name of each user's workflow begins.
    pub name: Text<200>,
    /// Description.
    #[schema(required = true)]
    pub description: Option<Text<1000>>,
}

/// Explanation of errors for the user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Hint {
    /// Text that the error contains, ignoring case.
    #[serde(rename = "match")]
    pub matches: Text<200>,
    /// Explanation.
    pub text: Text<500>,
    /// Action that the user can take.
    #[schema(required = true)]
    pub action: Option<HintAction>,
}

/// Action that a user can take about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum HintAction {
    /// Connect the account again.
    Reconnect,
}

string_enum!(HintAction { Reconnect = "reconnect" });

impl Content {
    /// Returns the size as JSON, in bytes.
    pub fn size(&self) -> usize {
        serde_json::to_string(self).map_or(usize::MAX, |json| json.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_is_short_and_lower_case() {
        for id in ["a", "0", "shopify-orders_2", &"x".repeat(64)] {
            assert!(id.parse::<IntegrationId>().is_ok(), "{id}");
        }
        for id in ["", "-a", "_a", "A", "a b", "ä", "a/b", &"x".repeat(65)] {
            assert!(id.parse::<IntegrationId>().is_err(), "{id}");
        }
    }

    #[test]
    fn icon_is_an_image_in_a_data_uri() {
        for icon in ["data:image/png;base64,AAAA", "data:image/svg+xml;base64,PHN2Zy8+"] {
            assert!(icon.parse::<Icon>().is_ok(), "{icon}");
        }
        let long = format!("data:image/png;base64,{}", "A".repeat(MAX_ICON_BYTES));
        for icon in [
            "",
            "https://example.com/a.png",
            "data:text/html;base64,AAAA",
            "data:image/png,AAAA",
            "data:image/png;base64,",
            "data:image/png;base64,%%%%",
            "data:image/gif;base64,AAAA",
            &long,
        ] {
            assert!(icon.parse::<Icon>().is_err(), "{icon:.40}");
        }
    }
}
