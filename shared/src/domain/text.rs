//! Length-limited text, and building blocks for validated string types.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema, Type};

/// Returns the OpenAPI schema of a value that is serialized as a string.
pub(crate) fn string_schema(describe: impl FnOnce(ObjectBuilder) -> ObjectBuilder) -> RefOr<Schema> {
    describe(ObjectBuilder::new().schema_type(Type::String)).into()
}

/// Returns the size of a value in the response of a function, where its JSON is escaped as a
/// string. The response may have 6 MB (AWS limit).
pub fn response_bytes(value: &impl Serialize) -> usize {
    let json = serde_json::to_vec(value).unwrap_or_default();
    json.len() + json.iter().filter(|byte| matches!(byte, b'"' | b'\\')).count()
}

/// Minimum similarity of a suggested name, from 0 to 1.
const MIN_SIMILARITY: f64 = 0.85;
/// Number of characters of an unknown name that are compared.
const MAX_COMPARED: usize = 100;

/// Returns the known name that is most similar to an unknown one, if any is similar.
pub fn nearest<'k>(unknown: &str, known: &[&'k str]) -> Option<&'k str> {
    // `workflow_id` and `WorkflowID` stand for `workflowId`.
    let normalize = |name: &str| -> String {
        let letters = name.chars().take(MAX_COMPARED).filter(|letter| !matches!(letter, '_' | '-'));
        letters.flat_map(char::to_lowercase).collect()
    };
    let unknown = normalize(unknown);
    let similarities = known.iter().map(|name| (strsim::jaro_winkler(&unknown, &normalize(name)), *name));
    let similar = similarities.filter(|(similarity, _)| *similarity >= MIN_SIMILARITY);
    similar.max_by(|(one, _), (other, _)| one.total_cmp(other)).map(|(_, name)| name)
}

/// Implements a newtype for a validated string: conversion from `String`, display and OpenAPI
/// schema.
///
/// With a pattern and a predicate it also defines the type, its error and its parser. The pattern
/// is used in the schema only and must match the predicate.
macro_rules! string_newtype {
    ($(#[$meta:meta])* $name:ident, $(#[$error_meta:meta])* $error:ident, $pattern:literal, $valid:expr) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(String);

        impl $name {
            /// Returns the text as entered.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        #[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
        $(#[$error_meta])*
        pub struct $error;

        impl std::str::FromStr for $name {
            type Err = $error;
            fn from_str(text: &str) -> Result<Self, $error> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) { Ok(Self(text.to_owned())) } else { Err($error) }
            }
        }

        $crate::domain::text::string_newtype!($name, $error, |schema| schema.pattern(Some($pattern)));
    };
    ($name:ident, $error:ident, $describe:expr) => {
        impl TryFrom<String> for $name {
            type Error = $error;
            fn try_from(text: String) -> Result<Self, $error> {
                text.parse()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                $crate::domain::text::string_schema($describe)
            }
        }

        impl utoipa::ToSchema for $name {}
    };
}
pub(crate) use string_newtype;

/// Error for a text that is none of some names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be {}", any_of(.0))]
pub struct UnknownName(pub(super) &'static [&'static str]);

/// Returns names in the form of an error text, such as `` `a`, `b` or `c` ``.
pub fn any_of(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match names.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        _ => names.concat(),
    }
}

/// Implements the conversions between an enum and the names of its variants, which must be those of
/// its JSON form.
macro_rules! string_enum {
    ($type:ident { $($variant:ident = $name:literal),+ }) => {
        impl $type {
            /// Returns the name, as in JSON and in stored items.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name),+
                }
            }
        }

        impl std::str::FromStr for $type {
            type Err = $crate::domain::text::UnknownName;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($name => Ok(Self::$variant),)+
                    _ => Err($crate::domain::text::UnknownName(&[$($name),+])),
                }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

pub(crate) use string_enum;

/// Text of 1 to `MAX` characters without control characters, such as a display name or an id of
/// another system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Text<const MAX: usize>(String);

impl<const MAX: usize> Text<MAX> {
    /// Returns the text as entered.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns this text followed by a suffix of at most `LONGER − MAX` characters.
    pub fn with_suffix<const LONGER: usize>(&self, suffix: &str) -> Text<LONGER> {
        const { assert!(LONGER > MAX) };
        Text(format!("{self}{suffix}"))
    }

    /// Wraps a text that is known to be valid.
    pub(super) fn of(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl<const MAX: usize> fmt::Display for Text<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Error for an invalid text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// The text is empty or blank.
    #[error("must not be empty")]
    Empty,
    /// The text exceeds the maximum length.
    #[error("must have at most {0} characters")]
    TooLong(usize),
    /// The text contains a control character.
    #[error("must not contain control characters")]
    Control,
}

impl<const MAX: usize> FromStr for Text<MAX> {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        if text.chars().any(char::is_control) {
            Err(TextError::Control)
        } else if text.trim().is_empty() {
            Err(TextError::Empty)
        } else if text.chars().count() > MAX {
            Err(TextError::TooLong(MAX))
        } else {
            Ok(Self(text.to_owned()))
        }
    }
}

impl<const MAX: usize> TryFrom<String> for Text<MAX> {
    type Error = TextError;
    fn try_from(text: String) -> Result<Self, TextError> {
        text.parse()
    }
}

impl<const MAX: usize> utoipa::PartialSchema for Text<MAX> {
    fn schema() -> RefOr<Schema> {
        // At least one visible character, and no control characters.
        const PATTERN: &str =
            r"^[^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]*$";
        string_schema(|schema| schema.min_length(Some(1)).max_length(Some(MAX)).pattern(Some(PATTERN)))
    }
}

impl<const MAX: usize> utoipa::ToSchema for Text<MAX> {
    fn name() -> std::borrow::Cow<'static, str> {
        format!("Text{MAX}").into()
    }
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;

    use super::*;
    use crate::domain::{
        access::TokenMode,
        api_key::Scope,
        credential::CredentialStatus,
        delivery::DeliveryStatus,
        environment::EnvironmentKind,
        form::FieldType,
        integration::HintAction,
        modal::{Language, Scheme},
        user::UserStatus,
    };

    #[test]
    fn text_is_bounded_in_characters_not_bytes() {
        assert!("ßßß".parse::<Text<3>>().is_ok());
        assert_eq!("ßßßß".parse::<Text<3>>(), Err(TextError::TooLong(3)));
    }

    #[test]
    fn blank_text_and_control_characters_are_refused() {
        assert_eq!("  ".parse::<Text<3>>(), Err(TextError::Empty));
        for control in ["a\u{7}", "\u{85}"] {
            assert_eq!(control.parse::<Text<3>>(), Err(TextError::Control));
        }
    }

    #[test]
    fn names_of_enums_are_those_in_json() {
        fn check<E: FromStr<Err = UnknownName> + DeserializeOwned>() {
            let Err(UnknownName(names)) = "".parse::<E>() else { panic!("a name is empty") };
            for name in names {
                assert!(serde_json::from_value::<E>((*name).into()).is_ok(), "{name}");
            }
        }
        check::<TokenMode>();
        check::<Scope>();
        check::<CredentialStatus>();
        check::<DeliveryStatus>();
        check::<EnvironmentKind>();
        check::<FieldType>();
        check::<HintAction>();
        check::<Scheme>();
        check::<Language>();
        check::<UserStatus>();
    }
}
