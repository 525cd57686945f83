//! Credentials: data with which an integration acts on behalf of a user.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    id::{CredentialId, UserId},
    revision::next_revision,
    text::{Text, string_enum},
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
    /// Whether the data still works, as the engine reported.
    pub status: CredentialStatus,
    /// Reason why the credential is invalid.
    pub status_reason: Option<Text<512>>,
    /// Increases with every change.
    pub revision: u64,
    /// Revision with which the data was last replaced; the ETag of the credential.
    pub data_revision: u64,
    /// Number of times that a workflow or an installation started to reference it.
    #[serde(default)]
    pub namings: u64,
    /// Whether an installation created it. It is then deleted with the last installation that names
    /// it or has created it.
    #[serde(default)]
    pub created_by_installation: bool,
    /// Creation time.
    pub created_at: Timestamp,
    /// Time of the last change.
    pub updated_at: Timestamp,
}

impl Credential {
    /// Creates the metadata of a new, valid credential.
    pub fn new(
        credential_id: CredentialId,
        user_id: UserId,
        credential_type: Text<128>,
        name: Text<256>,
        now: Timestamp,
    ) -> Self {
        let revision = next_revision(None, now);
        Self {
            credential_id,
            user_id,
            credential_type,
            name,
            status: CredentialStatus::Valid,
            status_reason: None,
            revision,
            data_revision: revision,
            namings: 0,
            created_by_installation: false,
            created_at: now,
            updated_at: now,
        }
    }

    /// Returns the metadata after the data, and the name if one is given, are replaced: the
    /// credential becomes valid.
    pub fn replaced(&self, name: Option<&Text<256>>, now: Timestamp) -> Self {
        let touched = self.with_status(CredentialStatus::Valid, None, now);
        Self { name: name.unwrap_or(&self.name).clone(), data_revision: touched.revision, ..touched }
    }

    /// Returns the metadata after the status is set.
    pub fn with_status(&self, status: CredentialStatus, status_reason: Option<Text<512>>, now: Timestamp) -> Self {
        Self { status, status_reason, ..self.touched(now) }
    }

    /// Returns the metadata with the next revision, such as the last one before a deletion.
    pub fn touched(&self, now: Timestamp) -> Self {
        Self { revision: next_revision(Some(self.revision), now), updated_at: now, ..self.clone() }
    }
}

/// Status of a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum CredentialStatus {
    /// The data works, as far as is known.
    Valid,
    /// The service rejected the data; the user must connect again.
    Invalid,
}

string_enum!(CredentialStatus { Valid = "valid", Invalid = "invalid" });
