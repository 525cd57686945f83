//! API keys: who is found by the hash of one, and what is told of it.

use std::time::Duration;

use aws_sdk_dynamodb::types::{AttributeValue, Delete, TransactWriteItem, Update};

use moka::future::Cache;

use super::{
    keys,
    table::{StoreError, Table, put_new, refused, to_item},
};
use crate::{
    domain::{
        api_key::{KeyHash, KeyHolder, KeyRecord},
        id::{EnvironmentId, KeyId},
        timestamp::{Day, Timestamp},
    },
    logs::Chain,
};

/// The stack's API keys.
#[derive(Clone, Debug)]
pub struct ApiKeys(pub Table);

impl ApiKeys {
    /// One transaction: the key works and is listed, or neither.
    pub async fn create(&self, environment: EnvironmentId, record: &KeyRecord) -> Result<(), StoreError> {
        let KeyRecord { key_id, hash, scopes, .. } = record;
        let holder = KeyHolder { key_id: *key_id, environment_id: environment, scopes: scopes.clone() };
        let listed = to_item("apiKeyRecord", &keys::api_key_record(environment, *key_id), record, &[])?;
        let name = &self.0.name;
        let found = put_new(name, to_item("apiKey", &keys::api_key(hash), &holder, &[])?)?;
        match self.0.transact(vec![found, put_new(name, listed)?]).await?[..] {
            [] => Ok(()),
            // Of 256 random bits; or it was this request, whose answer was lost.
            _ => Err(StoreError::Busy("the key is there already".into())),
        }
    }

    /// Who holds a key that works. One read.
    pub async fn find(&self, hash: &KeyHash) -> Result<Option<KeyHolder>, StoreError> {
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
        let told = keys::api_key_record(environment, key);
        let Some(record) = self.0.get::<KeyRecord>(&told).await? else {
            return Ok(None);
        };
        if record.revoked_at.is_some() {
            return Ok(Some(record));
        }
        let revoked_at = Timestamp::now();
        let name = &self.0.name;
        let works = Delete::builder().table_name(name).set_key(Some(keys::api_key(&record.hash).attributes()));
        let tell = Update::builder()
            .table_name(name)
            .set_key(Some(told.attributes()))
            .update_expression("SET revokedAt = :now")
            .condition_expression("attribute_exists(pk) AND attribute_not_exists(revokedAt)")
            .expression_attribute_values(":now", AttributeValue::S(revoked_at.to_string()));
        let action = TransactWriteItem::builder;
        let actions = vec![
            action().delete(works.build().map_err(refused)?).build(),
            action().update(tell.build().map_err(refused)?).build(),
        ];
        match self.0.transact(actions).await?[..] {
            [] => Ok(Some(KeyRecord { revoked_at: Some(revoked_at), ..record })),
            // Another request has revoked it meanwhile.
            _ => self.0.get(&told).await,
        }
    }

    async fn used(&self, environment: EnvironmentId, key: KeyId, day: &Day) -> Result<(), StoreError> {
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
pub struct LastUse {
    keys: ApiKeys,
    told: Cache<KeyId, Day>,
}

/// How long a caller waits at most for the use of its key to be noted.
const PATIENCE: Duration = Duration::from_millis(300);
/// The keys of which a process remembers that it has told their use.
const REMEMBERED: u64 = 10_000;

impl LastUse {
    /// Of these keys.
    pub fn new(keys: ApiKeys) -> Self {
        Self { keys, told: Cache::new(REMEMBERED) }
    }

    /// Tells that a key is used now. At most one write a key, a day and a process, which delays no caller for long: one that
    /// does not succeed is left to the other processes.
    pub async fn tell(&self, holder: &KeyHolder, now: Timestamp) {
        let (key, today) = (holder.key_id, now.day());
        if self.told.get(&key).await.as_ref() == Some(&today) {
            return;
        }
        match tokio::time::timeout(PATIENCE, self.keys.used(holder.environment_id, key, &today)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(error = %Chain(&error), %key, "the use of a key was not noted"),
            Err(_) => tracing::warn!(%key, "the use of a key was not noted in time"),
        }
        self.told.insert(key, today).await;
    }
}
