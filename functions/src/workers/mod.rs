//! Functions that a stream, a queue or a schedule triggers.

pub mod deliver_webhooks;
pub mod drain;
pub mod erase_logs;
pub mod forward_errors;
mod jobs;
mod messages;
pub mod replay;
pub mod signing_keys_rotate;
pub mod sweep;
pub mod user_jobs;
