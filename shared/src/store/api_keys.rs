//! API keys: the grant of a key, found by the hash of its secret, and the record of a key, which is
//! listed and kept after its revocation.

use std::time::Duration;

use moka::sync::Cache;

use super::{
    keys,
    table::{
        Access, Condition, Delete, Put, ReadWrite, StoreError, Table, Transacted, Update, readable, text, to_item,
    },
};
use crate::{
    domain::{
        api_key::{ApiKeyGrant, KeyHash, KeyRecord},
        id::{EnvironmentId, KeyId},
        timestamp::{Day, Timestamp},
    },
    logs::ErrorChain,
};

/// API keys of the stack.
#[derive(Clone, Debug)]
pub struct ApiKeys<A: Access = ReadWrite>(pub Table<A>);

impl ApiKeys {
    /// Stores the grant and the record of a key. One transaction.
    pub async fn create(&self, environment: EnvironmentId, record: &KeyRecord) -> Result<(), StoreError> {
        let KeyRecord { key_id, hash, scopes, .. } = record;
        let grant = ApiKeyGrant { key_id: *key_id, environment_id: environment, scopes: scopes.clone() };
        let listed = to_item("apiKeyRecord", &keys::api_key_record(environment, *key_id), record, &[])?;
        let grant = to_item("apiKey", &keys::api_key(hash), &grant, &[])?;
        let writes = vec![Put::if_absent(grant).into(), Put::if_absent(listed).into()];
        match self.0.transact(writes).await? {
            Transacted::Committed => Ok(()),
            // The secret has 256 random bits, so this request has already been executed and its
            // response was lost.
            Transacted::Refused(_) => Err(StoreError::Busy("the API key already exists".into())),
        }
    }

    /// Revokes a key: deletes its grant and updates its record. Does nothing if the key is already
    /// revoked. Returns the record, or none if the key does not exist. One read and one
    /// transaction.
    pub async fn revoke(&self, environment: EnvironmentId, key: KeyId) -> Result<Option<KeyRecord>, StoreError> {
        let record_key = keys::api_key_record(environment, key);
        let Some(record) = self.0.get::<KeyRecord>(&record_key).await? else {
            return Ok(None);
        };
        if record.revoked_at.is_some() {
            return Ok(Some(record));
        }
        let revoked_at = Timestamp::now();
        let update = Update::of(&record_key)
            .set("revokedAt", text(revoked_at))
            .when(Condition::item_exists().and(Condition::absent("revokedAt")));
        let writes = vec![Delete::of(&keys::api_key(&record.hash)).into(), update.into()];
        match self.0.transact(writes).await? {
            Transacted::Committed => Ok(Some(KeyRecord { revoked_at: Some(revoked_at), ..record })),
            // Another request has revoked the key in the meantime.
            Transacted::Refused(_) => self.0.get(&record_key).await,
        }
    }

    /// Records the day on which a key was last used. Returns false if the key has no record. One
    /// write.
    async fn set_last_used(&self, environment: EnvironmentId, key: KeyId, day: &Day) -> Result<bool, StoreError> {
        let update = Update::of(&keys::api_key_record(environment, key))
            .set("lastUsedOn", text(day.as_str()))
            .when(Condition::item_exists());
        self.0.update(update).await
    }
}

impl<A: Access> ApiKeys<A> {
    /// Returns the grant of a valid key. One read.
    pub async fn find(&self, hash: &KeyHash) -> Result<Option<ApiKeyGrant>, StoreError> {
        self.0.get(&keys::api_key(hash)).await
    }

    /// Returns all keys of an environment, including revoked ones, the newest first. One query per
    /// megabyte.
    pub async fn list(&self, environment: EnvironmentId) -> Result<Vec<KeyRecord>, StoreError> {
        let items = self.0.list_prefix(keys::api_key_records(environment), keys::API_KEY_RECORD_PREFIX).await?;
        let mut records: Vec<KeyRecord> = items.into_iter().filter_map(readable).collect();
        records.reverse();
        Ok(records)
    }
}

/// Tracker of the day on which each key was last used.
#[derive(Clone, Debug)]
pub struct LastUsedTracker {
    keys: ApiKeys,
    recorded: Cache<KeyId, Day>,
}

/// Maximum time for which a caller waits until the use of its key is recorded.
const RECORD_TIMEOUT: Duration = Duration::from_millis(300);
/// Maximum number of keys whose recorded day a process caches.
const MAX_CACHED_KEYS: u64 = 10_000;

impl LastUsedTracker {
    /// Creates a tracker for these keys.
    pub fn new(keys: ApiKeys) -> Self {
        Self { keys, recorded: Cache::new(MAX_CACHED_KEYS) }
    }

    /// Records that a key is used now. At most one write per key, day and process, even if it
    /// fails, so that DynamoDB delays at most one request of the key.
    pub async fn record(&self, grant: &ApiKeyGrant, now: Timestamp) {
        let (key, today) = (grant.key_id, now.day());
        if self.recorded.get(&key).as_ref() == Some(&today) {
            return;
        }
        match tokio::time::timeout(RECORD_TIMEOUT, self.keys.set_last_used(grant.environment_id, key, &today)).await {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => tracing::warn!(%key, "used API key has no record"),
            Ok(Err(error)) => tracing::warn!(error = %ErrorChain(&error), %key, "failed to record use of API key"),
            Err(_) => tracing::warn!(%key, "timed out recording use of API key"),
        }
        self.recorded.insert(key, today);
    }
}
