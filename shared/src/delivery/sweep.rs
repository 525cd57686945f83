//! The sweep: wakes destinations and replays whose wake-up was lost, and measures how long errors wait.

use std::time::Duration;

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

/// A wake-up may come so much later than it was to, before it is taken for lost.
const WAKEUP_GRACE: Duration = Duration::from_secs(60);
/// Time without a step after which a replay is taken to be stalled: longer than SQS waits before it delivers the message of
/// a failed step again.
const REPLAY_GRACE: Duration = Duration::from_secs(10 * 60);
/// Maximum number of destinations, and of replays, that are examined.
const MAX_SCANNED: usize = 20_000;

/// Wakes the drains of destinations that should have been drained by now, and replays that should have made a step.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// The destinations that have pending deliveries.
    pub health_store: HealthStore,
    /// By which drains are told to run.
    pub scheduler: DrainScheduler,
    /// Running replays.
    pub replays: Replays,
    /// Queue of the steps of replays.
    pub steps: Queue,
}

/// Number of jobs that a sweep has woken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SweepResult {
    /// Drains of destinations.
    pub drains: usize,
    /// Replays.
    pub replays: usize,
}

impl Sweep {
    /// Examines all destinations with pending deliveries and all running replays. AWS calls: one query for each of eight
    /// partitions, and a message and a write for each drain, a message for each replay that is woken.
    pub async fn run(&self) -> Result<SweepResult, StoreError> {
        let drains = self.wake_drains().await?;
        let replays = self.wake_replays().await?;
        Ok(SweepResult { drains, replays })
    }

    async fn wake_replays(&self) -> Result<usize, StoreError> {
        let now = Timestamp::now();
        let running = self.replays.running(MAX_SCANNED).await?;
        let mut woken = 0;
        for RunningReplay { environment_id, replay_id, updated_at } in &running {
            if *updated_at + REPLAY_GRACE > now {
                continue;
            }
            let step = ReplayStep::ReplayStepV1 { environment_id: *environment_id, replay_id: *replay_id };
            match self.steps.send(&environment_id.to_string(), &step, now, now).await {
                Ok(()) => woken += 1,
                Err(error) => tracing::warn!(error = %ErrorChain(&error), "failed to wake a stalled replay"),
            }
        }
        tracing::info!(running = running.len(), woken, "replays swept");
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
        let mut scheduled = 0;
        for stalled in backlogged.iter().filter(|destination| is_stalled(&destination.health, now)) {
            match self.scheduler.schedule(stalled.route(), now, now).await {
                Ok(()) => scheduled += 1,
                Err(error) => tracing::warn!(error = %ErrorChain(&error), "a drain was not told to run"),
            }
        }
        tracing::info!(backlogged = backlogged.len(), scheduled, oldest, open, "sweep completed");
        Ok(scheduled)
    }
}

/// Whether a drain should have run by now, and none does.
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
