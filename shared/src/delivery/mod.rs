//! Sending errors to destinations.

pub mod drain;
pub mod drain_scheduler;
pub mod eventbridge;
pub mod first_attempts;
pub mod forward;
pub mod guard;
pub mod queues;
pub mod recorder;
pub mod replay;
pub mod senders;
pub mod sweep;
pub mod webhook;
