//! Pending deliveries: deliveries that wait for their next attempt, ordered by its time.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    errors::Retention,
    health::Backlog,
    keys,
    table::{
        Delete, Item, Put, Range, StoreError, TABLE, Table, Update, Write, attribute_text, from_item, number, text,
        to_item, to_value,
    },
};
use crate::{
    domain::{
        delivery::{Attempt, Delivery, DeliveryStatus, Disposition, PendingDelivery, Route, Settlement},
        id::{ReplayId, WorkflowId},
        record::RecordKey,
        timestamp::Timestamp,
    },
    logs::ErrorChain,
};

/// Pending deliveries of all destinations.
#[derive(Clone, Debug)]
pub struct PendingDeliveries {
    /// Errors table.
    pub table: Table,
    /// Retention of deliveries.
    pub retention: Retention,
}

/// Pending deliveries found by a query, separated into readable and malformed ones.
#[derive(Clone, Debug, Default)]
pub struct FoundDeliveries {
    /// Deliveries.
    pub readable: Vec<PendingDelivery>,
    /// Deliveries whose items are malformed, reconstructed from their keys. Can be settled, which
    /// removes the items, but not attempted.
    pub unreadable: Vec<PendingDelivery>,
}

/// Number of settlements per transaction. Each writes up to three items and updates at most one
/// replay; a transaction has at most 100 items (AWS limit).
const SETTLEMENTS_PER_TRANSACTION: usize = 20;
/// Maximum number of items of a partition that are read to count the backlog.
const MAX_COUNTED: usize = 100;

impl PendingDeliveries {
    /// Adds pending deliveries and records their first attempts. Returns the indices of those that
    /// were not written completely. Each record occurs at most once. Two items per delivery, one
    /// `BatchWriteItem` per 25 items.
    pub async fn add(
        &self,
        route: Route,
        deliveries: &[(PendingDelivery, Option<Attempt>)],
    ) -> Result<Vec<usize>, StoreError> {
        let delivery_items = deliveries.iter().map(|(pending, attempt)| {
            let RecordKey::Error { workflow_id, error_id } = pending.record;
            let delivery = Delivery {
                error_id,
                destination_id: route.destination,
                status: DeliveryStatus::Pending,
                attempts: attempt.iter().cloned().collect(),
                next_attempt_at: Some(pending.next_attempt_at),
            };
            delivery_item(route, workflow_id, &delivery, self.retention, pending.pending_since)
        });
        let items = delivery_items.chain(deliveries.iter().map(|(pending, _)| self.item(route, pending)));
        let unwritten = self.table.put_all(items.collect::<Result<_, _>>()?).await;
        let mut unwritten: Vec<usize> = unwritten.into_iter().map(|index| index % deliveries.len().max(1)).collect();
        unwritten.sort_unstable();
        unwritten.dedup();
        Ok(unwritten)
    }

    fn item(&self, route: Route, pending: &PendingDelivery) -> Result<Item, StoreError> {
        let key = keys::pending_delivery(route, pending.next_attempt_at, pending.record);
        let mut item = to_item("pendingDelivery", &key, pending, &[])?;
        item.insert("expiresAt".into(), self.retention.expires_at(pending.pending_since));
        Ok(item)
    }

    /// Returns up to `limit` deliveries that are due by the given time, the longest overdue first,
    /// and up to `limit` unreadable ones. One query for each of eight partitions.
    pub async fn due(&self, route: Route, by: Timestamp, limit: usize) -> Result<FoundDeliveries, StoreError> {
        let due = Range { high: keys::due_by(by), ..Range::all(TABLE) };
        let (items, _) = self.table.first_items(&partitions(route), &due, limit).await?;
        let mut found = parse(route, items);
        found.readable.sort_by_key(|pending| pending.next_attempt_at);
        found.readable.truncate(limit);
        found.unreadable.truncate(limit);
        Ok(found)
    }

    /// Returns a summary of all pending deliveries, due or not. One query for each of eight
    /// partitions.
    pub async fn backlog(&self, route: Route) -> Result<Backlog, StoreError> {
        let (items, all) = self.table.first_items(&partitions(route), &Range::all(TABLE), MAX_COUNTED).await?;
        let FoundDeliveries { readable, unreadable } = parse(route, items);
        let found = [readable, unreadable].concat();
        let earliest_due = found.iter().map(|pending| pending.next_attempt_at).min();
        let oldest = found.iter().map(|pending| pending.pending_since).min();
        let count = i64::try_from(found.len()).unwrap_or(i64::MAX);
        Ok(Backlog { earliest_due, counted: all.then_some((count, oldest)) })
    }

    /// Stores the result of each settlement completely or not at all. Only the holder of the lease
    /// may call this: repeating a settlement would append its attempt and count its replay again. A
    /// record may occur several times only if all but one are `Duplicate`.
    ///
    /// One transaction per 20 settlements, sequentially because they may update the same replay;
    /// earlier transactions remain if a later one fails.
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
        let PendingDelivery { record, next_attempt_at, pending_since, .. } = delivery;
        let key = keys::pending_delivery(route, *next_attempt_at, *record);
        let mut writes = vec![Delete::of(&key).into()];
        let RecordKey::Error { workflow_id, error_id } = *record;
        let delivery_key = keys::delivery(route, workflow_id, error_id);
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

/// Parses pending deliveries. Malformed items are logged.
///
/// A malformed item is identified by its key, which is enough to settle it. An item whose key is
/// also malformed is ignored; no version of Tenon writes one.
fn parse(route: Route, items: Vec<Item>) -> FoundDeliveries {
    let mut found = FoundDeliveries::default();
    for item in items {
        let (pk, sk, replay) =
            (attribute_text(&item, "pk"), attribute_text(&item, "sk"), attribute_text(&item, "replayId"));
        let has_key = |delivery: &PendingDelivery| {
            let key = keys::pending_delivery(route, delivery.next_attempt_at, delivery.record);
            (&key.pk, &key.sk) == (&pk, &sk)
        };
        match from_item::<PendingDelivery>(item) {
            Ok(delivery) if has_key(&delivery) => {
                found.readable.push(delivery);
                continue;
            }
            Ok(_) => tracing::error!(pk, sk, "pending delivery has the key of another one"),
            Err(error) => tracing::error!(error = %ErrorChain(&error), pk, sk, "unreadable pending delivery"),
        }
        let delivery = keys::parse_pending_delivery(&sk).map(|(next_attempt_at, record)| PendingDelivery {
            record,
            attempts: 0,
            pending_since: next_attempt_at,
            next_attempt_at,
            replay_id: replay.parse().ok(),
        });
        found.unreadable.extend(delivery.filter(has_key));
    }
    found
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::{DestinationId, EnvironmentId, ErrorId};

    #[test]
    fn malformed_item_is_known_by_its_key() {
        let route = Route { environment: EnvironmentId::new(), destination: DestinationId::new() };
        let at = "2026-11-24T05:30:00Z".parse().unwrap();
        let delivery = || {
            let record = RecordKey::Error { workflow_id: WorkflowId::new(), error_id: ErrorId::new() };
            PendingDelivery { replay_id: Some(ReplayId::new()), ..PendingDelivery::first(record, at) }
        };
        let item = |delivery: &PendingDelivery| {
            let key = keys::pending_delivery(route, delivery.next_attempt_at, delivery.record);
            to_item("pendingDelivery", &key, delivery, &[]).unwrap()
        };
        let (readable, malformed, elsewhere, unknown) = (delivery(), delivery(), delivery(), delivery());
        let mut items = [&readable, &malformed, &elsewhere, &unknown].map(item);
        items[1].remove("attempts");
        items[2].insert("nextAttemptAt".into(), AttributeValue::S(at.to_string()));
        items[3].extend([
            ("attempts".into(), AttributeValue::Null(true)),
            ("sk".into(), AttributeValue::S("2026-11-24T05:30:00.000Z#".into())),
        ]);

        let found = parse(route, items.into());

        assert_eq!(found.readable, [readable]);
        let from_key =
            |delivery: PendingDelivery| PendingDelivery { pending_since: delivery.next_attempt_at, ..delivery };
        assert_eq!(found.unreadable, [from_key(malformed), from_key(elsewhere)]);
    }
}
