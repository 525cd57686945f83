//! What a user token says, and how it is written and read.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode};
use rand::{Rng, distr::Alphanumeric};
use serde::{Deserialize, Serialize};

use crate::domain::{
    id::{EnvironmentId, UserId},
    timestamp::Timestamp,
    user::{TtlSeconds, User},
};

/// The `typ` of a user token's header (RFC 8725, 3.11): no other JWT can be taken for one.
pub const TOKEN_TYPE: &str = "tenon-user+jwt";
/// The `aud` of a user token: whom it is for.
pub const AUDIENCE: &str = "tenon";
/// No user token is nearly as long; what is longer is not read.
const MAX_TOKEN_BYTES: usize = 4096;

/// How far the clocks of two functions may be apart, in seconds. A token's end knows no such leniency.
const CLOCK_SKEW: i64 = 5;

/// What a user token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The stack that issued it.
    pub iss: String,
    /// Whom it is for: [`AUDIENCE`].
    pub aud: String,
    /// The user.
    pub sub: UserId,
    /// The user's environment.
    pub env: EnvironmentId,
    /// When it was issued, in seconds since 1970.
    pub iat: i64,
    /// From when on it works: the same.
    pub nbf: i64,
    /// Until when it works.
    pub exp: i64,
    /// A random id of its own.
    pub jti: String,
    /// The user's token epoch when it was issued.
    pub epoch: u32,
}

impl Claims {
    /// What a token says that is issued to a user at `now`.
    pub fn new(issuer: &str, environment: EnvironmentId, user: &User, ttl: TtlSeconds, now: Timestamp) -> Self {
        let iat = now.seconds();
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
        }
    }

    /// Until when it works: the first second in which it no longer does.
    pub fn expires_at(&self) -> Timestamp {
        Timestamp::from_seconds(u32::try_from(self.exp).unwrap_or(u32::MAX))
    }
}

/// Why a token is refused. The caller is never told which.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// It is longer than any user token.
    #[error("the token is too long")]
    TooLong,
    /// It is not a JWT of the compact form, or says something that a user token does not.
    #[error("the token is not of a user token's form")]
    Malformed,
    /// It is a JWT of another kind.
    #[error("the token is of another type")]
    Type,
    /// It names a key that this stack does not have.
    #[error("the token's key is unknown")]
    UnknownKey,
    /// Its signature, issuer or audience is wrong, or a claim is missing.
    #[error("the token is invalid")]
    Invalid(#[source] jsonwebtoken::errors::Error),
    /// It lasts longer than any user token.
    #[error("the token lasts too long")]
    LifetimeTooLong,
    /// Its time has passed.
    #[error("the token has expired")]
    Expired,
    /// It was issued in the future, or its time has not come.
    #[error("the token's time has not come")]
    NotYetValid,
}

pub(super) fn sign(claims: &Claims, kid: &str, key: &EncodingKey) -> Result<String, jsonwebtoken::errors::Error> {
    let header = Header { typ: Some(TOKEN_TYPE.into()), kid: Some(kid.into()), ..Header::new(Algorithm::ES256) };
    encode(&header, claims, key)
}

/// The key that a token names, before anything of it is believed.
pub(super) fn key_id(token: &str) -> Result<String, TokenError> {
    if token.len() > MAX_TOKEN_BYTES {
        return Err(TokenError::TooLong);
    }
    let header = decode_header(token).map_err(|_| TokenError::Malformed)?;
    if header.typ.as_deref() != Some(TOKEN_TYPE) {
        return Err(TokenError::Type);
    }
    // Extensions that must be understood are not (RFC 7515, 4.1.11).
    if header.crit.is_some() {
        return Err(TokenError::Malformed);
    }
    header.kid.ok_or(TokenError::UnknownKey)
}

pub(super) fn verify(token: &str, key: &DecodingKey, issuer: &str, now: Timestamp) -> Result<Claims, TokenError> {
    let mut validation = Validation::new(Algorithm::ES256);
    // Times are held to the given clock below.
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
    // `exp` is the first second in which it no longer works (RFC 7519, 4.1.4).
    if claims.exp <= now.seconds() {
        return Err(TokenError::Expired);
    }
    Ok(claims)
}
