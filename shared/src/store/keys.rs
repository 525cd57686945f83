//! Formats of all partition and sort keys. No other module formats keys.
//!
//! Every key of tenant data starts with the environment of the caller, so a request cannot reach
//! the data of another environment.

use std::{collections::HashMap, fmt::Display};

use aws_sdk_dynamodb::types::AttributeValue;
use ring::digest::{SHA256, digest};
use serde::Deserialize;

use super::jobs::{JobId, JobKind};
use crate::domain::{
    api_key::KeyHash,
    delivery::Route,
    id::{CredentialId, DestinationId, EnvironmentId, ErrorId, KeyId, ObjectId, ReplayId, UserId, WorkflowId},
    integration::IntegrationId,
    names::CanonicalName,
    record::{RecordKey, RecordOwner},
    request_seed::RequestKey,
    ticket::TicketHash,
    timestamp::Timestamp,
    workflow::WorkflowName,
};

/// Number of partitions over which the index `listing` lists the users of an environment.
pub const USER_SHARDS: u32 = 4;
/// Number of partitions over which the index `by-environment` lists the errors of an environment,
/// and likewise its events.
pub const RECORD_SHARDS: u32 = 8;
/// Number of partitions for the deliveries, and for the pending deliveries, of a destination.
pub const DELIVERY_SHARDS: u32 = 8;

/// Primary key.
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

    /// Returns the key as DynamoDB attributes.
    pub fn attributes(&self) -> HashMap<String, AttributeValue> {
        HashMap::from([
            ("pk".into(), AttributeValue::S(self.pk.clone())),
            ("sk".into(), AttributeValue::S(self.sk.clone())),
        ])
    }

    /// Returns the key of an entry in the index `listing` as attributes of an item.
    pub fn listing(self) -> [(&'static str, String); 2] {
        [("listPk", self.pk), ("listSk", self.sk)]
    }
}

/// List that is spread over several partitions, which distributes writes.
#[derive(Debug)]
pub struct ShardedList {
    name: String,
    shards: u32,
}

impl ShardedList {
    fn new(name: impl Display, shards: u32) -> Self {
        Self { name: name.to_string(), shards }
    }

    /// Returns the partition with a number, which is below the number of partitions.
    pub fn partition(&self, shard: u32) -> String {
        format!("{}#{shard}", self.name)
    }

    /// Returns the partition that has the entry of an object.
    pub fn partition_of(&self, id: &ObjectId) -> String {
        self.partition(id.shard(self.shards))
    }

    /// Returns all partitions.
    pub fn partitions(&self) -> Vec<String> {
        (0..self.shards).map(|shard| self.partition(shard)).collect()
    }
}

/// Key of the grant of an API key.
pub fn api_key(hash: &KeyHash) -> Key {
    Key::new(format_args!("key#{hash}"), "key")
}

/// Key of the ticket of an install link.
pub fn ticket(hash: &TicketHash) -> Key {
    Key::new(format_args!("ticket#{hash}"), "ticket")
}

/// Partition of an environment's API key records.
pub fn api_key_records(environment: EnvironmentId) -> String {
    format!("env#{environment}#keys")
}

/// Prefix of the sort keys of API key records.
pub const API_KEY_RECORD_PREFIX: &str = "key#";

/// Key of an API key record.
pub fn api_key_record(environment: EnvironmentId, key: KeyId) -> Key {
    Key::new(api_key_records(environment), format_args!("{API_KEY_RECORD_PREFIX}{key}"))
}

/// Partition of all signing keys.
pub const SIGNING_KEYS: &str = "stack";
/// Prefix of the sort keys of signing keys.
pub const SIGNING_KEY_PREFIX: &str = "signing#";

/// Key of a signing key.
pub fn signing_key(kid: &str) -> Key {
    Key::new(SIGNING_KEYS, format_args!("{SIGNING_KEY_PREFIX}{kid}"))
}

/// Key of the marker that the stack has had a first signing key. Keeps environments that are
/// created concurrently from creating several.
pub fn first_signing_key() -> Key {
    Key::new(SIGNING_KEYS, "first-signing-key")
}

/// Key of an environment.
pub fn environment(environment: EnvironmentId) -> Key {
    Key::new(format_args!("env#{environment}"), "environment")
}

/// Partition of a user with its credentials, installations and workflow pointers.
pub fn user_partition(environment: EnvironmentId, user: UserId) -> String {
    format!("env#{environment}#user#{user}")
}

/// Key of a user.
pub fn user(environment: EnvironmentId, user: UserId) -> Key {
    Key::new(user_partition(environment, user), "user")
}

/// Users of an environment in the index `listing`.
pub fn users_of_environment(environment: EnvironmentId) -> ShardedList {
    ShardedList::new(format_args!("env#{environment}#users"), USER_SHARDS)
}

/// Entry of a user in the index `listing`.
pub fn listed_user(environment: EnvironmentId, user: UserId) -> Key {
    Key::new(users_of_environment(environment).partition_of(user.object_id()), user)
}

/// Prefix of the sort keys of credentials, in the partition of their user.
pub const CREDENTIAL_PREFIX: &str = "credential#";

/// Key of a credential.
pub fn credential(environment: EnvironmentId, user: UserId, credential: CredentialId) -> Key {
    Key::new(user_partition(environment, user), credential_position(credential))
}

/// Returns the position of a credential among those of its user: its sort key.
pub fn credential_position(credential: CredentialId) -> String {
    format!("{CREDENTIAL_PREFIX}{credential}")
}

/// Number of partitions over which the index `listing` lists the jobs of a kind.
const USER_JOB_SHARDS: u32 = 4;

/// Key of a background job for a user.
pub fn user_job(JobId { kind, environment, user }: JobId) -> Key {
    let name = kind.name_in_keys();
    Key::new(format_args!("env#{environment}#{name}s"), format_args!("{name}#{user}"))
}

/// Unfinished jobs of a kind, of all environments, in the index `listing`.
pub fn user_jobs(kind: JobKind) -> ShardedList {
    ShardedList::new(format_args!("{}s", kind.name_in_keys()), USER_JOB_SHARDS)
}

/// Entry of an unfinished job in the index `listing`.
pub fn listed_user_job(JobId { kind, environment, user }: JobId) -> Key {
    Key::new(user_jobs(kind).partition_of(user.object_id()), format_args!("{environment}#{user}"))
}

/// Key of the claim of a name.
pub fn name_claim(environment: EnvironmentId, name: &CanonicalName) -> Key {
    Key::new(format_args!("env#{environment}#name#{}", name.as_str()), "claim")
}

/// Key of a workflow.
pub fn workflow(environment: EnvironmentId, workflow: WorkflowId) -> Key {
    Key::new(format_args!("env#{environment}#workflow#{workflow}"), "workflow")
}

/// Number of partitions over which the index `listing` lists the workflows of an environment.
const WORKFLOW_SHARDS: u32 = 4;

/// Workflows of an environment in the index `listing`.
pub fn workflows_of_environment(environment: EnvironmentId) -> ShardedList {
    ShardedList::new(format_args!("env#{environment}#workflows"), WORKFLOW_SHARDS)
}

/// Entry of a workflow in the index `listing`.
pub fn listed_workflow(environment: EnvironmentId, workflow: WorkflowId) -> Key {
    Key::new(workflows_of_environment(environment).partition_of(workflow.object_id()), workflow)
}

/// Partition of an environment's integrations and their count.
pub fn integrations(environment: EnvironmentId) -> String {
    format!("env#{environment}#integrations")
}

/// Prefix of the sort keys of integrations.
pub const INTEGRATION_PREFIX: &str = "integration#";

/// Key of an integration.
pub fn integration(environment: EnvironmentId, integration: &IntegrationId) -> Key {
    Key::new(integrations(environment), format_args!("{INTEGRATION_PREFIX}{integration}"))
}

/// Key of the count of an environment's integrations.
pub fn integrations_count(environment: EnvironmentId) -> Key {
    Key::new(integrations(environment), "count")
}

/// Prefix of the sort keys of installations, in the partition of their user.
pub const INSTALLATION_PREFIX: &str = "installation#";

/// Key of a user's installation of an integration.
pub fn installation(environment: EnvironmentId, user: UserId, integration: &IntegrationId) -> Key {
    Key::new(user_partition(environment, user), format_args!("{INSTALLATION_PREFIX}{integration}"))
}

/// Number of partitions over which the index `listing` lists the installations of an environment.
const INSTALLATION_SHARDS: u32 = 4;

/// Installations of an environment in the index `listing`.
pub fn installations_of_environment(environment: EnvironmentId) -> ShardedList {
    ShardedList::new(format_args!("env#{environment}#installations"), INSTALLATION_SHARDS)
}

/// Entry of an installation in the index `listing`. Sorts by the time of installation.
pub fn listed_installation(
    environment: EnvironmentId,
    user: UserId,
    integration: &IntegrationId,
    installed_at: Timestamp,
) -> Key {
    let pk = installations_of_environment(environment).partition_of(user.object_id());
    Key::new(pk, format_args!("{installed_at}#{user}#{integration}"))
}

/// Prefix of the sort keys of workflow pointers, in the partition of their user.
pub const WORKFLOW_POINTER_PREFIX: &str = "workflow#";

/// Key of the pointer to a user's workflow. Keeps the name unique for the user.
pub fn workflow_pointer(environment: EnvironmentId, user: UserId, name: &WorkflowName) -> Key {
    Key::new(user_partition(environment, user), format_args!("{WORKFLOW_POINTER_PREFIX}{name}"))
}

/// Partition of an environment's destinations, their health and their count.
pub fn destinations(environment: EnvironmentId) -> String {
    format!("env#{environment}#destinations")
}

/// Prefix of the sort keys of destinations.
pub const DESTINATION_PREFIX: &str = "destination#";

/// Key of a destination.
pub fn destination(environment: EnvironmentId, destination: DestinationId) -> Key {
    Key::new(destinations(environment), format_args!("{DESTINATION_PREFIX}{destination}"))
}

/// Returns the id in the sort key of a destination, or none if it has another form.
pub fn destination_id(sk: &str) -> Option<DestinationId> {
    sk.strip_prefix(DESTINATION_PREFIX)?.parse().ok()
}

/// Key of the health of a destination.
pub fn health(Route { environment, destination }: Route) -> Key {
    Key::new(destinations(environment), format_args!("{HEALTH_PREFIX}{destination}"))
}

const HEALTH_PREFIX: &str = "health#";

/// Returns the id of the destination in the sort key of its health.
pub fn destination_id_of_health(sk: &str) -> Option<DestinationId> {
    sk.strip_prefix(HEALTH_PREFIX)?.parse().ok()
}

/// Partition of the ids of an environment's deleted destinations.
pub fn deleted_destinations(environment: EnvironmentId) -> String {
    format!("env#{environment}#deleted-destinations")
}

/// Key of the id of a deleted destination, which is kept until its deliveries have expired.
pub fn deleted_destination(environment: EnvironmentId, destination: DestinationId) -> Key {
    Key::new(deleted_destinations(environment), format_args!("{DESTINATION_PREFIX}{destination}"))
}

/// Number of partitions over which the index `listing` lists destinations with pending deliveries.
const BACKLOG_SHARDS: u32 = 4;

/// Destinations with pending deliveries, of all environments, in the index `listing`.
pub fn backlogs() -> ShardedList {
    ShardedList::new("backlog", BACKLOG_SHARDS)
}

/// Entry of a destination with pending deliveries in the index `listing`.
pub fn listed_backlog(Route { environment, destination }: Route) -> Key {
    Key::new(backlogs().partition_of(destination.object_id()), format_args!("{environment}#{destination}"))
}

/// Partition of an environment's replays.
pub fn replays(environment: EnvironmentId) -> String {
    format!("env#{environment}#replays")
}

/// Key of a replay. Sorts by the time of creation.
pub fn replay(environment: EnvironmentId, replay: ReplayId) -> Key {
    Key::new(replays(environment), format_args!("replay#{replay}"))
}

/// Number of partitions over which the index `listing` lists running replays.
const REPLAY_SHARDS: u32 = 4;

/// Running replays of all environments in the index `listing`.
pub fn running_replays() -> ShardedList {
    ShardedList::new("replays", REPLAY_SHARDS)
}

/// Entry of a running replay in the index `listing`.
pub fn running_replay(environment: EnvironmentId, replay: ReplayId) -> Key {
    Key::new(running_replays().partition_of(replay.object_id()), format_args!("{environment}#{replay}"))
}

/// Key of the record of a request with an `Idempotency-Key`.
pub fn idempotency_record(RequestKey { environment, digest }: &RequestKey) -> Key {
    Key::new(format_args!("env#{environment}#idempotency#{digest}"), "record")
}

/// Key of a further piece of the response of such a request. Contains the claim, so that the holder
/// of an expired claim does not overwrite the pieces of another one.
pub fn idempotency_piece(request: &RequestKey, claim_id: &str, number: u32) -> Key {
    Key { sk: format!("piece#{claim_id}#{number}"), ..idempotency_record(request) }
}

/// Key of the count of an environment's destinations.
pub fn destinations_count(environment: EnvironmentId) -> Key {
    Key::new(destinations(environment), "count")
}

/// Partition of a workflow's errors.
pub fn errors(environment: EnvironmentId, workflow: WorkflowId) -> String {
    format!("env#{environment}#workflow#{workflow}")
}

/// Key of an error.
pub fn error(environment: EnvironmentId, workflow: WorkflowId, error: ErrorId) -> Key {
    Key::new(errors(environment, workflow), error)
}

/// Errors of an environment in the index `by-environment`.
pub fn errors_of_environment(environment: EnvironmentId) -> ShardedList {
    ShardedList::new(format_args!("env#{environment}#errors"), RECORD_SHARDS)
}

/// Events of an environment in the index `by-environment`.
pub fn events_of_environment(environment: EnvironmentId) -> ShardedList {
    ShardedList::new(format_args!("env#{environment}#events"), RECORD_SHARDS)
}

/// Partition of the index `by-user` that lists the errors of a user.
pub fn errors_of_user(environment: EnvironmentId, user: UserId) -> String {
    format!("env#{environment}#user#{user}")
}

/// Returns the inclusive bounds of the sort keys of a time range: from the second that contains
/// `since` to the last second that starts before `until`. Returns none if the range is empty.
pub fn record_bounds(since: Option<Timestamp>, until: Option<Timestamp>) -> Option<(String, String)> {
    // The timestamp of an id ends in 2106.
    let end = i64::from(u32::MAX);
    let since = since.map_or(0, |since| since.seconds().max(0));
    let last = until.map_or(end, |until| (until.milliseconds() - 1).div_euclid(1000).min(end));
    // `g` sorts after every hex digit, and therefore after all keys of the last second
    // (`errorId#…`).
    (since <= last).then(|| (format!("{since:08x}"), format!("{last:08x}g")))
}

/// Key of the mark that a resource was deleted. In a partition of its own, so that deleting the
/// data of a user keeps it.
pub fn tombstone(Key { pk, sk }: &Key) -> Key {
    Key::new(format_args!("{pk}#deleted"), sk)
}

/// Partition of the records of a workflow or user.
pub fn records(environment: EnvironmentId, owner: RecordOwner) -> String {
    match owner {
        RecordOwner::Workflow(workflow) => errors(environment, workflow),
        RecordOwner::User(user) => events(environment, user),
    }
}

/// Partition of the events of a user.
pub fn events(environment: EnvironmentId, user: UserId) -> String {
    format!("env#{environment}#user#{user}#events")
}

/// Key of a record.
pub fn record(environment: EnvironmentId, record: RecordKey) -> Key {
    Key::new(records(environment, record.owner()), record.id())
}

/// Sort key of a record in the indexes and among deliveries. Sorts by id. Contains the owner
/// because an error id is unique only within its workflow.
pub fn listed_record(record: RecordKey) -> String {
    let id = record.id();
    match record.owner() {
        RecordOwner::Workflow(workflow) => format!("{id}#{workflow}"),
        RecordOwner::User(user) => format!("{id}#{USER_OWNER}{user}"),
    }
}

/// Distinguishes users from workflows in [`listed_record`].
const USER_OWNER: &str = "user#";

/// Returns the record of a sort key from [`listed_record`].
pub fn parse_listed_record(sk: &str) -> Option<RecordKey> {
    let (id, owner) = sk.split_once('#')?;
    let owner = match owner.strip_prefix(USER_OWNER) {
        Some(user) => RecordOwner::User(user.parse().ok()?),
        None => RecordOwner::Workflow(owner.parse().ok()?),
    };
    Some(RecordKey::new(owner, id.parse().ok()?))
}

/// Key of a pending delivery. Sorts by the time of the next attempt.
pub fn pending_delivery(route: Route, next_attempt_at: Timestamp, record: RecordKey) -> Key {
    let pk = pending_deliveries(route).partition_of(record.id());
    Key::new(pk, format_args!("{next_attempt_at}#{}", listed_record(record)))
}

/// Returns the time of the next attempt and the record in the sort key of a pending delivery.
pub fn parse_pending_delivery(sk: &str) -> Option<(Timestamp, RecordKey)> {
    let (next_attempt_at, record) = sk.split_once('#')?;
    Some((next_attempt_at.parse().ok()?, parse_listed_record(record)?))
}

/// Pending deliveries of a destination.
pub fn pending_deliveries(Route { environment, destination }: Route) -> ShardedList {
    ShardedList::new(format_args!("env#{environment}#destination#{destination}#pending"), DELIVERY_SHARDS)
}

/// Returns the last sort key of pending deliveries that are due at a time.
pub fn due_by(now: Timestamp) -> String {
    // `$` sorts directly after `#`, which ends the time.
    format!("{now}$")
}

/// Key of a delivery that did not succeed at its first attempt, or that was replayed.
pub fn delivery(route: Route, record: RecordKey) -> Key {
    Key::new(deliveries(route).partition_of(record.id()), listed_record(record))
}

/// Deliveries of a destination that did not succeed at their first attempt, or that were replayed.
pub fn deliveries(Route { environment, destination }: Route) -> ShardedList {
    ShardedList::new(format_args!("env#{environment}#destination#{destination}#attempts"), DELIVERY_SHARDS)
}

/// Partition of the first-attempt deliveries of a workflow's or user's records. Separate from the
/// partition of the records, so that a page of records reads records only.
pub fn delivered_of(environment: EnvironmentId, owner: RecordOwner) -> String {
    format!("{}#deliveries", records(environment, owner))
}

/// Prefix of the sort keys of first-attempt deliveries of records that were stored in one second.
pub fn delivered_prefix(second: Timestamp) -> String {
    format!("{:08x}#", second.seconds())
}

/// Key of an item of first-attempt deliveries. The same records and destination have the same key,
/// so a repeated write changes nothing.
pub fn delivered(route: Route, owner: RecordOwner, second: Timestamp, ids: impl Iterator<Item = ObjectId>) -> Key {
    let mut text = route.destination.to_string();
    text.extend(ids.map(|id| id.to_string()));
    let digest = hex::encode(digest(&SHA256, text.as_bytes()));
    let suffix: String = digest.chars().take(16).collect();
    Key::new(delivered_of(route.environment, owner), format_args!("{}{suffix}", delivered_prefix(second)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::EventId;

    #[test]
    fn time_range_includes_since_and_excludes_until() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let (low, high) = record_bounds(Some(at("2026-11-24T05:00:00.7Z")), Some(at("2026-11-24T06:00:00Z"))).unwrap();
        let contains = |text: &str| (&low..=&high).contains(&&ErrorId::from(ObjectId::at(at(text))).to_string());
        assert!(!contains("2026-11-24T04:59:59.999Z"));
        assert!(contains("2026-11-24T05:00:00Z") && contains("2026-11-24T05:59:59.999Z"));
        assert!(!contains("2026-11-24T06:00:00Z"));
        assert_eq!(record_bounds(None, Some(at("1970-01-01T00:00:00Z"))), None);
        assert_eq!(record_bounds(None, Some(at("2200-01-01T00:00:00Z"))), record_bounds(None, None));
        assert_eq!(record_bounds(Some(at("2200-01-01T00:00:00Z")), None), None);
    }

    #[test]
    fn unbounded_range_includes_every_error() {
        let (low, high) = record_bounds(None, None).unwrap();
        for id in ["0".repeat(24), "f".repeat(24)] {
            assert!(low <= id && id <= high, "{id}");
        }
    }

    #[test]
    fn record_is_known_by_its_sort_keys() {
        let route = Route { environment: EnvironmentId::new(), destination: DestinationId::new() };
        let at = Timestamp::from_seconds(1_795_498_200);
        for record in [
            RecordKey::Error { workflow_id: WorkflowId::new(), error_id: ErrorId::new() },
            RecordKey::Event { user_id: UserId::new(), event_id: EventId::new() },
        ] {
            assert_eq!(parse_listed_record(&delivery(route, record).sk), Some(record));
            assert_eq!(parse_pending_delivery(&pending_delivery(route, at, record).sk), Some((at, record)));
        }
    }

    #[test]
    fn pending_deliveries_sort_by_next_attempt() {
        let route = Route { environment: EnvironmentId::new(), destination: DestinationId::new() };
        let record = RecordKey::Error { workflow_id: WorkflowId::new(), error_id: ErrorId::new() };
        let key = |text: &str| pending_delivery(route, text.parse().unwrap(), record).sk;
        let at = "2026-11-24T05:00:00.900Z".parse().unwrap();
        assert_eq!(parse_pending_delivery(&key("2026-11-24T05:00:00.9Z")), Some((at, record)));
        assert!(key("2026-11-24T05:00:00.9Z") < key("2026-11-24T05:00:01Z"));
        let now = "2026-11-24T05:00:01Z".parse().unwrap();
        assert!(key("2026-11-24T05:00:01Z") < due_by(now) && due_by(now) < key("2026-11-24T05:00:01.001Z"));
    }
}
