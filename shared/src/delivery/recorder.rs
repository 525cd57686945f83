//! The recorder of first attempts: what is written down of them, so that nothing is lost and nobody waits.

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

/// Writes down what comes of first attempts.
#[derive(Clone, Debug)]
pub struct DeliveryRecorder {
    /// The destinations, which may have to be switched off.
    pub destinations: Destinations,
    /// How they do.
    pub health_store: HealthStore,
    /// What was delivered, or is not to be tried again.
    pub deliveries: Deliveries,
    /// What waits for its next attempt.
    pub pending: PendingDeliveries,
    /// By which the drains are told to run.
    pub scheduler: DrainScheduler,
}

/// An error, where it goes, and what is known of that.
#[derive(Clone, Copy, Debug)]
pub struct AttemptedBatch<'a> {
    /// Where it went.
    pub route: Route,
    /// The destination as it was read.
    pub destination: &'a Destination,
    /// Its health as it was read.
    pub health: &'a Health,
    /// The errors, each with what came of it.
    pub errors: &'a [(&'a ErrorLog, Outcome)],
}

impl DeliveryRecorder {
    /// Opens the connections to both tables.
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

    /// The errors, in the table of the deliveries.
    pub fn errors(&self) -> Errors {
        Errors { table: self.pending.table.clone(), retention: self.pending.retention }
    }

    /// Writes down what came of the first attempts to send errors to a destination. Answers with the places of those of
    /// which that could not be done: they are to be sent again.
    ///
    /// AWS calls: one `BatchWriteItem` for what was delivered, of 25 workflows and seconds at most, and one for 12 errors that
    /// wait, or 25 that are not tried again; one write of the destination's health
    /// where something is new, and one message where its drain is to be told.
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
            "first attempts"
        );
        let (recorded, pending, finished) = tokio::join!(
            self.deliveries.record_delivered(batch.route, &delivered, now),
            self.record_pending(batch, counts, pending, now),
            self.record_finished(batch.route, finished, now),
        );
        if let Err(error) = recorded {
            // They have arrived: sending them again would be worse than not telling of it.
            tracing::warn!(error = %ErrorChain(&error), errors = delivered.len(), "deliveries were not noted");
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
                tracing::error!(error = %ErrorChain(&error), "deliveries cannot be written");
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
                    tracing::error!(error = %ErrorChain(&error), "pending deliveries cannot be written");
                    unprocessed.append(&mut indices);
                }
            }
        }
        let added = i64::try_from(pending.len().saturating_sub(unprocessed.len())).unwrap_or(i64::MAX);
        let due = pending.iter().map(|(delivery, _)| delivery.next_attempt_at).min().filter(|_| added > 0);
        let update = HealthUpdate { counts, pending_delta: added, probe: false };
        if let Err(error) = self.record_health(batch, &update, due, now).await {
            tracing::error!(error = %ErrorChain(&error), "the health of a destination cannot be written");
            // No drain is told of what waits, and no sweep would find it.
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
        // What comes now is done again by the next failure, the next error that waits, or the sweep.
        if let Some(reason) = before.auto_disable_reason(update, now)
            && let Err(error) = self.destinations.disable(route, destination.version, reason, now).await
        {
            tracing::warn!(error = %ErrorChain(&error), "a destination was not switched off");
        }
        if let Some(due) = due.filter(|due| before.needs_wakeup(*due, now))
            && let Err(error) = self.scheduler.schedule(route, due, now).await
        {
            tracing::warn!(error = %ErrorChain(&error), "a drain was not told to run");
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
