//! Secrets: plaintext that is never printed, and its encrypted form.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Secret text: wiped from memory when dropped, and printed as `[redacted]` in debug output.
///
/// `Serialize` writes the plaintext. Use it only for the content of a sealed document.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Returns the plaintext.
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

/// Error for a text that cannot be an AWS secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to {MAX_SECRET} printable ASCII characters")]
pub struct SecretError;

/// Maximum length of a secret. AWS session tokens are the longest, and AWS documents no limit on
/// their length.
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
        super::text::string_schema(|schema| {
            schema.pattern(Some("^[!-~]+$")).max_length(Some(MAX_SECRET)).write_only(true)
        })
    }
}

impl utoipa::ToSchema for Secret {}

/// Secret under envelope encryption, as stored. [`crate::vault`] seals and opens it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sealed {
    /// Increases with every replacement, so that an old ciphertext does not decrypt in place of a
    /// new one.
    pub version: u32,
    /// Data key, encrypted by KMS.
    #[serde(with = "serde_bytes")]
    pub wrapped_key: Vec<u8>,
    /// Nonce of AES-256-GCM: 12 bytes.
    #[serde(with = "serde_bytes")]
    pub nonce: Vec<u8>,
    /// Ciphertext followed by the authentication tag.
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
    fn secret_must_be_printable_ascii() {
        for text in ["", "a b", "a\nb", "ä"] {
            assert!(text.parse::<Secret>().is_err(), "{text:?}");
        }
    }
}
