//! Partition and sort keys as they are stored. They are spelled out here a second time,
//! independently of the product's `store::keys`: a change to a stored key must fail a test.

use std::fmt::Display;

use aws_sdk_dynamodb::types::AttributeValue;

/// Number of partitions that hold the pending deliveries of a destination.
pub const DELIVERY_SHARDS: u32 = 8;
/// Number of index partitions that list the errors of an environment.
pub const ERROR_SHARDS: u32 = 8;
/// Number of index partitions that list the users of an environment.
pub const USER_SHARDS: u32 = 4;

/// Returns a key as an attribute value.
pub fn attribute(key: impl Into<String>) -> AttributeValue {
    AttributeValue::S(key.into())
}

/// Returns the partition of an environment's destinations and their health.
pub fn destinations(environment: impl Display) -> String {
    format!("env#{environment}#destinations")
}

/// Returns the sort key of a destination.
pub fn destination(destination: impl Display) -> String {
    format!("destination#{destination}")
}

/// Returns the sort key of a destination's health.
pub fn health(destination: impl Display) -> String {
    format!("health#{destination}")
}

/// Returns the partition of an environment's deleted destinations.
pub fn deleted_destinations(environment: impl Display) -> String {
    format!("env#{environment}#deleted-destinations")
}

/// Returns a partition of a destination's pending deliveries.
pub fn pending_deliveries(environment: impl Display, destination: impl Display, shard: u32) -> String {
    format!("env#{environment}#destination#{destination}#pending#{shard}")
}

/// Returns the sort key of a pending delivery.
pub fn pending_delivery(due: impl Display, error: impl Display, workflow: impl Display) -> String {
    format!("{due}#{error}#{workflow}")
}

/// Returns a partition of a destination's failed and retried deliveries.
pub fn delivery_attempts(environment: impl Display, destination: impl Display, shard: u32) -> String {
    format!("env#{environment}#destination#{destination}#attempts#{shard}")
}

/// Returns the partition of a user and everything it owns.
pub fn user(environment: impl Display, user: impl Display) -> String {
    format!("env#{environment}#user#{user}")
}

/// Returns the sort key of a credential.
pub fn credential(credential: impl Display) -> String {
    format!("credential#{credential}")
}

/// Returns the sort key of an installation.
pub fn installation(integration: impl Display) -> String {
    format!("installation#{integration}")
}

/// Returns the sort key of the pointer that keeps a workflow's name unique.
pub fn workflow_name(name: impl Display) -> String {
    format!("workflow#{name}")
}

/// Returns an index partition that lists the users of an environment.
pub fn listed_users(environment: impl Display, shard: u32) -> String {
    format!("env#{environment}#users#{shard}")
}

/// Number of index partitions that list the workflows of an environment.
pub const WORKFLOW_SHARDS: u32 = 4;

/// Returns an index partition that lists the workflows of an environment.
pub fn listed_workflows(environment: impl Display, shard: u32) -> String {
    format!("env#{environment}#workflows#{shard}")
}

/// Returns the partition of a workflow, or of its errors in the table of errors.
pub fn workflow(environment: impl Display, workflow: impl Display) -> String {
    format!("env#{environment}#workflow#{workflow}")
}

/// Returns the partition of a workflow's deliveries that succeeded at the first attempt.
pub fn workflow_deliveries(environment: impl Display, workflow: impl Display) -> String {
    format!("env#{environment}#workflow#{workflow}#deliveries")
}

/// Returns an index partition that lists the errors of an environment.
pub fn listed_errors(environment: impl Display, shard: u32) -> String {
    format!("env#{environment}#errors#{shard}")
}

/// Returns the partition of an environment's open deletions.
pub fn deletions(environment: impl Display) -> String {
    format!("env#{environment}#deletions")
}

/// Returns the partition of an environment's replays.
pub fn replays(environment: impl Display) -> String {
    format!("env#{environment}#replays")
}

/// Returns the sort key of a replay.
pub fn replay(replay: impl Display) -> String {
    format!("replay#{replay}")
}

/// Returns the prefix of all partitions of an environment's idempotency records.
pub fn idempotency_prefix(environment: impl Display) -> String {
    format!("env#{environment}#idempotency#")
}

/// Partition of the signing keys.
pub const SIGNING_KEYS: &str = "stack";

/// Returns the sort key of a signing key.
pub fn signing_key(kid: impl Display) -> String {
    format!("signing#{kid}")
}
