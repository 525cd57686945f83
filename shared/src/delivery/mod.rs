//! Sending errors to destinations.

pub mod eventbridge;
pub mod forward;
