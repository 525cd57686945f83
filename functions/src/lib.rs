//! The functions of Tenon: an endpoint a file, so that the OpenAPI document is made from the same handlers.
//!
//! Each file reads from top to bottom as who may call, what comes in, what the domain says, what goes out. The binaries
//! in `bin/` serve one handler each.

pub mod authorizer;
pub mod destinations;
pub mod environments;
pub mod errors;
pub mod forward_errors;
pub mod jwks;
pub mod keys;
pub mod openapi;
pub mod session;
pub mod signing_keys;
pub mod users;
pub mod workflows;
