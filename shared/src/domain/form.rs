//! Forms: the fields of credentials and settings, and the values that they accept.

use std::str::FromStr;

use regex_lite::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::{
    text::{Text, nearest, string_enum, string_newtype},
    web_url::complete_url,
};

/// Maximum number of fields of a form.
pub const MAX_FIELDS: usize = 30;
/// Maximum number of options of a select.
pub const MAX_OPTIONS: usize = 100;
/// Maximum length of a pattern, in characters.
const MAX_PATTERN: usize = 200;
/// Maximum size of a compiled pattern, in bytes. A match takes at most the product of the sizes of
/// the pattern and the value.
const MAX_COMPILED_PATTERN: usize = 16 * 1024;
/// Maximum length of a value that has a pattern, in characters.
const MAX_MATCHED: usize = 4096;
/// Maximum length of a URL, in characters.
const MAX_URL: usize = 2048;

/// Field of a form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Field {
    /// Name of the member, unique within the form.
    pub name: FieldName,
    /// Label.
    pub label: Text<128>,
    /// Type of the value.
    #[serde(rename = "type")]
    pub field_type: FieldType,
    /// Whether a value is required.
    pub required: bool,
    /// Explanation below the field.
    #[schema(required = true)]
    pub help: Option<Text<500>>,
    /// Example that an empty field shows.
    #[schema(required = true)]
    pub placeholder: Option<Text<128>>,
    /// Regular expression that the whole value matches.
    #[schema(required = true)]
    pub pattern: Option<Pattern>,
    /// Options of a select; otherwise empty.
    pub options: Vec<SelectOption>,
}

/// Type of the value of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum FieldType {
    /// Text.
    Text,
    /// Text that is not shown while it is entered.
    Secret,
    /// URL with the scheme `https` or `http`.
    Url,
    /// Number.
    Number,
    /// Boolean.
    Boolean,
    /// One of the options.
    Select,
}

string_enum!(FieldType {
    Text = "text",
    Secret = "secret",
    Url = "url",
    Number = "number",
    Boolean = "boolean",
    Select = "select"
});

impl FieldType {
    /// Returns whether a field of this type can have a pattern.
    pub fn has_pattern(self) -> bool {
        matches!(self, Self::Text | Self::Secret | Self::Url)
    }
}

/// Option of a select.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SelectOption)]
pub struct SelectOption {
    /// Value, unique within the select.
    pub value: Text<256>,
    /// Label.
    pub label: Text<128>,
}

string_newtype! {
    /// Name of a field, which is a member of the data or the settings.
    FieldName,
    /// Error for a text that is not the name of a field.
    #[error("must be 1 to 64 letters, digits, `_`, `-` or `.`, starting with a letter")]
    FieldNameError,
    "^[A-Za-z][A-Za-z0-9_.-]{0,63}$",
    |text| {
        let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        text.len() <= 64 && text.starts_with(|first: char| first.is_ascii_alphabetic()) && text.bytes().all(is_valid)
    }
}

/// Regular expression of at most 200 characters, in the syntax of the crate `regex-lite`. It has no
/// backreferences or look-around, so that a match takes linear time. A stored pattern is compiled
/// only when it is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pattern(String);

/// Error for a text that is not a pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// The text is too long.
    #[error("must have 1 to {MAX_PATTERN} characters")]
    Length,
    /// The text is not a regular expression, or a large one.
    #[error("must be a regular expression without look-around and backreferences: {0}")]
    Syntax(String),
}

impl Pattern {
    /// Returns whether the whole value matches. A pattern that was valid when it was saved
    /// compiles.
    fn matches(&self, value: &str) -> bool {
        whole(&self.0).is_ok_and(|regex| regex.is_match(value))
    }
}

fn compile(pattern: &str) -> Result<Regex, PatternError> {
    let built = RegexBuilder::new(pattern).size_limit(MAX_COMPILED_PATTERN).build();
    built.map_err(|error| PatternError::Syntax(error.to_string()))
}

fn whole(pattern: &str) -> Result<Regex, PatternError> {
    compile(&format!(r"\A(?:{pattern})\z"))
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        if text.is_empty() || text.chars().count() > MAX_PATTERN {
            return Err(PatternError::Length);
        }
        // By itself too: `a)(b` is valid only within the group.
        compile(text)?;
        whole(text)?;
        Ok(Self(text.to_owned()))
    }
}

string_newtype!(Pattern, PatternError, |schema| schema.min_length(Some(1)).max_length(Some(MAX_PATTERN)));

/// Reason why the value of a field is invalid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueError {
    /// Name of the member.
    pub name: String,
    /// Reason, without the value.
    pub detail: String,
}

/// Returns whether a JSON text counts as no value: null, or a text of white space only, which web
/// forms send for an empty field.
pub fn is_empty(json: &str) -> bool {
    let Some(mut rest) = json.strip_prefix('"') else { return json == "null" };
    while let Some(following) = after_space(rest) {
        rest = following;
    }
    rest == "\""
}

/// Returns what follows a white space, which may be escaped, at the start of the rest of a JSON
/// string. Nothing is copied: the string may be secret.
fn after_space(json: &str) -> Option<&str> {
    let mut characters = json.chars();
    let (space, rest) = match characters.next()? {
        '\\' => match characters.next()? {
            't' | 'n' | 'r' | 'f' => (' ', characters.as_str()),
            'u' => {
                let (code, rest) = characters.as_str().split_at_checked(4)?;
                (char::from_u32(u32::from_str_radix(code, 16).ok()?)?, rest)
            }
            _ => return None,
        },
        character => (character, characters.as_str()),
    };
    space.is_whitespace().then_some(rest)
}

/// Maximum length of the options that an error names.
const MAX_NAMED_OPTIONS: usize = 300;

/// Returns the reason for which a name is rejected, with the nearest known name.
pub fn unknown(reason: &str, name: &str, known: &[&str]) -> String {
    match nearest(name, known) {
        Some(known) => format!("{reason} of the integration; did you mean `{known}`?"),
        None => format!("{reason} of the integration"),
    }
}

/// Returns the defects of the values of a form: every unknown member, every missing one and every
/// invalid one. Values are given by name as JSON texts, which may be secret.
pub fn check<'a>(fields: &[Field], values: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<ValueError> {
    let mut errors = Vec::new();
    let mut given = Vec::new();
    for (name, json) in values {
        let Some(field) = fields.iter().find(|field| field.name.as_str() == name) else {
            let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
            errors.push(ValueError { name: name.to_owned(), detail: unknown("is not a field", name, &names) });
            continue;
        };
        if is_empty(json) {
            continue;
        }
        given.push(name);
        if let Err(detail) = field.check(json) {
            errors.push(ValueError { name: name.to_owned(), detail });
        }
    }
    let missing = fields.iter().filter(|field| field.required && !given.contains(&field.name.as_str()));
    errors.extend(missing.map(|field| ValueError { name: field.name.to_string(), detail: "is required".into() }));
    errors
}

impl Field {
    /// Checks a value that is not empty, given as JSON text.
    fn check(&self, json: &str) -> Result<(), String> {
        match self.field_type {
            FieldType::Number if json.starts_with(|first: char| first == '-' || first.is_ascii_digit()) => Ok(()),
            FieldType::Number => Err("must be a number".into()),
            FieldType::Boolean if matches!(json, "true" | "false") => Ok(()),
            FieldType::Boolean => Err("must be true or false".into()),
            FieldType::Text | FieldType::Secret | FieldType::Url | FieldType::Select => {
                let text: Zeroizing<String> =
                    serde_json::from_str(json).map(Zeroizing::new).map_err(|_| "must be a string")?;
                self.check_text(&text)
            }
        }
    }

    fn check_text(&self, text: &str) -> Result<(), String> {
        if self.field_type == FieldType::Select && !self.options.iter().any(|option| option.value.as_str() == text) {
            let options = self.options.iter().map(|option| option.value.as_str()).collect::<Vec<_>>().join(", ");
            let options = if options.len() <= MAX_NAMED_OPTIONS { &options } else { "the options" };
            return Err(format!("must be one of {options}"));
        }
        if self.field_type == FieldType::Url && !is_url(text) {
            return Err("must be a complete URL, such as https://example.com".into());
        }
        match &self.pattern {
            Some(_) if text.chars().count() > MAX_MATCHED => Err(format!("must have at most {MAX_MATCHED} characters")),
            Some(pattern) if !pattern.matches(text) => Err(format!("must match the pattern {}", pattern.0)),
            _ => Ok(()),
        }
    }
}

fn is_url(text: &str) -> bool {
    text.chars().count() <= MAX_URL && complete_url(text).is_some()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn field(name: &str, field_type: FieldType) -> Field {
        Field {
            name: name.parse().unwrap(),
            label: "Label".parse().unwrap(),
            field_type,
            required: false,
            help: None,
            placeholder: None,
            pattern: None,
            options: Vec::new(),
        }
    }

    fn details(fields: &[Field], values: &[(&str, &str)]) -> Vec<(String, String)> {
        check(fields, values.iter().copied()).into_iter().map(|error| (error.name, error.detail)).collect()
    }

    #[test]
    fn every_unknown_missing_and_invalid_value_is_named() {
        let options = vec![SelectOption { value: "eu".parse().unwrap(), label: "Europe".parse().unwrap() }];
        let fields = [
            Field { required: true, ..field("shop", FieldType::Url) },
            Field { required: true, ..field("token", FieldType::Secret) },
            Field { pattern: Some("[0-9]{4}|x".parse().unwrap()), ..field("code", FieldType::Text) },
            field("rate", FieldType::Number),
            field("live", FieldType::Boolean),
            Field { options, ..field("region", FieldType::Select) },
        ];
        let valid = [
            ("shop", "\"https://a.example\""),
            ("token", "\"t\""),
            ("code", "\"1234\""),
            ("rate", "-0.5"),
            ("live", "false"),
            ("region", "\"eu\""),
        ];
        assert_eq!(details(&fields, &valid), []);
        let invalid = [
            ("shop", "\"javascript:alert(1)\""),
            ("token", "\"\""),
            ("code", "\"12345\""),
            ("rate", "\"1\""),
            ("live", "1"),
            ("region", "\"us\""),
            ("other", "1"),
        ];
        let found = details(&fields, &invalid);
        let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["shop", "code", "rate", "live", "region", "other", "token"]);
        let detail = |name: &str| found.iter().find(|(of, _)| of == name).unwrap().1.as_str();
        assert_eq!((detail("region"), detail("code")), ("must be one of eu", "must match the pattern [0-9]{4}|x"));
        let empty = valid.map(|(name, _)| (name, if name == "rate" { "null" } else { "\" \"" }));
        assert_eq!(details(&fields, &empty).len(), 2, "two are required");
        let misspelt = details(&fields[3..], &[("regionn", "\"eu\"")]);
        assert_eq!(misspelt[0].1, "is not a field of the integration; did you mean `region`?");
        let required: Vec<_> = found.iter().filter(|(_, detail)| detail == "is required").collect();
        assert_eq!(required.len(), 1);
    }

    #[test]
    fn pattern_matches_the_whole_value() {
        for (pattern, matching, other) in [("a|ab", "ab", "abc"), ("", "", ""), ("(?i)x+", "XX", "xy")] {
            let Ok(pattern) = pattern.parse::<Pattern>() else {
                assert!(pattern.is_empty());
                continue;
            };
            assert!(pattern.matches(matching) && !pattern.matches(other));
        }
        for pattern in ["a)(b", "(", "(?=a)", r"(a)\1", "a{1,1000}{1,1000}", &"x".repeat(201)] {
            assert!(pattern.parse::<Pattern>().is_err(), "{pattern:.20}");
        }
    }

    proptest! {
        #[test]
        fn value_is_empty_if_it_is_white_space_however_that_is_written(
            characters in prop::collection::vec((prop_oneof![
                4 => prop::sample::select(vec![' ', '\t', '\n', '\r', '\u{c}', '\u{b}', '\u{a0}', '\u{2003}', '\u{3000}']),
                1 => prop::sample::select(vec!['a', '"', '\\', '/', 'u', '\u{8}', '\u{200b}', '\u{1f600}']),
            ], any::<bool>()), 0..6),
        ) {
            let text: String = characters.iter().map(|(character, _)| character).collect();
            let written = characters.iter().map(|(character, is_escaped)| {
                let short = serde_json::to_string(character).unwrap();
                let units = character.encode_utf16(&mut [0; 2]).to_vec();
                let escaped = units.iter().map(|unit| format!("\\u{unit:04X}")).collect::<String>();
                let short = short.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap();
                if *is_escaped { escaped } else { short.to_owned() }
            });
            let json = format!("\"{}\"", written.collect::<String>());
            prop_assert_eq!(is_empty(&json), text.trim().is_empty(), "{}", json);
        }

        #[test]
        fn accepted_pattern_compiles_as_a_whole(pattern in "[ab()|*+?\\[\\]{}0-9#\\\\^$.x:-]{1,12}", value in "[ab]{0,6}") {
            if let Ok(pattern) = pattern.parse::<Pattern>() {
                let _ = pattern.matches(&value);
                prop_assert!(whole(&pattern.0).is_ok());
            }
        }
    }
}
