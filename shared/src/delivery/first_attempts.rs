//! First attempts to webhooks, which [`forward`](super::forward) enqueues.
//!
//! A webhook may take up to 15 seconds to respond. A queue between the stream and the webhooks
//! keeps slow endpoints from delaying the stream.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;

use super::{
    queues::FirstAttempts,
    recorder::{AttemptedBatch, DeliveryRecorder},
    webhook::WebhookSender,
};
use crate::{
    domain::{
        delivery::{Delivery, DeliveryStatus, Outcome, Route},
        destination::{Destination, Target},
        error_log::{ErrorKey, ErrorLog},
        health::Health,
        id::WorkflowId,
        timestamp::Timestamp,
    },
    logs::ErrorChain,
    store::{StoreError, errors::Errors},
};

/// Sender of first attempts to webhooks.
#[derive(Clone, Debug)]
pub struct FirstAttemptSender {
    /// Recorder of the outcomes.
    pub recorder: DeliveryRecorder,
    /// Recorded errors; the messages contain only their ids.
    pub errors: Errors,
    /// Sender of webhooks.
    pub webhooks: WebhookSender,
}

impl FirstAttemptSender {
    /// Makes the first attempt for every error of the messages, for all destinations concurrently.
    /// Returns the indices of the messages to retry: those with an error whose outcome was not
    /// recorded.
    ///
    /// AWS calls per destination: one read of the destination and one of its health; one
    /// `BatchGetItem` per 100 errors; the calls of [`DeliveryRecorder::record`]; and one
    /// `BatchWriteItem` per 25 errors that the destination no longer accepts. If an item is
    /// malformed, all but the last are made once per message.
    pub async fn send(&self, messages: &[FirstAttempts]) -> Vec<usize> {
        let mut routes: BTreeMap<Route, Vec<(usize, &[ErrorKey])>> = BTreeMap::new();
        for (index, message) in messages.iter().enumerate() {
            let FirstAttempts::FirstAttemptsV1 { environment_id, destination_id, errors } = message;
            let route = Route { environment: *environment_id, destination: *destination_id };
            routes.entry(route).or_default().push((index, errors));
        }
        join_all(routes.iter().map(|(route, messages)| self.send_to_destination(*route, messages))).await.concat()
    }

    /// Sends the messages of one destination. Returns the indices of the messages to retry.
    async fn send_to_destination(&self, route: Route, messages: &[(usize, &[ErrorKey])]) -> Vec<usize> {
        let errors: Vec<ErrorKey> = messages.iter().flat_map(|(_, errors)| *errors).copied().collect();
        match self.attempt(route, &errors).await {
            Ok(unprocessed) => {
                let retried = messages.iter().filter(|(_, errors)| errors.iter().any(|key| unprocessed.contains(key)));
                retried.map(|(index, _)| *index).collect()
            }
            // An item that cannot be read must fail only its own message.
            Err(StoreError::Malformed(_)) if messages.len() > 1 => {
                let each = messages
                    .iter()
                    .map(|message| Box::pin(self.send_to_destination(route, std::slice::from_ref(message))));
                join_all(each).await.concat()
            }
            Err(error) => {
                let Route { environment, destination } = route;
                tracing::error!(error = %ErrorChain(&error), %environment, %destination, "failed to make first attempts");
                messages.iter().map(|(index, _)| *index).collect()
            }
        }
    }

    /// Makes the attempts. Returns the errors whose outcome was not recorded.
    async fn attempt(&self, route: Route, errors: &[ErrorKey]) -> Result<BTreeSet<ErrorKey>, StoreError> {
        let (destination, errors) = tokio::try_join!(
            self.recorder.destinations.get_with_health(route),
            self.errors.get_all(route.environment, errors),
        )?;
        let Some((destination, health)) = destination else {
            // The destination was deleted in the meantime.
            return Ok(BTreeSet::new());
        };
        let (wanted, unwanted): (Vec<&ErrorLog>, Vec<&ErrorLog>) =
            errors.iter().partition(|error| destination.accepts(error));
        let outcomes = match &destination.target {
            _ if wanted.is_empty() => Vec::new(),
            _ if health.defers_first_attempts(Timestamp::now()) => vec![Outcome::Skipped; wanted.len()],
            Target::Webhook(webhook) => self.webhooks.send(route, webhook, &wanted).await,
            // Unreachable: the type of a destination is immutable.
            Target::EventBridge(_) => Vec::new(),
        };
        let sent: Vec<(&ErrorLog, Outcome)> = wanted.into_iter().zip(outcomes).collect();
        let (unrecorded, uncancelled) =
            tokio::join!(self.record(route, &destination, &health, &sent), self.cancel(route, &unwanted));
        Ok(unrecorded.into_iter().chain(uncancelled).collect())
    }

    async fn record(
        &self,
        route: Route,
        destination: &Destination,
        health: &Health,
        errors: &[(&ErrorLog, Outcome)],
    ) -> Vec<ErrorKey> {
        if errors.is_empty() {
            return Vec::new();
        }
        let unprocessed = self.recorder.record(AttemptedBatch { route, destination, health, errors }).await;
        unprocessed.into_iter().filter_map(|index| errors.get(index)).map(|(error, _)| error.key()).collect()
    }

    /// Records deliveries as cancelled: since the errors were enqueued, the destination was
    /// disabled or its filter changed.
    async fn cancel(&self, route: Route, errors: &[&ErrorLog]) -> Vec<ErrorKey> {
        let cancelled = |id| Delivery::finished(id, route.destination, DeliveryStatus::Cancelled, Vec::new());
        let deliveries: Vec<(WorkflowId, Delivery)> =
            errors.iter().map(|error| (error.workflow_id, cancelled(error.error_id))).collect();
        match self.recorder.deliveries.record(route, &deliveries, Timestamp::now()).await {
            Ok(unprocessed) => {
                unprocessed.into_iter().filter_map(|index| errors.get(index)).map(|error| error.key()).collect()
            }
            Err(error) => {
                tracing::error!(error = %ErrorChain(&error), "failed to record cancelled deliveries");
                errors.iter().map(|error| error.key()).collect()
            }
        }
    }
}
