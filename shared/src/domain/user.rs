//! Users: a container for each person who uses an integration.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    id::UserId,
    names::{Email, Names, UserRef, Username},
    request_seed::RequestSeed,
    text::Text,
    timestamp::Timestamp,
};

/// A user as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// Its id, which never changes.
    pub user_id: UserId,
    /// Its name, unique in the environment.
    pub username: Username,
    /// Its e-mail address, unique in the environment.
    pub email: Option<Email>,
    /// A name for people.
    pub full_name: Option<FullName>,
    /// What the customer wants to remember.
    pub metadata: Metadata,
    /// Whether it may be used.
    pub status: Status,
    /// Grows whenever the tokens made so far must stop; a token carries the epoch it was made in.
    pub token_epoch: u32,
    /// Grows with every change, so that two changes at once do not undo each other.
    pub version: u32,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// A full name: 1 to 256 characters.
pub type FullName = Text<256>;

/// Whether a user may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Everything works.
    Active,
    /// Its data stay, its tokens stop, and it gets no new ones.
    Disabled,
}

impl Status {
    /// As it is written in documents and items.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
        }
    }
}

/// What is needed to create a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewUser {
    /// Username and e-mail address.
    pub names: Names,
    /// A name for people.
    pub full_name: Option<FullName>,
    /// What the customer wants to remember.
    pub metadata: Metadata,
}

impl NewUser {
    /// The user that the request of this seed creates in this place.
    pub fn create(self, seed: &RequestSeed, index: usize) -> User {
        let now = seed.at;
        let Self { names: Names { username, email }, full_name, metadata } = self;
        User {
            user_id: seed.id(index),
            username,
            email,
            full_name,
            metadata,
            status: Status::Active,
            token_epoch: 0,
            version: 1,
            created_at: now,
            updated_at: now,
        }
    }
}

impl User {
    /// Whether a reference means this user: its names may have moved to another since they were looked up.
    pub fn matches(&self, reference: &UserRef) -> bool {
        match reference {
            UserRef::Id(id) => self.user_id == *id,
            UserRef::Name(name) => {
                let email = self.email.as_ref().map(Email::canonical);
                self.username.canonical() == *name || email.as_ref() == Some(name)
            }
        }
    }
}

impl std::str::FromStr for Status {
    type Err = StatusError;

    fn from_str(text: &str) -> Result<Self, StatusError> {
        [Self::Active, Self::Disabled].into_iter().find(|status| status.as_str() == text).ok_or(StatusError)
    }
}

/// Why a text is not a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be `active` or `disabled`")]
pub struct StatusError;

/// String pairs that the customer attaches to a user: at most 50, at most 8 KiB in all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = BTreeMap<String, String>)]
pub struct Metadata(BTreeMap<String, String>);

/// The most pairs.
pub const MAX_METADATA_PAIRS: usize = 50;
/// The most bytes of all keys and values together.
const MAX_METADATA_BYTES: usize = 8 * 1024;

/// Why pairs are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// There are too many.
    #[error("must have at most {MAX_METADATA_PAIRS} pairs")]
    TooMany,
    /// They are too long.
    #[error("must have at most {MAX_METADATA_BYTES} bytes in all")]
    TooLong,
    /// A key is empty.
    #[error("must not have an empty key")]
    EmptyKey,
}

impl Metadata {
    /// The pairs with others in their place; those without a value are taken away.
    pub fn merge(&self, others: BTreeMap<String, Option<String>>) -> Result<Self, MetadataError> {
        let mut pairs = self.0.clone();
        for (key, value) in others {
            match value {
                Some(value) => pairs.insert(key, value),
                None => pairs.remove(&key),
            };
        }
        pairs.try_into()
    }
}

impl TryFrom<BTreeMap<String, String>> for Metadata {
    type Error = MetadataError;

    fn try_from(pairs: BTreeMap<String, String>) -> Result<Self, MetadataError> {
        if pairs.len() > MAX_METADATA_PAIRS {
            Err(MetadataError::TooMany)
        } else if pairs.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>() > MAX_METADATA_BYTES {
            Err(MetadataError::TooLong)
        } else if pairs.contains_key("") {
            Err(MetadataError::EmptyKey)
        } else {
            Ok(Self(pairs))
        }
    }
}

/// How long a user token is asked to last, in seconds: 60 to 1800.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TtlSeconds(u16);

impl TtlSeconds {
    /// The longest, which is what a token gets when nothing is asked for.
    pub const MAX: Self = Self(1800);

    /// The number of seconds.
    pub const fn get(self) -> u16 {
        self.0
    }
}

/// Why a number is not a token's time to live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a whole number from 60 to 1800")]
pub struct TtlError;

impl TryFrom<i64> for TtlSeconds {
    type Error = TtlError;
    fn try_from(seconds: i64) -> Result<Self, TtlError> {
        match u16::try_from(seconds) {
            Ok(seconds @ 60..=1800) => Ok(Self(seconds)),
            _ => Err(TtlError),
        }
    }
}

impl utoipa::PartialSchema for TtlSeconds {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::Type::Integer)
            .minimum(Some(60))
            .maximum(Some(1800))
            .default(Some(1800.into()))
            .into()
    }
}

impl ToSchema for TtlSeconds {}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn metadata_is_limited_in_number_and_size() {
        let many: BTreeMap<_, _> = (0..51).map(|n| (n.to_string(), String::new())).collect();
        assert_eq!(Metadata::try_from(many), Err(MetadataError::TooMany));
        assert_eq!(Metadata::try_from(pairs(&[("k", &"v".repeat(8192))])), Err(MetadataError::TooLong));
        assert_eq!(Metadata::try_from(pairs(&[("", "v")])), Err(MetadataError::EmptyKey));
        assert!(Metadata::try_from(pairs(&[("k", &"v".repeat(8191))])).is_ok());
    }

    #[test]
    fn token_lifetime_is_1_to_30_minutes() {
        assert_eq!(
            [59, 60, 1800, 1801, -1, 65_596].map(|s| TtlSeconds::try_from(s).is_ok()),
            [false, true, true, false, false, false]
        );
    }
}
