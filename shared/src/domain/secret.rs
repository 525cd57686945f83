//! Text that must never be seen.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// A secret text: wiped from memory when dropped, and `[redacted]` wherever it would be printed for debugging.
///
/// `Serialize` writes the plaintext: its one use is the inside of a sealed document.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// The plaintext, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Why a text cannot be a secret that AWS issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to {MAX_SECRET} printable ASCII characters")]
pub struct SecretError;

/// AWS session tokens are the longest; their length has no documented limit below this.
const MAX_SECRET: usize = 8192;

impl FromStr for Secret {
    type Err = SecretError;

    fn from_str(text: &str) -> Result<Self, SecretError> {
        let printable = text.bytes().all(|byte| byte.is_ascii_graphic());
        if printable && (1..=MAX_SECRET).contains(&text.len()) { Ok(text.to_owned().into()) } else { Err(SecretError) }
    }
}

impl utoipa::PartialSchema for Secret {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        super::text::string_schema(|schema| schema.max_length(Some(MAX_SECRET)).write_only(true))
    }
}

impl utoipa::ToSchema for Secret {}

/// A secret under envelope encryption: what is stored in its place. [`crate::vault`] makes and opens it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sealed {
    /// Grows with every replacement of the secret, so that an old ciphertext does not decrypt in a new one's place.
    pub version: u32,
    /// The data key, encrypted by KMS.
    #[serde(with = "serde_bytes")]
    pub wrapped_key: Vec<u8>,
    /// The nonce of AES-256-GCM, 12 bytes.
    #[serde(with = "serde_bytes")]
    pub nonce: Vec<u8>,
    /// The ciphertext with its tag.
    #[serde(with = "serde_bytes")]
    pub ciphertext: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_is_redacted_in_debug_output() {
        let secret: Secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".parse().unwrap();
        assert_eq!(format!("{:?}", Some(secret)), "Some([redacted])");
    }

    #[test]
    fn header_values_are_printable() {
        for text in ["", "a b", "a\nb", "ä"] {
            assert!(text.parse::<Secret>().is_err(), "{text:?}");
        }
    }
}
