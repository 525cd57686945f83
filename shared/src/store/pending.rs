//! Pending deliveries: deliveries that wait for their next attempt, ordered by its time.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::{AttributeValue, Delete, Put, TransactWriteItem, Update};

use super::{
    errors::Retention,
    health::Backlog,
    keys,
    listing::{Range, TABLE},
    table::{Item, StoreError, Table, refused, to_item},
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
        let mut actions = Vec::new();
        for settlement in settled {
            actions.extend(self.actions(route, settlement)?);
        }
        let mut counts: BTreeMap<ReplayId, (u32, u32)> = BTreeMap::new();
        for Settlement { delivery, disposition, .. } in settled {
            if let Some(replay) = delivery.replay_id {
                let (delivered, failed) = counts.entry(replay).or_default();
                *delivered += u32::from(*disposition == Disposition::Delivered);
                *failed += u32::from(*disposition == Disposition::Failed);
            }
        }
        for (replay, (delivered, failed)) in counts {
            let update = Update::builder()
                .table_name(&replays.name)
                .set_key(Some(keys::replay(route.environment, replay).attributes()))
                .update_expression("ADD delivered :delivered, #failed :failed")
                .expression_attribute_names("#failed", "failed")
                .expression_attribute_values(":delivered", AttributeValue::N(delivered.to_string()))
                .expression_attribute_values(":failed", AttributeValue::N(failed.to_string()));
            actions.push(TransactWriteItem::builder().update(update.build().map_err(refused)?).build());
        }
        self.table.transact(actions).await?;
        Ok(())
    }

    /// Returns the writes of a settlement: remove the pending item, add it again for the next
    /// attempt if there is one, and update the delivery.
    fn actions(&self, route: Route, settlement: &Settlement) -> Result<Vec<TransactWriteItem>, StoreError> {
        let Settlement { delivery, attempt, disposition } = settlement;
        let Table { name, .. } = &self.table;
        let PendingDelivery { workflow_id, error_id, next_attempt_at, pending_since, .. } = delivery;
        let key = keys::pending_delivery(route, *next_attempt_at, *workflow_id, *error_id);
        let delete = |key: &keys::Key| {
            let delete = Delete::builder().table_name(name).set_key(Some(key.attributes())).build().map_err(refused)?;
            Ok::<_, StoreError>(TransactWriteItem::builder().delete(delete).build())
        };
        let mut actions = vec![delete(&key)?];
        let delivery_key = keys::delivery(route, *workflow_id, *error_id);
        let status = match disposition {
            Disposition::Pending(pending) => {
                let put = Put::builder().table_name(name).set_item(Some(self.item(route, pending)?));
                actions.push(TransactWriteItem::builder().put(put.build().map_err(refused)?).build());
                DeliveryStatus::Pending
            }
            Disposition::Delivered => DeliveryStatus::Delivered,
            Disposition::Failed => DeliveryStatus::Failed,
            Disposition::Cancelled => DeliveryStatus::Cancelled,
            Disposition::Dropped => {
                actions.push(delete(&delivery_key)?);
                return Ok(actions);
            }
            Disposition::Duplicate => return Ok(actions),
        };
        let next_attempt_at = match disposition {
            Disposition::Pending(pending) => AttributeValue::S(pending.next_attempt_at.to_string()),
            _ => AttributeValue::Null(true),
        };
        let attempts: Vec<&Attempt> = attempt.iter().collect();
        let text = |text: String| AttributeValue::S(text);
        let update = Update::builder()
            .table_name(name)
            .set_key(Some(delivery_key.attributes()))
            .update_expression(
                "SET #status = :status, nextAttemptAt = :next, attempts = list_append(if_not_exists(attempts, :none), :made), \
                 errorId = :error, destinationId = :destination, #type = :type, expiresAt = if_not_exists(expiresAt, :expires)",
            )
            .expression_attribute_names("#status", "status")
            .expression_attribute_names("#type", "type")
            .expression_attribute_values(":status", text(status.as_str().to_owned()))
            .expression_attribute_values(":next", next_attempt_at)
            .expression_attribute_values(":none", AttributeValue::L(Vec::new()))
            .expression_attribute_values(":made", serde_dynamo::to_attribute_value(attempts).map_err(StoreError::Malformed)?)
            .expression_attribute_values(":error", text(error_id.to_string()))
            .expression_attribute_values(":destination", text(route.destination.to_string()))
            .expression_attribute_values(":type", text("delivery".to_owned()))
            .expression_attribute_values(":expires", self.retention.expires_at(*pending_since));
        actions.push(TransactWriteItem::builder().update(update.build().map_err(refused)?).build());
        Ok(actions)
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
