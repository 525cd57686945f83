//! The stores and the vault against real tables and a real KMS API.

mod models;
mod scale;
mod vault;
