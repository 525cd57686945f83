//! Deletions: what deleted users owned is removed behind them.

use serde::Deserialize;

use super::{
    keys::{self, Key},
    listing::{Filter, LISTING, Range, TABLE},
    table::{StoreError, Table},
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
const ITEMS_PER_STEP: usize = 200;

impl Deletions {
    /// Deletions that are not done, up to `most`. One query for each of four partitions.
    pub async fn open(&self, limit: usize) -> Result<Vec<Deletion>, StoreError> {
        let partitions: Vec<String> = (0..keys::DELETION_SHARDS).map(keys::deletions).collect();
        Ok(self.0.page(&partitions, &Range::all(LISTING), &Filter::default(), (None, limit)).await?.items)
    }

    /// Removes all that a user owned. Always true in the end: there is nothing to wait for.
    pub async fn run(&self, deletion: &Deletion) -> Result<bool, StoreError> {
        while !self.step(deletion).await? {}
        Ok(true)
    }

    /// Removes the next items that a user owned: workflows before what leads to them. True when nothing is left, which is
    /// then noted. One query, and two writes for 25 items, all at once.
    pub async fn step(&self, deletion: &Deletion) -> Result<bool, StoreError> {
        let pk = keys::user(deletion.environment_id, deletion.user_id).pk;
        let (owned, _): (Vec<Owned>, bool) =
            self.0.first(std::slice::from_ref(&pk), &Range::all(TABLE), ITEMS_PER_STEP).await?;
        if owned.is_empty() {
            self.0.delete(&keys::deletion(deletion.environment_id, deletion.user_id)).await?;
            return Ok(true);
        }
        let workflows = owned.iter().filter_map(|item| item.workflow_id);
        self.0.delete_all(workflows.map(|id| keys::workflow(deletion.environment_id, id)).collect()).await?;
        self.0.delete_all(owned.into_iter().map(|item| Key { pk: pk.clone(), sk: item.sk }).collect()).await?;
        Ok(false)
    }
}
