//! Users: the persons who use integrations. A user owns installations, credentials, workflows and
//! their errors.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    id::UserId,
    names::{Email, Names, UserRef, Username},
    request_seed::RequestSeed,
    text::{Text, string_enum},
    timestamp::Timestamp,
};

/// User as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// User id; never changes.
    pub user_id: UserId,
    /// Username, unique in the environment.
    pub username: Username,
    /// Email address, unique in the environment.
    pub email: Option<Email>,
    /// Full name.
    pub full_name: Option<FullName>,
    /// Data that the customer attached.
    pub metadata: Metadata,
    /// Status.
    pub status: UserStatus,
    /// Increases whenever existing tokens must become invalid. A token contains the epoch of its
    /// issue.
    pub token_epoch: u32,
    /// Increases with every change. Detects concurrent changes.
    pub version: u32,
    /// Creation time.
    pub created_at: Timestamp,
    /// Time of the last change.
    pub updated_at: Timestamp,
}

/// Full name: 1 to 256 characters.
pub type FullName = Text<256>;

/// Status of a user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum UserStatus {
    /// The user is active.
    #[default]
    Active,
    /// The user is disabled: its data is kept, its tokens are invalid, and no new ones are issued.
    Disabled,
}

string_enum!(UserStatus { Active = "active", Disabled = "disabled" });

/// Part of a user that its workflows show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OwnerStatus {
    /// Status.
    pub status: UserStatus,
    /// Token epoch, which increases whenever the user is disabled.
    pub token_epoch: u32,
}

impl OwnerStatus {
    /// Returns whether the user is active.
    pub fn is_active(self) -> bool {
        self.status == UserStatus::Active
    }

    /// Returns how often the status has changed.
    pub fn changes(self) -> u64 {
        2 * u64::from(self.token_epoch) - u64::from(self.token_epoch > 0 && !self.is_active())
    }
}

/// Input for creating a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewUser {
    /// Username and email address.
    pub names: Names,
    /// Full name.
    pub full_name: Option<FullName>,
    /// Data that the customer attached.
    pub metadata: Metadata,
}

impl NewUser {
    /// Creates the user for the item at `index` of the request with this seed.
    pub fn create(self, seed: &RequestSeed, index: usize) -> User {
        let now = seed.at;
        let Self { names: Names { username, email }, full_name, metadata } = self;
        User {
            user_id: seed.id(index),
            username,
            email,
            full_name,
            metadata,
            status: UserStatus::Active,
            token_epoch: 0,
            version: 1,
            created_at: now,
            updated_at: now,
        }
    }
}

impl User {
    /// Returns the names of the user.
    pub fn names(&self) -> Names {
        Names { username: self.username.clone(), email: self.email.clone() }
    }

    /// Returns the part that workflows of the user show.
    pub fn owner_status(&self) -> OwnerStatus {
        OwnerStatus { status: self.status, token_epoch: self.token_epoch }
    }

    /// Returns the user after a change of its status at `now`. Disabling also increases the token
    /// epoch, which permanently invalidates all tokens issued so far.
    pub fn with_status(&self, status: UserStatus, now: Timestamp) -> Self {
        let ended_epochs = u32::from(status == UserStatus::Disabled);
        Self {
            status,
            token_epoch: self.token_epoch.saturating_add(ended_epochs),
            version: self.version.saturating_add(1),
            updated_at: now,
            ..self.clone()
        }
    }

    /// Returns whether a reference identifies this user. Names can move to another user after a
    /// lookup.
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

/// Key-value pairs that the customer attaches to a user: at most 50 pairs and 8 KiB in total.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = BTreeMap<String, String>)]
pub struct Metadata(BTreeMap<String, String>);

/// Maximum number of pairs.
pub const MAX_METADATA_PAIRS: usize = 50;
/// Maximum total size of keys and values, in bytes.
const MAX_METADATA_BYTES: usize = 8 * 1024;

/// Error for invalid metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// There are more than [`MAX_METADATA_PAIRS`] pairs.
    #[error("must have at most {MAX_METADATA_PAIRS} pairs")]
    TooMany,
    /// Keys and values are too large in total.
    #[error("must have at most {MAX_METADATA_BYTES} bytes in total")]
    TooLong,
    /// A key is empty.
    #[error("must not have an empty key")]
    EmptyKey,
}

impl Metadata {
    /// Returns these pairs merged with `others`. A pair without a value is removed.
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

/// Requested lifetime of a user token in seconds: 60 to 1800.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TtlSeconds(u16);

impl TtlSeconds {
    /// Maximum, which is also the default.
    pub const MAX: Self = Self(1800);

    /// Returns the number of seconds.
    pub const fn get(self) -> u16 {
        self.0
    }
}

/// Error for a number that is not a valid lifetime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be an integer from 60 to 1800")]
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
    fn every_change_of_the_status_is_counted() {
        let names = Names::of("joe".parse().unwrap(), None).unwrap();
        let new = NewUser { names, full_name: None, metadata: Metadata::default() };
        let mut user = new.create(&RequestSeed::new(), 0);
        for changes in 0..5 {
            assert_eq!(user.owner_status().changes(), changes);
            let status = if changes % 2 == 0 { UserStatus::Disabled } else { UserStatus::Active };
            user = user.with_status(status, Timestamp::now());
        }
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
