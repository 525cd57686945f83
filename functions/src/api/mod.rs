//! Endpoints behind API Gateway, one file per endpoint.

pub mod console;
pub mod credentials;
pub mod destinations;
pub mod environments;
pub mod errors;
pub mod jwks;
pub mod openapi;
pub mod replays;
pub mod session;
pub mod success;
pub mod users;
pub mod workflows;
