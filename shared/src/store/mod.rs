//! Storage in DynamoDB, one module per entity.
//!
//! # Tables
//!
//! * Directory: users, workflows, credentials, integrations, installations, destinations with their
//!   health, replays, API keys, signing keys, environments, idempotency records, and background
//!   jobs. The index `listing` lists users, workflows, installations, backlogged destinations,
//!   running replays and open jobs.
//! * Errors: records, which are errors and events, and their deliveries. The index `by-environment`
//!   lists both by environment, and `by-user` lists errors by user. Its stream starts delivery.
//!
//! # Modules
//!
//! * [`environments`], [`api_keys`], [`signing_keys`]: setup and access of the stack.
//! * [`users`], [`credentials`], [`workflows`]: users and the items that they own.
//! * [`destinations`], [`health`]: destinations, their health and the leases of their drains.
//! * [`integrations`], [`installations`], [`tickets`]: the catalogue, what users installed of it,
//!   and the tickets of install links.
//! * [`errors`], [`events`]: records, and the outbox that stores events with their change.
//! * [`deliveries`], [`pending`]: deliveries, and those that are retried.
//! * [`records`], [`record_pages`]: records of all types, as delivery and lists read them.
//! * [`retention`]: the time for which records and deliveries are kept.
//! * `tombstones`: marks of deleted resources.
//! * [`jobs`], [`replays`], [`user_jobs`], [`erasures`]: background jobs.
//! * [`idempotency_records`]: requests with an `Idempotency-Key` and their responses.
//! * [`keys`]: formats of all partition and sort keys. Every key of tenant data starts with the
//!   environment of the caller, so a request cannot reach data of another environment.
//! * `table`: the table client, expressions, queries, pages, batches, transactions and
//!   [`StoreError`].
//!
//! # Conventions
//!
//! * Each type, such as [`users::Users`], has the operations of one entity. A function opens only
//!   the tables that its IAM policy allows. If the policy allows only reads, the function holds
//!   `Users<ReadOnly>`, which has no operation that writes.
//! * Reads of tables are strongly consistent. Reads of indexes are eventually consistent.
//! * Changes of several items are one transaction. Creation is idempotent: ids derive from the
//!   request, so a repeated request finds or rewrites its own items.
//! * A failed condition is a result (`None`, `false` or a typed error), not a [`StoreError`].
//!   [`StoreError::is_transient`] tells whether a retry may succeed.
//! * Batch writes return which items were not written: their indices or keys.
//! * Lists skip items whose `expiresAt` has passed. Reads of a single item by key return it until
//!   DynamoDB deletes it, some days later.

pub mod api_keys;
pub mod credentials;
pub mod deliveries;
pub mod destinations;
pub mod environments;
pub mod erasures;
pub mod errors;
pub mod events;
pub mod health;
pub mod idempotency_records;
pub mod installations;
pub mod integrations;
pub mod jobs;
pub mod keys;
pub mod pending;
pub mod record_pages;
pub mod records;
pub mod replays;
pub mod retention;
pub mod signing_keys;
mod table;
pub mod tickets;
mod tombstones;
pub mod user_jobs;
pub mod users;
pub mod workflows;

pub(crate) use table::dynamodb_client;
pub use table::{Access, Page, PageRequest, Position, ReadOnly, ReadWrite, StoreError, Table};
