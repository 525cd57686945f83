//! Tickets of install links, each of which is exchanged for one user token.

use std::{fmt, str::FromStr, time::Duration};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{
    id::{EnvironmentId, UserId},
    integration::IntegrationId,
    timestamp::Timestamp,
};

/// Time for which a ticket can be exchanged.
pub const TICKET_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// Ticket: 32 random bytes in base64url, 43 characters. Only its [`TicketHash`] is stored.
#[derive(Clone, PartialEq, Eq)]
pub struct Ticket(Zeroizing<String>);

impl Ticket {
    /// Generates a random ticket.
    pub fn generate() -> Self {
        let bytes = Zeroizing::new(rand::random::<[u8; 32]>());
        Self(Zeroizing::new(BASE64_URL_SAFE_NO_PAD.encode(*bytes)))
    }

    /// Returns the plaintext, for the link that is created.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns the hash that is stored instead of the ticket.
    pub fn hash(&self) -> TicketHash {
        TicketHash(hex::encode(ring::digest::digest(&ring::digest::SHA256, self.0.as_bytes())))
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Error for a text that is not a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be the 43 characters after `ticket=` in an install link")]
pub struct TicketError;

impl FromStr for Ticket {
    type Err = TicketError;

    fn from_str(text: &str) -> Result<Self, TicketError> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).map(Zeroizing::new).map_err(|_| TicketError)?;
        if bytes.len() == 32 { Ok(Self(Zeroizing::new(text.to_owned()))) } else { Err(TicketError) }
    }
}

impl utoipa::PartialSchema for Ticket {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        super::text::string_schema(|schema| schema.pattern(Some("^[A-Za-z0-9_-]{43}$")).write_only(true))
    }
}

impl utoipa::ToSchema for Ticket {}

/// SHA-256 of a ticket, in hex. A ticket has 256 random bits, so salting would add no protection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketHash(String);

impl fmt::Display for TicketHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Purpose of a ticket, stored under its hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TicketGrant {
    /// Environment of the user.
    pub environment_id: EnvironmentId,
    /// User who installs.
    pub user_id: UserId,
    /// Token epoch of the user at the time of issue.
    pub token_epoch: u32,
    /// Integration to install.
    pub integration_id: IntegrationId,
    /// Expiry.
    pub valid_until: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticket_is_43_characters_and_never_printed() {
        let ticket = Ticket::generate();
        assert_eq!((ticket.expose().len(), format!("{ticket:?}").as_str()), (43, "[redacted]"));
        assert_eq!(ticket.expose().parse::<Ticket>().unwrap().hash(), ticket.hash());
        let long = format!("{}A", ticket.expose());
        for text in ["", "abc", &long, &"+".repeat(43), &"A".repeat(44)] {
            assert_eq!(text.parse::<Ticket>(), Err(TicketError), "{text}");
        }
    }
}
