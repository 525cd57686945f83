//! The sweep: sees that no destination is forgotten, and tells the operator how long errors wait.

use std::time::Duration;

use super::wake::Waker;
use crate::{
    domain::{
        health::{Circuit, Health},
        timestamp::Timestamp,
    },
    logs::Chain,
    metrics::{self, Metric},
    store::{StoreError, health::Healths},
};

/// A wake-up may come so much later than it was to, before it is taken for lost.
const LATE: Duration = Duration::from_secs(60);
/// So many destinations are looked at.
const LOOKED_AT: usize = 20_000;

/// Wakes the drains of destinations that should have been drained by now.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// The destinations that have pending deliveries.
    pub healths: Healths,
    /// By which drains are told to run.
    pub waker: Waker,
}

impl Sweep {
    /// Looks at all destinations with pending deliveries. Answers with how many drains were told to run. AWS calls: one
    /// query for each of four partitions, and a message for each that is woken.
    pub async fn run(&self) -> Result<usize, StoreError> {
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
