//! Environments: made by IAM callers, who have no route.

pub mod create;
