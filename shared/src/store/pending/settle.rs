//! Results of attempts: what becomes of pending deliveries.

use std::{
    collections::{BTreeMap, BTreeSet},
    iter,
};

use super::{MAX_TRANSACTION_ITEMS, PendingDeliveries, WRITES_PER_DELIVERY, key};
use crate::{
    domain::{
        delivery::{Attempt, DeliveryStatus, Disposition, Former, Route, Settlement},
        id::ReplayId,
    },
    logs::ErrorChain,
    metrics::{self, Metric},
    store::{
        keys,
        replays::Replays,
        table::{Delete, Put, StoreError, Transacted, Transaction, Update, Write, number, to_value},
    },
};

/// Maximum number of settlements per transaction.
const SETTLEMENTS_PER_TRANSACTION: usize = 20;

/// Extent to which settlements are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Extent {
    /// Whether attempts are added to the former ones, which are lost otherwise: those of a damaged
    /// delivery.
    keeps_attempts: bool,
    /// Whether the replays of the deliveries count them in the same transaction.
    counts_for_replays: bool,
}

impl Extent {
    const COMPLETE: Self = Self { keeps_attempts: true, counts_for_replays: true };
    const NEW_ATTEMPTS: Self = Self { keeps_attempts: false, counts_for_replays: true };
    const WITHOUT_REPLAYS: Self = Self { keeps_attempts: true, counts_for_replays: false };
    const LEAST: Self = Self { keeps_attempts: false, counts_for_replays: false };
}

impl PendingDeliveries {
    /// Stores the result of each settlement completely or not at all. A delivery that is no longer
    /// pending is skipped, so that its attempt is not appended and its replays do not count it
    /// twice. Each record occurs at most once.
    ///
    /// One transaction per 20 settlements, or fewer if they update many replays, and one more if
    /// some are skipped. If a damaged item does not admit one, up to four for each of its
    /// settlements. Sequential because they may update the same replay; earlier transactions remain
    /// if a later one fails.
    pub async fn settle(&self, route: Route, replays: &Replays, settled: &[Settlement]) -> Result<(), StoreError> {
        for chunk in transactions(settled) {
            match self.settle_present(route, replays, chunk).await {
                Err(StoreError::Unfit(error)) => {
                    tracing::error!(error = %ErrorChain(&*error), environment = %route.environment,
                        destination = %route.destination, "damaged delivery or replay");
                    metrics::emit(&[(Metric::UnreadableItems, 1)]);
                    for settlement in chunk {
                        self.settle_alone(route, replays, settlement).await?;
                    }
                }
                stored => stored?,
            }
        }
        Ok(())
    }

    /// Stores the result of one settlement as far as damaged items admit it. Up to four
    /// transactions, and one write for each replay of the delivery if one of them is damaged.
    async fn settle_alone(&self, route: Route, replays: &Replays, settlement: &Settlement) -> Result<(), StoreError> {
        let settlement = [settlement];
        for extent in [Extent::COMPLETE, Extent::NEW_ATTEMPTS, Extent::WITHOUT_REPLAYS, Extent::LEAST] {
            match self.settle_all(route, replays, &settlement, extent).await {
                Err(StoreError::Unfit(_)) if extent != Extent::LEAST => {}
                Ok(skipped) if !extent.counts_for_replays && !skipped.contains(&true) => {
                    return count_for_intact_replays(route, replays, &settlement).await;
                }
                settled => return settled.map(|_| ()),
            }
        }
        Ok(())
    }

    /// Stores the results of all settlements whose deliveries are pending, or none. One
    /// transaction, and one more each time that some are no longer pending.
    async fn settle_present(&self, route: Route, replays: &Replays, settled: &[Settlement]) -> Result<(), StoreError> {
        let mut rest: Vec<&Settlement> = settled.iter().collect();
        while !rest.is_empty() {
            let skipped = self.settle_all(route, replays, &rest, Extent::COMPLETE).await?;
            if !skipped.contains(&true) {
                break;
            }
            rest = rest.into_iter().zip(skipped).filter(|(_, skipped)| !skipped).map(|(rest, _)| rest).collect();
        }
        Ok(())
    }

    /// Settles all deliveries or none. If some are no longer pending, returns a flag for each:
    /// `true` if it is not.
    async fn settle_all(
        &self,
        route: Route,
        replays: &Replays,
        settled: &[&Settlement],
        extent: Extent,
    ) -> Result<Vec<bool>, StoreError> {
        let mut writes = Transaction::default();
        // The only writes with a condition.
        let deletions = writes.add_all(settled.iter().map(|settled| Delete::existing(&key(route, &settled.delivery))));
        for settlement in settled {
            writes.add_all(self.writes(route, settlement, extent)?);
        }
        let counts = if extent.counts_for_replays { replay_counts(route, settled) } else { Vec::new() };
        for count in counts {
            writes.add_to(&replays.0, count);
        }
        Ok(match self.table.transact(writes).await? {
            Transacted::Committed => Vec::new(),
            Transacted::Refused(refused) => deletions.into_iter().map(|deletion| refused.has(deletion)).collect(),
        })
    }

    /// Returns the writes of a settlement, besides the deletion of the pending item: add it again
    /// for the next attempt if there is one, and update the delivery.
    fn writes(&self, route: Route, settlement: &Settlement, extent: Extent) -> Result<Vec<Write>, StoreError> {
        let Settlement { delivery, attempt, disposition } = settlement;
        let mut writes = Vec::new();
        let status = match disposition {
            Disposition::Pending(pending) => {
                writes.push(Put::new(self.item(route, pending)?).into());
                DeliveryStatus::Pending
            }
            Disposition::Delivered => DeliveryStatus::Delivered,
            Disposition::Failed => DeliveryStatus::Failed,
            Disposition::Cancelled => match delivery.former {
                None => DeliveryStatus::Cancelled,
                Some(Former::Status(status)) => status,
                Some(Former::NotStored) => {
                    writes.push(Delete::of(&keys::delivery(route, delivery.record)).into());
                    return Ok(writes);
                }
            },
            Disposition::Dropped => {
                writes.push(Delete::of(&keys::delivery(route, delivery.record)).into());
                return Ok(writes);
            }
        };
        let next_attempt_at = match disposition {
            Disposition::Pending(pending) => Some(pending.next_attempt_at),
            _ => None,
        };
        let attempts = to_value(attempt.iter().collect::<Vec<&Attempt>>())?;
        let update = self.update(route, delivery, (status, next_attempt_at))?;
        let update =
            if extent.keeps_attempts { update.append("attempts", attempts) } else { update.set("attempts", attempts) };
        writes.push(update.into());
        Ok(writes)
    }
}

/// Counts the results of settlements for their replays, without those that are damaged. One write
/// for each replay.
async fn count_for_intact_replays(route: Route, replays: &Replays, settled: &[&Settlement]) -> Result<(), StoreError> {
    for count in replay_counts(route, settled) {
        match replays.0.update(count).await {
            Ok(_) | Err(StoreError::Unfit(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Returns the updates of the replays that settlements count for.
fn replay_counts(route: Route, settled: &[&Settlement]) -> Vec<Update> {
    let mut counts: BTreeMap<ReplayId, (i32, i32)> = BTreeMap::new();
    for Settlement { delivery, disposition, .. } in settled {
        let (delivered, failed) = match disposition {
            Disposition::Pending(_) => continue,
            Disposition::Delivered => (1, 0),
            Disposition::Failed | Disposition::Cancelled | Disposition::Dropped => (0, 1),
        };
        for replay in &delivery.replay_ids {
            let counts = counts.entry(*replay).or_default();
            *counts = (counts.0 + delivered, counts.1 + failed);
        }
    }
    let update = |(replay, (delivered, failed)): (ReplayId, (i32, i32))| {
        Update::of(&keys::replay(route.environment, replay))
            .add("delivered", number(delivered))
            .add("failed", number(failed))
            .add("pending", number(-delivered - failed))
    };
    counts.into_iter().map(update).collect()
}

/// Divides settlements into those of one transaction each.
fn transactions(settled: &[Settlement]) -> impl Iterator<Item = &[Settlement]> {
    let mut rest = settled;
    iter::from_fn(move || {
        let mut replays: BTreeSet<ReplayId> = BTreeSet::new();
        let fits = |(index, settlement): &(usize, &Settlement)| {
            replays.extend(&settlement.delivery.replay_ids);
            (index + 1) * WRITES_PER_DELIVERY + replays.len() <= MAX_TRANSACTION_ITEMS
        };
        let count = rest.iter().take(SETTLEMENTS_PER_TRANSACTION).enumerate().take_while(fits).count();
        let (chunk, others) = rest.split_at(count);
        rest = others;
        (!chunk.is_empty()).then_some(chunk)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        delivery::{MAX_REPLAYS_PER_DELIVERY, PendingDelivery},
        id::{ErrorId, WorkflowId},
        record::RecordKey,
    };

    #[test]
    fn transaction_has_at_most_100_items() {
        let settlement = |index: usize| {
            let record = RecordKey::Error { workflow_id: WorkflowId::new(), error_id: ErrorId::new() };
            let mut delivery = PendingDelivery::first(record, "2026-11-24T05:30:00Z".parse().unwrap());
            delivery.replay_ids = (0..index % (MAX_REPLAYS_PER_DELIVERY + 1)).map(|_| ReplayId::new()).collect();
            Settlement::without_attempt(delivery, Disposition::Failed)
        };
        let settled: Vec<Settlement> = (0..200).map(settlement).collect();
        for chunk in transactions(&settled) {
            let replays: BTreeSet<&ReplayId> = chunk.iter().flat_map(|settled| &settled.delivery.replay_ids).collect();
            assert!(chunk.len() * WRITES_PER_DELIVERY + replays.len() <= MAX_TRANSACTION_ITEMS);
        }
        assert_eq!(transactions(&settled).flatten().count(), settled.len());
    }
}
