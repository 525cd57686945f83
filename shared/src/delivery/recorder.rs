//! Records the outcomes of first attempts: deliveries, destination health and drain wake-ups.
//!
//! Callers repeat the errors whose outcome was not recorded. Retries of later attempts are recorded
//! by the [`drain`](super::drain).

use aws_config::SdkConfig;

use super::{drain_scheduler::DrainScheduler, queues::Queue};
use crate::{
    aws::{SettingError, setting},
    domain::{
        delivery::{Attempt, Delivery, DeliveryStatus, Disposition, Outcome, PendingDelivery, Route},
        destination::Destination,
        error_log::ErrorLog,
        health::{Health, HealthUpdate, OutcomeCounts},
        id::WorkflowId,
        timestamp::Timestamp,
    },
    logs::ErrorChain,
    metrics::{self, Metric},
    store::{
        StoreError, Table,
        deliveries::Deliveries,
        destinations::Destinations,
        errors::{Errors, Retention},
        health::HealthStore,
        pending::PendingDeliveries,
    },
};

/// Recorder of the outcomes of first attempts.
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
    /// Scheduler of drains.
    pub scheduler: DrainScheduler,
}

/// Errors that were sent to one destination, with their outcomes.
#[derive(Clone, Copy, Debug)]
pub struct AttemptedBatch<'a> {
    /// Environment and destination.
    pub route: Route,
    /// Destination as it was read before the attempts.
    pub destination: &'a Destination,
    /// Health as it was read before the attempts.
    pub health: &'a Health,
    /// Errors, each with the outcome of its attempt.
    pub errors: &'a [(&'a ErrorLog, Outcome)],
}

impl DeliveryRecorder {
    /// Opens both tables and the queue of drains, as the environment variables of the function name
    /// them.
    pub async fn open(config: &SdkConfig) -> Result<Self, SettingError> {
        let (directory, table) = Table::both(config, 1).await?;
        let retention = Retention::from_env()?;
        Ok(Self {
            destinations: Destinations(directory.clone()),
            health_store: HealthStore(directory.clone()),
            deliveries: Deliveries { table: table.clone(), retention },
            pending: PendingDeliveries { table, retention },
            scheduler: DrainScheduler {
                health_store: HealthStore(directory),
                queue: Queue::new(config, setting("DRAINS_QUEUE")?),
            },
        })
    }

    /// Returns the errors in the same table as the deliveries.
    pub fn errors(&self) -> Errors {
        Errors { table: self.pending.table.clone(), retention: self.pending.retention }
    }

    /// Records the outcomes of first attempts to one destination. Returns the indices of the errors
    /// that were not recorded; the caller must send them again.
    ///
    /// AWS calls: one `BatchWriteItem` per 25 items, with one item per workflow and second of
    /// delivered errors (at most 100 errors each), two per pending delivery and one per failed
    /// delivery; if the health changed, one or two writes of it; if a drain must be scheduled, one
    /// message and one write; if the destination must be disabled, one write.
    pub async fn record(&self, batch: AttemptedBatch<'_>) -> Vec<usize> {
        let now = Timestamp::now();
        let (mut delivered, mut pending, mut finished) = (Vec::new(), Vec::new(), Vec::new());
        for (index, (error, outcome)) in batch.errors.iter().enumerate() {
            let deferred = PendingDelivery::deferred(error.workflow_id, error.error_id, error.updated_at);
            match outcome {
                Outcome::Delivered(attempt) => delivered.push((*error, attempt.clone())),
                Outcome::Skipped => pending.push((index, (deferred, None))),
                Outcome::Failed(attempt, _) => match deferred.disposition(outcome, now) {
                    Disposition::Pending(retried) => pending.push((index, (retried, Some(attempt.clone())))),
                    _ => {
                        let (id, attempts) = (error.error_id, vec![attempt.clone()]);
                        let delivery =
                            Delivery::finished(id, batch.route.destination, DeliveryStatus::Failed, attempts);
                        finished.push((index, (error.workflow_id, delivery)));
                    }
                },
            }
        }
        let counts: OutcomeCounts = batch.errors.iter().map(|(_, outcome)| outcome).collect();
        emit(&counts, batch.errors, finished.len());
        tracing::info!(
            environment = %batch.route.environment,
            destination = %batch.route.destination,
            delivered = delivered.len(),
            pending = pending.len(),
            failed = finished.len(),
            "first attempts completed"
        );
        let (recorded, pending, finished) = tokio::join!(
            self.deliveries.record_delivered(batch.route, &delivered, now),
            self.record_pending(batch, counts, pending, now),
            self.record_finished(batch.route, finished, now),
        );
        if let Err(error) = recorded {
            // The errors have arrived. A duplicate would be worse than a missing delivery record.
            tracing::warn!(error = %ErrorChain(&error), errors = delivered.len(), "failed to record successful deliveries");
        }
        [pending, finished].concat()
    }

    async fn record_finished(
        &self,
        route: Route,
        finished: Vec<(usize, (WorkflowId, Delivery))>,
        now: Timestamp,
    ) -> Vec<usize> {
        let (indices, deliveries): (Vec<usize>, Vec<_>) = finished.into_iter().unzip();
        match self.deliveries.record(route, &deliveries, now).await {
            Ok(unwritten) => unwritten.into_iter().filter_map(|index| indices.get(index).copied()).collect(),
            Err(error) => {
                tracing::error!(error = %ErrorChain(&error), "failed to record failed deliveries");
                indices
            }
        }
    }

    async fn record_pending(
        &self,
        batch: AttemptedBatch<'_>,
        counts: OutcomeCounts,
        pending: Vec<(usize, (PendingDelivery, Option<Attempt>))>,
        now: Timestamp,
    ) -> Vec<usize> {
        let (mut indices, pending): (Vec<usize>, Vec<_>) = pending.into_iter().unzip();
        let mut unprocessed = Vec::new();
        if !pending.is_empty() {
            match self.pending.add(batch.route, &pending).await {
                Ok(unwritten) => {
                    unprocessed.extend(unwritten.into_iter().filter_map(|index| indices.get(index).copied()))
                }
                Err(error) => {
                    tracing::error!(error = %ErrorChain(&error), "failed to record pending deliveries");
                    unprocessed.append(&mut indices);
                }
            }
        }
        let added = i64::try_from(pending.len().saturating_sub(unprocessed.len())).unwrap_or(i64::MAX);
        let due = pending.iter().map(|(delivery, _)| delivery.next_attempt_at).min().filter(|_| added > 0);
        let update = HealthUpdate { counts, pending_delta: added, probe: false };
        if let Err(error) = self.record_health(batch, &update, due, now).await {
            tracing::error!(error = %ErrorChain(&error), "failed to record destination health");
            // Without the health item, neither a drain nor the sweep finds the pending deliveries.
            return if added > 0 { indices } else { unprocessed };
        }
        unprocessed
    }

    async fn record_health(
        &self,
        batch: AttemptedBatch<'_>,
        update: &HealthUpdate,
        due: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let AttemptedBatch { route, destination, health, .. } = batch;
        if !health.needs_write(update, now) {
            return Ok(());
        }
        let before = self.health_store.record(route, health, update, now).await?;
        // The steps below may fail: the next failure, the next pending delivery or the sweep
        // repeats them.
        if let Some(reason) = before.auto_disable_reason(update, now)
            && let Err(error) = self.destinations.disable(route, destination.version, reason, now).await
        {
            tracing::warn!(error = %ErrorChain(&error), "failed to disable destination");
        }
        if let Some(due) = due.filter(|due| before.needs_wakeup(*due, now))
            && let Err(error) = self.scheduler.schedule(route, due, now).await
        {
            tracing::warn!(error = %ErrorChain(&error), "failed to schedule drain");
        }
        Ok(())
    }
}

fn emit(counts: &OutcomeCounts, errors: &[(&ErrorLog, Outcome)], finished: usize) {
    let lag = errors.iter().filter_map(|(error, outcome)| match outcome {
        Outcome::Delivered(attempt) | Outcome::Failed(attempt, _) => {
            Some(attempt.at.milliseconds() - error.updated_at.milliseconds())
        }
        Outcome::Skipped => None,
    });
    let mut metrics = vec![
        (Metric::Delivered, i64::from(counts.delivered)),
        (Metric::FailedAttempts, i64::from(counts.failed)),
        (Metric::Failed, i64::try_from(finished).unwrap_or(i64::MAX)),
    ];
    metrics.retain(|(_, count)| *count > 0);
    metrics.extend(lag.max().map(|lag| (Metric::Lag, lag)));
    metrics::emit(&metrics);
}
