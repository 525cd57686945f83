//! The HTTP API and the console.

mod access;
mod aws_calls;
mod credentials;
mod destinations;
mod environments;
mod errors;
mod events;
pub(crate) mod handlers;
mod idempotency;
mod installations;
mod integrations;
mod logs;
mod names;
mod replays;
mod revocation;
mod session;
mod tickets;
mod unknown_fields;
mod users;
mod users_batch;
mod workflows;
