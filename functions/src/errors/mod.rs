//! The errors of workflows.

pub mod list;
pub mod record;
