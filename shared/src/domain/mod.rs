//! Domain types and rules. No I/O.
//!
//! Every other layer builds on these types. A type with constraints, such as [`names::Email`] or
//! [`event_bus::Region`], can only be constructed by parsing or conversion, so that a value of it
//! is always valid. Parsing errors carry the message that the API shows to its caller.
//!
//! * [`access`]: what user tokens may do, and with which integrations
//! * [`api_key`]: API keys, their scopes and their hashes
//! * `arn`: names of AWS resources
//! * [`credential`]: metadata of the credentials of users
//! * [`defect`]: reasons why parts of a request cannot be accepted
//! * [`delivery`]: delivery attempts, their outcomes and the retry schedule
//! * [`destination`]: destinations, and the records that each receives
//! * [`email`]: email addresses, also internationalized ones
//! * [`environment`]: environments, the unit of isolation
//! * [`error_log`]: errors of workflow executions
//! * [`event`]: changes of users and of what they own
//! * [`event_bus`]: Amazon EventBridge buses of customers, and the access to them
//! * [`fingerprint`]: digest that groups similar errors
//! * [`form`]: fields of credentials and settings, and the values that they accept
//! * [`health`]: circuit, backoff and backlog of a destination
//! * [`id`]: identifiers of all resources
//! * [`installation`]: what a user installed, and the workflows that come with it
//! * [`integration`]: entries of the catalogue, which users install
//! * [`modal`]: defaults of the embedded modal
//! * [`names`]: usernames and email addresses
//! * [`patch`]: fields of a PATCH: absent, null or set
//! * [`readable`]: items of which some may be unreadable
//! * [`record`]: what is delivered: errors and events
//! * [`replay`]: jobs that queue records again
//! * [`request_seed`]: deterministic ids for idempotent requests
//! * [`revision`]: numbers that increase with every change of a resource
//! * [`role`]: IAM roles of customers, and what they must trust
//! * [`secret`]: secrets in memory and in encrypted form
//! * [`settings`]: settings of workflows, kept as the caller wrote them
//! * [`signing_key`]: keys that sign user tokens, as stored
//! * [`text`]: length-limited text and the macro for validated strings
//! * [`ticket`]: tickets of install links
//! * [`timestamp`]: points in time with millisecond precision
//! * [`user`]: users, their metadata and the lifetime of their tokens
//! * `web_url`: complete URLs of the web
//! * [`webhook`]: webhook URLs and signing secrets
//! * [`workflow`]: workflows and their names

pub mod access;
pub mod api_key;
mod arn;
pub mod credential;
pub mod defect;
pub mod delivery;
pub mod destination;
pub mod email;
pub mod environment;
pub mod error_log;
pub mod event;
pub mod event_bus;
pub mod fingerprint;
pub mod form;
pub mod health;
pub mod id;
pub mod installation;
pub mod integration;
pub mod modal;
pub mod names;
pub mod patch;
pub mod readable;
pub mod record;
pub mod replay;
pub mod request_seed;
pub mod revision;
pub mod role;
pub mod secret;
pub mod settings;
pub mod signing_key;
pub mod text;
pub mod ticket;
pub mod timestamp;
pub mod user;
mod web_url;
pub mod webhook;
pub mod workflow;

/// Version of Tenon, that of the workspace in Cargo.toml.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
