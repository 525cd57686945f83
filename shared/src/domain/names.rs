//! The names that lead to a user: usernames and e-mail addresses, which share one namespace.

use std::str::FromStr;

use email_address::{EmailAddress, Options};
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

use super::{
    id::{ObjectId, UserId},
    text::string_newtype,
};

/// The form by which two names are the same: Unicode NFC, case folded. An environment has at most one claim of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CanonicalName(String);

impl CanonicalName {
    fn of(text: &str) -> Self {
        let composed: String = text.nfc().collect();
        Self(caseless::default_case_fold_str(&composed).nfc().collect())
    }

    /// The folded text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An e-mail address as its owner wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Email(String);

impl Email {
    /// The address as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The form by which two addresses are the same.
    pub fn canonical(&self) -> CanonicalName {
        CanonicalName::of(&self.0)
    }

    fn local_part(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(local, _)| local)
    }
}

/// Why a text is not an e-mail address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be an e-mail address: {0}")]
pub struct EmailError(String);

impl FromStr for Email {
    type Err = EmailError;

    /// RFC 5321's `addr-spec` with internationalised local parts and domains, at most 254 bytes.
    fn from_str(text: &str) -> Result<Self, EmailError> {
        let options = Options::default().without_display_text().without_domain_literal();
        if text.len() > 254 {
            return Err(EmailError("it is longer than 254 bytes".into()));
        }
        EmailAddress::parse_with_options(text, options).map_err(|error| EmailError(error.to_string()))?;
        Ok(Self(text.to_owned()))
    }
}

/// A username: an e-mail address, or 1–128 letters, digits and `. _ - + ~ :`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Username(String);

/// The most characters of a username that is not an e-mail address.
const MAX_USERNAME: usize = 128;
/// The characters that a username may have beside letters and digits.
const USERNAME_PUNCTUATION: &str = "._-+~:";

fn is_username_character(character: char) -> bool {
    character.is_alphanumeric() || USERNAME_PUNCTUATION.contains(character)
}

impl Username {
    /// The name as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The form by which two names are the same.
    pub fn canonical(&self) -> CanonicalName {
        CanonicalName::of(&self.0)
    }

    fn is_email(&self) -> bool {
        self.0.contains('@')
    }

    /// Makes a name from an e-mail address: its local part and a suffix.
    fn from_email(email: &Email, suffix: &str) -> Self {
        let room = MAX_USERNAME - suffix.len() - 1;
        let local: String = email.local_part().nfc().filter(|c| is_username_character(*c)).take(room).collect();
        Self(format!("{}-{suffix}", if local.is_empty() { "user" } else { &local }))
    }
}

/// Why a text is not a username.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsernameError {
    /// There is nothing in it, or too much.
    #[error("must have 1 to {MAX_USERNAME} characters")]
    Length,
    /// It has a character that is not allowed.
    #[error("must be an e-mail address, or consist of letters, digits and . _ - + ~ :")]
    Character,
    /// It has the form of a userId, so that it would not be clear what it names.
    #[error("must not have the form of a userId")]
    LooksLikeId,
    /// It is a word of the API's paths.
    #[error("is reserved")]
    Reserved,
    /// It has an `@` and is not an e-mail address.
    #[error(transparent)]
    Email(#[from] EmailError),
}

impl FromStr for Username {
    type Err = UsernameError;

    fn from_str(text: &str) -> Result<Self, UsernameError> {
        if text.contains('@') {
            let Email(address) = text.parse()?;
            return Ok(Self(address));
        }
        let text: String = text.nfc().collect();
        let canonical = CanonicalName::of(&text);
        if !(1..=MAX_USERNAME).contains(&text.chars().count()) {
            Err(UsernameError::Length)
        } else if !text.chars().all(is_username_character) {
            Err(UsernameError::Character)
        } else if canonical.as_str().parse::<ObjectId>().is_ok() {
            Err(UsernameError::LooksLikeId)
        } else if canonical.as_str() == "batch" {
            Err(UsernameError::Reserved)
        } else {
            Ok(Self(text))
        }
    }
}

string_newtype!(Email, EmailError, |schema| {
    schema.max_length(Some(254)).format(Some(utoipa::openapi::SchemaFormat::Custom("email".into())))
});
string_newtype!(Username, UsernameError, |schema| schema.min_length(Some(1)).max_length(Some(254)));

/// The names of one user, consistent with each other: a username with an `@` is the e-mail address too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// How the user is called.
    pub username: Username,
    /// Where the user gets mail.
    pub email: Option<Email>,
}

/// Why two names do not make a user's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NamesError {
    /// Neither was given.
    #[error("an email or a username is required")]
    Missing,
    /// The username is another e-mail address than `email`.
    #[error("a username that is an e-mail address must equal the email")]
    Mismatch,
}

impl Names {
    /// Completes what was given: a username is made where there is none, with this suffix, and one with an `@` counts as the
    /// e-mail.
    pub fn new(username: Option<Username>, email: Option<Email>, suffix: &str) -> Result<Self, NamesError> {
        match (username, email) {
            (None, None) => Err(NamesError::Missing),
            (None, Some(email)) => Ok(Self { username: Username::from_email(&email, suffix), email: Some(email) }),
            (Some(username), email) => Self::of(username, email),
        }
    }

    /// A username, and the e-mail address that belongs to it: one with an `@` counts as the e-mail.
    pub fn of(username: Username, email: Option<Email>) -> Result<Self, NamesError> {
        Self::check(Some(&username), email.as_ref())?;
        let email = email.or_else(|| username.is_email().then(|| Email(username.0.clone())));
        Ok(Self { username, email })
    }

    /// Whether what was given can be a user's names.
    pub fn check(username: Option<&Username>, email: Option<&Email>) -> Result<(), NamesError> {
        match (username, email) {
            (None, None) => Err(NamesError::Missing),
            (Some(username), Some(email)) if username.is_email() && username.canonical() != email.canonical() => {
                Err(NamesError::Mismatch)
            }
            _ => Ok(()),
        }
    }

    /// The claims that keep others from these names: one, or two where username and e-mail differ.
    pub fn claims(&self) -> Vec<CanonicalName> {
        let username = self.username.canonical();
        let email = self.email.as_ref().map(Email::canonical).filter(|email| *email != username);
        std::iter::once(username).chain(email).collect()
    }
}

/// What stands for a user in a path, query or body: a userId, a username or an e-mail address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserRef {
    /// The user's id.
    Id(UserId),
    /// One of the user's names, as it is claimed.
    Name(CanonicalName),
}

/// Why a text cannot stand for a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a userId, a username or an e-mail address")]
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
            schema.min_length(Some(1)).description(Some("a userId, a username or an e-mail address"))
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
    fn invalid_email_addresses_are_rejected() {
        for text in
            ["", "joe", "@acme.example", "joe@", "joe smoe@acme.example", "Joe <joe@acme.example>", "a@[127.0.0.1]"]
        {
            assert!(text.parse::<Email>().is_err(), "{text}");
        }
        assert!(format!("{}@acme.example", "x".repeat(65)).parse::<Email>().is_err());
        assert!("пётр@почта.example".parse::<Email>().is_ok());
    }

    #[test]
    fn username_is_never_ambiguous() {
        assert_eq!("6155ac246093840013297377".parse::<Username>(), Err(UsernameError::LooksLikeId));
        assert_eq!("6155AC246093840013297377".parse::<Username>(), Err(UsernameError::LooksLikeId));
        assert_eq!("Batch".parse::<Username>(), Err(UsernameError::Reserved));
        assert_eq!("".parse::<Username>(), Err(UsernameError::Length));
        assert_eq!("a/b".parse::<Username>(), Err(UsernameError::Character));
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
