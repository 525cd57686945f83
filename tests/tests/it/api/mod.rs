//! The HTTP API and the console.

mod access;
mod console;
mod destinations;
mod errors;
mod handlers;
mod idempotency;
mod logs;
mod owned;
mod revocation;
mod users;
mod users_batch;
