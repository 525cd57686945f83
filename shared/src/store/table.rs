//! Table client: single reads and writes, batches, transactions, and the errors of DynamoDB.

use std::{
    collections::{BTreeSet, HashMap},
    error::Error,
    time::{Duration, Instant},
};

use aws_config::SdkConfig;
use aws_sdk_dynamodb::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    operation::transact_write_items::TransactWriteItemsError,
    types::{
        AttributeValue, ConditionCheck, DeleteRequest, KeysAndAttributes, Put, PutRequest, TransactWriteItem,
        WriteRequest,
    },
};
use futures_util::future::try_join_all;
use rand::Rng;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::keys::Key;
use crate::{
    aws::{SettingError, is_transient, setting},
    domain::timestamp::Timestamp,
    logs::ErrorChain,
};

/// Item as DynamoDB represents it.
pub(super) type Item = HashMap<String, AttributeValue>;

/// DynamoDB table of this stack.
#[derive(Clone, Debug)]
pub struct Table {
    pub(super) client: Client,
    pub(super) name: String,
}

impl Table {
    /// Opens the Directory table: users, workflows, destinations and keys. `connections` is the
    /// number of concurrent requests. Their connections are opened now, because Lambda provides a
    /// full CPU during initialization, so that no caller waits for a TLS handshake.
    pub async fn directory(config: &SdkConfig, connections: u32) -> Result<Self, SettingError> {
        let table = Self::new(config, setting::<String>("DIRECTORY_TABLE")?);
        table.open(connections).await;
        Ok(table)
    }

    /// Opens the Errors table: errors and deliveries. See [`Self::directory`].
    pub async fn errors(config: &SdkConfig, connections: u32) -> Result<Self, SettingError> {
        let table = Self::new(config, setting::<String>("ERRORS_TABLE")?);
        table.open(connections).await;
        Ok(table)
    }

    /// Opens the Directory and Errors tables with a shared client.
    pub async fn both(config: &SdkConfig, connections: u32) -> Result<(Self, Self), SettingError> {
        let errors = Self::errors(config, connections).await?;
        Ok((Self::of(errors.client.clone(), setting::<String>("DIRECTORY_TABLE")?), errors))
    }

    async fn open(&self, connections: u32) {
        let nothing = Key { pk: "open".into(), sk: "open".into() };
        let opening = (0..connections).map(|_| self.get::<Ignored>(&nothing));
        if let Err(error) = try_join_all(opening).await {
            // The function starts anyway, because DynamoDB may become available before the first
            // request.
            tracing::warn!(error = %ErrorChain(&error), table = self.name, "failed to connect to DynamoDB at start-up");
        }
    }

    /// Creates the client of a table without opening a connection.
    pub fn new(config: &SdkConfig, name: impl Into<String>) -> Self {
        Self::of(Client::new(config), name)
    }

    /// Creates a table with an existing client.
    pub fn of(client: Client, name: impl Into<String>) -> Self {
        Self { client, name: name.into() }
    }

    /// Returns an item. One strongly consistent read.
    pub(super) async fn get<T: DeserializeOwned>(&self, key: &Key) -> Result<Option<T>, StoreError> {
        let request =
            self.client.get_item().table_name(&self.name).set_key(Some(key.attributes())).consistent_read(true);
        request.send().await?.item.map(from_item).transpose()
    }

    /// Returns all items of a partition whose sort keys start with `prefix`, in the order of their
    /// sort keys. Strongly consistent. One query per megabyte.
    pub(super) async fn list<T: DeserializeOwned>(&self, pk: String, prefix: &str) -> Result<Vec<T>, StoreError> {
        let mut items = self
            .client
            .query()
            .table_name(&self.name)
            .consistent_read(true)
            .key_condition_expression("pk = :pk AND begins_with(sk, :prefix)")
            .expression_attribute_values(":pk", AttributeValue::S(pk))
            .expression_attribute_values(":prefix", AttributeValue::S(prefix.to_owned()))
            .into_paginator()
            .items()
            .send();
        let mut found = Vec::new();
        while let Some(item) = items.next().await {
            found.push(from_item(item?)?);
        }
        Ok(found)
    }

    /// Deletes an item. Returns false if it does not exist. One write.
    pub(super) async fn delete(&self, key: &Key) -> Result<bool, StoreError> {
        let request = self.client.delete_item().table_name(&self.name).set_key(Some(key.attributes()));
        let output = request.condition_expression("attribute_exists(pk)").send().await;
        Ok(none_if_condition_failed(output)?.is_some())
    }

    /// Creates an item whose key contains a random id. An existing item is left unchanged: it stems
    /// from an earlier attempt of the same request. One write.
    pub(super) async fn create(&self, item: Item) -> Result<(), StoreError> {
        let request = self.client.put_item().table_name(&self.name).set_item(Some(item));
        none_if_condition_failed(request.condition_expression("attribute_not_exists(pk)").send().await)?;
        Ok(())
    }

    /// Executes all actions or none. Returns an empty list on success; if conditions failed,
    /// whether the condition of each action failed, in order. One transaction, which is retried
    /// after conflicts.
    pub(super) async fn transact(&self, actions: Vec<TransactWriteItem>) -> Result<Vec<bool>, StoreError> {
        let started = Instant::now();
        // With the token, a request whose response was lost is not executed twice.
        let token = hex::encode(rand::rng().random::<[u8; 16]>());
        let request = self.client.transact_write_items().client_request_token(token).set_transact_items(Some(actions));
        let mut attempt = 0;
        loop {
            back_off(attempt).await;
            let Err(error) = request.clone().send().await else {
                return Ok(Vec::new());
            };
            match error.as_service_error().and_then(cancellation) {
                Some(Cancellation::Conditions(failed)) => return Ok(failed),
                Some(Cancellation::Permanent) => return Err(refused(error)),
                Some(Cancellation::Transient) | None => {}
            }
            attempt += 1;
            let error = StoreError::from(error);
            if attempt == MAX_ATTEMPTS || !error.is_transient() || started.elapsed() > RETRY_BUDGET {
                return Err(error);
            }
        }
    }

    /// Returns items by key, in no order, without those that do not exist. Strongly consistent. One
    /// `BatchGetItem` per 100 keys.
    pub(super) async fn get_all<T: DeserializeOwned>(&self, wanted: &[Key]) -> Result<Vec<T>, StoreError> {
        self.get_items(wanted).await?.into_iter().map(from_item).collect()
    }

    async fn get_items(&self, wanted: &[Key]) -> Result<Vec<Item>, StoreError> {
        let mut found = Vec::new();
        // DynamoDB rejects a request that contains a key twice.
        let wanted: Vec<&Key> = wanted.iter().collect::<BTreeSet<_>>().into_iter().collect();
        for keys in wanted.chunks(MAX_BATCH_GET) {
            let mut unprocessed: Vec<Item> = keys.iter().map(|key| key.attributes()).collect();
            for attempt in 0..MAX_ATTEMPTS {
                back_off(attempt).await;
                let request = KeysAndAttributes::builder().set_keys(Some(unprocessed)).consistent_read(true);
                let request = request.build().map_err(refused)?;
                let output = self.client.batch_get_item().request_items(&self.name, request).send().await?;
                found.extend(output.responses.unwrap_or_default().remove(&self.name).unwrap_or_default());
                unprocessed =
                    output.unprocessed_keys.unwrap_or_default().remove(&self.name).map(|l| l.keys).unwrap_or_default();
                if unprocessed.is_empty() {
                    break;
                }
            }
            if !unprocessed.is_empty() {
                return Err(StoreError::Busy("some items were not read".into()));
            }
        }
        Ok(found)
    }

    /// Returns items by key like [`Self::get_all`], without expired items, which DynamoDB deletes
    /// some days later.
    pub(super) async fn get_all_unexpired<T: DeserializeOwned>(
        &self,
        wanted: &[Key],
        now: Timestamp,
    ) -> Result<Vec<T>, StoreError> {
        let found = self.get_items(wanted).await?;
        found.into_iter().filter(|item| is_unexpired(item, now)).map(from_item).collect()
    }

    /// Returns items by key like [`Self::get_all_unexpired`], and the keys of malformed items, which
    /// are logged.
    pub(super) async fn get_readable_unexpired<T: DeserializeOwned>(
        &self,
        wanted: &[Key],
        now: Timestamp,
    ) -> Result<(Vec<T>, Vec<Key>), StoreError> {
        let (mut readable, mut unreadable) = (Vec::new(), Vec::new());
        for item in self.get_items(wanted).await?.into_iter().filter(|item| is_unexpired(item, now)) {
            let key = Key { pk: attribute_text(&item, "pk"), sk: attribute_text(&item, "sk") };
            match from_item(item) {
                Ok(entity) => readable.push(entity),
                Err(error) => {
                    tracing::error!(error = %ErrorChain(&error), pk = key.pk, sk = key.sk, "unreadable item");
                    unreadable.push(key);
                }
            }
        }
        Ok((readable, unreadable))
    }

    /// Deletes items by key. One `BatchWriteItem` per 25 keys, all concurrently.
    pub(super) async fn delete_all(&self, keys: Vec<Key>) -> Result<(), StoreError> {
        try_join_all(keys.chunks(MAX_BATCH_WRITE).map(|chunk| self.delete_batch(chunk))).await?;
        Ok(())
    }

    /// Deletes up to 25 items. Retries unprocessed items.
    async fn delete_batch(&self, keys: &[Key]) -> Result<(), StoreError> {
        let Table { client, name } = self;
        let mut unprocessed = keys
            .iter()
            .map(|key| {
                let delete = DeleteRequest::builder().set_key(Some(key.attributes())).build().map_err(refused)?;
                Ok(WriteRequest::builder().delete_request(delete).build())
            })
            .collect::<Result<Vec<_>, StoreError>>()?;
        for attempt in 0..MAX_ATTEMPTS {
            if unprocessed.is_empty() {
                return Ok(());
            }
            back_off(attempt).await;
            let output = client.batch_write_item().request_items(name, unprocessed).send().await?;
            unprocessed = output.unprocessed_items.unwrap_or_default().remove(name).unwrap_or_default();
        }
        if unprocessed.is_empty() { Ok(()) } else { Err(StoreError::Busy("some items were not deleted".into())) }
    }

    /// Writes items with one `BatchWriteItem` per 25 items, all concurrently. Retries unprocessed
    /// items with growing pauses within [`RETRY_BUDGET`]. Returns the indices of items that were
    /// not written; the reason is logged.
    pub(super) async fn put_all(&self, items: Vec<Item>) -> Vec<usize> {
        let mut batches = tokio::task::JoinSet::new();
        let mut remaining = items.into_iter().enumerate();
        loop {
            let batch: Vec<(usize, Item)> = remaining.by_ref().take(MAX_BATCH_WRITE).collect();
            if batch.is_empty() {
                break;
            }
            let table = self.clone();
            batches.spawn(async move { table.put_batch(batch).await });
        }
        let mut unwritten = batches.join_all().await.concat();
        unwritten.sort_unstable();
        unwritten
    }

    async fn put_batch(&self, mut batch: Vec<(usize, Item)>) -> Vec<usize> {
        let started = Instant::now();
        for attempt in 0..MAX_ATTEMPTS {
            if started.elapsed() > RETRY_BUDGET {
                break;
            }
            back_off(attempt).await;
            let requests = batch.iter().map(|(_, item)| {
                // Cannot fail: the builder requires only an item.
                let put = PutRequest::builder().set_item(Some(item.clone())).build().ok();
                WriteRequest::builder().set_put_request(put).build()
            });
            let output = self.client.batch_write_item().request_items(&self.name, requests.collect()).send().await;
            match output {
                Ok(output) => {
                    let unprocessed =
                        output.unprocessed_items.unwrap_or_default().remove(&self.name).unwrap_or_default();
                    let unprocessed: Vec<Item> =
                        unprocessed.into_iter().filter_map(|w| Some(w.put_request?.item)).collect();
                    batch.retain(|(_, item)| unprocessed.iter().any(|other| same_key(item, other)));
                    if batch.is_empty() {
                        break;
                    }
                }
                Err(error) => {
                    let error = StoreError::from(error);
                    if !error.is_transient() {
                        tracing::error!(error = %ErrorChain(&error), "batch write rejected");
                        break;
                    }
                    tracing::warn!(error = %ErrorChain(&error), "batch write failed");
                }
            }
        }
        batch.into_iter().map(|(index, _)| index).collect()
    }
}

/// Maximum number of items per `BatchWriteItem` (AWS limit).
const MAX_BATCH_WRITE: usize = 25;
/// Maximum number of items per `BatchGetItem` (AWS limit).
const MAX_BATCH_GET: usize = 100;
/// Maximum number of attempts of a batch or of a conflicting write, with pauses of up to 0.1, 0.2,
/// 0.4 and 0.8 seconds.
pub(super) const MAX_ATTEMPTS: u32 = 5;

/// Time after the start of the first attempt within which another one may start. An attempt may
/// take 6 seconds and a function 20 seconds in total.
const RETRY_BUDGET: Duration = Duration::from_secs(6);

/// Sleeps before an attempt, for a random time that grows with each attempt. Returns immediately
/// before the first.
pub(super) async fn back_off(attempt: u32) {
    if attempt > 0 {
        let max_ms = 50 << attempt;
        let pause = rand::rng().random_range(max_ms / 2..=max_ms);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
}

fn same_key(a: &Item, b: &Item) -> bool {
    a.get("pk") == b.get("pk") && a.get("sk") == b.get("sk")
}

/// Returns a text attribute, or an empty text if there is none.
pub(super) fn attribute_text(item: &Item, attribute: &str) -> String {
    item.get(attribute).and_then(|value| value.as_s().ok()).cloned().unwrap_or_default()
}

#[derive(Deserialize)]
struct Ignored {}

/// Returns whether an item has not expired. Items without an expiry never expire.
fn is_unexpired(item: &Item, now: Timestamp) -> bool {
    let expires_at = item.get("expiresAt").and_then(|time| time.as_n().ok()).and_then(|time| time.parse::<i64>().ok());
    expires_at.is_none_or(|expires_at| now.seconds() < expires_at)
}

/// Converts an entity to an item with its key, its `type` and further attributes for the indexes.
pub(super) fn to_item<T: Serialize>(
    kind: &str,
    key: &Key,
    entity: &T,
    more: &[(&str, String)],
) -> Result<Item, StoreError> {
    let mut item: Item = serde_dynamo::to_item(entity).map_err(StoreError::Malformed)?;
    item.extend(key.attributes());
    item.insert("type".into(), AttributeValue::S(kind.to_owned()));
    item.extend(more.iter().map(|(name, value)| ((*name).to_owned(), AttributeValue::S(value.clone()))));
    Ok(item)
}

/// Converts an item to an entity. Ignores unknown attributes.
pub(super) fn from_item<T: DeserializeOwned>(item: Item) -> Result<T, StoreError> {
    serde_dynamo::from_item(item).map_err(StoreError::Malformed)
}

/// Returns a put that fails if the item exists.
pub(super) fn put_if_absent(table: &str, item: Item) -> Result<TransactWriteItem, StoreError> {
    let put = Put::builder().table_name(table).set_item(Some(item)).condition_expression("attribute_not_exists(pk)");
    Ok(TransactWriteItem::builder().put(put.build().map_err(refused)?).build())
}

/// Returns a check that fails if the item does not exist.
pub(super) fn check_exists(table: &str, key: &Key) -> Result<TransactWriteItem, StoreError> {
    let check = ConditionCheck::builder()
        .table_name(table)
        .set_key(Some(key.attributes()))
        .condition_expression("attribute_exists(pk)");
    Ok(TransactWriteItem::builder().condition_check(check.build().map_err(refused)?).build())
}

/// Returns the output of a conditional write, or none if its condition failed.
pub(super) fn none_if_condition_failed<T, E, R>(output: Result<T, SdkError<E, R>>) -> Result<Option<T>, StoreError>
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    match output {
        Ok(output) => Ok(Some(output)),
        Err(SdkError::ServiceError(refusal)) if refusal.err().code() == Some("ConditionalCheckFailedException") => {
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// Wraps an error of a request that the SDK could not build or that can never succeed.
pub(super) fn refused(error: impl Error + Send + Sync + 'static) -> StoreError {
    StoreError::Refused(error.into())
}

/// Reason why a transaction was cancelled.
enum Cancellation {
    /// Conditions failed. Contains whether that of each action failed, in order.
    Conditions(Vec<bool>),
    /// Other transactions or throttling interfered.
    Transient,
    /// The transaction can never succeed, for example because an item is too large.
    Permanent,
}

/// Returns the reason of a cancellation, or none for other errors.
fn cancellation(refusal: &TransactWriteItemsError) -> Option<Cancellation> {
    let TransactWriteItemsError::TransactionCanceledException(cancelled) = refusal else {
        return None;
    };
    let codes: Vec<&str> = cancelled.cancellation_reasons().iter().map(|r| r.code().unwrap_or("None")).collect();
    let transient = ["None", "TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"];
    Some(if codes.contains(&"ConditionalCheckFailed") {
        Cancellation::Conditions(codes.iter().map(|code| *code == "ConditionalCheckFailed").collect())
    } else if codes.iter().all(|code| transient.contains(code)) {
        Cancellation::Transient
    } else {
        Cancellation::Permanent
    })
}

/// Failure of DynamoDB or SQS. A failed condition is not a `StoreError`.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The service is busy or unreachable. A retry may succeed.
    #[error("the store is busy or unreachable")]
    Busy(#[source] Box<dyn Error + Send + Sync>),
    /// The service rejected the request.
    #[error("the store rejected a request")]
    Refused(#[source] Box<dyn Error + Send + Sync>),
    /// The item does not have the format of this version.
    #[error("failed to convert an item")]
    Malformed(#[source] serde_dynamo::Error),
}

impl StoreError {
    /// Returns whether a retry of the same request may succeed.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Busy(_) => true,
            Self::Refused(_) | Self::Malformed(_) => false,
        }
    }
}

impl<E, R> From<SdkError<E, R>> for StoreError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    fn from(error: SdkError<E, R>) -> Self {
        let busy = is_transient(
            &error,
            &[
                "ProvisionedThroughputExceededException",
                "RequestLimitExceeded",
                "ThrottlingException",
                // Caused by conflicts; failed conditions are handled before.
                "TransactionCanceledException",
                "TransactionConflictException",
                "TransactionInProgressException",
                "InternalServerError",
                "ServiceUnavailable",
            ],
        );
        if busy { Self::Busy(error.into()) } else { Self::Refused(error.into()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn item_is_read_until_it_expires() {
        let now: Timestamp = "2026-11-25T12:00:00.500Z".parse().unwrap();
        let item = |expires_at: AttributeValue| Item::from([("expiresAt".to_owned(), expires_at)]);
        let at = |seconds: i64| item(AttributeValue::N((now.seconds() + seconds).to_string()));
        assert!(is_unexpired(&at(1), now));
        assert!(!is_unexpired(&at(0), now));
        assert!(!is_unexpired(&at(-1), now));
        assert!(is_unexpired(&Item::new(), now));
        // An invalid expiry is ignored here and fails when the item is parsed.
        assert!(is_unexpired(&item(AttributeValue::S("soon".into())), now));
    }
}
