//! Deletions: background jobs that delete the data of deleted users.

use super::{
    jobs,
    keys::{self, Key},
    table::{Delete, Range, StoreError, TABLE, Table, attribute_text},
    users::Deletion,
};
use crate::domain::id::WorkflowId;

/// Deletions of all environments.
#[derive(Clone, Debug)]
pub struct Deletions(pub Table);

/// Number of items that a step deletes.
const ITEMS_PER_STEP: usize = 200;

impl Deletions {
    /// Returns the unfinished deletions, at most 40,000, of environments in turn. One query per
    /// megabyte of each of four partitions.
    pub async fn open(&self) -> Result<Vec<Deletion>, StoreError> {
        let partitions: Vec<String> = (0..keys::DELETION_SHARDS).map(keys::deletions).collect();
        jobs::open(&self.0, &partitions, |job: &Deletion| job.environment_id).await
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
        let (owned, _) = self.0.first_items(std::slice::from_ref(&pk), &Range::all(TABLE), ITEMS_PER_STEP).await?;
        if owned.is_empty() {
            let job = keys::deletion(deletion.environment_id, deletion.user_id);
            self.0.delete(Delete::existing(&job)).await?;
            return Ok(true);
        }
        // A workflow has only its pointer in this partition. Items are not converted, so that a
        // malformed one is deleted too.
        let workflows = owned.iter().filter_map(|item| attribute_text(item, "workflowId").parse::<WorkflowId>().ok());
        self.0.delete_all(workflows.map(|id| keys::workflow(deletion.environment_id, id)).collect()).await?;
        let keys = owned.iter().map(|item| Key { pk: pk.clone(), sk: attribute_text(item, "sk") });
        self.0.delete_all(keys.collect()).await?;
        Ok(false)
    }
}
