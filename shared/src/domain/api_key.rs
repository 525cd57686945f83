//! API keys: what a customer's back end or engine presents.

use std::{fmt, str::FromStr};

use rand::{Rng, distr::Alphanumeric};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{
    environment::Kind,
    id::{EnvironmentId, KeyId},
    text::Text,
    timestamp::{Day, Timestamp},
};

/// 43 base62 digits hold 256 random bits.
const RANDOM_DIGITS: usize = 43;
/// Six base62 digits hold a CRC32.
const CHECKSUM_DIGITS: usize = 6;

/// `tn_live_` and four digits, which leaves 232 random bits unknown.
const PREFIX_CHARACTERS: usize = 12;

/// A key in the clear: `tn_live_` or `tn_test_`, 43 random base62 digits and a CRC32 of all that in six more.
///
/// As a regular expression, for secret scanners: `tn_(live|test)_[0-9A-Za-z]{49}`. The plaintext is shown once, to
/// whoever made the key; only its [`KeyHash`] is stored.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(Zeroizing<String>);

impl ApiKey {
    /// A new random key for an environment of this kind.
    pub fn generate(kind: Kind) -> Self {
        let mut key = Zeroizing::new(format!("tn_{}_", kind.as_str()));
        key.extend(rand::rng().sample_iter(Alphanumeric).take(RANDOM_DIGITS).map(char::from));
        let checksum = checksum(&key);
        key.push_str(&checksum);
        Self(key)
    }

    /// The plaintext, for the one answer that shows it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// How the key begins: its prefix and four random digits.
    pub fn prefix(&self) -> String {
        self.0.chars().take(PREFIX_CHARACTERS).collect()
    }

    /// What is stored in its place.
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

/// Why a text is not an API key. None of these needs a look-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiKeyError {
    /// It does not begin as a key does.
    #[error("the key's prefix is unknown")]
    Prefix,
    /// It is too short, too long, or has a character that a key never has.
    #[error("the key is not of a key's form")]
    Malformed,
    /// A digit was mistyped or lost.
    #[error("the key's checksum does not match")]
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

/// The SHA-256 of a key, in hex. A key has 256 random bits, so that neither salt nor stretching would add anything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyHash(String);

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Everything in the environment, except revealing credential secrets: the customer's back end.
    Manage,
    /// Record errors, read workflows, reveal credential secrets: the workflow engine.
    Engine,
}

impl Scope {
    /// As it is written in documents and in the authorizer's context.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Manage => "manage",
            Self::Engine => "engine",
        }
    }
}

/// Why a text is not a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be `manage` or `engine`")]
pub struct ScopeError;

impl FromStr for Scope {
    type Err = ScopeError;
    fn from_str(text: &str) -> Result<Self, ScopeError> {
        match text {
            "manage" => Ok(Self::Manage),
            "engine" => Ok(Self::Engine),
            _ => Err(ScopeError),
        }
    }
}

/// What is found by a key: all that says who is calling. It is there as long as the key works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiKeyGrant {
    /// Names the key in lists and logs.
    pub key_id: KeyId,
    /// The environment that a request with this key is in.
    pub environment_id: EnvironmentId,
    /// What the key may do; never empty.
    pub scopes: Vec<Scope>,
}

/// What is told of a key, also after it was revoked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyRecord {
    /// Names the key in lists and logs.
    pub key_id: KeyId,
    /// How the key begins: enough for people to tell keys apart, and no help in guessing one.
    pub prefix: String,
    /// What leads to its [`ApiKeyGrant`].
    pub hash: KeyHash,
    /// A name for people.
    pub name: Text<128>,
    /// What the key may do; never empty.
    pub scopes: Vec<Scope>,
    /// When it was made.
    pub created_at: Timestamp,
    /// The day on which it was last used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used_on: Option<Day>,
    /// When it was revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn generated_key_has_the_documented_form_and_parses() {
        for kind in [Kind::Live, Kind::Test] {
            let key = ApiKey::generate(kind);
            assert!(key.expose().starts_with(&format!("tn_{}_", kind.as_str())));
            assert_eq!(key.expose().len(), 8 + 49);
            assert_eq!(key.expose().parse::<ApiKey>().unwrap(), key);
        }
    }

    #[test]
    fn key_is_redacted_in_debug_output() {
        assert_eq!(format!("{:?}", ApiKey::generate(Kind::Live)), "[redacted]");
    }

    #[test]
    fn malformed_keys_are_rejected_with_a_typed_error() {
        let key = ApiKey::generate(Kind::Live);
        assert_eq!("".parse::<ApiKey>(), Err(ApiKeyError::Prefix));
        assert_eq!("sk_live_x".parse::<ApiKey>(), Err(ApiKeyError::Prefix));
        assert_eq!("tn_live_ä".parse::<ApiKey>(), Err(ApiKeyError::Malformed));
        assert_eq!(key.expose().get(..40).unwrap().parse::<ApiKey>(), Err(ApiKeyError::Malformed));
        assert_eq!(format!("{}0", key.expose()).parse::<ApiKey>(), Err(ApiKeyError::Malformed));
    }

    proptest! {
        #[test]
        fn any_single_mistyped_digit_is_detected(position in 8usize..57, digit in "[0-9A-Za-z]") {
            let key = ApiKey::generate(Kind::Test);
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
