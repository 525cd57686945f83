//! Credentials: what a user entered so that integrations can act for it.

use serde::{Deserialize, Serialize};

use super::{
    id::{CredentialId, UserId},
    text::Text,
    timestamp::Timestamp,
};

/// The most bytes of a credential's data, as JSON.
pub const MAX_DATA_BYTES: usize = 16 * 1024;

/// What may be shown of a credential. Its data stay sealed in the item and are no part of this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Credential {
    /// Its id.
    pub credential_id: CredentialId,
    /// Whose it is.
    pub user_id: UserId,
    /// What it is for, such as `shopify`.
    pub credential_type: Text<128>,
    /// A name for people.
    pub name: Text<256>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}
