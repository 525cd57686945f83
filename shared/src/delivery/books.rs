//! The books of first attempts: what is written down of them, so that nothing is lost and nobody waits.

use aws_config::SdkConfig;

use super::{queues::Queue, wake::Waker};
use crate::{
    aws::{SettingError, setting},
    domain::{
        delivery::{Attempt, Delivery, DeliveryStatus, Next, Outcome, PendingDelivery, Route},
        destination::Destination,
        error_log::ErrorLog,
        health::{Health, Note, Tally},
        id::WorkflowId,
        timestamp::Timestamp,
    },
    logs::Chain,
    metrics::{self, Metric},
    store::{
        StoreError, Table,
        deliveries::Deliveries,
        destinations::Destinations,
        errors::{Errors, Retention},
        health::Healths,
        pending::PendingDeliveries,
    },
};

/// Writes down what comes of first attempts.
#[derive(Clone, Debug)]
pub struct Books {
    /// The destinations, which may have to be switched off.
    pub destinations: Destinations,
    /// How they do.
    pub healths: Healths,
    /// What was delivered, or is not to be tried again.
    pub deliveries: Deliveries,
    /// What waits for its next attempt.
    pub pending: PendingDeliveries,
    /// By which the drains are told to run.
    pub waker: Waker,
}

/// An error, where it goes, and what is known of that.
#[derive(Clone, Copy, Debug)]
pub struct Sent<'a> {
    /// Where it went.
    pub route: Route,
    /// The destination as it was read.
    pub destination: &'a Destination,
    /// Its health as it was read.
    pub health: &'a Health,
    /// The errors, each with what came of it.
    pub errors: &'a [(&'a ErrorLog, Outcome)],
}

impl Books {
    /// Opens the connections to both tables.
    pub async fn open(config: &SdkConfig) -> Result<Self, SettingError> {
        let (directory, table) = Table::both(config, 1).await?;
        let retention = Retention::from_env()?;
        Ok(Self {
            destinations: Destinations(directory.clone()),
            healths: Healths(directory.clone()),
            deliveries: Deliveries { table: table.clone(), retention },
            pending: PendingDeliveries { table, retention },
            waker: Waker { healths: Healths(directory), queue: Queue::new(config, setting("DRAINS_QUEUE")?) },
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
    pub async fn note(&self, sent: Sent<'_>) -> Vec<usize> {
        let now = Timestamp::now();
        let (mut delivered, mut waiting, mut ended) = (Vec::new(), Vec::new(), Vec::new());
        for (place, (error, outcome)) in sent.errors.iter().enumerate() {
            let held = PendingDelivery::held(error.workflow_id, error.error_id, error.updated_at);
            match outcome {
                Outcome::Delivered(attempt) => delivered.push((*error, attempt.clone())),
                Outcome::NotMade => waiting.push((place, (held, None))),
                Outcome::Failed(attempt, _) => match held.after(outcome, now) {
                    Next::Pending(pending) => waiting.push((place, (pending, Some(attempt.clone())))),
                    _ => {
                        let (id, attempts) = (error.error_id, vec![attempt.clone()]);
                        let told = Delivery::ended(id, sent.route.destination, DeliveryStatus::Failed, attempts);
                        ended.push((place, (error.workflow_id, told)));
                    }
                },
            }
        }
        let tally: Tally = sent.errors.iter().map(|(_, outcome)| outcome).collect();
        emit(&tally, sent.errors, ended.len());
        tracing::info!(
            environment = %sent.route.environment,
            destination = %sent.route.destination,
            delivered = delivered.len(),
            waiting = waiting.len(),
            failed = ended.len(),
            "first attempts"
        );
        let (noted, waiting, ended) = tokio::join!(
            self.deliveries.note_delivered(sent.route, &delivered, now),
            self.note_waiting(sent, tally, waiting, now),
            self.note_ended(sent.route, ended, now),
        );
        if let Err(error) = noted {
            // They have arrived: sending them again would be worse than not telling of it.
            tracing::warn!(error = %Chain(&error), errors = delivered.len(), "deliveries were not noted");
        }
        [waiting, ended].concat()
    }

    async fn note_ended(
        &self,
        route: Route,
        ended: Vec<(usize, (WorkflowId, Delivery))>,
        now: Timestamp,
    ) -> Vec<usize> {
        let (places, deliveries): (Vec<usize>, Vec<_>) = ended.into_iter().unzip();
        match self.deliveries.note(route, &deliveries, now).await {
            Ok(unwritten) => unwritten.into_iter().filter_map(|index| places.get(index).copied()).collect(),
            Err(error) => {
                tracing::error!(error = %Chain(&error), "deliveries cannot be written");
                places
            }
        }
    }

    async fn note_waiting(
        &self,
        sent: Sent<'_>,
        tally: Tally,
        waiting: Vec<(usize, (PendingDelivery, Option<Attempt>))>,
        now: Timestamp,
    ) -> Vec<usize> {
        let (mut places, waiting): (Vec<usize>, Vec<_>) = waiting.into_iter().unzip();
        let mut undone = Vec::new();
        if !waiting.is_empty() {
            match self.pending.add(sent.route, &waiting).await {
                Ok(unwritten) => undone.extend(unwritten.into_iter().filter_map(|index| places.get(index).copied())),
                Err(error) => {
                    tracing::error!(error = %Chain(&error), "pending deliveries cannot be written");
                    undone.append(&mut places);
                }
            }
        }
        let written = i64::try_from(waiting.len().saturating_sub(undone.len())).unwrap_or(i64::MAX);
        let due = waiting.iter().map(|(pending, _)| pending.next_attempt_at).min().filter(|_| written > 0);
        let note = Note { tally, waiting: written, probe: false };
        if let Err(error) = self.note_health(sent, &note, due, now).await {
            tracing::error!(error = %Chain(&error), "the health of a destination cannot be written");
            // No drain is told of what waits, and no sweep would find it.
            return if written > 0 { places } else { undone };
        }
        undone
    }

    async fn note_health(
        &self,
        sent: Sent<'_>,
        note: &Note,
        due: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let Sent { route, destination, health, .. } = sent;
        if !health.is_news(note, now) {
            return Ok(());
        }
        let before = self.healths.note(route, health, note, now).await?;
        // What comes now is done again by the next failure, the next error that waits, or the sweep.
        if let Some(reason) = before.reason_to_switch_off(note, now)
            && let Err(error) = self.destinations.switch_off(route, destination.version, reason, now).await
        {
            tracing::warn!(error = %Chain(&error), "a destination was not switched off");
        }
        if let Some(due) = due.filter(|due| before.needs_waking(*due, now))
            && let Err(error) = self.waker.wake(route, due, now).await
        {
            tracing::warn!(error = %Chain(&error), "a drain was not told to run");
        }
        Ok(())
    }
}

fn emit(tally: &Tally, errors: &[(&ErrorLog, Outcome)], ended: usize) {
    let lag = errors.iter().filter_map(|(error, outcome)| match outcome {
        Outcome::Delivered(attempt) | Outcome::Failed(attempt, _) => {
            Some(attempt.at.milliseconds() - error.updated_at.milliseconds())
        }
        Outcome::NotMade => None,
    });
    let mut metrics = vec![
        (Metric::Delivered, i64::from(tally.delivered)),
        (Metric::FailedAttempts, i64::from(tally.failed)),
        (Metric::Failed, i64::try_from(ended).unwrap_or(i64::MAX)),
    ];
    metrics.retain(|(_, count)| *count > 0);
    metrics.extend(lag.max().map(|lag| (Metric::Lag, lag)));
    metrics::emit(&metrics);
}
