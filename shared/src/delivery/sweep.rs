//! The sweep: finds drains and replays that should have run but did not, and wakes them.
//!
//! Queue messages normally start drains and replay steps. A message can be lost when a process
//! stops between its write and its message, or when the message exhausts its retries. The sweep
//! runs on a schedule, reads all backlogged destinations and running replays, and sends the missing
//! messages. It also emits the metrics [`Metric::OldestUndelivered`] and [`Metric::OpenCircuits`].

use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use serde::Serialize;

use super::{
    drain_scheduler::DrainScheduler,
    queues::{Queue, ReplayStep},
};
use crate::{
    domain::{
        health::{Circuit, Health},
        timestamp::Timestamp,
    },
    logs::ErrorChain,
    metrics::{self, Metric},
    store::{
        StoreError,
        health::HealthStore,
        replays::{Replays, RunningReplay},
    },
};

/// Time after the scheduled wake-up at which a drain counts as stalled.
const WAKEUP_GRACE: Duration = Duration::from_secs(60);
/// Time without a step after which a replay counts as stalled. Longer than the visibility timeout
/// of the queue, after which SQS redelivers the message of a failed step.
const REPLAY_GRACE: Duration = Duration::from_secs(10 * 60);
/// Maximum number of destinations, and of replays, that one sweep examines.
const MAX_SCANNED: usize = 20_000;

/// Maximum number of jobs that are woken concurrently.
const MAX_CONCURRENT_WAKES: usize = 16;

/// Sweep over the stalled drains and replays of all environments.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// Health of all destinations.
    pub health_store: HealthStore,
    /// Scheduler of drains.
    pub scheduler: DrainScheduler,
    /// Running replays.
    pub replays: Replays,
    /// Queue of replay steps.
    pub steps: Queue,
}

/// Number of jobs that a sweep woke.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SweepResult {
    /// Drains of destinations.
    pub drains: usize,
    /// Replays.
    pub replays: usize,
}

impl Sweep {
    /// Examines all destinations with pending deliveries and all running replays.
    ///
    /// AWS calls: one query for each of eight index partitions, more for partitions of over 1 MB;
    /// one message and one write per stalled drain; one message per stalled replay.
    pub async fn run(&self) -> Result<SweepResult, StoreError> {
        // Both to the end: neither depends on the other.
        let (drains, replays) = tokio::join!(self.wake_drains(), self.wake_replays());
        Ok(SweepResult { drains: drains?, replays: replays? })
    }

    async fn wake_replays(&self) -> Result<usize, StoreError> {
        let now = Timestamp::now();
        let running = self.replays.running(MAX_SCANNED).await?;
        let stalled = running.iter().filter(|replay| replay.updated_at + REPLAY_GRACE <= now);
        let woken = wake_all(stalled.map(async |replay| {
            let RunningReplay { environment_id, replay_id, position, updated_at: _ } = replay.clone();
            let step = ReplayStep::ReplayStepV1 { environment_id, replay_id, position };
            self.steps.send(&environment_id.to_string(), &step, now, now).await
        }))
        .await;
        tracing::info!(running = running.len(), woken, "replay sweep completed");
        Ok(woken)
    }

    async fn wake_drains(&self) -> Result<usize, StoreError> {
        let now = Timestamp::now();
        let backlogged = self.health_store.list_backlogged(MAX_SCANNED).await?;
        let oldest = backlogged.iter().filter_map(|destination| destination.health.pending_since).min();
        let oldest = oldest.map_or(0, |since| (now.milliseconds() - since.milliseconds()).max(0) / 1000);
        let open = backlogged.iter().filter(|destination| destination.health.circuit() == Circuit::Open).count();
        metrics::emit(&[
            (Metric::OldestUndelivered, oldest),
            (Metric::OpenCircuits, i64::try_from(open).unwrap_or(i64::MAX)),
        ]);
        let stalled = backlogged.iter().filter(|destination| is_stalled(&destination.health, now));
        let scheduled =
            wake_all(stalled.map(|destination| self.scheduler.schedule(destination.route(), now, now))).await;
        tracing::info!(backlogged = backlogged.len(), scheduled, oldest, open, "drain sweep completed");
        Ok(scheduled)
    }
}

/// Wakes stalled jobs. Returns the number of those that were woken; failures are logged.
async fn wake_all<F: Future<Output = Result<(), StoreError>>>(wakes: impl Iterator<Item = F>) -> usize {
    let woken = stream::iter(wakes).buffer_unordered(MAX_CONCURRENT_WAKES);
    let woken = woken.filter_map(async |woken| {
        woken.inspect_err(|error| tracing::warn!(error = %ErrorChain(error), "failed to wake stalled job")).ok()
    });
    woken.count().await
}

/// Returns whether a drain is overdue and no drain holds the lease.
fn is_stalled(health: &Health, now: Timestamp) -> bool {
    !health.is_leased(now) && health.wake_at.is_none_or(|at| at + WAKEUP_GRACE <= now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destination_is_stalled_when_overdue_and_unleased() {
        let now = Timestamp::now();
        let (soon, past) = (now + WAKEUP_GRACE, now - WAKEUP_GRACE);
        assert!(is_stalled(&Health::default(), now));
        assert!(is_stalled(&Health { wake_at: Some(past), ..Health::default() }, now));
        assert!(!is_stalled(&Health { wake_at: Some(now), ..Health::default() }, now));
        assert!(!is_stalled(&Health { wake_at: Some(past), leased_until: Some(soon), ..Health::default() }, now));
        assert!(is_stalled(&Health { wake_at: Some(past), leased_until: Some(past), ..Health::default() }, now));
    }
}
