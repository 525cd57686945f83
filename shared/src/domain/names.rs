//! Usernames and email addresses. Both identify a user and share one namespace per environment.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

pub use super::email::{Email, EmailError};
use super::{
    email::{Shown, is_unsafe},
    id::{ObjectId, UserId},
    text::string_newtype,
};

/// Canonical form of a name: Unicode NFC, case folded. Unique within an environment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CanonicalName(String);

impl CanonicalName {
    pub(super) fn of(text: &str) -> Self {
        let composed: String = text.nfc().collect();
        Self(caseless::default_case_fold_str(&composed).nfc().collect())
    }

    /// Returns the canonical text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Username: an email address, or 1–128 letters, digits and `. _ - + ~ :`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Username(String);

/// Maximum length in characters of a username that is not an email address.
const MAX_USERNAME: usize = 128;
/// Pattern of a username or an email address in schemas, which allows some that are not valid.
const NAME_PATTERN: &str = r"^([^\u0000-*,/;-@\[-\^`{-}\u007f-\u00a9]{1,128}|[^@/?#%\\\s]{1,64}@[^@/?#%\\\s]{1,253})$";
/// Characters that a username may contain in addition to letters and digits.
const USERNAME_PUNCTUATION: &str = "._-+~:";

fn is_username_character(character: char) -> bool {
    let is_letter = character.is_alphanumeric() || is_combining_mark(character);
    (is_letter && !is_unsafe(character)) || USERNAME_PUNCTUATION.contains(character)
}

impl Username {
    /// Returns the name as entered.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the canonical form, which is equal for equivalent names.
    pub fn canonical(&self) -> CanonicalName {
        match self.email() {
            Some(email) => email.canonical(),
            None => CanonicalName::of(&self.0),
        }
    }

    /// Returns the username as an email address, if it is one.
    pub fn email(&self) -> Option<Email> {
        self.0.contains('@').then(|| self.0.parse().ok()).flatten()
    }

    /// Derives a username from an email address: its local part and a suffix.
    fn from_email(email: &Email, suffix: &str) -> Self {
        let room = MAX_USERNAME - suffix.len() - 1;
        // Without the characters between them, a letter and a mark may compose.
        let letters = email.local_part().chars().filter(|c| is_username_character(*c)).take(room);
        let local: String = letters.nfc().collect();
        Self(format!("{}-{suffix}", if local.is_empty() { "user" } else { &local }))
    }
}

/// Error for a text that is not a username.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsernameError {
    /// The text is empty or too long.
    #[error("must have 1 to {MAX_USERNAME} characters")]
    Length,
    /// The text contains a character that is not allowed.
    #[error("must not contain {0}; allowed are letters, digits and . _ - + ~ :, or an email address")]
    Character(Shown),
    /// The text consists of dots, which clients remove from paths.
    #[error("must not consist of dots only")]
    Dots,
    /// The text has the form of a userId, so that a reference would be ambiguous.
    #[error("must not have the form of a userId")]
    LooksLikeId,
    /// The text is reserved for a path of the API.
    #[error("is a reserved word")]
    Reserved,
    /// The text contains an `@` and is not an email address.
    #[error(transparent)]
    Email(#[from] EmailError),
}

impl FromStr for Username {
    type Err = UsernameError;

    fn from_str(text: &str) -> Result<Self, UsernameError> {
        if text.contains('@') {
            return Ok(Self(text.parse::<Email>()?.as_str().to_owned()));
        }
        let text: String = text.nfc().collect();
        let canonical = CanonicalName::of(&text);
        // Case folding can make a text longer.
        let length = text.chars().count().max(canonical.as_str().chars().count());
        if !(1..=MAX_USERNAME).contains(&length) {
            Err(UsernameError::Length)
        } else if let Some(character) = text.chars().find(|character| !is_username_character(*character)) {
            Err(UsernameError::Character(Shown(character)))
        } else if text.chars().all(|character| character == '.') {
            Err(UsernameError::Dots)
        } else if canonical.as_str().parse::<ObjectId>().is_ok() {
            Err(UsernameError::LooksLikeId)
        } else if canonical.as_str() == "batch" {
            Err(UsernameError::Reserved)
        } else {
            Ok(Self(text))
        }
    }
}

string_newtype!(Username, UsernameError, |schema| schema.max_length(Some(254)).pattern(Some(NAME_PATTERN)));

/// Names of a user, consistent with each other: a username that contains an `@` equals the email
/// address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// Username.
    pub username: Username,
    /// Email address.
    pub email: Option<Email>,
}

/// Error for an invalid combination of username and email address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NamesError {
    /// Both are missing.
    #[error("is required if `username` is missing")]
    Missing,
    /// The username is an email address that differs from `email`.
    #[error("must be the same in `username` and `email` if `username` is an email address")]
    Mismatch,
}

impl Names {
    /// Completes the names of a new user. A missing username is derived from the email address and
    /// `suffix`; a missing email address is taken from a username that contains an `@`.
    pub fn new(username: Option<Username>, email: Option<Email>, suffix: &str) -> Result<Self, NamesError> {
        match (username, email) {
            (None, None) => Err(NamesError::Missing),
            (None, Some(email)) => Ok(Self { username: Username::from_email(&email, suffix), email: Some(email) }),
            (Some(username), email) => Self::of(username, email),
        }
    }

    /// Completes the names of a user from its username and optional email address. A missing email
    /// address is taken from a username that contains an `@`.
    pub fn of(username: Username, email: Option<Email>) -> Result<Self, NamesError> {
        Self::check(Some(&username), email.as_ref())?;
        let email = email.or_else(|| username.email());
        Ok(Self { username, email })
    }

    /// Checks that the names can belong to one user.
    pub fn check(username: Option<&Username>, email: Option<&Email>) -> Result<(), NamesError> {
        match (username, email) {
            (None, None) => Err(NamesError::Missing),
            (Some(username), Some(email))
                if username.email().is_some_and(|own| own.canonical() != email.canonical()) =>
            {
                Err(NamesError::Mismatch)
            }
            _ => Ok(()),
        }
    }

    /// Returns the canonical names to reserve for this user: two, or one if username and email
    /// address are equal.
    pub fn claims(&self) -> Vec<CanonicalName> {
        let username = self.username.canonical();
        let email = self.email.as_ref().map(Email::canonical).filter(|email| *email != username);
        std::iter::once(username).chain(email).collect()
    }
}

/// Reference to a user in a path, query or body: a userId, username or email address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserRef {
    /// User id.
    Id(UserId),
    /// Canonical form of a username or email address.
    Name(CanonicalName),
}

/// Error for a text that cannot refer to a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a userId, username or email address")]
pub struct UserRefError;

impl FromStr for UserRef {
    type Err = UserRefError;

    fn from_str(text: &str) -> Result<Self, UserRefError> {
        if let Ok(id) = text.parse() {
            return Ok(Self::Id(id));
        }
        text.parse::<Username>().map(|name| Self::Name(name.canonical())).map_err(|_| UserRefError)
    }
}

impl utoipa::PartialSchema for UserRef {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        super::text::string_schema(|schema| {
            schema.pattern(Some(NAME_PATTERN)).description(Some("userId, username or email address"))
        })
    }
}

impl utoipa::ToSchema for UserRef {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn email(text: &str) -> Email {
        text.parse().unwrap()
    }

    fn username(text: &str) -> Username {
        text.parse().unwrap()
    }

    #[test]
    fn names_match_regardless_of_case_and_composition() {
        assert_eq!(email("Joe@Acme.example").canonical(), email("joe@acme.EXAMPLE").canonical());
        assert_eq!(username("Strauß").canonical(), username("STRAUSS").canonical());
        assert_eq!(username("e\u{301}a").canonical(), username("éA").canonical());
    }

    #[test]
    fn username_is_never_ambiguous() {
        assert_eq!("6155ac246093840013297377".parse::<Username>(), Err(UsernameError::LooksLikeId));
        assert_eq!("6155AC246093840013297377".parse::<Username>(), Err(UsernameError::LooksLikeId));
        assert_eq!("Batch".parse::<Username>(), Err(UsernameError::Reserved));
        assert_eq!("".parse::<Username>(), Err(UsernameError::Length));
        assert_eq!("a/b".parse::<Username>(), Err(UsernameError::Character(Shown('/'))));
        assert_eq!("...".parse::<Username>(), Err(UsernameError::Dots));
        assert!("संपर्क".parse::<Username>().is_ok());
        assert_eq!("x".repeat(129).parse::<Username>(), Err(UsernameError::Length));
        assert!("joe@".parse::<Username>().is_err());
    }

    #[test]
    fn username_is_derived_from_the_local_part_and_a_suffix() {
        let names = Names::new(None, Some(email("joe.smoe@acme.example")), "x7k2mq").unwrap();
        assert_eq!(names.username.as_str(), "joe.smoe-x7k2mq");
        assert_eq!(names.claims().len(), 2);
    }

    #[test]
    fn username_with_an_at_sign_is_also_the_email() {
        let names = Names::new(Some(username("joe@acme.example")), None, "x").unwrap();
        assert_eq!(names.email, Some(email("joe@acme.example")));
        assert_eq!(names.claims().len(), 1);
        let different = Names::new(Some(username("joe@acme.example")), Some(email("jim@acme.example")), "x");
        assert_eq!(different, Err(NamesError::Mismatch));
    }

    #[test]
    fn uncomposable_letters_make_a_valid_username() {
        let made = Names::new(None, Some(email("\u{9df}\u{958}@acme.example")), "x").unwrap().username;
        assert_eq!(made.as_str().parse::<Username>().unwrap(), made);
    }

    #[test]
    fn user_needs_at_least_one_name() {
        assert_eq!(Names::new(None, None, "x"), Err(NamesError::Missing));
    }

    proptest! {
        #[test]
        fn usernames_are_safe_in_paths_and_keep_their_identity(text in "\\PC{1,30}") {
            if let Ok(name) = text.parse::<Username>() {
                prop_assert!(!name.as_str().chars().any(crate::domain::email::is_unsafe));
                prop_assert_eq!(name.canonical().as_str().parse::<Username>().unwrap().canonical(), name.canonical());
                prop_assert_eq!(text.parse(), Ok(UserRef::Name(name.canonical())));
            }
        }

        #[test]
        fn folding_is_idempotent(text in "\\PC*") {
            let once = CanonicalName::of(&text);
            prop_assert_eq!(CanonicalName::of(once.as_str()), once);
        }

        #[test]
        fn every_derived_username_is_valid(local in "[a-zA-Z0-9!#$%&'*+/=?^_`{|}~\u{80}-\u{ffff}-]{1,20}") {
            if let Ok(email) = format!("{local}@acme.example").parse::<Email>() {
                let made = Names::new(None, Some(email), "x7k2mq").unwrap().username;
                prop_assert_eq!(made.as_str().parse::<Username>().unwrap(), made);
            }
        }
    }
}
