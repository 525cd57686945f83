//! Identifiers: 24 lower-case hex digits in the layout of a BSON ObjectId, so that they sort by
//! time.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::timestamp::Timestamp;

/// Twelve bytes: four bytes of seconds since 1970 in big-endian order, and eight random bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ObjectId([u8; 12]);

impl ObjectId {
    /// Generates an id for the second of `at`.
    pub fn at(at: Timestamp) -> Self {
        Self::of(at, rand::random())
    }

    /// Builds an id from the second of `at` and eight random bytes. Times before 1970 or after 2106
    /// are clamped.
    pub fn of(at: Timestamp, random: [u8; 8]) -> Self {
        let seconds = u32::try_from(at.seconds().max(0)).unwrap_or(u32::MAX);
        let [a, b, c, d] = seconds.to_be_bytes();
        let [e, f, g, h, i, j, k, l] = random;
        Self([a, b, c, d, e, f, g, h, i, j, k, l])
    }

    /// Returns the second that the id contains.
    pub fn timestamp(&self) -> Timestamp {
        let [a, b, c, d, ..] = self.0;
        Timestamp::from_seconds(u32::from_be_bytes([a, b, c, d]))
    }

    /// Returns a number below `shards` that is stable for the same id and evenly distributed.
    pub fn shard(&self, shards: u32) -> u32 {
        crc32fast::hash(&self.0) % shards
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0; 24];
        hex::encode_to_slice(self.0, &mut digits).map_err(|_| fmt::Error)?;
        f.write_str(std::str::from_utf8(&digits).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<ObjectId> for String {
    fn from(id: ObjectId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for ObjectId {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

/// Error for a text that is not an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be 24 lower-case hex digits")]
pub struct IdError;

impl FromStr for ObjectId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let mut bytes = [0; 12];
        // Each id has exactly one spelling: with upper-case digits, the same resource would have
        // two keys.
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(IdError);
        }
        hex::decode_to_slice(text, &mut bytes).map_err(|_| IdError)?;
        Ok(Self(bytes))
    }
}

macro_rules! ids {
    ($($(#[$meta:meta])* $name:ident)*) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(ObjectId);

        impl $name {
            /// Generates an id for the current second.
            pub fn new() -> Self {
                Self(ObjectId::at(Timestamp::now()))
            }

            /// Returns the underlying object id.
            pub fn object_id(&self) -> &ObjectId {
                &self.0
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::new()
            }
        }

        impl From<ObjectId> for $name {
            fn from(id: ObjectId) -> Self {
                Self(id)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                text.parse().map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                super::text::string_schema(|schema| schema.pattern(Some("^[0-9a-f]{24}$")))
            }
        }

        impl utoipa::ToSchema for $name {}
    )*};
}

ids! {
    /// Id of an environment.
    EnvironmentId
    /// Public id of an API key, which is not secret.
    KeyId
    /// Id of a user, unique within its environment.
    UserId
    /// Id of a workflow, unique within its environment.
    WorkflowId
    /// Id of a credential, unique within its environment.
    CredentialId
    /// Id of a destination, unique within its environment.
    DestinationId
    /// Id of an error, unique within its workflow. Errors are sorted and selected by its timestamp.
    ErrorId
    /// Id of an event, unique within its environment. Events are sorted and selected by its
    /// timestamp.
    EventId
    /// Id of a replay, unique within its environment.
    ReplayId
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn id_is_24_lower_case_hex_digits() {
        for text in ["", "6155ac24609384001329737", "6155AC246093840013297377", "6155ac2460938400132973777", "xyz"] {
            assert_eq!(text.parse::<UserId>(), Err(IdError), "{text}");
        }
        assert_eq!("6155ac246093840013297377".parse::<UserId>().unwrap().to_string(), "6155ac246093840013297377");
    }

    proptest! {
        #[test]
        fn ids_sort_by_their_seconds(a in any::<u32>(), b in any::<u32>()) {
            let (first, second) = (ObjectId::at(Timestamp::from_seconds(a)), ObjectId::at(Timestamp::from_seconds(b)));
            prop_assert_eq!(first.timestamp(), Timestamp::from_seconds(a));
            if a != b {
                prop_assert_eq!(a < b, first.to_string() < second.to_string());
            }
        }

        #[test]
        fn id_round_trips(bytes in any::<[u8; 12]>()) {
            prop_assert_eq!(ObjectId(bytes).to_string().parse::<ObjectId>().unwrap(), ObjectId(bytes));
        }
    }
}
