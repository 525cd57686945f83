//! API keys: the credentials of the customer's back end and of the workflow engine.

use std::{fmt, str::FromStr};

use rand::{Rng, distr::Alphanumeric};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::{
    environment::EnvironmentKind,
    id::{EnvironmentId, KeyId},
    text::{Text, string_enum},
    timestamp::{Day, Timestamp},
};

/// Number of random base62 digits: 43 digits hold 256 bits.
const RANDOM_DIGITS: usize = 43;
/// Number of base62 digits of the checksum: six digits hold a CRC32.
const CHECKSUM_DIGITS: usize = 6;

/// Length of the displayed prefix: `tn_live_` and four digits. The other 39 digits keep 232 random
/// bits secret.
const PREFIX_CHARACTERS: usize = 12;

/// Plaintext API key: `tn_live_` or `tn_test_`, 43 random base62 digits, and the CRC32 of all
/// preceding characters as six base62 digits.
///
/// Regular expression for secret scanners: `tn_(live|test)_[0-9A-Za-z]{49}`. The plaintext is shown
/// once, in the response that creates the key. Only its [`KeyHash`] is stored.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(Zeroizing<String>);

impl ApiKey {
    /// Generates a random key for an environment of this kind.
    pub fn generate(kind: EnvironmentKind) -> Self {
        let mut key = Zeroizing::new(format!("tn_{}_", kind.as_str()));
        key.extend(rand::rng().sample_iter(Alphanumeric).take(RANDOM_DIGITS).map(char::from));
        let checksum = checksum(&key);
        key.push_str(&checksum);
        Self(key)
    }

    /// Returns the plaintext, for the response that creates the key.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns the displayed prefix: `tn_live_` or `tn_test_` and four random digits.
    pub fn prefix(&self) -> String {
        self.0.chars().take(PREFIX_CHARACTERS).collect()
    }

    /// Returns the hash that is stored instead of the key.
    pub fn hash(&self) -> KeyHash {
        KeyHash(hex::encode(ring::digest::digest(&ring::digest::SHA256, self.0.as_bytes())))
    }
}

fn checksum(text: &str) -> String {
    format!("{:0>CHECKSUM_DIGITS$}", base62::encode(crc32fast::hash(text.as_bytes())))
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Error for a text that is not an API key. Detected without a database lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiKeyError {
    /// The prefix is neither `tn_live_` nor `tn_test_`.
    #[error("unknown API key prefix")]
    Prefix,
    /// The length is wrong, or a character is not a base62 digit.
    #[error("malformed API key")]
    Malformed,
    /// The checksum does not match, usually because of a typing error.
    #[error("API key checksum mismatch")]
    Checksum,
}

impl FromStr for ApiKey {
    type Err = ApiKeyError;

    fn from_str(text: &str) -> Result<Self, ApiKeyError> {
        let digits =
            text.strip_prefix("tn_live_").or_else(|| text.strip_prefix("tn_test_")).ok_or(ApiKeyError::Prefix)?;
        if digits.len() != RANDOM_DIGITS + CHECKSUM_DIGITS || !digits.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(ApiKeyError::Malformed);
        }
        let (key, given) = text.split_at(text.len() - CHECKSUM_DIGITS);
        if checksum(key) != given {
            return Err(ApiKeyError::Checksum);
        }
        Ok(Self(Zeroizing::new(text.to_owned())))
    }
}

/// SHA-256 of a key, in hex. A key has 256 random bits, so salting or stretching would add no
/// protection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyHash(String);

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Permission of an API key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// The customer's back end: everything in the environment except revealing the data of
    /// credentials.
    Manage,
    /// The workflow engine: recording errors; reading integrations, installations and workflows;
    /// revealing and replacing the data of credentials, and setting their status.
    Engine,
    /// Every GET of the customer's back end, except those that issue tokens.
    Read,
}

string_enum!(Scope { Manage = "manage", Engine = "engine", Read = "read" });

/// Identity and permissions of a valid key, stored under its hash. Deleted when the key is revoked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiKeyGrant {
    /// Public id of the key, used in lists and logs.
    pub key_id: KeyId,
    /// Environment of all requests with this key.
    pub environment_id: EnvironmentId,
    /// Permissions of the key; never empty.
    pub scopes: Vec<Scope>,
}

/// Metadata of a key. Kept after the key is revoked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyRecord {
    /// Public id of the key, used in lists and logs.
    pub key_id: KeyId,
    /// Displayed prefix: identifies the key to people, and is too short to help in guessing it.
    pub prefix: String,
    /// Hash of the key, under which its [`ApiKeyGrant`] is stored.
    pub hash: KeyHash,
    /// Display name.
    pub name: Text<128>,
    /// Permissions of the key; never empty.
    pub scopes: Vec<Scope>,
    /// Creation time.
    pub created_at: Timestamp,
    /// Day of the last use, in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used_on: Option<Day>,
    /// Time of revocation; absent for a valid key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn generated_key_has_the_documented_form_and_parses() {
        for kind in [EnvironmentKind::Live, EnvironmentKind::Test] {
            let key = ApiKey::generate(kind);
            assert!(key.expose().starts_with(&format!("tn_{}_", kind.as_str())));
            assert_eq!(key.expose().len(), 8 + 49);
            assert_eq!(key.expose().parse::<ApiKey>().unwrap(), key);
        }
    }

    #[test]
    fn key_is_redacted_in_debug_output() {
        assert_eq!(format!("{:?}", ApiKey::generate(EnvironmentKind::Live)), "[redacted]");
    }

    #[test]
    fn malformed_keys_are_rejected_with_a_typed_error() {
        let key = ApiKey::generate(EnvironmentKind::Live);
        assert_eq!("".parse::<ApiKey>(), Err(ApiKeyError::Prefix));
        assert_eq!("sk_live_x".parse::<ApiKey>(), Err(ApiKeyError::Prefix));
        assert_eq!("tn_live_ä".parse::<ApiKey>(), Err(ApiKeyError::Malformed));
        assert_eq!(key.expose().get(..40).unwrap().parse::<ApiKey>(), Err(ApiKeyError::Malformed));
        assert_eq!(format!("{}0", key.expose()).parse::<ApiKey>(), Err(ApiKeyError::Malformed));
    }

    proptest! {
        #[test]
        fn any_single_mistyped_digit_is_detected(position in 8usize..57, digit in "[0-9A-Za-z]") {
            let key = ApiKey::generate(EnvironmentKind::Test);
            let mut typed = key.expose().to_owned();
            typed.replace_range(position..=position, &digit);
            prop_assert_eq!(typed.parse::<ApiKey>().is_ok(), typed == key.expose());
        }

        #[test]
        fn parsing_never_panics(text in "\\PC*") {
            let _ = text.parse::<ApiKey>();
            let _ = format!("tn_live_{text}").parse::<ApiKey>();
        }
    }
}
