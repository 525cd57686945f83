//! API keys: who is found by the hash of one, and what is told of it.

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

/// The stack's API keys.
#[derive(Clone, Debug)]
pub struct ApiKeys(pub Table);

impl ApiKeys {
    /// One transaction: the key works and is listed, or neither.
    pub async fn create(&self, environment: EnvironmentId, record: &KeyRecord) -> Result<(), StoreError> {
        let KeyRecord { key_id, hash, scopes, .. } = record;
        let grant = ApiKeyGrant { key_id: *key_id, environment_id: environment, scopes: scopes.clone() };
        let listed = to_item("apiKeyRecord", &keys::api_key_record(environment, *key_id), record, &[])?;
        let name = &self.0.name;
        let grant_put = put_if_absent(name, to_item("apiKey", &keys::api_key(hash), &grant, &[])?)?;
        match self.0.transact(vec![grant_put, put_if_absent(name, listed)?]).await?[..] {
            [] => Ok(()),
            // Of 256 random bits; or it was this request, whose answer was lost.
            _ => Err(StoreError::Busy("the key is there already".into())),
        }
    }

    /// Who holds a key that works. One read.
    pub async fn find(&self, hash: &KeyHash) -> Result<Option<ApiKeyGrant>, StoreError> {
        self.0.get(&keys::api_key(hash)).await
    }

    /// All keys that an environment ever had, the newest first. One query for a thousand or more.
    pub async fn list(&self, environment: EnvironmentId) -> Result<Vec<KeyRecord>, StoreError> {
        let mut records: Vec<KeyRecord> =
            self.0.list(keys::api_key_records(environment), keys::API_KEY_RECORD_PREFIX).await?;
        records.reverse();
        Ok(records)
    }

    /// Ends a key; again changes nothing. One read and one transaction: the key is gone and its end is told, or neither.
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
            // Another request has revoked it meanwhile.
            _ => self.0.get(&record_key).await,
        }
    }

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

/// Tells the day on which each key was last used.
#[derive(Clone, Debug)]
pub struct LastUsedTracker {
    keys: ApiKeys,
    recorded: Cache<KeyId, Day>,
}

/// How long a caller waits at most for the use of its key to be noted.
const RECORD_TIMEOUT: Duration = Duration::from_millis(300);
/// The keys of which a process remembers that it has told their use.
const MAX_CACHED_KEYS: u64 = 10_000;

impl LastUsedTracker {
    /// Of these keys.
    pub fn new(keys: ApiKeys) -> Self {
        Self { keys, recorded: Cache::new(MAX_CACHED_KEYS) }
    }

    /// Tells that a key is used now. At most one write a key, a day and a process, which delays no caller for long: one that
    /// does not succeed is left to the other processes.
    pub async fn record(&self, grant: &ApiKeyGrant, now: Timestamp) {
        let (key, today) = (grant.key_id, now.day());
        if self.recorded.get(&key).await.as_ref() == Some(&today) {
            return;
        }
        match tokio::time::timeout(RECORD_TIMEOUT, self.keys.set_last_used(grant.environment_id, key, &today)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(error = %ErrorChain(&error), %key, "the use of a key was not noted"),
            Err(_) => tracing::warn!(%key, "the use of a key was not noted in time"),
        }
        self.recorded.insert(key, today).await;
    }
}
