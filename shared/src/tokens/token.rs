//! Claims of user tokens, and their encoding and validation.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode};
use rand::{Rng, distr::Alphanumeric};
use serde::{Deserialize, Serialize};

use crate::domain::{
    access::TokenMode,
    id::{EnvironmentId, UserId},
    integration::IntegrationId,
    modal::Origin,
    timestamp::Timestamp,
    user::{TtlSeconds, User},
};

/// `typ` header of user tokens (RFC 8725, section 3.11), which prevents confusion with other JWTs.
pub const TOKEN_TYPE: &str = "tenon-user+jwt";
/// `aud` claim of user tokens.
pub const AUDIENCE: &str = "tenon";
/// Maximum size of a token in bytes, above that of any valid token: 20 integrations and 5 origins
/// take 3.7 kB. API Gateway accepts headers of 10,240 bytes in total (AWS limit).
const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// Tolerated clock difference between functions, in seconds. Does not apply to the expiry.
const CLOCK_SKEW: i64 = 5;

/// Claims of a user token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Issuer: the stack.
    pub iss: String,
    /// Audience: [`AUDIENCE`].
    pub aud: String,
    /// Subject: the user.
    pub sub: UserId,
    /// Environment of the user.
    pub env: EnvironmentId,
    /// Time of issue, in seconds since 1970.
    pub iat: i64,
    /// Time from which the token is valid; equal to `iat`.
    pub nbf: i64,
    /// Time from which the token is no longer valid.
    pub exp: i64,
    /// Random id of the token.
    pub jti: String,
    /// Token epoch of the user at the time of issue.
    pub epoch: u32,
    /// Permissions of the token.
    #[serde(default)]
    pub mode: TokenMode,
    /// Integrations that exist for the token; absent without a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integrations: Option<Vec<IntegrationId>>,
    /// Origins of the pages that may embed the modal with the token; those of the environment if
    /// absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origins: Option<Vec<Origin>>,
    /// Whether the token is for the hosted page only, which no other page may embed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hosted: bool,
}

/// Limits of a token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Permissions of the token.
    pub mode: TokenMode,
    /// Integrations that exist for the token, if they are limited.
    pub integrations: Option<Vec<IntegrationId>>,
    /// Origins of the pages that may embed the modal with the token, if not those of the
    /// environment.
    pub origins: Option<Vec<Origin>>,
    /// Whether the token is for the hosted page only.
    pub hosted: bool,
}

impl Claims {
    /// Creates the claims of a token that is issued to a user at `now`.
    pub fn new(
        issuer: &str,
        environment: EnvironmentId,
        user: &User,
        limits: Limits,
        ttl: TtlSeconds,
        now: Timestamp,
    ) -> Self {
        let iat = now.seconds();
        let Limits { mode, integrations, origins, hosted } = limits;
        Self {
            iss: issuer.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: user.user_id,
            env: environment,
            iat,
            nbf: iat,
            exp: iat + i64::from(ttl.get()),
            jti: rand::rng().sample_iter(Alphanumeric).take(22).map(char::from).collect(),
            epoch: user.token_epoch,
            mode,
            integrations,
            origins,
            hosted,
        }
    }

    /// Returns the expiry: the first second in which the token is no longer valid.
    pub fn expires_at(&self) -> Timestamp {
        Timestamp::from_seconds(u32::try_from(self.exp).unwrap_or(u32::MAX))
    }
}

/// Reason why a token is invalid. Never shown to the caller.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The token exceeds the maximum size.
    #[error("token too long")]
    TooLong,
    /// The token is not a JWT in compact form, or has an unsupported critical header.
    #[error("malformed token")]
    Malformed,
    /// The token is a JWT of another type.
    #[error("wrong token type")]
    Type,
    /// The token was signed with a key that this stack does not have.
    #[error("unknown signing key")]
    UnknownKey,
    /// The signature, issuer or audience is wrong, or a claim is missing.
    #[error("invalid token")]
    Invalid(#[source] jsonwebtoken::errors::Error),
    /// The lifetime exceeds the maximum.
    #[error("token lifetime too long")]
    LifetimeTooLong,
    /// The token has expired.
    #[error("token expired")]
    Expired,
    /// The time of issue or the start of validity is in the future.
    #[error("token not yet valid")]
    NotYetValid,
}

pub(super) fn sign(claims: &Claims, kid: &str, key: &EncodingKey) -> Result<String, jsonwebtoken::errors::Error> {
    let header = Header { typ: Some(TOKEN_TYPE.into()), kid: Some(kid.into()), ..Header::new(Algorithm::ES256) };
    encode(&header, claims, key)
}

/// Returns the key id of a token whose signature is not yet verified.
pub(super) fn key_id(token: &str) -> Result<String, TokenError> {
    if token.len() > MAX_TOKEN_BYTES {
        return Err(TokenError::TooLong);
    }
    let header = decode_header(token).map_err(|_| TokenError::Malformed)?;
    if header.typ.as_deref() != Some(TOKEN_TYPE) {
        return Err(TokenError::Type);
    }
    // Critical extensions are not supported (RFC 7515, section 4.1.11).
    if header.crit.is_some() {
        return Err(TokenError::Malformed);
    }
    header.kid.ok_or(TokenError::UnknownKey)
}

pub(super) fn verify(token: &str, key: &DecodingKey, issuer: &str, now: Timestamp) -> Result<Claims, TokenError> {
    let mut validation = Validation::new(Algorithm::ES256);
    // Times are checked below, against the given clock.
    validation.validate_exp = false;
    validation.set_audience(&[AUDIENCE]);
    validation.set_issuer(&[issuer]);
    validation.set_required_spec_claims(&["iss", "aud", "sub", "nbf", "exp"]);
    let claims: Claims = decode(token, key, &validation).map_err(TokenError::Invalid)?.claims;
    if claims.iat > now.seconds() + CLOCK_SKEW || claims.nbf > now.seconds() + CLOCK_SKEW {
        return Err(TokenError::NotYetValid);
    }
    if claims.exp.saturating_sub(claims.iat) > i64::from(TtlSeconds::MAX.get()) {
        return Err(TokenError::LifetimeTooLong);
    }
    // `exp` is the first second in which the token is no longer valid (RFC 7519, section 4.1.4).
    if claims.exp <= now.seconds() {
        return Err(TokenError::Expired);
    }
    Ok(claims)
}
