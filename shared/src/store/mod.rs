//! DynamoDB: one module an entity.
//!
//! Each type here is one entity's operations on one table; a function is handed those that its IAM policy grants.

pub mod api_keys;
pub mod credentials;
pub mod destinations;
pub mod environments;
pub mod errors;
pub mod keys;
pub mod pending;
pub mod signing_keys;
mod table;
pub mod users;
pub mod workflows;

pub use table::{StoreError, Table};
