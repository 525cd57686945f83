//! User tokens: short-lived JWTs (RFC 7519), signed with ES256, checked as RFC 8725 advises.

mod es256;
mod keys;
pub mod rotation;
mod token;

pub use keys::{Jwk, Jwks, KeyError, Signer, StoredKey, Verifier, VerifyError, create_signing_key};
pub use token::{AUDIENCE, Claims, TOKEN_TYPE, TokenError};
