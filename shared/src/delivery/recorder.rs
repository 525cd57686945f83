//! Records the results of attempts: deliveries, destination health and drain wake-ups.

use std::collections::BTreeSet;

use super::{drain_scheduler::DrainScheduler, pipeline::Stage};
use crate::{
    domain::{
        delivery::{Attempt, Delivery, DeliveryStatus, Disposition, PendingDelivery, Route, Settlement},
        destination::Destination,
        health::{Health, HealthUpdate, OutcomeCounts},
        record::{RecordKey, RecordRef},
        timestamp::Timestamp,
    },
    logs::ErrorChain,
    metrics::{self, Metric},
    store::{
        StoreError,
        deliveries::{Deliveries, Unrecorded},
        destinations::Destinations,
        health::HealthStore,
        pending::PendingDeliveries,
        replays::Replays,
    },
};

/// Deliveries to one destination after their attempts.
#[derive(Clone, Debug)]
pub struct AttemptedBatch<'a> {
    /// Route of all deliveries.
    pub route: Route,
    /// Destination as it was read before the attempts.
    pub destination: &'a Destination,
    /// Health as it was read before the attempts.
    pub health: &'a Health,
    /// Stage of all deliveries.
    pub stage: Stage,
    /// Outcomes of the attempts.
    pub counts: OutcomeCounts,
    /// Results of all deliveries.
    pub settled: Vec<Settlement>,
    /// Time of the results.
    pub now: Timestamp,
}

impl AttemptedBatch<'_> {
    fn count(&self, predicate: impl Fn(&Settlement) -> bool) -> i64 {
        count(self.settled.iter().filter(|settlement| predicate(settlement)))
    }

    /// Returns the deliveries that are pending after the batch, except those in `unrecorded`.
    fn pending<'a>(&'a self, unrecorded: &'a BTreeSet<RecordKey>) -> impl Iterator<Item = &'a PendingDelivery> {
        self.settled.iter().filter_map(|settlement| match &settlement.disposition {
            Disposition::Pending(next) if !unrecorded.contains(&next.record) => Some(next),
            _ => None,
        })
    }

    fn health_update(&self, unrecorded: &BTreeSet<RecordKey>) -> HealthUpdate {
        let (pending_delta, probe) = match self.stage {
            Stage::First => (count(self.pending(unrecorded)), false),
            Stage::Pending { probe } => {
                (-self.count(|settlement| !matches!(settlement.disposition, Disposition::Pending(_))), probe)
            }
        };
        let failed = self.settled.iter().rev().filter(|settlement| settlement.disposition != Disposition::Delivered);
        let last_failure = failed.filter_map(|settlement| settlement.attempt.clone()).next();
        HealthUpdate { counts: self.counts, last_failure, pending_delta, probe }
    }

    fn emit(&self) {
        let mut metrics = vec![
            (Metric::Delivered, i64::from(self.counts.delivered)),
            (Metric::FailedAttempts, i64::from(self.counts.failed)),
            (Metric::Retried, self.count(|settled| settled.attempt.is_some() && settled.delivery.attempts > 0)),
            (Metric::Failed, self.count(|settled| settled.disposition == Disposition::Failed)),
        ];
        metrics.retain(|(_, count)| *count > 0);
        if self.stage == Stage::First {
            let lag = self.settled.iter().filter_map(|Settlement { delivery, attempt, .. }| {
                Some(attempt.as_ref()?.at.milliseconds() - delivery.pending_since.milliseconds())
            });
            metrics.extend(lag.max().map(|lag| (Metric::Lag, lag)));
        }
        let Route { environment, destination } = self.route;
        let properties = [("environment", environment.to_string()), ("destination", destination.to_string())];
        metrics::emit_with(&metrics, &properties);
    }
}

fn count(items: impl Iterator) -> i64 {
    i64::try_from(items.count()).unwrap_or(i64::MAX)
}

/// Storage of the results of attempts, for one destination.
pub trait Recorder {
    /// Returns the current time.
    fn now(&self) -> Timestamp;
    /// Stores the results of deliveries. Returns the records whose first attempt must be repeated.
    /// Always empty for pending deliveries.
    fn settle(&self, batch: &AttemptedBatch<'_>) -> impl Future<Output = Result<BTreeSet<RecordKey>, StoreError>>;
    /// Lets the sweep know that deliveries are going to be pending.
    fn announce_backlog(&self) -> impl Future<Output = Result<(), StoreError>>;
    /// Removes deliveries that a batch of first attempts has made pending.
    fn withdraw(&self, pending: &[&PendingDelivery]) -> impl Future<Output = Result<(), StoreError>>;
    /// Updates the health of the destination. Returns the health before the update.
    fn record_health(
        &self,
        current: &Health,
        update: &HealthUpdate,
        now: Timestamp,
    ) -> impl Future<Output = Result<Health, StoreError>>;
    /// Disables the destination if its version is unchanged.
    fn disable_destination(&self, version: u32, reason: &str) -> impl Future<Output = Result<(), StoreError>>;
    /// Schedules a drain for the time at which a delivery is due.
    fn schedule_drain(&self, due: Timestamp) -> impl Future<Output = Result<(), StoreError>>;
}

/// Records the results of a batch. Returns the records whose first attempt the caller must repeat.
/// A success that could not be stored is not among them: repeating it would send a duplicate.
///
/// Deliveries are stored first. If the process stops before that, the attempts are made again. If
/// it stops after that, only the health lacks this batch; the next drain, which the sweep starts
/// for the first pending deliveries of a destination, corrects its backlog. Metrics are emitted
/// before either, so a repeated attempt counts twice.
pub(super) async fn record(
    recorder: &impl Recorder,
    batch: &AttemptedBatch<'_>,
) -> Result<BTreeSet<RecordKey>, StoreError> {
    let AttemptedBatch { destination, health, stage, now, .. } = batch;
    batch.emit();
    if *stage == Stage::First
        && health.pending_since.is_none()
        && batch.pending(&BTreeSet::new()).next().is_some()
        && let Err(error) = recorder.announce_backlog().await
    {
        // Needed only if the process stops before the health is recorded.
        tracing::warn!(error = %ErrorChain(&error), "failed to announce backlog");
    }
    let mut unrecorded = recorder.settle(batch).await?;
    let update = batch.health_update(&unrecorded);
    if !health.needs_write(&update, *now) {
        return Ok(unrecorded);
    }
    let before = match recorder.record_health(health, &update, *now).await {
        Ok(before) => before,
        Err(error) if *stage == Stage::First => {
            tracing::error!(error = %ErrorChain(&error), "failed to record destination health");
            // Without the health item, neither a drain nor the sweep finds the pending deliveries,
            // not even after their repeated first attempts have succeeded.
            let pending: Vec<&PendingDelivery> = batch.pending(&unrecorded).collect();
            if let Err(error) = recorder.withdraw(&pending).await {
                tracing::warn!(error = %ErrorChain(&error), "failed to withdraw pending deliveries");
            }
            let records: Vec<RecordKey> = pending.iter().map(|pending| pending.record).collect();
            unrecorded.extend(records);
            return Ok(unrecorded);
        }
        Err(error) => return Err(error),
    };
    // Failures below are only logged: a later failure, a later pending delivery or the sweep tries
    // again.
    let is_disabled = match before.auto_disable_reason(&update, *now) {
        Some(reason) => {
            let disabled = recorder.disable_destination(destination.version, reason).await;
            disabled
                .inspect_err(|error| tracing::warn!(error = %ErrorChain(error), "failed to disable destination"))
                .is_ok()
        }
        None => false,
    };
    // A drain schedules the next one itself, when it releases the lease.
    let recovered = health.recovers_with(&update.counts) && before.pending_since.is_some();
    let next_attempts = batch.pending(&unrecorded).map(|pending| pending.next_attempt_at);
    let due = next_attempts.chain(recovered.then_some(*now)).min().filter(|due| before.needs_wakeup(*due, *now));
    // The next drain cancels what waits for a destination that is disabled now, also if the present
    // one is about to end.
    let cancelled = (is_disabled && before.pending_since.is_some()).then_some(*now);
    if let Some(due) = cancelled.or(due).filter(|_| *stage == Stage::First)
        && let Err(error) = recorder.schedule_drain(due).await
    {
        tracing::warn!(error = %ErrorChain(&error), "failed to schedule drain");
    }
    Ok(unrecorded)
}

/// Recorder of the results of attempts to all destinations.
#[derive(Clone, Debug)]
pub struct DeliveryRecorder {
    /// Destinations, which may have to be disabled.
    pub destinations: Destinations,
    /// Health of the destinations.
    pub health_store: HealthStore,
    /// Deliveries that succeeded or are not retried.
    pub deliveries: Deliveries,
    /// Deliveries that wait for their next attempt.
    pub pending: PendingDeliveries,
    /// Replays, which count the results of their deliveries.
    pub replays: Replays,
    /// Scheduler of drains.
    pub scheduler: DrainScheduler,
}

impl DeliveryRecorder {
    /// Returns the recorder for one destination.
    ///
    /// AWS calls of [`record`] per batch. First attempts: one `BatchWriteItem` per 25 items of
    /// delivered records, and of pending ones. Delivered records share one item per workflow or
    /// user and second (up to 100); a pending delivery takes two items, and is looked up before,
    /// with one `BatchGetItem` per 100. One write for each failed or cancelled delivery; if some
    /// exist already, up to two `BatchGetItem` per 100, and another write for each whose record a
    /// replay queued first. Pending deliveries: one transaction per 20. In addition at most four
    /// writes of the health, and another for the first pending deliveries of a destination; if the
    /// health cannot be written, one `BatchWriteItem` per 25 deliveries that became pending, and
    /// one write for each; one message and one write to schedule a drain, and one write to disable
    /// the destination.
    pub fn of(&self, route: Route) -> DestinationRecorder<'_> {
        DestinationRecorder { recorder: self, route }
    }
}

/// Recorder of the results of attempts to one destination.
#[derive(Clone, Copy, Debug)]
pub struct DestinationRecorder<'a> {
    recorder: &'a DeliveryRecorder,
    route: Route,
}

impl Recorder for DestinationRecorder<'_> {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    async fn settle(&self, batch: &AttemptedBatch<'_>) -> Result<BTreeSet<RecordKey>, StoreError> {
        match batch.stage {
            Stage::First => Ok(self.add(batch).await),
            Stage::Pending { .. } => {
                self.recorder.pending.settle(self.route, &self.recorder.replays, &batch.settled).await?;
                Ok(BTreeSet::new())
            }
        }
    }

    async fn announce_backlog(&self) -> Result<(), StoreError> {
        self.recorder.health_store.announce_backlog(self.route, Timestamp::now()).await
    }

    async fn withdraw(&self, pending: &[&PendingDelivery]) -> Result<(), StoreError> {
        self.recorder.pending.withdraw(self.route, pending).await
    }

    async fn record_health(
        &self,
        current: &Health,
        update: &HealthUpdate,
        now: Timestamp,
    ) -> Result<Health, StoreError> {
        self.recorder.health_store.record(self.route, current, update, now).await
    }

    async fn disable_destination(&self, version: u32, reason: &str) -> Result<(), StoreError> {
        self.recorder.destinations.disable(self.route, version, reason, Timestamp::now()).await
    }

    async fn schedule_drain(&self, due: Timestamp) -> Result<(), StoreError> {
        self.recorder.scheduler.schedule(self.route, due, Timestamp::now()).await
    }
}

impl DestinationRecorder<'_> {
    /// Stores the results of first attempts. Returns the records to attempt again.
    async fn add(&self, batch: &AttemptedBatch<'_>) -> BTreeSet<RecordKey> {
        let Self { recorder, route } = self;
        let (mut delivered, mut pending, mut finished) = (Vec::new(), Vec::new(), Vec::new());
        for Settlement { delivery, attempt, disposition } in &batch.settled {
            let record = RecordRef { key: delivery.record, recorded_at: delivery.recorded_at() };
            let finish = |status| {
                let attempts = attempt.iter().cloned().collect();
                (record, Delivery::finished(record.key.record_id(), route.destination, status, attempts))
            };
            match disposition {
                Disposition::Delivered => delivered.extend(attempt.iter().map(|attempt| (record, attempt.clone()))),
                Disposition::Pending(next) => pending.push((next.clone(), attempt.clone())),
                Disposition::Failed => finished.push(finish(DeliveryStatus::Failed)),
                // The destination was disabled or its filter changed after the record was enqueued.
                Disposition::Cancelled => finished.push(finish(DeliveryStatus::Cancelled)),
                Disposition::Dropped => {}
            }
        }
        let (recorded, mut unwritten, unwritten_finished) = tokio::join!(
            recorder.deliveries.record_delivered(*route, &delivered),
            self.add_pending(&pending),
            self.add_finished(&finished),
        );
        if let Err(error) = recorded {
            // The records have arrived. A duplicate would be worse than a missing delivery record.
            tracing::warn!(error = %ErrorChain(&error), count = delivered.len(), "failed to record successful deliveries");
        }
        unwritten.extend(unwritten_finished);
        unwritten
    }

    /// Stores deliveries that ended without success. Returns the records of those that were not
    /// written.
    async fn add_finished(&self, finished: &[(RecordRef, Delivery)]) -> BTreeSet<RecordKey> {
        let Unrecorded { failed, existing } = self.recorder.deliveries.record(self.route, finished).await;
        if !existing.is_empty()
            && let Err(error) = self.recorder.pending.set_former(self.route, &existing).await
        {
            // They are lost only if the replays that have queued them are cancelled.
            tracing::warn!(error = %ErrorChain(&error), "failed to record deliveries that replays have queued");
        }
        failed
    }

    /// Stores pending deliveries. Returns the records of those that were not written.
    async fn add_pending(&self, pending: &[(PendingDelivery, Option<Attempt>)]) -> BTreeSet<RecordKey> {
        self.recorder.pending.add(self.route, pending).await.unwrap_or_else(|error| {
            tracing::error!(error = %ErrorChain(&error), "failed to record pending deliveries");
            pending.iter().map(|(delivery, _)| delivery.record).collect()
        })
    }
}
