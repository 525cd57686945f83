//! Deletions: background jobs that delete the data of deleted users.

use serde::Deserialize;

use super::{
    keys::{self, Key},
    table::{Delete, Filter, LISTING, Range, StoreError, TABLE, Table},
    users::Deletion,
};
use crate::domain::id::WorkflowId;

/// Deletions of all environments.
#[derive(Clone, Debug)]
pub struct Deletions(pub Table);

/// Item in the partition of a user. A workflow has only its pointer there.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Owned {
    sk: String,
    workflow_id: Option<WorkflowId>,
}

/// Number of items that a step deletes.
const ITEMS_PER_STEP: usize = 200;

impl Deletions {
    /// Returns up to `limit` unfinished deletions. At least one query for each of four partitions.
    pub async fn open(&self, limit: usize) -> Result<Vec<Deletion>, StoreError> {
        let partitions: Vec<String> = (0..keys::DELETION_SHARDS).map(keys::deletions).collect();
        Ok(self.0.page(&partitions, &Range::all(LISTING), &Filter::default(), (None, limit)).await?.items)
    }

    /// Deletes all items that a user owned. Always returns true, because a deletion has nothing to
    /// wait for.
    pub async fn run(&self, deletion: &Deletion) -> Result<bool, StoreError> {
        while !self.step(deletion).await? {}
        Ok(true)
    }

    /// Deletes the next items that a user owned, each workflow before the pointer to it. Returns
    /// true and deletes the job when no item is left. One query, and one `BatchWriteItem` per 25
    /// workflows and one per 25 other items.
    pub async fn step(&self, deletion: &Deletion) -> Result<bool, StoreError> {
        let pk = keys::user(deletion.environment_id, deletion.user_id).pk;
        let (owned, _): (Vec<Owned>, bool) =
            self.0.first(std::slice::from_ref(&pk), &Range::all(TABLE), ITEMS_PER_STEP).await?;
        if owned.is_empty() {
            let job = keys::deletion(deletion.environment_id, deletion.user_id);
            self.0.delete(Delete::existing(&job)).await?;
            return Ok(true);
        }
        let workflows = owned.iter().filter_map(|item| item.workflow_id);
        self.0.delete_all(workflows.map(|id| keys::workflow(deletion.environment_id, id)).collect()).await?;
        self.0.delete_all(owned.into_iter().map(|item| Key { pk: pk.clone(), sk: item.sk }).collect()).await?;
        Ok(false)
    }
}
