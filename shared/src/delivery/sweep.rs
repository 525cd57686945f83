//! The sweep: wakes destinations and replays whose wake-up was lost, and measures how long errors wait.

use std::time::Duration;

use super::{
    queues::{Queue, ReplayStep},
    wake::Waker,
};
use crate::{
    domain::{
        health::{Circuit, Health},
        timestamp::Timestamp,
    },
    logs::Chain,
    metrics::{self, Metric},
    store::{
        StoreError,
        health::Healths,
        replays::{Replays, RunningReplay},
    },
};

/// A wake-up may come so much later than it was to, before it is taken for lost.
const LATE: Duration = Duration::from_secs(60);
/// Time without a step after which a replay is taken to be stalled: longer than SQS waits before it delivers the message of
/// a failed step again.
const STALLED_AFTER: Duration = Duration::from_secs(10 * 60);
/// Maximum number of destinations, and of replays, that are examined.
const LOOKED_AT: usize = 20_000;

/// Wakes the drains of destinations that should have been drained by now, and replays that should have made a step.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// The destinations that have pending deliveries.
    pub healths: Healths,
    /// By which drains are told to run.
    pub waker: Waker,
    /// Running replays.
    pub replays: Replays,
    /// Queue of the steps of replays.
    pub steps: Queue,
}

/// Number of jobs that a sweep has woken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Woken {
    /// Drains of destinations.
    pub drains: usize,
    /// Replays.
    pub replays: usize,
}

impl Sweep {
    /// Examines all destinations with pending deliveries and all running replays. AWS calls: one query for each of eight
    /// partitions, and a message and a write for each drain, a message for each replay that is woken.
    pub async fn run(&self) -> Result<Woken, StoreError> {
        let drains = self.wake_drains().await?;
        let replays = self.wake_replays().await?;
        Ok(Woken { drains, replays })
    }

    async fn wake_replays(&self) -> Result<usize, StoreError> {
        let now = Timestamp::now();
        let running = self.replays.running(LOOKED_AT).await?;
        let mut woken = 0;
        for RunningReplay { environment_id, replay_id, updated_at } in &running {
            if *updated_at + STALLED_AFTER > now {
                continue;
            }
            let step = ReplayStep::ReplayStepV1 { environment_id: *environment_id, replay_id: *replay_id };
            match self.steps.send(&environment_id.to_string(), &step, now, now).await {
                Ok(()) => woken += 1,
                Err(error) => tracing::warn!(error = %Chain(&error), "failed to wake a stalled replay"),
            }
        }
        tracing::info!(running = running.len(), woken, "replays swept");
        Ok(woken)
    }

    async fn wake_drains(&self) -> Result<usize, StoreError> {
        let now = Timestamp::now();
        let waiting = self.healths.waiting(LOOKED_AT).await?;
        let oldest = waiting.iter().filter_map(|one| one.health.waiting_since).min();
        let oldest = oldest.map_or(0, |since| (now.milliseconds() - since.milliseconds()).max(0) / 1000);
        let open = waiting.iter().filter(|one| one.health.circuit() == Circuit::Open).count();
        metrics::emit(&[
            (Metric::OldestUndelivered, oldest),
            (Metric::OpenCircuits, i64::try_from(open).unwrap_or(i64::MAX)),
        ]);
        let mut woken = 0;
        for forgotten in waiting.iter().filter(|one| is_forgotten(&one.health, now)) {
            match self.waker.wake(forgotten.route(), now, now).await {
                Ok(()) => woken += 1,
                Err(error) => tracing::warn!(error = %Chain(&error), "a drain was not told to run"),
            }
        }
        tracing::info!(waiting = waiting.len(), woken, oldest, open, "swept");
        Ok(woken)
    }
}

/// Whether a drain should have run by now, and none does.
fn is_forgotten(health: &Health, now: Timestamp) -> bool {
    !health.is_leased(now) && health.wake_at.is_none_or(|at| at + LATE <= now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_is_forgotten_when_its_time_is_over_and_nobody_has_it() {
        let now = Timestamp::now();
        let (soon, past) = (now + LATE, now - LATE);
        assert!(is_forgotten(&Health::default(), now));
        assert!(is_forgotten(&Health { wake_at: Some(past), ..Health::default() }, now));
        assert!(!is_forgotten(&Health { wake_at: Some(now), ..Health::default() }, now));
        assert!(!is_forgotten(&Health { wake_at: Some(past), leased_until: Some(soon), ..Health::default() }, now));
        assert!(is_forgotten(&Health { wake_at: Some(past), leased_until: Some(past), ..Health::default() }, now));
    }
}
