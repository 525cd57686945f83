//! Sending errors to destinations.

pub mod books;
pub mod drain;
pub mod eventbridge;
pub mod first_attempts;
pub mod forward;
pub mod guard;
pub mod outlets;
pub mod queues;
pub mod replay;
pub mod sweep;
pub mod wake;
pub mod webhook;
