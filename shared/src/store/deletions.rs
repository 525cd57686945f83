//! Deletions: what deleted users owned is removed behind them.

use aws_sdk_dynamodb::types::{DeleteRequest, WriteRequest};
use futures_util::future::try_join_all;
use serde::Deserialize;

use super::{
    keys::{self, Key},
    listing::{Filter, LISTING, Range, TABLE},
    table::{StoreError, TRIES, Table, pause_before, refused},
    users::Deletion,
};
use crate::domain::id::WorkflowId;

/// The deletions of all environments.
#[derive(Clone, Debug)]
pub struct Deletions(pub Table);

/// Something that lies in a user's partition; of a workflow only the pointer does.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Owned {
    sk: String,
    workflow_id: Option<WorkflowId>,
}

/// So many owned items are removed in a step.
const STEP: usize = 200;
/// The most items of a `BatchWriteItem` (an AWS limit).
const BATCH: usize = 25;

impl Deletions {
    /// Deletions that are not done, up to `most`. One query for each of four partitions.
    pub async fn open(&self, most: usize) -> Result<Vec<Deletion>, StoreError> {
        let partitions: Vec<String> = (0..keys::DELETION_SHARDS).map(keys::deletions).collect();
        Ok(self.0.page(&partitions, &Range::all(LISTING), &Filter::default(), (None, most)).await?.items)
    }

    /// Removes the next items that a user owned: workflows before what leads to them. True when nothing is left, which is
    /// then noted. One query, and two writes for 25 items, all at once.
    pub async fn step(&self, deletion: &Deletion) -> Result<bool, StoreError> {
        let pk = keys::user(deletion.environment_id, deletion.user_id).pk;
        let (owned, _): (Vec<Owned>, bool) = self.0.first(std::slice::from_ref(&pk), &Range::all(TABLE), STEP).await?;
        if owned.is_empty() {
            self.0.delete(&keys::deletion(deletion.environment_id, deletion.user_id)).await?;
            return Ok(true);
        }
        let workflows = owned.iter().filter_map(|item| item.workflow_id);
        self.delete_all(workflows.map(|id| keys::workflow(deletion.environment_id, id)).collect()).await?;
        self.delete_all(owned.into_iter().map(|item| Key { pk: pk.clone(), sk: item.sk }).collect()).await?;
        Ok(false)
    }

    async fn delete_all(&self, keys: Vec<Key>) -> Result<(), StoreError> {
        try_join_all(keys.chunks(BATCH).map(|chunk| self.delete_batch(chunk))).await?;
        Ok(())
    }

    /// Removes up to 25 items; what DynamoDB leaves unprocessed is tried again.
    async fn delete_batch(&self, keys: &[Key]) -> Result<(), StoreError> {
        let Table { client, name } = &self.0;
        let mut left = keys
            .iter()
            .map(|key| {
                let delete = DeleteRequest::builder().set_key(Some(key.attributes())).build().map_err(refused)?;
                Ok(WriteRequest::builder().delete_request(delete).build())
            })
            .collect::<Result<Vec<_>, StoreError>>()?;
        for round in 0..TRIES {
            if left.is_empty() {
                return Ok(());
            }
            pause_before(round).await;
            let answer = client.batch_write_item().request_items(name, left).send().await?;
            left = answer.unprocessed_items.unwrap_or_default().remove(name).unwrap_or_default();
        }
        if left.is_empty() { Ok(()) } else { Err(StoreError::Busy("items were left".into())) }
    }
}
