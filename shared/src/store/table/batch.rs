//! `BatchGetItem` and `BatchWriteItem`. DynamoDB may leave some requests of a batch unprocessed;
//! these are sent again.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_dynamodb::types::{DeleteRequest, KeysAndAttributes, PutRequest, WriteRequest};
use futures_util::future::{join_all, try_join_all};
use serde::de::DeserializeOwned;

use super::{
    client::{Access, Table},
    error::{Retries, StoreError},
    item::{Item, from_item, is_unexpired, item_key, readable, readable_as},
};
use crate::{domain::timestamp::Timestamp, logs::ErrorChain, store::keys::Key};

/// Maximum number of items per `BatchWriteItem` (AWS limit).
const MAX_BATCH_WRITE: usize = 25;
/// Maximum number of items per `BatchGetItem` (AWS limit).
const MAX_BATCH_GET: usize = 100;

/// Response to a batch: the unprocessed requests and the items that were found, by table.
type Response<R> = (Vec<R>, Vec<(String, Item)>);

/// Outcome of a batch.
struct BatchOutcome<R> {
    /// Requests that were not processed.
    unprocessed: Vec<R>,
    /// Items that were found, with their tables.
    found: Vec<(String, Item)>,
    /// Error that ended the attempts.
    error: Option<StoreError>,
}

/// Sends the requests of a batch, and unprocessed ones again with growing pauses. After an error,
/// the requests are sent again only if `is_retried` accepts it.
///
/// A response has at most one megabyte of each partition (AWS limit). As long as responses have
/// items, the rest is requested immediately.
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
                let is_partial = !found.is_empty() && !unprocessed.is_empty();
                outcome.unprocessed = unprocessed;
                outcome.found.extend(found);
                if is_partial && attempts.have_time() {
                    continue;
                }
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
    fn complete(self) -> Result<Vec<(String, Item)>, StoreError> {
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
        Ok(separate(self.get_items(wanted).await?, from_item))
    }

    async fn get_items(&self, wanted: &[Key]) -> Result<Vec<Item>, StoreError> {
        let [found, _] = self.get_items_and(wanted, (self, &[])).await?;
        Ok(found)
    }

    /// Returns items of this table and of another one by key, in no order, without those that do
    /// not exist. Strongly consistent. One `BatchGetItem` per 100 keys, all concurrently.
    pub(in crate::store) async fn get_items_and<B: Access>(
        &self,
        wanted: &[Key],
        (other, of_other): (&Table<B>, &[Key]),
    ) -> Result<[Vec<Item>; 2], StoreError> {
        // DynamoDB rejects a request that contains a key twice.
        let wanted = wanted.iter().map(|key| (&self.name, key));
        let wanted: BTreeSet<_> = wanted.chain(of_other.iter().map(|key| (&other.name, key))).collect();
        let requests: Vec<_> = wanted.into_iter().map(|(table, key)| (table.clone(), key.clone())).collect();
        let batches = requests.chunks(MAX_BATCH_GET).map(|batch| async {
            send_batch(batch.to_vec(), |requests| self.send_reads(requests), |_| false).await.complete()
        });
        let found = try_join_all(batches).await?.into_iter().flatten();
        let (own, others): (Vec<_>, Vec<_>) = found.partition(|(table, _)| *table == self.name);
        Ok([own, others].map(|found| found.into_iter().map(|(_, item)| item).collect()))
    }

    /// Sends one `BatchGetItem`, of items in any table.
    async fn send_reads(&self, keys: Vec<(String, Key)>) -> Result<Response<(String, Key)>, StoreError> {
        let mut by_table: HashMap<String, Vec<Item>> = HashMap::new();
        for (table, key) in keys {
            by_table.entry(table).or_default().push(key.attributes());
        }
        let mut request = self.client.batch_get_item();
        for (table, keys) in by_table {
            let keys = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true);
            request = request.request_items(table, keys.build().map_err(StoreError::refused)?);
        }
        let output = request.send().await?;
        let unprocessed = output.unprocessed_keys.unwrap_or_default().into_iter();
        let unprocessed = unprocessed.flat_map(|(table, left)| with_table(table, left.keys));
        let unprocessed = unprocessed.map(|(table, key)| (table, item_key(&key))).collect();
        let found = output.responses.unwrap_or_default().into_iter();
        Ok((unprocessed, found.flat_map(|(table, items)| with_table(table, items)).collect()))
    }
}

fn with_table(table: String, items: Vec<Item>) -> impl Iterator<Item = (String, Item)> {
    items.into_iter().map(move |item| (table.clone(), item))
}

/// Returns the entities of items, and the keys of malformed items.
pub(in crate::store) fn separate<T>(
    items: Vec<Item>,
    parse: impl Fn(Item) -> Result<T, StoreError>,
) -> (Vec<T>, Vec<Key>) {
    let (mut found, mut unreadable) = (Vec::new(), Vec::new());
    for item in items {
        match readable_as(item, &parse) {
            Ok(entity) => found.push(entity),
            Err(key) => unreadable.push(key),
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
        let send = |keys: Vec<Key>| async move {
            let deletes = keys.iter().map(|key| {
                let delete = DeleteRequest::builder().set_key(Some(key.attributes()));
                Ok(WriteRequest::builder().delete_request(delete.build().map_err(StoreError::refused)?).build())
            });
            let unprocessed = self.send_writes(deletes.collect::<Result<_, StoreError>>()?).await?.into_iter();
            let unprocessed = unprocessed.filter_map(|request| Some(item_key(&request.delete_request?.key)));
            Ok((unprocessed.collect(), Vec::new()))
        };
        send_batch(keys.to_vec(), send, |_| false).await.complete()?;
        Ok(())
    }

    /// Writes the items of entities with one `BatchWriteItem` per 25 items, all concurrently, more
    /// if DynamoDB leaves items unprocessed. The keys of the items must be distinct. Returns the
    /// indices of entities that were not written, after logging the reason.
    ///
    /// `item` creates an item for each attempt, because a copy for a second attempt, which is rare,
    /// would take an eighth of the time of a request.
    pub(in crate::store) async fn put_all<T: Sync>(
        &self,
        entities: &[T],
        item: impl Fn(&T) -> Result<Item, StoreError> + Sync,
    ) -> Vec<usize> {
        let indexed: Vec<(usize, &T)> = entities.iter().enumerate().collect();
        join_all(indexed.chunks(MAX_BATCH_WRITE).map(|batch| self.put_batch(batch, &item))).await.concat()
    }

    async fn put_batch<'e, T: Sync>(
        &self,
        batch: &[(usize, &'e T)],
        item: &(impl Fn(&T) -> Result<Item, StoreError> + Sync),
    ) -> Vec<usize> {
        let send = |mut batch: Vec<(usize, &'e T)>| async move {
            let puts = batch.iter().map(|(_, entity)| {
                let put = PutRequest::builder().set_item(Some(item(entity)?));
                Ok(WriteRequest::builder().put_request(put.build().map_err(StoreError::refused)?).build())
            });
            let unprocessed = self.send_writes(puts.collect::<Result<_, StoreError>>()?).await?.into_iter();
            let unprocessed = unprocessed.filter_map(|request| Some(item_key(&request.put_request?.item)));
            let unprocessed: BTreeSet<Key> = unprocessed.collect();
            batch.retain(|(_, entity)| {
                !unprocessed.is_empty() && item(entity).is_ok_and(|item| unprocessed.contains(&item_key(&item)))
            });
            Ok((batch, Vec::new()))
        };
        let BatchOutcome { unprocessed, error, .. } = send_batch(batch.to_vec(), send, StoreError::is_transient).await;
        match error {
            Some(error) => tracing::error!(error = %ErrorChain(&error), "batch write rejected"),
            None if !unprocessed.is_empty() => {
                tracing::warn!(count = unprocessed.len(), "batch write left items unprocessed");
            }
            None => {}
        }
        unprocessed.into_iter().map(|(index, _)| index).collect()
    }

    /// Sends one `BatchWriteItem`. Returns the unprocessed requests.
    async fn send_writes(&self, requests: Vec<WriteRequest>) -> Result<Vec<WriteRequest>, StoreError> {
        let output = self.client.batch_write_item().request_items(&self.name, requests).send().await?;
        Ok(output.unprocessed_items.unwrap_or_default().remove(&self.name).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use aws_sdk_dynamodb::types::AttributeValue;

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

    fn item(name: &str) -> (String, Item) {
        ("Errors".to_owned(), Item::from([(name.to_owned(), AttributeValue::Bool(true))]))
    }

    #[tokio::test]
    async fn unprocessed_requests_are_sent_again() {
        let answers = vec![Ok((vec![3], vec![item("a")])), Ok((vec![], vec![item("b")]))];
        let (outcome, sent) = send(answers, |_| false).await;
        assert_eq!(sent, [vec![1, 2, 3], vec![3]]);
        assert_eq!(outcome.complete().unwrap(), [item("a"), item("b")]);
    }

    #[tokio::test]
    async fn items_that_did_not_fit_into_a_response_are_requested_until_all_are_read() {
        // A megabyte has 15 of the largest errors.
        let answer = |requests: Vec<u32>| {
            let (read, left) = requests.split_at(requests.len().min(15));
            let found = read.iter().map(|number| item(&number.to_string())).collect();
            std::future::ready(Ok((left.to_vec(), found)))
        };
        let outcome = send_batch((0..100).collect(), answer, |_| false).await;
        assert_eq!(outcome.complete().unwrap().len(), 100);
    }

    #[tokio::test]
    async fn requests_of_which_none_is_processed_are_sent_five_times() {
        let stuck = || (0..5).map(|_| Ok((vec![2, 3], vec![])));
        let (outcome, sent) = send(stuck().collect(), |_| false).await;
        // The first attempt has processed one.
        assert_eq!((sent.len(), outcome.unprocessed.clone()), (5, vec![2, 3]));
        assert!(outcome.complete().unwrap_err().is_transient());
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
