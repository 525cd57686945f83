//! Pending deliveries: deliveries that wait for their next attempt, ordered by its time.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    errors::Retention,
    health::Backlog,
    keys,
    table::{Delete, Item, Put, Range, StoreError, TABLE, Table, Update, Write, number, text, to_item, to_value},
};
use crate::domain::{
    delivery::{Attempt, Delivery, DeliveryStatus, Disposition, PendingDelivery, Route},
    id::{ReplayId, WorkflowId},
    timestamp::Timestamp,
};

/// Pending deliveries of all destinations.
#[derive(Clone, Debug)]
pub struct PendingDeliveries {
    /// Errors table.
    pub table: Table,
    /// Retention of deliveries.
    pub retention: Retention,
}

/// Result of a step for one pending delivery.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// Delivery before the step.
    pub delivery: PendingDelivery,
    /// Attempt, if one was made.
    pub attempt: Option<Attempt>,
    /// New state of the delivery.
    pub disposition: Disposition,
}

/// Number of settlements per transaction: up to three items each, and one per replay, of 100 items
/// (AWS limit).
const SETTLEMENTS_PER_TRANSACTION: usize = 20;
/// Maximum number of items of a partition that are read to count the backlog.
const MAX_COUNTED: usize = 100;

impl PendingDeliveries {
    /// Adds pending deliveries and records their first attempts. Returns the indices of those that
    /// were not written completely. Each error may occur once. Two items per delivery, one
    /// `BatchWriteItem` per 25 items.
    pub async fn add(
        &self,
        route: Route,
        deliveries: &[(PendingDelivery, Option<Attempt>)],
    ) -> Result<Vec<usize>, StoreError> {
        let delivery_items = deliveries.iter().map(|(pending, attempt)| {
            let delivery = Delivery {
                error_id: pending.error_id,
                destination_id: route.destination,
                status: DeliveryStatus::Pending,
                attempts: attempt.iter().cloned().collect(),
                next_attempt_at: Some(pending.next_attempt_at),
            };
            delivery_item(route, pending.workflow_id, &delivery, self.retention, pending.pending_since)
        });
        let items = delivery_items.chain(deliveries.iter().map(|(pending, _)| self.item(route, pending)));
        let unwritten = self.table.put_all(items.collect::<Result<_, _>>()?).await;
        let mut unwritten: Vec<usize> = unwritten.into_iter().map(|index| index % deliveries.len().max(1)).collect();
        unwritten.sort_unstable();
        unwritten.dedup();
        Ok(unwritten)
    }

    fn item(&self, route: Route, pending: &PendingDelivery) -> Result<Item, StoreError> {
        let key = keys::pending_delivery(route, pending.next_attempt_at, pending.workflow_id, pending.error_id);
        let mut item = to_item("pendingDelivery", &key, pending, &[])?;
        item.insert("expiresAt".into(), self.retention.expires_at(pending.pending_since));
        Ok(item)
    }

    /// Returns up to `limit` deliveries that are due by the given time, the longest overdue first.
    /// One query for each of eight partitions.
    pub async fn due(&self, route: Route, by: Timestamp, limit: usize) -> Result<Vec<PendingDelivery>, StoreError> {
        let due = Range { high: keys::due_by(by), ..Range::all(TABLE) };
        let (mut found, _): (Vec<PendingDelivery>, _) = self.table.first(&partitions(route), &due, limit).await?;
        found.sort_by_key(|pending| pending.next_attempt_at);
        found.truncate(limit);
        Ok(found)
    }

    /// Returns the backlog, due or not. One query for each of eight partitions.
    pub async fn backlog(&self, route: Route) -> Result<Backlog, StoreError> {
        let (found, all): (Vec<PendingDelivery>, bool) =
            self.table.first(&partitions(route), &Range::all(TABLE), MAX_COUNTED).await?;
        let earliest_due = found.iter().map(|pending| pending.next_attempt_at).min();
        let oldest = found.iter().map(|pending| pending.pending_since).min();
        let count = i64::try_from(found.len()).unwrap_or(i64::MAX);
        Ok(Backlog { earliest_due, counted: all.then_some((count, oldest)) })
    }

    /// Records the results of a step, each completely or not at all. Each error may occur once, in
    /// addition to its duplicates. One transaction per 20 settlements, sequentially because they
    /// may update the same replay.
    pub async fn settle(&self, route: Route, replays: &Table, settled: &[Settlement]) -> Result<(), StoreError> {
        for chunk in settled.chunks(SETTLEMENTS_PER_TRANSACTION) {
            self.settle_chunk(route, replays, chunk).await?;
        }
        Ok(())
    }

    async fn settle_chunk(&self, route: Route, replays: &Table, settled: &[Settlement]) -> Result<(), StoreError> {
        let mut writes = Vec::new();
        for settlement in settled {
            writes.extend(self.writes(route, settlement)?);
        }
        let mut counts: BTreeMap<ReplayId, (u32, u32)> = BTreeMap::new();
        for Settlement { delivery, disposition, .. } in settled {
            if let Some(replay) = delivery.replay_id {
                let (delivered, failed) = counts.entry(replay).or_default();
                *delivered += u32::from(*disposition == Disposition::Delivered);
                *failed += u32::from(*disposition == Disposition::Failed);
            }
        }
        let counts = counts.into_iter().map(|(replay, (delivered, failed))| {
            let update = Update::of(&keys::replay(route.environment, replay));
            update.add("delivered", number(delivered)).add("failed", number(failed)).into()
        });
        self.table.transact_with(writes, (replays, counts.collect())).await?;
        Ok(())
    }

    /// Returns the writes of a settlement: remove the pending item, add it again for the next
    /// attempt if there is one, and update the delivery.
    fn writes(&self, route: Route, settlement: &Settlement) -> Result<Vec<Write>, StoreError> {
        let Settlement { delivery, attempt, disposition } = settlement;
        let PendingDelivery { workflow_id, error_id, next_attempt_at, pending_since, .. } = delivery;
        let key = keys::pending_delivery(route, *next_attempt_at, *workflow_id, *error_id);
        let mut writes = vec![Delete::of(&key).into()];
        let delivery_key = keys::delivery(route, *workflow_id, *error_id);
        let status = match disposition {
            Disposition::Pending(pending) => {
                writes.push(Put::new(self.item(route, pending)?).into());
                DeliveryStatus::Pending
            }
            Disposition::Delivered => DeliveryStatus::Delivered,
            Disposition::Failed => DeliveryStatus::Failed,
            Disposition::Cancelled => DeliveryStatus::Cancelled,
            Disposition::Dropped => {
                writes.push(Delete::of(&delivery_key).into());
                return Ok(writes);
            }
            Disposition::Duplicate => return Ok(writes),
        };
        let next_attempt_at = match disposition {
            Disposition::Pending(pending) => text(pending.next_attempt_at),
            _ => AttributeValue::Null(true),
        };
        let attempts: Vec<&Attempt> = attempt.iter().collect();
        let update = Update::of(&delivery_key)
            .set("type", text("delivery"))
            .set("errorId", text(error_id))
            .set("destinationId", text(route.destination))
            .set("status", text(status.as_str()))
            .set("nextAttemptAt", next_attempt_at)
            .append("attempts", to_value(attempts)?)
            .set_if_absent("expiresAt", self.retention.expires_at(*pending_since));
        writes.push(update.into());
        Ok(writes)
    }
}

fn partitions(route: Route) -> Vec<String> {
    (0..keys::DELIVERY_SHARDS).map(|shard| keys::pending_deliveries(route, shard)).collect()
}

/// Returns the item of a delivery that did not succeed at its first attempt.
pub(super) fn delivery_item(
    route: Route,
    workflow: WorkflowId,
    delivery: &Delivery,
    retention: Retention,
    since: Timestamp,
) -> Result<Item, StoreError> {
    let mut item = to_item("delivery", &keys::delivery(route, workflow, delivery.error_id), delivery, &[])?;
    item.insert("expiresAt".into(), retention.expires_at(since));
    Ok(item)
}
