//! User tokens: verification and key rotation.

mod forgery;
mod rotation;
