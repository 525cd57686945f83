//! The stores and the vault against real tables and a real KMS API.

mod credentials;
mod deletions;
mod deliveries;
mod erasures;
mod errors;
mod events;
mod health;
mod idempotency_records;
mod installations;
mod integrations;
mod process;
mod replays;
mod scale;
mod unreadable_items;
mod users;
mod vault;
