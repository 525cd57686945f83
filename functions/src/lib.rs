//! The functions of Tenon: an endpoint a file, so that the OpenAPI document is made from the same handlers.
//!
//! Each file reads from top to bottom as who may call, what comes in, what the domain says, what goes out. The binaries
//! in `bin/` serve one handler each.

pub mod authorizer;
pub mod console;
pub mod credentials;
pub mod deliver_webhooks;
pub mod destinations;
pub mod drain;
pub mod environments;
pub mod erase_logs;
pub mod errors;
pub mod forward_errors;
mod jobs;
pub mod jwks;
pub mod keys;
mod messages;
pub mod openapi;
pub mod remove_owned;
pub mod replay;
pub mod replays;
pub mod session;
pub mod signing_keys;
pub mod success;
pub mod sweep;
pub mod users;
pub mod workflows;
