//! What the entities share: a table, its errors, and writing in batches.

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

/// An item as DynamoDB holds it.
pub(super) type Item = HashMap<String, AttributeValue>;

/// A table of this stack.
#[derive(Clone, Debug)]
pub struct Table {
    pub(super) client: Client,
    pub(super) name: String,
}

impl Table {
    /// The table of users, workflows, destinations and keys. As many connections are opened here as requests are made at
    /// once, since Lambda gives a full CPU here: no request of a caller's pays a TLS handshake.
    pub async fn directory(config: &SdkConfig, connections: u32) -> Result<Self, SettingError> {
        let table = Self::new(config, setting::<String>("DIRECTORY_TABLE")?);
        table.open(connections).await;
        Ok(table)
    }

    /// The table of errors and deliveries, opened like the directory.
    pub async fn errors(config: &SdkConfig, connections: u32) -> Result<Self, SettingError> {
        let table = Self::new(config, setting::<String>("ERRORS_TABLE")?);
        table.open(connections).await;
        Ok(table)
    }

    /// The directory and the table of errors, with one client and connections for both.
    pub async fn both(config: &SdkConfig, connections: u32) -> Result<(Self, Self), SettingError> {
        let errors = Self::errors(config, connections).await?;
        Ok((Self::of(errors.client.clone(), setting::<String>("DIRECTORY_TABLE")?), errors))
    }

    async fn open(&self, connections: u32) {
        let nothing = Key { pk: "open".into(), sk: "open".into() };
        let opening = (0..connections).map(|_| self.get::<Ignored>(&nothing));
        if let Err(error) = try_join_all(opening).await {
            // The function is of use as soon as DynamoDB is.
            tracing::warn!(error = %ErrorChain(&error), table = self.name, "no connection at start-up");
        }
    }

    /// A table by its name, without opening a connection.
    pub fn new(config: &SdkConfig, name: impl Into<String>) -> Self {
        Self::of(Client::new(config), name)
    }

    /// A table by its name, with a client that is there.
    pub fn of(client: Client, name: impl Into<String>) -> Self {
        Self { client, name: name.into() }
    }

    /// One strongly consistent read.
    pub(super) async fn get<T: DeserializeOwned>(&self, key: &Key) -> Result<Option<T>, StoreError> {
        let request =
            self.client.get_item().table_name(&self.name).set_key(Some(key.attributes())).consistent_read(true);
        request.send().await?.item.map(from_item).transpose()
    }

    /// All items of a partition whose sort keys begin so, strongly consistent, in the order of their sort keys. One query
    /// for a megabyte.
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

    /// Removes an item. False where there is none. One write.
    pub(super) async fn delete(&self, key: &Key) -> Result<bool, StoreError> {
        let request = self.client.delete_item().table_name(&self.name).set_key(Some(key.attributes()));
        let output = request.condition_expression("attribute_exists(pk)").send().await;
        Ok(none_if_condition_failed(output)?.is_some())
    }

    /// One write of an item that is identified by random bytes: one that is there already, from an earlier try of the same
    /// request, stays as it is.
    pub(super) async fn create(&self, item: Item) -> Result<(), StoreError> {
        let request = self.client.put_item().table_name(&self.name).set_item(Some(item));
        none_if_condition_failed(request.condition_expression("attribute_not_exists(pk)").send().await)?;
        Ok(())
    }

    /// All of the actions are done, or none. Answers with whether the condition of each failed, in their order; with nothing
    /// where all was done. One transaction, and another for each time that others were in the way.
    pub(super) async fn transact(&self, actions: Vec<TransactWriteItem>) -> Result<Vec<bool>, StoreError> {
        let started = Instant::now();
        // What was done by a request whose answer was lost is not done again.
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

    /// Reads items by their keys, 100 a request, strongly consistent; what is not there is left out, in no order.
    pub(super) async fn get_all<T: DeserializeOwned>(&self, wanted: &[Key]) -> Result<Vec<T>, StoreError> {
        self.get_items(wanted).await?.into_iter().map(from_item).collect()
    }

    async fn get_items(&self, wanted: &[Key]) -> Result<Vec<Item>, StoreError> {
        let mut found = Vec::new();
        // DynamoDB refuses a request that names a key twice.
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
                return Err(StoreError::Busy("items were left unread".into()));
            }
        }
        Ok(found)
    }

    /// The same of items with a time, without those that are past it, which DynamoDB removes within some days.
    pub(super) async fn get_all_unexpired<T: DeserializeOwned>(
        &self,
        wanted: &[Key],
        now: Timestamp,
    ) -> Result<Vec<T>, StoreError> {
        let found = self.get_items(wanted).await?;
        found.into_iter().filter(|item| is_unexpired(item, now)).map(from_item).collect()
    }

    /// Removes items by their keys, 25 a request, all at once.
    pub(super) async fn delete_all(&self, keys: Vec<Key>) -> Result<(), StoreError> {
        try_join_all(keys.chunks(MAX_BATCH_WRITE).map(|chunk| self.delete_batch(chunk))).await?;
        Ok(())
    }

    /// Removes up to 25 items; what DynamoDB leaves unprocessed is tried again.
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
        if unprocessed.is_empty() { Ok(()) } else { Err(StoreError::Busy("items were left".into())) }
    }

    /// Writes items in batches of 25, several at once; what DynamoDB leaves unprocessed is tried again with growing
    /// pauses, for as long as a caller can wait. Returns the indices of the items that could not be written; why is logged.
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
                // Both of the builder's requirements are met: a put request with an item.
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
                        tracing::error!(error = %ErrorChain(&error), "a batch was refused");
                        break;
                    }
                    tracing::warn!(error = %ErrorChain(&error), "a batch was not written");
                }
            }
        }
        batch.into_iter().map(|(index, _)| index).collect()
    }
}

/// The most items of a `BatchWriteItem` (an AWS limit).
const MAX_BATCH_WRITE: usize = 25;
/// The most items of a `BatchGetItem` (an AWS limit).
const MAX_BATCH_GET: usize = 100;
/// Maximum number of attempts of a batch or of a write that conflicts with others: with pauses of up to 0.1, 0.2, 0.4 and
/// 0.8 seconds.
pub(super) const MAX_ATTEMPTS: u32 = 5;

/// How long after the first try of a batch another one begins: a try has six seconds, and a function twenty in all.
const RETRY_BUDGET: Duration = Duration::from_secs(6);

pub(super) async fn back_off(attempt: u32) {
    if attempt > 0 {
        let longest = 50 << attempt;
        let pause = rand::rng().random_range(longest / 2..=longest);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
}

fn same_key(a: &Item, b: &Item) -> bool {
    a.get("pk") == b.get("pk") && a.get("sk") == b.get("sk")
}

#[derive(Deserialize)]
struct Ignored {}

/// Whether an item is not past its time. One without a time stays.
fn is_unexpired(item: &Item, now: Timestamp) -> bool {
    let expires_at = item.get("expiresAt").and_then(|time| time.as_n().ok()).and_then(|time| time.parse::<i64>().ok());
    expires_at.is_none_or(|expires_at| now.seconds() < expires_at)
}

/// An item from an entity, its key, its `type`, and what else the indexes need.
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

/// An entity from an item; what the entity does not know is left alone.
pub(super) fn from_item<T: DeserializeOwned>(item: Item) -> Result<T, StoreError> {
    serde_dynamo::from_item(item).map_err(StoreError::Malformed)
}

/// A put that fails where something is already.
pub(super) fn put_if_absent(table: &str, item: Item) -> Result<TransactWriteItem, StoreError> {
    let put = Put::builder().table_name(table).set_item(Some(item)).condition_expression("attribute_not_exists(pk)");
    Ok(TransactWriteItem::builder().put(put.build().map_err(refused)?).build())
}

/// A check that fails where nothing is.
pub(super) fn check_exists(table: &str, key: &Key) -> Result<TransactWriteItem, StoreError> {
    let check = ConditionCheck::builder()
        .table_name(table)
        .set_key(Some(key.attributes()))
        .condition_expression("attribute_exists(pk)");
    Ok(TransactWriteItem::builder().condition_check(check.build().map_err(refused)?).build())
}

/// The answer of a conditional write; none where its condition does not hold.
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

/// A request that the SDK itself would not build.
pub(super) fn refused(error: impl Error + Send + Sync + 'static) -> StoreError {
    StoreError::Refused(error.into())
}

/// Why a transaction was cancelled.
enum Cancellation {
    /// So far each action's condition failed or not, in the actions' order.
    Conditions(Vec<bool>),
    /// Others were in the way.
    Transient,
    /// It can never be done, such as when an item is too large.
    Permanent,
}

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

/// Why DynamoDB did not do what was asked, other than by a condition.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It is busy or out of reach for now: try again later.
    #[error("the store is busy or out of reach")]
    Busy(#[source] Box<dyn Error + Send + Sync>),
    /// It refused the request.
    #[error("the store refused a request")]
    Refused(#[source] Box<dyn Error + Send + Sync>),
    /// An item is not what this version of Tenon writes.
    #[error("an item cannot be read or written")]
    Malformed(#[source] serde_dynamo::Error),
}

impl StoreError {
    /// Whether the same request may succeed a little later.
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
                // Without a failed condition, which is looked for first: others were in the way.
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
        // What is no time is left to whoever reads the item.
        assert!(is_unexpired(&item(AttributeValue::S("soon".into())), now));
    }
}
