//! Webhooks: HTTP endpoints of the customer that receive records as signed POST requests.

use std::{str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};
use url::{Host, Url};

use super::{
    secret::Sealed,
    text::{Text, string_newtype},
    timestamp::Timestamp,
    web_url::complete_url,
};

/// Time for which the previous secret remains valid after a rotation.
const SECRET_OVERLAP: Duration = Duration::from_secs(24 * 60 * 60);

/// HTTP endpoint of the customer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// URL that receives the records.
    pub url: WebhookUrl,
    /// Description by the customer.
    pub description: Option<Text<256>>,
    /// Current signing secret, encrypted.
    pub secret: Sealed,
    /// Previous signing secrets that are still valid, newest first.
    pub previous: Vec<PreviousSecret>,
}

/// Maximum number of previous secrets that sign in addition to the current one.
const MAX_PREVIOUS_SECRETS: usize = 5;

impl Webhook {
    /// Returns the secrets that sign requests at the given time, the current one first.
    pub fn signing_secrets(&self, now: Timestamp) -> impl Iterator<Item = &Sealed> {
        let previous = self.previous.iter().filter(move |previous| now < previous.until);
        std::iter::once(&self.secret).chain(previous.map(|previous| &previous.secret))
    }

    /// Replaces the signing secret. The previous one stays valid for 24 hours.
    pub fn rotate(&mut self, secret: Sealed, now: Timestamp) {
        let before = std::mem::replace(&mut self.secret, secret);
        self.previous.retain(|previous| now < previous.until);
        self.previous.insert(0, PreviousSecret { secret: before, until: now + SECRET_OVERLAP });
        self.previous.truncate(MAX_PREVIOUS_SECRETS);
    }
}

/// Signing secret that was replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PreviousSecret {
    /// Encrypted secret.
    pub secret: Sealed,
    /// Time until which it is used for signing.
    pub until: Timestamp,
}

/// URL of a webhook: an absolute http or https URL without user info or fragment, at most 2,048
/// bytes after percent-encoding. [`crate::delivery::guard`] decides which hosts, ports and schemes
/// are allowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct WebhookUrl(String);

/// Error for a text that is not a webhook URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebhookUrlError {
    /// The text is not an absolute http or https URL with a host.
    #[error("must be a URL such as https://example.com/errors")]
    Malformed,
    /// The URL is too long.
    #[error("must have at most {MAX_URL_BYTES} bytes after encoding")]
    TooLong,
    /// The host is not a domain name.
    #[error("must have a host that is a domain name, such as example.com")]
    Host,
    /// The URL contains a username or password, which would be stored and displayed.
    #[error("must not contain a username or password")]
    UserInfo,
    /// The URL contains a fragment, which is never sent.
    #[error("must not contain a fragment (#…)")]
    Fragment,
}

/// Maximum length of a percent-encoded URL.
const MAX_URL_BYTES: usize = 2048;

/// Returns whether a domain can be looked up and be named in a TLS handshake: labels of 1 to 63
/// letters, digits, hyphens and underscores, at most 253 bytes (RFC 1035, section 2.3.4). The URL
/// standard also accepts other names.
fn is_host_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

impl WebhookUrl {
    /// Returns the normalized URL: the host is in lower case or punycode, and an IPv4 address is in
    /// dotted decimal form.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the parsed URL.
    pub fn url(&self) -> Option<Url> {
        self.0.parse().ok()
    }
}

impl FromStr for WebhookUrl {
    type Err = WebhookUrlError;

    fn from_str(text: &str) -> Result<Self, WebhookUrlError> {
        if text.len() > MAX_URL_BYTES {
            return Err(WebhookUrlError::TooLong);
        }
        let url = complete_url(text).ok_or(WebhookUrlError::Malformed)?;
        if url.as_str().len() > MAX_URL_BYTES {
            return Err(WebhookUrlError::TooLong);
        }
        if matches!(url.host(), Some(Host::Domain(name)) if !is_host_name(name)) {
            return Err(WebhookUrlError::Host);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(WebhookUrlError::UserInfo);
        }
        if url.fragment().is_some() {
            return Err(WebhookUrlError::Fragment);
        }
        Ok(Self(url.into()))
    }
}

string_newtype!(WebhookUrl, WebhookUrlError, |schema| schema
    .format(Some(utoipa::openapi::SchemaFormat::Custom("uri".into())))
    .max_length(Some(MAX_URL_BYTES)));

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn previous_secrets_sign_for_24_hours_and_are_at_most_five() {
        let sealed =
            |version: u32| Sealed { version, wrapped_key: Vec::new(), nonce: Vec::new(), ciphertext: Vec::new() };
        let url: WebhookUrl = "https://acme.example/errors".parse().unwrap();
        let mut webhook = Webhook { url, description: None, secret: sealed(1), previous: Vec::new() };
        let now = Timestamp::now();
        let after = |hours: u64| now + Duration::from_secs(hours * 3600);
        webhook.rotate(sealed(2), now);
        webhook.rotate(sealed(3), after(10));
        let signing_of = |webhook: &Webhook, at| webhook.signing_secrets(at).cloned().collect::<Vec<_>>();
        let signing = |at| signing_of(&webhook, at);
        assert_eq!(signing(after(10)), [sealed(3), sealed(2), sealed(1)]);
        assert_eq!(signing(after(24) - Duration::from_millis(1)), [sealed(3), sealed(2), sealed(1)]);
        assert_eq!(signing(after(24)), [sealed(3), sealed(2)]);
        assert_eq!(signing(after(34)), [sealed(3)]);
        // The sixth rotation within 24 hours ends the oldest secret.
        (4..=9).for_each(|version| webhook.rotate(sealed(version), after(40)));
        assert_eq!(signing_of(&webhook, after(40)), [9, 8, 7, 6, 5, 4].map(sealed));
    }

    #[test]
    fn url_must_be_absolute_with_a_host_and_no_credentials() {
        use WebhookUrlError::{Fragment, Host, Malformed, TooLong, UserInfo};
        let long_label = format!("https://{}.example/", "a".repeat(64));
        let long_name = format!("https://{}example/", "a.".repeat(130));
        for (text, error) in [
            ("", Malformed),
            ("example.com/errors", Malformed),
            ("ftp://example.com", Malformed),
            ("https://", Malformed),
            ("https:///errors", Malformed),
            ("https:acme.example", Malformed),
            ("https:/acme.example", Malformed),
            ("https:\\\\acme.example", Malformed),
            ("https:acme.example/?u=http://x", Malformed),
            ("https://acme.example\\x", Malformed),
            ("https://exa mple.com", Malformed),
            ("https://example.com/\n", Malformed),
            ("https://[fe80::1%25eth0]/", Malformed),
            ("https://{tenant}.acme.example/x", Host),
            ("https://acme..example/", Host),
            ("https://.acme.example/", Host),
            ("https://-acme.example/", Host),
            ("https://acme-.example/", Host),
            ("https://a!b.example/", Host),
            (&long_label, Host),
            (&long_name, Host),
            ("https://user@example.com/", UserInfo),
            ("https://user:password@example.com/", UserInfo),
            ("https://example.com/#errors", Fragment),
            (&format!("https://example.com/{}", "x".repeat(2029)), TooLong),
            // Six bytes each when they are percent-encoded.
            (&format!("https://example.com/?q={}", "ü".repeat(400)), TooLong),
        ] {
            assert_eq!(text.parse::<WebhookUrl>(), Err(error), "{text}");
        }
    }

    #[test]
    fn host_is_normalized() {
        for (text, url) in [
            ("HTTPS://EXAMPLE.com/Errors?a=1", "https://example.com/Errors?a=1"),
            ("https://bücher.example", "https://xn--bcher-kva.example/"),
            ("https://0x7f.1/", "https://127.0.0.1/"),
            ("https://example.com:443/", "https://example.com/"),
            ("https://example.com/?re=\\d", "https://example.com/?re=\\d"),
        ] {
            assert_eq!(text.parse::<WebhookUrl>().unwrap().as_str(), url);
        }
    }

    proptest! {
        #[test]
        fn url_round_trips(text in "https://[a-z0-9.:@#/?]{1,30}") {
            if let Ok(url) = text.parse::<WebhookUrl>() {
                prop_assert_eq!(url.as_str().parse::<WebhookUrl>(), Ok(url));
            }
        }
    }
}
