//! The keys that sign user tokens.

pub mod rotate;
