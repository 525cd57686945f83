//! The sweep: sees that no destination is forgotten, and tells the operator how long errors wait.

use std::time::Duration;

use super::drain_scheduler::DrainScheduler;
use crate::{
    domain::{
        health::{Circuit, Health},
        timestamp::Timestamp,
    },
    logs::ErrorChain,
    metrics::{self, Metric},
    store::{StoreError, health::HealthStore},
};

/// A wake-up may come so much later than it was to, before it is taken for lost.
const WAKEUP_GRACE: Duration = Duration::from_secs(60);
/// So many destinations are looked at.
const MAX_SCANNED: usize = 20_000;

/// Wakes the drains of destinations that should have been drained by now.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// The destinations that have pending deliveries.
    pub health_store: HealthStore,
    /// By which drains are told to run.
    pub scheduler: DrainScheduler,
}

impl Sweep {
    /// Looks at all destinations with pending deliveries. Answers with how many drains were told to run. AWS calls: one
    /// query for each of four partitions, and a message for each that is woken.
    pub async fn run(&self) -> Result<usize, StoreError> {
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
