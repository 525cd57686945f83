//! `BatchGetItem` and `BatchWriteItem`. DynamoDB may leave some requests of a batch unprocessed;
//! these are sent again.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::{AttributeValue, DeleteRequest, KeysAndAttributes, PutRequest, WriteRequest};
use futures_util::future::try_join_all;
use serde::de::DeserializeOwned;

use super::{
    client::{Access, Table},
    error::{Retries, StoreError},
    item::{Item, attribute_text, is_unexpired, readable},
};
use crate::{domain::timestamp::Timestamp, logs::ErrorChain, store::keys::Key};

/// Maximum number of items per `BatchWriteItem` (AWS limit).
const MAX_BATCH_WRITE: usize = 25;
/// Maximum number of items per `BatchGetItem` (AWS limit).
const MAX_BATCH_GET: usize = 100;

/// Response to a batch: the unprocessed requests and the items that were found.
type Response<R> = (Vec<R>, Vec<Item>);

/// BatchOutcome of a batch.
struct BatchOutcome<R> {
    /// Requests that were not processed.
    unprocessed: Vec<R>,
    /// Items that were found.
    found: Vec<Item>,
    /// Error that ended the attempts.
    error: Option<StoreError>,
}

/// Sends the requests of a batch, and unprocessed ones again with growing pauses. After an error,
/// the requests are sent again only if `is_retried` accepts it.
async fn send_batch<R: Clone, F: Future<Output = Result<Response<R>, StoreError>>>(
    requests: Vec<R>,
    send: impl Fn(Vec<R>) -> F,
    is_retried: impl Fn(&StoreError) -> bool,
) -> BatchOutcome<R> {
    let mut outcome = BatchOutcome { unprocessed: requests, found: Vec::new(), error: None };
    let mut attempts = Retries::start();
    loop {
        match send(outcome.unprocessed.clone()).await {
            Ok((unprocessed, found)) => {
                outcome.unprocessed = unprocessed;
                outcome.found.extend(found);
            }
            Err(error) if is_retried(&error) => tracing::warn!(error = %ErrorChain(&error), "batch failed"),
            Err(error) => return BatchOutcome { error: Some(error), ..outcome },
        }
        if outcome.unprocessed.is_empty() || !attempts.wait().await {
            return outcome;
        }
    }
}

impl<R> BatchOutcome<R> {
    /// Returns the items that were found, or an error if any request was not processed.
    fn complete(self) -> Result<Vec<Item>, StoreError> {
        match self {
            Self { error: Some(error), .. } => Err(error),
            Self { unprocessed, found, .. } if unprocessed.is_empty() => Ok(found),
            Self { .. } => Err(StoreError::Busy("some items of a batch were not processed".into())),
        }
    }
}

impl<A: Access> Table<A> {
    /// Returns items by key, in no order, without those that do not exist. Strongly consistent. One
    /// `BatchGetItem` per 100 keys.
    pub(in crate::store) async fn get_all<T: DeserializeOwned>(&self, wanted: &[Key]) -> Result<Vec<T>, StoreError> {
        Ok(self.get_items(wanted).await?.into_iter().filter_map(readable).collect())
    }

    /// Returns items by key like [`Self::get_all`], without expired items, which DynamoDB deletes
    /// some days later.
    pub(in crate::store) async fn get_all_unexpired<T: DeserializeOwned>(
        &self,
        wanted: &[Key],
        now: Timestamp,
    ) -> Result<Vec<T>, StoreError> {
        let found = self.get_items(wanted).await?;
        Ok(found.into_iter().filter(|item| is_unexpired(item, now)).filter_map(readable).collect())
    }

    /// Returns items by key like [`Self::get_all`], and the keys of malformed items.
    pub(in crate::store) async fn get_readable<T: DeserializeOwned>(
        &self,
        wanted: &[Key],
    ) -> Result<(Vec<T>, Vec<Key>), StoreError> {
        Ok(separate(self.get_items(wanted).await?))
    }

    /// Returns items by key like [`Self::get_all_unexpired`], and the keys of malformed items.
    pub(in crate::store) async fn get_readable_unexpired<T: DeserializeOwned>(
        &self,
        wanted: &[Key],
        now: Timestamp,
    ) -> Result<(Vec<T>, Vec<Key>), StoreError> {
        let mut items = self.get_items(wanted).await?;
        items.retain(|item| is_unexpired(item, now));
        Ok(separate(items))
    }

    async fn get_items(&self, wanted: &[Key]) -> Result<Vec<Item>, StoreError> {
        let mut found = Vec::new();
        // DynamoDB rejects a request that contains a key twice.
        let wanted: Vec<&Key> = wanted.iter().collect::<BTreeSet<_>>().into_iter().collect();
        for keys in wanted.chunks(MAX_BATCH_GET) {
            let keys = keys.iter().map(|key| key.attributes()).collect();
            found.extend(send_batch(keys, |keys| self.send_reads(keys), |_| false).await.complete()?);
        }
        Ok(found)
    }

    /// Sends one `BatchGetItem`.
    async fn send_reads(&self, keys: Vec<Item>) -> Result<Response<Item>, StoreError> {
        let request = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true);
        let request = request.build().map_err(StoreError::refused)?;
        let output = self.client.batch_get_item().request_items(&self.name, request).send().await?;
        let unprocessed = output.unprocessed_keys.unwrap_or_default().remove(&self.name);
        let found = output.responses.unwrap_or_default().remove(&self.name);
        Ok((unprocessed.map(|left| left.keys).unwrap_or_default(), found.unwrap_or_default()))
    }
}

/// Returns the entities of items, and the keys of malformed items.
fn separate<T: DeserializeOwned>(items: Vec<Item>) -> (Vec<T>, Vec<Key>) {
    let (mut found, mut unreadable) = (Vec::new(), Vec::new());
    for item in items {
        let key = Key { pk: attribute_text(&item, "pk"), sk: attribute_text(&item, "sk") };
        match readable(item) {
            Some(entity) => found.push(entity),
            None => unreadable.push(key),
        }
    }
    (found, unreadable)
}

impl Table {
    /// Deletes items by key. One `BatchWriteItem` per 25 keys, all concurrently.
    pub(in crate::store) async fn delete_all(&self, keys: Vec<Key>) -> Result<(), StoreError> {
        try_join_all(keys.chunks(MAX_BATCH_WRITE).map(|keys| self.delete_batch(keys))).await?;
        Ok(())
    }

    async fn delete_batch(&self, keys: &[Key]) -> Result<(), StoreError> {
        let requests = keys.iter().map(|key| {
            let delete = DeleteRequest::builder().set_key(Some(key.attributes()));
            Ok(WriteRequest::builder().delete_request(delete.build().map_err(StoreError::refused)?).build())
        });
        let requests = requests.collect::<Result<Vec<_>, StoreError>>()?;
        send_batch(requests, |requests| self.send_writes(requests), |_| false).await.complete()?;
        Ok(())
    }

    /// Writes items with one `BatchWriteItem` per 25 items, all concurrently, more if DynamoDB
    /// leaves items unprocessed. The keys must be distinct. Returns the indices of items that were
    /// not written. Errors are logged; items that stayed unprocessed are not.
    pub(in crate::store) async fn put_all(&self, items: Vec<Item>) -> Vec<usize> {
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

    async fn put_batch(&self, batch: Vec<(usize, Item)>) -> Vec<usize> {
        let indices: Vec<(usize, ItemKey)> = batch.iter().map(|(index, item)| (*index, item_key(item))).collect();
        let requests = batch.into_iter().map(|(_, item)| {
            // Cannot fail: the builder requires only an item.
            let put = PutRequest::builder().set_item(Some(item)).build().ok();
            WriteRequest::builder().set_put_request(put).build()
        });
        let send = |requests| self.send_writes(requests);
        let BatchOutcome { unprocessed, error, .. } =
            send_batch(requests.collect(), send, StoreError::is_transient).await;
        if let Some(error) = error {
            tracing::error!(error = %ErrorChain(&error), "batch write rejected");
        }
        let unprocessed = unprocessed.into_iter().filter_map(|request| Some(item_key(&request.put_request?.item)));
        let unprocessed: Vec<ItemKey> = unprocessed.collect();
        indices.into_iter().filter(|(_, key)| unprocessed.contains(key)).map(|(index, _)| index).collect()
    }

    /// Sends one `BatchWriteItem`.
    async fn send_writes(&self, requests: Vec<WriteRequest>) -> Result<Response<WriteRequest>, StoreError> {
        let output = self.client.batch_write_item().request_items(&self.name, requests).send().await?;
        Ok((output.unprocessed_items.unwrap_or_default().remove(&self.name).unwrap_or_default(), Vec::new()))
    }
}

/// Key attributes of an item.
type ItemKey = [Option<AttributeValue>; 2];

fn item_key(item: &Item) -> ItemKey {
    ["pk", "sk"].map(|name| item.get(name).cloned())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Sends three requests with scripted responses. Returns the outcome and the requests of each
    /// attempt.
    async fn send(
        answers: Vec<Result<Response<u32>, StoreError>>,
        is_retried: fn(&StoreError) -> bool,
    ) -> (BatchOutcome<u32>, Vec<Vec<u32>>) {
        let (answers, sent) = (Mutex::new(answers.into_iter()), Mutex::new(Vec::new()));
        let answer = |requests| {
            sent.lock().unwrap().push(requests);
            std::future::ready(answers.lock().unwrap().next().unwrap())
        };
        let outcome = send_batch(vec![1, 2, 3], answer, is_retried).await;
        (outcome, sent.into_inner().unwrap())
    }

    fn item(name: &str) -> Item {
        Item::from([(name.to_owned(), AttributeValue::Bool(true))])
    }

    #[tokio::test]
    async fn unprocessed_requests_are_sent_again() {
        let answers = vec![Ok((vec![3], vec![item("a")])), Ok((vec![], vec![item("b")]))];
        let (outcome, sent) = send(answers, |_| false).await;
        assert_eq!(sent, [vec![1, 2, 3], vec![3]]);
        assert_eq!(outcome.complete().unwrap(), [item("a"), item("b")]);
    }

    #[tokio::test]
    async fn only_accepted_errors_are_retried() {
        let busy = || Err(StoreError::Busy("busy".into()));
        let (outcome, sent) = send(vec![busy(), Ok((vec![], vec![]))], StoreError::is_transient).await;
        assert_eq!(sent.len(), 2);
        assert!(outcome.complete().is_ok());

        let answers = vec![Ok((vec![2, 3], vec![])), Err(StoreError::Refused("no".into()))];
        let (outcome, _) = send(answers, StoreError::is_transient).await;
        assert_eq!(outcome.unprocessed, [2, 3]);
        assert!(matches!(outcome.complete(), Err(StoreError::Refused(_))));

        let (outcome, sent) = send(vec![busy()], |_| false).await;
        assert_eq!((sent.len(), outcome.complete().unwrap_err().is_transient()), (1, true));
    }
}
