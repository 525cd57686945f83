//! Pages of records, from the partition of their owner or from an index, which lists their keys
//! only.

use std::collections::BTreeMap;

use serde::{Deserialize, de::DeserializeOwned};

use super::{
    keys::{self, Key},
    table::{Access, Filter, Page, PageRequest, Position, Range, StoreError, Table},
};
use crate::domain::{
    error_log::ErrorLog, event::Event, id::EnvironmentId, record::RecordKey, text::response_bytes, timestamp::Timestamp,
};

/// Maximum number of records that a page may skip.
pub const MAX_SKIP: usize = 1000;

/// Type of record.
pub(super) trait StoredRecord: DeserializeOwned {
    /// Returns the key of the record.
    fn record_key(&self) -> RecordKey;
    /// Returns the size in a response.
    fn bytes(&self) -> usize;
}

impl StoredRecord for ErrorLog {
    fn record_key(&self) -> RecordKey {
        self.key()
    }

    fn bytes(&self) -> usize {
        response_bytes(&self.document())
    }
}

impl StoredRecord for Event {
    fn record_key(&self) -> RecordKey {
        self.key()
    }

    fn bytes(&self) -> usize {
        response_bytes(&self.document())
    }
}

/// Part of a list.
#[derive(Clone, Debug, Default)]
pub struct Window {
    /// Whether the oldest records come first instead of the newest.
    pub oldest_first: bool,
    /// Number of records to skip.
    pub skip: usize,
    /// End of the previous page.
    pub after: Option<Position>,
    /// Maximum number of records.
    pub limit: usize,
}

/// Entry of an index.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Listed {
    #[serde(flatten)]
    pub(super) key: Key,
    #[serde(rename = "listSk")]
    pub(super) position: Position,
}

/// Returns a page of records, which is full unless a bounded number of queries does not find enough
/// that match the filter. At least one query for each partition, and of an index one `BatchGetItem`
/// per 100 records.
pub(super) async fn page<A: Access, R: StoredRecord>(
    table: &Table<A>,
    environment: EnvironmentId,
    partitions: &[String],
    (range, filter): (&Range, &Filter),
    Window { skip, after, limit, .. }: &Window,
) -> Result<Page<R>, StoreError> {
    let (after, skip) = match after {
        Some(position) => split_skip(position),
        None => (None, *skip),
    };
    let request = PageRequest::new(after, skip + limit);
    let (found, records, next) = if range.view.is_index() {
        let Page { items, next } = table.page(partitions, range, filter, request).await?;
        let found = items.len();
        (found, load(table, environment, items.into_iter().skip(skip)).await?, next)
    } else {
        let Page { items, next } = table.page::<R>(partitions, range, filter, request).await?;
        let found = items.len();
        let records = items.into_iter().skip(skip).map(|record| (record.record_key().id().to_string(), record));
        (found, records.collect(), next)
    };
    let next = next.map(|next| match skip.saturating_sub(found) {
        0 => next,
        remaining => format!("{next}{SKIP_SEPARATOR}{remaining}"),
    });
    Ok(Page { items: records, next }.fit(R::bytes))
}

/// Returns the complete records of index entries, in the same order, without those that no longer
/// exist.
pub(super) async fn load<A: Access, R: StoredRecord>(
    table: &Table<A>,
    environment: EnvironmentId,
    listed: impl Iterator<Item = Listed>,
) -> Result<Vec<(Position, R)>, StoreError> {
    let listed: Vec<Listed> = listed.collect();
    let wanted: Vec<Key> = listed.iter().map(|listed| listed.key.clone()).collect();
    let found: Vec<R> = table.get_all_unexpired(&wanted, Timestamp::now()).await?;
    let mut found: BTreeMap<Key, R> =
        found.into_iter().map(|record| (keys::record(environment, record.record_key()), record)).collect();
    Ok(listed.into_iter().filter_map(|Listed { key, position }| Some((position, found.remove(&key)?))).collect())
}

/// Separator, in a position, before the number of records that remain to be skipped.
const SKIP_SEPARATOR: char = '~';

/// Splits a position into the sort key and the number of records to skip.
fn split_skip(position: &str) -> (Option<&str>, usize) {
    match position.split_once(SKIP_SEPARATOR) {
        Some((position, remaining)) => (Some(position), remaining.parse().unwrap_or(0).min(MAX_SKIP)),
        None => (Some(position), 0),
    }
}
