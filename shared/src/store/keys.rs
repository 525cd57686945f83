//! How keys are spelled. No other module knows.
//!
//! Every key of a tenant's data begins with the environment of the caller, so that nothing else can be reached.

use std::{collections::HashMap, fmt::Display};

use aws_sdk_dynamodb::types::AttributeValue;
use ring::digest::{SHA256, digest};
use serde::Deserialize;

use crate::domain::{
    api_key::KeyHash,
    delivery::Route,
    id::{CredentialId, DestinationId, EnvironmentId, ErrorId, KeyId, ReplayId, UserId, WorkflowId},
    names::CanonicalName,
    request_seed::RequestKey,
    timestamp::Timestamp,
    workflow::WorkflowName,
};

/// Items of the directory are listed over this many partitions an environment.
pub const USER_SHARDS: u32 = 4;
/// Errors of an environment are listed over this many partitions.
pub const ERROR_SHARDS: u32 = 8;
/// The deliveries of a destination lie in this many partitions.
pub const DELIVERY_SHARDS: u32 = 8;

/// A primary key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct Key {
    /// Partition key.
    pub pk: String,
    /// Sort key.
    pub sk: String,
}

impl Key {
    fn new(pk: impl Display, sk: impl Display) -> Self {
        Self { pk: pk.to_string(), sk: sk.to_string() }
    }

    /// As DynamoDB takes it.
    pub fn attributes(&self) -> HashMap<String, AttributeValue> {
        HashMap::from([
            ("pk".into(), AttributeValue::S(self.pk.clone())),
            ("sk".into(), AttributeValue::S(self.sk.clone())),
        ])
    }
}

/// Where an API key is found.
pub fn api_key(hash: &KeyHash) -> Key {
    Key::new(format_args!("key#{hash}"), "key")
}

/// The partition in which an environment's keys are told of.
pub fn api_key_records(environment: EnvironmentId) -> String {
    format!("env#{environment}#keys")
}

/// How the sort key of what is told of every key begins.
pub const API_KEY_RECORD_PREFIX: &str = "key#";

/// Where is told of a key.
pub fn api_key_record(environment: EnvironmentId, key: KeyId) -> Key {
    Key::new(api_key_records(environment), format_args!("{API_KEY_RECORD_PREFIX}{key}"))
}

/// The partition of all signing keys.
pub const SIGNING_KEYS: &str = "stack";
/// How the sort key of every signing key begins.
pub const SIGNING_KEY_PREFIX: &str = "signing#";

/// Where a signing key is found.
pub fn signing_key(kid: &str) -> Key {
    Key::new(SIGNING_KEYS, format_args!("{SIGNING_KEY_PREFIX}{kid}"))
}

/// What tells that there was a first signing key, so that environments made at once do not make several.
pub fn first_signing_key() -> Key {
    Key::new(SIGNING_KEYS, "first-signing-key")
}

/// Where an environment is found.
pub fn environment(environment: EnvironmentId) -> Key {
    Key::new(format_args!("env#{environment}"), "environment")
}

/// Where a user is found.
pub fn user(environment: EnvironmentId, user: UserId) -> Key {
    Key::new(format_args!("env#{environment}#user#{user}"), "user")
}

/// The partition in which a user is listed, by the index `listing`.
pub fn users_shard(environment: EnvironmentId, user: UserId) -> String {
    users_of_environment(environment, user.object_id().shard(USER_SHARDS))
}

/// How the sort key of every credential begins, in its user's partition.
pub const CREDENTIAL_PREFIX: &str = "credential#";

/// Where a credential is found.
pub fn credential(environment: EnvironmentId, user: UserId, credential: CredentialId) -> Key {
    Key::new(format_args!("env#{environment}#user#{user}"), format_args!("{CREDENTIAL_PREFIX}{credential}"))
}

/// Where the deletion of what a user owned is found.
pub fn deletion(environment: EnvironmentId, user: UserId) -> Key {
    Key::new(format_args!("env#{environment}#deletions"), format_args!("deletion#{user}"))
}

/// Deletions and erasures are each listed over this many partitions, by the index `listing`.
pub const DELETION_SHARDS: u32 = 4;

/// A partition in which deletions are listed, those of all environments.
pub fn deletions(shard: u32) -> String {
    format!("deletions#{shard}")
}

/// Where a deletion is listed until it is done.
pub fn listed_deletion(environment: EnvironmentId, user: UserId) -> Key {
    Key::new(deletions(user.object_id().shard(DELETION_SHARDS)), format_args!("{environment}#{user}"))
}

/// Where the erasure of a user's errors is found.
pub fn erasure(environment: EnvironmentId, user: UserId) -> Key {
    Key::new(format_args!("env#{environment}#erasures"), format_args!("erasure#{user}"))
}

/// A partition in which erasures are listed, those of all environments.
pub fn erasures(shard: u32) -> String {
    format!("erasures#{shard}")
}

/// Where an erasure is listed until it is over.
pub fn listed_erasure(environment: EnvironmentId, user: UserId) -> Key {
    Key::new(erasures(user.object_id().shard(DELETION_SHARDS)), format_args!("{environment}#{user}"))
}

/// A partition in which users are listed.
pub fn users_of_environment(environment: EnvironmentId, shard: u32) -> String {
    format!("env#{environment}#users#{shard}")
}

/// Where the claim of a name is found.
pub fn name_claim(environment: EnvironmentId, name: &CanonicalName) -> Key {
    Key::new(format_args!("env#{environment}#name#{}", name.as_str()), "claim")
}

/// Where a workflow is found.
pub fn workflow(environment: EnvironmentId, workflow: WorkflowId) -> Key {
    Key::new(format_args!("env#{environment}#workflow#{workflow}"), "workflow")
}

/// How the sort key of every pointer to a workflow begins.
pub const WORKFLOW_POINTER_PREFIX: &str = "workflow#";

/// Where the pointer to a user's workflow is found; it keeps the name unique for the user.
pub fn workflow_pointer(environment: EnvironmentId, user: UserId, name: &WorkflowName) -> Key {
    Key::new(format_args!("env#{environment}#user#{user}"), format_args!("{WORKFLOW_POINTER_PREFIX}{name}"))
}

/// The partition of an environment's destinations.
pub fn destinations(environment: EnvironmentId) -> String {
    format!("env#{environment}#destinations")
}

/// How the sort key of every destination begins.
pub const DESTINATION_PREFIX: &str = "destination#";

/// Where a destination is found.
pub fn destination(environment: EnvironmentId, destination: DestinationId) -> Key {
    Key::new(destinations(environment), format_args!("{DESTINATION_PREFIX}{destination}"))
}

/// Where is told how a destination does.
pub fn health(Route { environment, destination }: Route) -> Key {
    Key::new(destinations(environment), format_args!("health#{destination}"))
}

/// The partition in which an environment's destinations are remembered that were deleted.
pub fn deleted_destinations(environment: EnvironmentId) -> String {
    format!("env#{environment}#deleted-destinations")
}

/// Where a destination is remembered that was deleted, for as long as there may be deliveries of it.
pub fn deleted_destination(environment: EnvironmentId, destination: DestinationId) -> Key {
    Key::new(deleted_destinations(environment), format_args!("{DESTINATION_PREFIX}{destination}"))
}

/// Destinations with pending deliveries are listed over this many partitions, by the index `listing`.
pub const BACKLOG_SHARDS: u32 = 4;

/// A partition in which destinations with pending deliveries are listed, those of all environments.
pub fn backlogs(shard: u32) -> String {
    format!("backlog#{shard}")
}

/// Where a destination is listed while it has pending deliveries.
pub fn listed_backlog(Route { environment, destination }: Route) -> Key {
    Key::new(backlogs(destination.object_id().shard(BACKLOG_SHARDS)), format_args!("{environment}#{destination}"))
}

/// Where a replay is found.
pub fn replay(environment: EnvironmentId, replay: ReplayId) -> Key {
    Key::new(format_args!("env#{environment}#replays"), format_args!("replay#{replay}"))
}

/// Number of partitions over which the index `listing` lists running replays.
pub const REPLAY_SHARDS: u32 = 4;

/// Partition of the index `listing` that lists running replays of all environments.
pub fn running_replays(shard: u32) -> String {
    format!("replays#{shard}")
}

/// Entry of a running replay in the index `listing`.
pub fn running_replay(environment: EnvironmentId, replay: ReplayId) -> Key {
    Key::new(running_replays(replay.object_id().shard(REPLAY_SHARDS)), format_args!("{environment}#{replay}"))
}

/// Where a request with an Idempotency-Key is known.
pub fn idempotency_record(RequestKey { environment, digest }: &RequestKey) -> Key {
    Key::new(format_args!("env#{environment}#idempotency#{digest}"), "record")
}

/// Where a piece of its answer lies, one of those beside the first.
pub fn idempotency_piece(request: &RequestKey, number: u32) -> Key {
    Key { sk: format!("piece#{number}"), ..self::idempotency_record(request) }
}

/// Where the number of an environment's destinations is kept.
pub fn destinations_count(environment: EnvironmentId) -> Key {
    Key::new(destinations(environment), "count")
}

/// The partition of a workflow's errors.
pub fn errors(environment: EnvironmentId, workflow: WorkflowId) -> String {
    format!("env#{environment}#workflow#{workflow}")
}

/// Where an error is found.
pub fn error(environment: EnvironmentId, workflow: WorkflowId, error: ErrorId) -> Key {
    Key::new(errors(environment, workflow), error)
}

/// The sort key by which the indexes list an error: an id is unique in its workflow only.
pub fn listed_error(workflow: WorkflowId, error: ErrorId) -> String {
    format!("{error}#{workflow}")
}

/// The partition in which an error is listed among those of its environment, by the index `by-environment`.
pub fn errors_shard(environment: EnvironmentId, error: ErrorId) -> String {
    errors_of_environment(environment, error.object_id().shard(ERROR_SHARDS))
}

/// A partition in which errors of an environment are listed.
pub fn errors_of_environment(environment: EnvironmentId, shard: u32) -> String {
    format!("env#{environment}#errors#{shard}")
}

/// The partition in which an error is listed among those of its user, by the index `by-user`.
pub fn errors_of_user(environment: EnvironmentId, user: UserId) -> String {
    format!("env#{environment}#user#{user}")
}

/// The bounds, both included, of a search by time: errors from the second in which `since` lies, to the last one that
/// begins before `until`. None where there can be no such errors.
pub fn error_bounds(since: Option<Timestamp>, until: Option<Timestamp>) -> Option<(String, String)> {
    // An id has room for the seconds up to 2106.
    let end = i64::from(u32::MAX);
    let since = since.map_or(0, |since| since.seconds().max(0));
    let last = until.map_or(end, |until| (until.milliseconds() - 1).div_euclid(1000).min(end));
    // `g` is above every hex digit, and so above all ids of the last second and what lies beside them (`errorId#…`).
    (since <= last).then(|| (format!("{since:08x}"), format!("{last:08x}g")))
}

/// Where a pending delivery is found: by destination, then by the time of its next attempt. An error's id is unique in its
/// workflow only.
pub fn pending_delivery(route: Route, next_attempt_at: Timestamp, workflow: WorkflowId, error: ErrorId) -> Key {
    let shard = error.object_id().shard(DELIVERY_SHARDS);
    Key::new(pending_deliveries(route, shard), format_args!("{next_attempt_at}#{error}#{workflow}"))
}

/// A partition of a destination's pending deliveries.
pub fn pending_deliveries(Route { environment, destination }: Route, shard: u32) -> String {
    format!("env#{environment}#destination#{destination}#pending#{shard}")
}

/// The last sort key of pending deliveries that are due at a time.
pub fn due_by(now: Timestamp) -> String {
    // `$` comes after the `#` that ends the time.
    format!("{now}$")
}

/// Where is told of a delivery whose first attempt did not succeed, or that was replayed.
pub fn delivery(route: Route, workflow: WorkflowId, error: ErrorId) -> Key {
    Key::new(deliveries(route, error.object_id().shard(DELIVERY_SHARDS)), format_args!("{error}#{workflow}"))
}

/// A partition of what is told of a destination's deliveries.
pub fn deliveries(Route { environment, destination }: Route, shard: u32) -> String {
    format!("env#{environment}#destination#{destination}#attempts#{shard}")
}

/// The partition in which is told of the errors of a workflow that were delivered at the first attempt. It lies beside that of
/// the errors themselves and not in it, so that a page of errors reads errors alone.
pub fn delivered_of_workflow(environment: EnvironmentId, workflow: WorkflowId) -> String {
    format!("env#{environment}#workflow#{workflow}#deliveries")
}

/// How the sort key begins of what is told of such errors that were recorded in one second.
pub fn delivered_prefix(second: Timestamp) -> String {
    format!("{:08x}#", second.seconds())
}

/// Where is told of such errors, always in the same place for the same errors and destination, so that a repeat changes
/// nothing.
pub fn delivered(route: Route, workflow: WorkflowId, second: Timestamp, errors: impl Iterator<Item = ErrorId>) -> Key {
    let mut text = route.destination.to_string();
    text.extend(errors.map(|error| error.to_string()));
    let digest = hex::encode(digest(&SHA256, text.as_bytes()));
    let suffix: String = digest.chars().take(16).collect();
    Key::new(delivered_of_workflow(route.environment, workflow), format_args!("{}{suffix}", delivered_prefix(second)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::ObjectId;

    #[test]
    fn time_range_includes_since_and_excludes_until() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let (low, high) = error_bounds(Some(at("2026-11-24T05:00:00.7Z")), Some(at("2026-11-24T06:00:00Z"))).unwrap();
        let contains = |text: &str| (&low..=&high).contains(&&ErrorId::from(ObjectId::at(at(text))).to_string());
        assert!(!contains("2026-11-24T04:59:59.999Z"));
        assert!(contains("2026-11-24T05:00:00Z") && contains("2026-11-24T05:59:59.999Z"));
        assert!(!contains("2026-11-24T06:00:00Z"));
        assert_eq!(error_bounds(None, Some(at("1970-01-01T00:00:00Z"))), None);
        assert_eq!(error_bounds(None, Some(at("2200-01-01T00:00:00Z"))), error_bounds(None, None));
        assert_eq!(error_bounds(Some(at("2200-01-01T00:00:00Z")), None), None);
    }

    #[test]
    fn unbounded_range_includes_every_error() {
        let (low, high) = error_bounds(None, None).unwrap();
        for id in ["0".repeat(24), "f".repeat(24)] {
            assert!(low <= id && id <= high, "{id}");
        }
    }

    #[test]
    fn pending_deliveries_sort_by_next_attempt() {
        let (route, error) =
            (Route { environment: EnvironmentId::new(), destination: DestinationId::new() }, ErrorId::new());
        let key = |text: &str| pending_delivery(route, text.parse().unwrap(), WorkflowId::new(), error).sk;
        assert!(key("2026-11-24T05:00:00.9Z") < key("2026-11-24T05:00:01Z"));
        let now = "2026-11-24T05:00:01Z".parse().unwrap();
        assert!(key("2026-11-24T05:00:01Z") < due_by(now) && due_by(now) < key("2026-11-24T05:00:01.001Z"));
    }
}
