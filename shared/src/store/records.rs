//! Records of all types, as delivery reads them.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::{
    destinations::{Destinations, destination_with_health},
    keys::{self, Key, ShardedList},
    table::{
        Access, BY_ENVIRONMENT, Filter, Item, Page, PageRequest, Range, ReadOnly, StoreError, Table, from_item,
        is_unexpired, separate,
    },
};
use crate::domain::{
    delivery::Route,
    destination::Destination,
    error_log::{EngineText, ErrorLog},
    event::{Event, EventType},
    health::Health,
    id::{EnvironmentId, UserId, WorkflowId},
    record::{FilterAttributes, Record, RecordId, RecordKey, RecordRef},
    timestamp::Timestamp,
    workflow::EngineIntegrationId,
};

/// Records of all environments, in the Errors table.
#[derive(Clone, Debug)]
pub struct Records(pub Table<ReadOnly>);

/// Number of partitions over which the records of a kind and environment are listed.
pub const SHARDS: u32 = keys::RECORD_SHARDS;
/// Maximum number of records that are found by one id. An error id is unique within its workflow
/// only.
const MAX_SAME_ID: usize = 100;

/// Kind of record. Each is listed apart from the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// Errors.
    Errors,
    /// Events.
    Events,
}

impl RecordKind {
    fn list(self, environment: EnvironmentId) -> ShardedList {
        match self {
            Self::Errors => keys::errors_of_environment(environment),
            Self::Events => keys::events_of_environment(environment),
        }
    }
}

/// Records that were found. Those that do not exist or have expired are missing.
#[derive(Clone, Debug, Default)]
pub struct FoundRecords {
    /// Records by key.
    pub records: BTreeMap<RecordKey, Record>,
    /// Records whose items are malformed.
    pub unreadable: BTreeSet<RecordKey>,
}

/// Entry of a record in the index, with the attributes that destinations select by and its times.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListedRecord {
    #[serde(rename = "listSk")]
    position: String,
    user_id: UserId,
    #[serde(default)]
    workflow_id: Option<WorkflowId>,
    #[serde(default)]
    integration_id: Option<EngineIntegrationId>,
    #[serde(default)]
    block_type: Option<EngineText>,
    #[serde(default)]
    event_type: Option<EventType>,
    created_at: Timestamp,
    /// Present in entries of errors only.
    #[serde(default)]
    updated_at: Option<Timestamp>,
}

impl ListedRecord {
    /// Returns the record that is listed, or none if the entry is malformed.
    pub fn stored(&self) -> Option<RecordRef> {
        let key = keys::parse_listed_record(&self.position)?;
        Some(RecordRef { key, recorded_at: self.updated_at.unwrap_or(self.created_at) })
    }

    /// Returns the attributes that destinations select by.
    pub fn filter_attributes(&self) -> FilterAttributes<'_> {
        FilterAttributes {
            event_type: self.event_type,
            workflow_id: self.workflow_id,
            user_id: self.user_id,
            integration_id: self.integration_id.as_ref(),
            block_type: self.block_type.as_ref(),
        }
    }
}

impl Records {
    /// Returns records by key. A malformed item is logged and does not affect the others. One
    /// `BatchGetItem` per 100 records.
    pub async fn get_all(&self, environment: EnvironmentId, wanted: &[RecordKey]) -> Result<FoundRecords, StoreError> {
        let (found, _) = self.get_all_and(environment, wanted, (&self.0, &[])).await?;
        Ok(found)
    }

    /// Returns records by key like [`Self::get_all`], and a destination with its health. One
    /// `BatchGetItem` for up to 98 records.
    pub async fn get_all_for<A: Access>(
        &self,
        destinations: &Destinations<A>,
        route: Route,
        wanted: &[RecordKey],
    ) -> Result<(Option<(Destination, Health)>, FoundRecords), StoreError> {
        let keys = Destinations::<A>::keys_with_health(route);
        let (found, items) = self.get_all_and(route.environment, wanted, (&destinations.0, &keys)).await?;
        Ok((destination_with_health(items)?, found))
    }

    async fn get_all_and<A: Access>(
        &self,
        environment: EnvironmentId,
        wanted: &[RecordKey],
        others: (&Table<A>, &[Key]),
    ) -> Result<(FoundRecords, Vec<Item>), StoreError> {
        let wanted: BTreeMap<Key, RecordKey> =
            wanted.iter().map(|record| (keys::record(environment, *record), *record)).collect();
        let keys: Vec<Key> = wanted.keys().cloned().collect();
        let [mut items, others] = self.0.get_items_and(&keys, others).await?;
        let now = Timestamp::now();
        items.retain(|item| is_unexpired(item, now));
        let (found, unreadable) = separate(items, record_from_item);
        let found = FoundRecords {
            records: found.into_iter().map(|record: Record| (record.key(), record)).collect(),
            unreadable: unreadable.iter().filter_map(|key| wanted.get(key).copied()).collect(),
        };
        Ok((found, others))
    }

    /// Returns a record by id. If several workflows have an error with the id, one of them is
    /// returned. One query, and one `BatchGetItem` if there is an entry.
    pub async fn get(&self, environment: EnvironmentId, id: RecordId) -> Result<Option<Record>, StoreError> {
        let listed = self.find(environment, id).await?;
        let listed: Vec<RecordKey> = listed.iter().filter_map(|one| Some(one.stored()?.key)).collect();
        // The index may still list a record that has expired or was erased.
        let mut found = self.get_all(environment, &listed).await?.records;
        Ok(listed.iter().find_map(|key| found.remove(key)))
    }

    /// Returns the entries of all records of an environment with this id. Eventually consistent.
    /// One query.
    pub async fn find(&self, environment: EnvironmentId, id: RecordId) -> Result<Vec<ListedRecord>, StoreError> {
        let (kind, id) = match id {
            RecordId::Error { error_id } => (RecordKind::Errors, *error_id.object_id()),
            RecordId::Event { event_id } => (RecordKind::Events, *event_id.object_id()),
        };
        let partition = kind.list(environment).partition_of(&id);
        let range = Range { view: BY_ENVIRONMENT, low: id.to_string(), high: format!("{id}g"), newest_first: false };
        let unexpired = Filter::default().unexpired(Timestamp::now());
        Ok(self.0.page(&[partition], &range, &unexpired, PageRequest::first(MAX_SAME_ID)).await?.items)
    }

    /// Returns a page of one index partition in a time range, the oldest first. Eventually
    /// consistent. At least one query.
    pub async fn page_of_shard(
        &self,
        environment: EnvironmentId,
        (kind, shard): (RecordKind, u32),
        (since, until): (Option<Timestamp>, Option<Timestamp>),
        request: PageRequest<'_>,
    ) -> Result<Page<ListedRecord>, StoreError> {
        let Some((low, high)) = keys::record_bounds(since, until) else {
            return Ok(Page::empty());
        };
        let range = Range { view: BY_ENVIRONMENT, low, high, newest_first: false };
        let partition = kind.list(environment).partition(shard);
        self.0.page(&[partition], &range, &Filter::default().unexpired(Timestamp::now()), request).await
    }
}

/// Converts an item to a record. Reads its type first, because serde would copy all attributes to
/// look for it.
fn record_from_item(item: Item) -> Result<Record, StoreError> {
    match item.get("type").and_then(|kind| kind.as_s().ok()).map(String::as_str) {
        // `make restore` gives a record another type until it is complete.
        Some("event" | "restoringEvent") => from_item::<Event>(item).map(Record::from),
        _ => from_item::<ErrorLog>(item).map(Record::from),
    }
}
