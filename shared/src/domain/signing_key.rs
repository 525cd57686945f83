//! Signing keys of user tokens.

use serde::{Deserialize, Serialize};

use super::{secret::Sealed, timestamp::Timestamp};

/// Signing key as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredKey {
    /// Key id: the thumbprint of the public key (RFC 7638).
    pub kid: String,
    /// Public key: an uncompressed point on P-256, 65 bytes.
    #[serde(with = "serde_bytes")]
    pub public_key: Vec<u8>,
    /// Private key: a sealed PKCS #8 document.
    pub private_key: Sealed,
    /// Creation time.
    pub created_at: Timestamp,
    /// Time from which the key signs, until the next key takes over.
    pub signs_from: Timestamp,
}
