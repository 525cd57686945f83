//! Credentials: data with which an integration acts on behalf of a user.

use serde::{Deserialize, Serialize};

use super::{
    id::{CredentialId, UserId},
    text::Text,
    timestamp::Timestamp,
};

/// Maximum size of a credential's data as JSON, in bytes.
pub const MAX_DATA_BYTES: usize = 16 * 1024;

/// Metadata of a credential. The secret data is sealed in the same item and is not part of this
/// type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Credential {
    /// Credential id.
    pub credential_id: CredentialId,
    /// Owner.
    pub user_id: UserId,
    /// Type, such as `shopify`.
    pub credential_type: Text<128>,
    /// Display name.
    pub name: Text<256>,
    /// Creation time.
    pub created_at: Timestamp,
    /// Time of the last change.
    pub updated_at: Timestamp,
}
