//! DynamoDB: one module an entity.
//!
//! Each type here is one entity's operations on one table; a function is handed those that its IAM policy grants.

pub mod api_keys;
pub mod credentials;
pub mod deletions;
pub mod deliveries;
pub mod destinations;
pub mod environments;
pub mod erasures;
pub mod errors;
pub mod health;
pub mod idempotency_records;
pub mod keys;
mod listing;
pub mod pending;
pub mod replays;
pub mod signing_keys;
mod table;
pub mod users;
pub mod workflows;

pub use listing::{Page, Position};
pub use table::{StoreError, Table};
