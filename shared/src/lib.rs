//! Core crate of Tenon, which all functions share.
//!
//! * [`domain`]: types and rules without I/O.
//! * [`store`]: storage in DynamoDB.
//! * [`vault`]: encryption of secrets with KMS.
//! * [`tokens`]: user tokens and their signing keys.
//! * [`delivery`]: delivery of errors to destinations.
//! * [`http`]: requests, responses and authentication of the API.
//! * [`aws`], [`logs`], [`metrics`]: configuration of the AWS SDK, logs and metrics.
//!
//! Dependencies point one way: functions use [`http`], [`store`], [`vault`], [`tokens`] and
//! [`delivery`]; these use [`domain`], which depends on neither HTTP nor AWS.

pub mod aws;
pub mod delivery;
pub mod domain;
pub mod http;
pub mod logs;
pub mod metrics;
pub mod store;
pub mod tokens;
pub mod vault;
