//! What things are and which values are valid. No I/O.

pub mod api_key;
pub mod credential;
pub mod delivery;
pub mod destination;
pub mod environment;
pub mod error_log;
pub mod fingerprint;
pub mod health;
pub mod id;
pub mod names;
pub mod replay;
pub mod request_seed;
pub mod secret;
pub mod text;
pub mod timestamp;
pub mod user;
pub mod webhook;
pub mod workflow;
