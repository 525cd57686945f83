//! API keys: the grant of a key, found by the hash of its secret, and the record of a key, which is
//! listed and kept after its revocation.

use std::time::Duration;

use aws_sdk_dynamodb::types::{AttributeValue, Delete, TransactWriteItem, Update};

use moka::future::Cache;

use super::{
    keys,
    table::{StoreError, Table, put_if_absent, refused, to_item},
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
pub struct ApiKeys(pub Table);

impl ApiKeys {
    /// Stores the grant and the record of a key. One transaction.
    pub async fn create(&self, environment: EnvironmentId, record: &KeyRecord) -> Result<(), StoreError> {
        let KeyRecord { key_id, hash, scopes, .. } = record;
        let grant = ApiKeyGrant { key_id: *key_id, environment_id: environment, scopes: scopes.clone() };
        let listed = to_item("apiKeyRecord", &keys::api_key_record(environment, *key_id), record, &[])?;
        let name = &self.0.name;
        let grant_put = put_if_absent(name, to_item("apiKey", &keys::api_key(hash), &grant, &[])?)?;
        match self.0.transact(vec![grant_put, put_if_absent(name, listed)?]).await?[..] {
            [] => Ok(()),
            // The secret has 256 random bits, so this request has already been executed and its
            // response was lost.
            _ => Err(StoreError::Busy("the API key already exists".into())),
        }
    }

    /// Returns the grant of a valid key. One read.
    pub async fn find(&self, hash: &KeyHash) -> Result<Option<ApiKeyGrant>, StoreError> {
        self.0.get(&keys::api_key(hash)).await
    }

    /// Returns all keys of an environment, including revoked ones, the newest first. One query per
    /// megabyte.
    pub async fn list(&self, environment: EnvironmentId) -> Result<Vec<KeyRecord>, StoreError> {
        let mut records: Vec<KeyRecord> =
            self.0.list(keys::api_key_records(environment), keys::API_KEY_RECORD_PREFIX).await?;
        records.reverse();
        Ok(records)
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
        let name = &self.0.name;
        let delete = Delete::builder().table_name(name).set_key(Some(keys::api_key(&record.hash).attributes()));
        let update = Update::builder()
            .table_name(name)
            .set_key(Some(record_key.attributes()))
            .update_expression("SET revokedAt = :now")
            .condition_expression("attribute_exists(pk) AND attribute_not_exists(revokedAt)")
            .expression_attribute_values(":now", AttributeValue::S(revoked_at.to_string()));
        let action = TransactWriteItem::builder;
        let actions = vec![
            action().delete(delete.build().map_err(refused)?).build(),
            action().update(update.build().map_err(refused)?).build(),
        ];
        match self.0.transact(actions).await?[..] {
            [] => Ok(Some(KeyRecord { revoked_at: Some(revoked_at), ..record })),
            // Another request has revoked the key in the meantime.
            _ => self.0.get(&record_key).await,
        }
    }

    /// Records the day on which a key was last used. One write.
    async fn set_last_used(&self, environment: EnvironmentId, key: KeyId, day: &Day) -> Result<(), StoreError> {
        let Table { client, name } = &self.0;
        let request = client
            .update_item()
            .table_name(name)
            .set_key(Some(keys::api_key_record(environment, key).attributes()))
            .update_expression("SET lastUsedOn = :day")
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_values(":day", AttributeValue::S(day.as_str().to_owned()));
        request.send().await?;
        Ok(())
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
        if self.recorded.get(&key).await.as_ref() == Some(&today) {
            return;
        }
        match tokio::time::timeout(RECORD_TIMEOUT, self.keys.set_last_used(grant.environment_id, key, &today)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(error = %ErrorChain(&error), %key, "failed to record use of API key"),
            Err(_) => tracing::warn!(%key, "timed out recording use of API key"),
        }
        self.recorded.insert(key, today).await;
    }
}
