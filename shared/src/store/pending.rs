//! Pending deliveries: what could not be sent and waits for its next attempt.

use serde::{Deserialize, Serialize};

use super::{
    errors::Retention,
    keys,
    table::{Item, StoreError, Table, to_item},
};
use crate::domain::{
    delivery::Attempt,
    id::{DestinationId, EnvironmentId, ErrorId, WorkflowId},
    timestamp::Timestamp,
};

/// A delivery that waits for its next attempt. It names the error and does not repeat it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PendingDelivery {
    /// The environment of both.
    pub environment_id: EnvironmentId,
    /// Where it is to go.
    pub destination_id: DestinationId,
    /// The workflow of the error, by which the error is found.
    pub workflow_id: WorkflowId,
    /// The error that is to go there.
    pub error_id: ErrorId,
    /// The attempts so far, the first one first.
    pub attempts: Vec<Attempt>,
    /// When the first attempt failed.
    pub first_failed_at: Timestamp,
    /// When it is tried again.
    pub next_attempt_at: Timestamp,
}

/// The pending deliveries of all destinations.
#[derive(Clone, Debug)]
pub struct PendingDeliveries {
    /// The table of errors and deliveries.
    pub table: Table,
    /// How long they are kept.
    pub retention: Retention,
}

impl PendingDeliveries {
    /// Writes deliveries, 25 a request. Returns the indices of those that DynamoDB did not take.
    pub async fn add(&self, deliveries: &[PendingDelivery]) -> Result<Vec<usize>, StoreError> {
        let items = deliveries.iter().map(|delivery| self.item(delivery)).collect::<Result<_, _>>()?;
        self.table.put_all(items).await
    }

    fn item(&self, delivery: &PendingDelivery) -> Result<Item, StoreError> {
        let PendingDelivery { environment_id, destination_id, error_id, next_attempt_at, first_failed_at, .. } =
            delivery;
        let key = keys::pending_delivery(*environment_id, *destination_id, *next_attempt_at, *error_id);
        let mut item = to_item("pendingDelivery", &key, delivery, &[])?;
        item.insert("expiresAt".into(), self.retention.expires(*first_failed_at));
        Ok(item)
    }
}
