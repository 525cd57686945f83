//! Records of all types, as delivery reads them.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    keys::{self, Key},
    table::{StoreError, Table},
};
use crate::domain::{
    error_log::ErrorLog,
    id::EnvironmentId,
    record::{Record, RecordKey},
    timestamp::Timestamp,
};

/// Records of all environments, in the Errors table.
#[derive(Clone, Debug)]
pub struct Records(pub Table);

/// Records that were found. Those that do not exist or have expired are missing.
#[derive(Clone, Debug, Default)]
pub struct FoundRecords {
    /// Records by key.
    pub records: BTreeMap<RecordKey, Record>,
    /// Records whose items are malformed.
    pub unreadable: BTreeSet<RecordKey>,
}

impl Records {
    /// Returns records by key. A malformed item is logged and does not affect the others. One
    /// `BatchGetItem` per 100 records.
    pub async fn get_all(&self, environment: EnvironmentId, wanted: &[RecordKey]) -> Result<FoundRecords, StoreError> {
        let wanted: BTreeMap<Key, RecordKey> =
            wanted.iter().map(|record| (keys::record(environment, *record), *record)).collect();
        let keys: Vec<Key> = wanted.keys().cloned().collect();
        let (found, unreadable) = self.0.get_readable_unexpired::<ErrorLog>(&keys, Timestamp::now()).await?;
        Ok(FoundRecords {
            records: found.into_iter().map(Record::from).map(|record| (record.key(), record)).collect(),
            unreadable: unreadable.iter().filter_map(|key| wanted.get(key).copied()).collect(),
        })
    }
}
