//! User tokens: short-lived JWTs (RFC 7519) with which the embedded modal calls the API for one
//! user.
//!
//! Tokens are signed with ES256 and verified as RFC 8725 recommends. The private keys are sealed by
//! KMS; the public keys are published as a JWK set. A schedule rotates the keys every 30 days.
//!
//! * `es256`: signatures, as the only algorithm of the JWT library
//! * `keys`: storage, caching and publication of signing keys, the signer and the verifier
//! * [`rotation`]: times at which keys are created, sign and are removed
//! * `token`: claims, encoding and validation of tokens

mod es256;
mod keys;
pub mod rotation;
mod token;

pub use keys::{Jwk, Jwks, KeyError, Signer, Verifier, VerifyError, create_signing_key};
pub use token::{AUDIENCE, Claims, Limits, TOKEN_TYPE, TokenError};
