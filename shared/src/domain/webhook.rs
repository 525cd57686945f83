//! Webhooks: a customer's own HTTP endpoint, to which every error is sent as a signed POST.

use std::{str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};
use url::Url;

use super::{
    secret::Sealed,
    text::{Text, string_newtype},
    timestamp::Timestamp,
};

/// After a rotation the secret before signs beside the new one for so long.
const SECRET_OVERLAP: Duration = Duration::from_secs(24 * 60 * 60);

/// A customer's own HTTP endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// Where errors are posted to.
    pub url: WebhookUrl,
    /// What the customer calls it.
    pub description: Option<Text<256>>,
    /// The secret that signs, encrypted.
    pub secret: Sealed,
    /// The secrets before, the newest first, for as long as they sign too.
    pub previous: Vec<PreviousSecret>,
}

/// So many secrets sign beside the newest one, at most.
const MAX_PREVIOUS_SECRETS: usize = 5;

impl Webhook {
    /// Puts another secret in place of the one before, which signs beside it for 24 hours.
    pub fn rotate(&mut self, secret: Sealed, now: Timestamp) {
        let before = std::mem::replace(&mut self.secret, secret);
        self.previous.retain(|previous| now < previous.until);
        self.previous.insert(0, PreviousSecret { secret: before, until: now + SECRET_OVERLAP });
        self.previous.truncate(MAX_PREVIOUS_SECRETS);
    }
}

/// A secret that another has replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PreviousSecret {
    /// The secret, encrypted.
    pub secret: Sealed,
    /// Until when it signs beside the new one.
    pub until: Timestamp,
}

/// The address of a webhook: an absolute http or https URL without user-info and fragment, of at most 2,048 characters.
/// Which hosts, ports and schemes are allowed is for the guard to say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct WebhookUrl(String);

/// Why a text is not the address of a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebhookUrlError {
    /// It is no absolute URL with a host.
    #[error("must be a URL such as https://example.com/errors, of at most 2048 characters")]
    Malformed,
    /// It carries a name or password, which would be stored and shown.
    #[error("must not carry a user name or password")]
    UserInfo,
    /// It carries a fragment, which is never sent.
    #[error("must not have a fragment (#…)")]
    Fragment,
}

const MAX_URL: usize = 2048;

impl WebhookUrl {
    /// The URL as it is normalised: its host in lower case or punycode, an IPv4 address in any spelling as four decimal
    /// numbers.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The URL in its parts.
    pub fn url(&self) -> Option<Url> {
        self.0.parse().ok()
    }
}

impl FromStr for WebhookUrl {
    type Err = WebhookUrlError;

    fn from_str(text: &str) -> Result<Self, WebhookUrlError> {
        // The URL standard drops white space and control characters; who writes them means something else.
        if text.len() > MAX_URL || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(WebhookUrlError::Malformed);
        }
        let url: Url = text.parse().map_err(|_| WebhookUrlError::Malformed)?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() || url.as_str().len() > MAX_URL {
            return Err(WebhookUrlError::Malformed);
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
    .max_length(Some(MAX_URL)));

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn url_must_be_absolute_with_a_host_and_no_credentials() {
        use WebhookUrlError::{Fragment, Malformed, UserInfo};
        for (text, error) in [
            ("", Malformed),
            ("example.com/errors", Malformed),
            ("ftp://example.com", Malformed),
            ("https://", Malformed),
            ("https:///errors", Malformed),
            ("https://exa mple.com", Malformed),
            ("https://example.com/\n", Malformed),
            ("https://[fe80::1%25eth0]/", Malformed),
            ("https://user@example.com/", UserInfo),
            ("https://user:password@example.com/", UserInfo),
            ("https://example.com/#errors", Fragment),
        ] {
            // `https:///errors` means the host `errors` to the URL standard, which the guard's DNS then decides on.
            let parsed = text.parse::<WebhookUrl>();
            if text != "https:///errors" {
                assert_eq!(parsed, Err(error), "{text}");
            }
        }
    }

    #[test]
    fn host_is_normalized() {
        for (text, url) in [
            ("HTTPS://EXAMPLE.com/Errors?a=1", "https://example.com/Errors?a=1"),
            ("https://bücher.example", "https://xn--bcher-kva.example/"),
            ("https://0x7f.1/", "https://127.0.0.1/"),
            ("https://example.com:443/", "https://example.com/"),
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
