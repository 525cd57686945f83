//! Email addresses by RFC 5321, with the internationalization of RFC 6531.

use std::{fmt, str::FromStr};

use icu_properties::{CodePointSetData, props::DefaultIgnorableCodePoint};
use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

use super::{names::CanonicalName, text::string_newtype};

/// Email address in the spelling of its owner, in Unicode NFC.
///
/// The part before the `@` is a sequence of words with dots, or a quoted string, and may contain
/// any non-ASCII letters and symbols. The part after it is an internationalized domain name.
/// Characters that are unsafe in paths are rejected (see [`is_unsafe`]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Email(String);

/// Maximum length of an address in bytes (RFC 5321, section 4.5.3.1.3, without the brackets).
const MAX_BYTES: usize = 254;
/// Maximum length of the part before the `@` in bytes (RFC 5321, section 4.5.3.1.1).
const MAX_LOCAL_BYTES: usize = 64;
/// ASCII characters of an unquoted word, other than letters and digits (RFC 5322, section 3.2.3).
const ATOM_PUNCTUATION: &str = "!#$%&'*+-/=?^_`{|}~";

/// Returns whether a character must not occur in the name of a user: API Gateway decodes paths
/// before it routes them, so `%`, `/`, `?`, `#` and `\` could lead to another user. Control
/// characters, whitespace and invisible characters make names that look like others.
pub(super) fn is_unsafe(character: char) -> bool {
    let is_space = character.is_whitespace() && character != ' ';
    // Among them are joiners, fillers and bidirectional controls.
    let is_invisible = CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(character);
    "%/?#\\".contains(character) || character.is_control() || is_space || is_invisible
}

/// Character in an error message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown(pub char);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            ' ' => f.write_str("a space"),
            visible if visible.is_ascii_graphic() => write!(f, "`{visible}`"),
            other => write!(f, "U+{:04X}", u32::from(other)),
        }
    }
}

/// Error for a text that is not an email address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EmailError {
    /// The address is too long.
    #[error("must have at most {MAX_BYTES} bytes")]
    TooLong,
    /// The text contains no `@`.
    #[error("must be an email address such as joe@example.com")]
    NoAt,
    /// The part before the `@` is empty or too long.
    #[error("must have 1 to {MAX_LOCAL_BYTES} bytes before the @")]
    LocalLength,
    /// The part before the `@` contains a character that is not allowed there.
    #[error("must not contain {0} before the @")]
    Character(Shown),
    /// A dot before the `@` is not between two words.
    #[error("must not have a dot at the start or end of the part before the @, or two dots in a row")]
    Dot,
    /// The part after the `@` is not a domain name.
    #[error("must have a domain name after the @")]
    Domain,
    /// The domain name contains a character that is not allowed there.
    #[error("must not contain {0} after the @")]
    DomainCharacter(Shown),
}

impl Email {
    /// Returns the address as entered, in Unicode NFC.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the canonical form, which is equal for equivalent addresses: case folded, without
    /// needless quotes, and with the domain in ASCII.
    pub fn canonical(&self) -> CanonicalName {
        let (local, domain) = self.parts();
        let unquoted = local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let local = unquoted.filter(|text| check_words(text).is_ok()).unwrap_or(local);
        let local = CanonicalName::of(local);
        CanonicalName::of(&format!("{}@{}", local.as_str(), ascii(domain).unwrap_or_default()))
    }

    /// Returns the parts before and after the last `@`.
    fn parts(&self) -> (&str, &str) {
        self.0.rsplit_once('@').unwrap_or_default()
    }

    pub(super) fn local_part(&self) -> &str {
        self.parts().0
    }
}

impl FromStr for Email {
    type Err = EmailError;

    fn from_str(text: &str) -> Result<Self, EmailError> {
        let text: String = text.nfc().collect();
        if text.len() > MAX_BYTES {
            return Err(EmailError::TooLong);
        }
        let (local, domain) = text.rsplit_once('@').ok_or(EmailError::NoAt)?;
        if !(1..=MAX_LOCAL_BYTES).contains(&local.len()) {
            return Err(EmailError::LocalLength);
        }
        match local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
            Some(quoted) => check_quoted(quoted)?,
            None => check_words(local)?,
        }
        ascii(domain).ok_or(EmailError::Domain)?;
        // UTS 46 removes invisible characters, but the address is kept as entered.
        if let Some(character) = domain.chars().find(|character| is_unsafe(*character)) {
            return Err(EmailError::DomainCharacter(Shown(character)));
        }
        let email = Self(text);
        // Case folding can make a text longer.
        let canonical = email.canonical();
        match canonical.as_str().rsplit_once('@') {
            Some((local, _)) if local.len() > MAX_LOCAL_BYTES => Err(EmailError::LocalLength),
            _ if canonical.as_str().len() > MAX_BYTES => Err(EmailError::TooLong),
            _ => Ok(email),
        }
    }
}

/// Checks words with dots between them (`Dot-string`).
fn check_words(local: &str) -> Result<(), EmailError> {
    let is_allowed = |character: char| {
        !is_unsafe(character)
            && (character.is_ascii_alphanumeric()
                || ATOM_PUNCTUATION.contains(character)
                || character == '.'
                || !character.is_ascii())
    };
    match local.chars().find(|character| !is_allowed(*character)) {
        Some(character) => Err(EmailError::Character(Shown(character))),
        None if local.split('.').any(str::is_empty) => Err(EmailError::Dot),
        None => Ok(()),
    }
}

/// Checks the content of a quoted string (`Quoted-string`).
fn check_quoted(content: &str) -> Result<(), EmailError> {
    if content.is_empty() {
        return Err(EmailError::LocalLength);
    }
    match content.chars().find(|character| is_unsafe(*character) || *character == '"') {
        Some(character) => Err(EmailError::Character(Shown(character))),
        None => Ok(()),
    }
}

/// Returns a domain name in ASCII (UTS 46), or none if it is invalid. An IP address is no domain
/// name.
fn ascii(domain: &str) -> Option<String> {
    let ascii =
        Uts46::new().to_ascii(domain.as_bytes(), AsciiDenyList::STD3, Hyphens::CheckFirstLast, DnsLength::Verify);
    let ascii = ascii.ok()?.into_owned();
    let top = ascii.rsplit('.').next().unwrap_or_default();
    (!top.bytes().all(|byte| byte.is_ascii_digit())).then_some(ascii)
}

string_newtype!(Email, EmailError, |schema| {
    schema.max_length(Some(MAX_BYTES)).format(Some(utoipa::openapi::SchemaFormat::Custom("idn-email".into())))
});

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn email(text: &str) -> Email {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn internationalized_addresses_are_accepted() {
        for text in [
            "joe@acme.example",
            "joe.smoe+tag@sub.acme.example",
            "संपर्क@acme.example",
            "jose\u{301}.x@acme.example",
            "o’neill@acme.example",
            "€@acme.example",
            "🙂@acme.example",
            "пётр@почта.example",
            "joe@xn--bcher-kva.example",
            "\"joe smoe\"@acme.example",
            "joe@localhost",
        ] {
            email(text);
        }
    }

    #[test]
    fn invalid_addresses_are_rejected_with_a_reason() {
        use EmailError::{Character, Domain, DomainCharacter, Dot, LocalLength, NoAt, TooLong};
        let long = format!("{}@acme.example", "x".repeat(65));
        let too_long = format!("joe@{}example", "a.".repeat(125));
        let grows = format!("{}@acme.example", "ŉ".repeat(32));
        for (text, error) in [
            ("", NoAt),
            ("joe", NoAt),
            ("@acme.example", LocalLength),
            ("\"\"@acme.example", LocalLength),
            (&long, LocalLength),
            (&too_long, TooLong),
            ("joe@", Domain),
            ("joe@acme/example.com", Domain),
            ("joe@acme.example?x", Domain),
            ("joe@acme..example", Domain),
            ("joe@.acme.example", Domain),
            ("joe@acme.example.", Domain),
            ("joe@-acme.example", Domain),
            ("joe@acme_.example", Domain),
            ("joe@127.0.0.1", Domain),
            ("joe@[127.0.0.1]", Domain),
            ("joe@acme example", Domain),
            ("joe@xn--a.example", Domain),
            ("joe smoe@acme.example", Character(Shown(' '))),
            ("Joe <joe@acme.example>", Character(Shown(' '))),
            ("joe@jim@acme.example", Character(Shown('@'))),
            ("sales%T@acme.example", Character(Shown('%'))),
            ("a/b@acme.example", Character(Shown('/'))),
            ("a?b@acme.example", Character(Shown('?'))),
            ("a#b@acme.example", Character(Shown('#'))),
            ("\"a\\b\"@acme.example", Character(Shown('\\'))),
            ("a\u{202e}b@acme.example", Character(Shown('\u{202e}'))),
            ("a\u{7f}b@acme.example", Character(Shown('\u{7f}'))),
            ("joe\u{200b}@acme.example", Character(Shown('\u{200b}'))),
            ("joe\u{ad}@acme.example", Character(Shown('\u{ad}'))),
            ("joe@ac\u{ad}me.example", DomainCharacter(Shown('\u{ad}'))),
            ("joe@acme\u{e0100}.example", DomainCharacter(Shown('\u{e0100}'))),
            (&grows, LocalLength),
            (".joe@acme.example", Dot),
            ("joe.@acme.example", Dot),
            ("joe..smoe@acme.example", Dot),
        ] {
            assert_eq!(text.parse::<Email>(), Err(error), "{text}");
        }
    }

    #[test]
    fn errors_name_the_character() {
        let message = |text: &str| text.parse::<Email>().unwrap_err().to_string();
        assert_eq!(message("a;b@acme.example"), "must not contain `;` before the @");
        assert_eq!(message("a\u{202e}@acme.example"), "must not contain U+202E before the @");
        assert_eq!(message("joe smoe@acme.example"), "must not contain a space before the @");
    }

    #[test]
    fn no_unsafe_character_is_accepted_anywhere_in_an_address() {
        for character in (char::MIN..=char::MAX).filter(|character| is_unsafe(*character)) {
            for text in [
                format!("j{character}oe@acme.example"),
                format!("\"j{character}oe\"@acme.example"),
                format!("joe@ac{character}me.example"),
                format!("joe@acme.example{character}"),
            ] {
                assert!(text.parse::<Email>().is_err(), "U+{:04X} in {text:?}", u32::from(character));
            }
        }
    }

    #[test]
    fn equivalent_addresses_have_one_canonical_form() {
        for (one, other) in [
            ("Joe@Acme.example", "joe@acme.EXAMPLE"),
            ("josé.x@acme.example", "jose\u{301}.x@acme.example"),
            ("joe@bücher.example", "joe@xn--bcher-kva.example"),
            ("joe@acme。example", "joe@acme.example"),
            ("\"joe\"@acme.example", "joe@acme.example"),
            ("Strauß@acme.example", "STRAUSS@acme.example"),
        ] {
            assert_eq!(email(one).canonical(), email(other).canonical(), "{one} {other}");
        }
        assert_ne!(email("joe@straße.example").canonical(), email("joe@strasse.example").canonical());
    }

    proptest! {
        #[test]
        fn parsing_an_address_never_panics_and_is_stable(text in "\\PC{0,40}@?\\PC{0,40}") {
            if let Ok(parsed) = text.parse::<Email>() {
                prop_assert_eq!(parsed.as_str().parse::<Email>().unwrap(), parsed.clone());
                prop_assert!(!parsed.as_str().chars().any(is_unsafe));
                let canonical: Email = parsed.canonical().as_str().parse().unwrap();
                prop_assert_eq!(canonical.canonical(), parsed.canonical());
            }
        }

        #[test]
        fn any_word_of_visible_letters_is_accepted(local in "[\\p{L}\\p{M}\\p{N}]{1,8}") {
            let parsed = format!("{local}@acme.example").parse::<Email>();
            prop_assert_eq!(parsed.is_ok(), !local.chars().any(is_unsafe));
        }
    }
}
