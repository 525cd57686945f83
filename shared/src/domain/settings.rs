//! Settings of workflows: JSON objects that are kept as the caller wrote them.
//!
//! The text of each member is kept, because a number that is parsed and printed again can differ
//! from the one that was sent.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};
use zeroize::Zeroizing;

/// Maximum size of settings as JSON without whitespace, in bytes.
pub const MAX_SETTINGS_BYTES: usize = 8 * 1024;

/// JSON object of at most [`MAX_SETTINGS_BYTES`]. Stored as text.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Settings(BTreeMap<String, Box<RawValue>>);

impl Settings {
    /// Returns the JSON text without whitespace between the members.
    pub fn to_json(&self) -> String {
        serde_json::to_string(&self.0).unwrap_or_default()
    }

    /// Returns the members, each with its JSON text.
    pub fn members(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.get()))
    }

    /// Returns whether the object, such as a merged one, is larger than [`MAX_SETTINGS_BYTES`].
    pub fn is_too_long(&self) -> bool {
        self.to_json().len() > MAX_SETTINGS_BYTES
    }

    /// Returns whether there are no members.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns this object with the members that are accepted by name and JSON text.
    pub fn filter(&self, accepts: impl Fn(&str, &str) -> bool) -> Self {
        let kept = self.0.iter().filter(|(name, value)| accepts(name, value.get()));
        Self(kept.map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    /// Returns this object with the members of another one. A member that is null is removed.
    pub fn merge(&self, changes: &Self) -> Self {
        let mut merged = self.clone();
        for (name, value) in &changes.0 {
            if value.get() == "null" {
                merged.0.remove(name);
            } else {
                merged.0.insert(name.clone(), value.clone());
            }
        }
        merged
    }
}

/// Error for invalid settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// The text is not a JSON object.
    #[error("must be an object")]
    NotAnObject,
    /// The object is too large.
    #[error("must have at most {MAX_SETTINGS_BYTES} bytes")]
    TooLong,
}

impl PartialEq for Settings {
    fn eq(&self, other: &Self) -> bool {
        self.members().eq(other.members())
    }
}

impl Eq for Settings {}

/// Prints the names only: the values may be secret.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl std::str::FromStr for Settings {
    type Err = SettingsError;

    fn from_str(json: &str) -> Result<Self, SettingsError> {
        let json = compact(json);
        if json.len() > MAX_SETTINGS_BYTES {
            return Err(SettingsError::TooLong);
        }
        serde_json::from_str(&json).map(Self).map_err(|_| SettingsError::NotAnObject)
    }
}

/// Reads stored settings, of any size: an item that cannot be read could be neither changed nor
/// deleted.
impl TryFrom<String> for Settings {
    type Error = SettingsError;

    fn try_from(json: String) -> Result<Self, SettingsError> {
        serde_json::from_str(&json).map(Self).map_err(|_| SettingsError::NotAnObject)
    }
}

impl From<Settings> for String {
    fn from(object: Settings) -> Self {
        object.to_json()
    }
}

/// Returns the object as a part of a JSON document.
impl From<Settings> for Box<RawValue> {
    fn from(object: Settings) -> Self {
        RawValue::from_string(object.to_json()).unwrap_or_else(|_| RawValue::NULL.to_owned())
    }
}

impl utoipa::PartialSchema for Settings {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().into()
    }
}

impl utoipa::ToSchema for Settings {}

/// Returns a JSON text without the whitespace between its tokens. The text may be secret.
pub fn compact(json: &str) -> Zeroizing<String> {
    let (mut compact, mut in_string, mut escaped) = (Zeroizing::new(String::with_capacity(json.len())), false, false);
    for character in json.chars() {
        if !in_string && character.is_ascii_whitespace() {
            continue;
        }
        in_string ^= character == '"' && !escaped;
        escaped = character == '\\' && !escaped;
        compact.push(character);
    }
    compact
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    proptest! {
        #[test]
        fn compact_text_is_equal_without_whitespace(key in "\\PC{0,8}", value in "[ \\\\\"a\n]{0,8}", number in any::<i64>()) {
            let data = json!({ key: [value, " "], "n": number });
            let compact = compact(&serde_json::to_string_pretty(&data).unwrap());
            prop_assert_eq!(compact.as_str(), data.to_string());
        }
    }

    #[test]
    fn numbers_keep_their_text() {
        let object: Settings = r#"{ "b": 1.10, "a": [ 18446744073709551615, 1E400 ] }"#.parse().unwrap();
        assert_eq!(object.to_json(), r#"{"a":[18446744073709551615,1E400],"b":1.10}"#);
        let stored: Settings = serde_json::from_str(&serde_json::to_string(&object).unwrap()).unwrap();
        assert_eq!(stored, object);
    }

    #[test]
    fn settings_are_objects_of_at_most_8_kib() {
        assert_eq!("[]".parse::<Settings>(), Err(SettingsError::NotAnObject));
        let of = |length: usize| format!("{{ \"a\": \"{}\" }}", "x".repeat(length - 8)).parse::<Settings>();
        assert!(of(MAX_SETTINGS_BYTES).is_ok());
        assert_eq!(of(MAX_SETTINGS_BYTES + 1), Err(SettingsError::TooLong));
    }

    #[test]
    fn merging_replaces_members_and_null_removes_them() {
        let object: Settings = r#"{"a":1,"b":2}"#.parse().unwrap();
        let merged = object.merge(&r#"{"b":null,"c":{"d":null},"e":null}"#.parse().unwrap());
        assert_eq!(merged.to_json(), r#"{"a":1,"c":{"d":null}}"#);
    }
}
