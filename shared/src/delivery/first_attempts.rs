//! From the queue to the webhooks: the first attempt for every error, with all the time that an endpoint may take.

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

/// Makes the first attempts for webhooks.
#[derive(Clone, Debug)]
pub struct FirstAttemptSender {
    /// Where it is written down what came of it.
    pub recorder: DeliveryRecorder,
    /// The errors, of which the queue has only the ids.
    pub errors: Errors,
    /// The means of sending.
    pub webhooks: WebhookSender,
}

impl FirstAttemptSender {
    /// Makes the first attempt to send every error of the messages; destinations do not wait for each other. Answers with
    /// the indices of the messages of which something could be neither sent nor written down.
    ///
    /// AWS calls for a destination: one read of it and one of its health, one `BatchGetItem` for a hundred errors, what
    /// [`DeliveryRecorder::record`] says, and one `BatchWriteItem` for 25 errors that it does not want any more. All but the notes for each
    /// message where something cannot be read.
    pub async fn send(&self, messages: &[FirstAttempts]) -> Vec<usize> {
        let mut routes: BTreeMap<Route, Vec<(usize, &[ErrorKey])>> = BTreeMap::new();
        for (index, message) in messages.iter().enumerate() {
            let FirstAttempts::FirstAttemptsV1 { environment_id, destination_id, errors } = message;
            let route = Route { environment: *environment_id, destination: *destination_id };
            routes.entry(route).or_default().push((index, errors));
        }
        join_all(routes.iter().map(|(route, messages)| self.send_to_destination(*route, messages))).await.concat()
    }

    /// Answers with those of a destination's messages that are to come again.
    async fn send_to_destination(&self, route: Route, messages: &[(usize, &[ErrorKey])]) -> Vec<usize> {
        let errors: Vec<ErrorKey> = messages.iter().flat_map(|(_, errors)| *errors).copied().collect();
        match self.attempt(route, &errors).await {
            Ok(unprocessed) => {
                let retried = messages.iter().filter(|(_, errors)| errors.iter().any(|key| unprocessed.contains(key)));
                retried.map(|(index, _)| *index).collect()
            }
            // What cannot be read holds up only its own message.
            Err(StoreError::Malformed(_)) if messages.len() > 1 => {
                let each = messages
                    .iter()
                    .map(|message| Box::pin(self.send_to_destination(route, std::slice::from_ref(message))));
                join_all(each).await.concat()
            }
            Err(error) => {
                let Route { environment, destination } = route;
                tracing::error!(error = %ErrorChain(&error), %environment, %destination, "first attempts were not made");
                messages.iter().map(|(index, _)| *index).collect()
            }
        }
    }

    /// Answers with the errors that could be neither sent nor written down.
    async fn attempt(&self, route: Route, errors: &[ErrorKey]) -> Result<BTreeSet<ErrorKey>, StoreError> {
        let (destination, errors) = tokio::try_join!(
            self.recorder.destinations.get_with_health(route),
            self.errors.get_all(route.environment, errors),
        )?;
        let Some((destination, health)) = destination else {
            // It was deleted since, and all that waits for it with it.
            return Ok(BTreeSet::new());
        };
        let (wanted, unwanted): (Vec<&ErrorLog>, Vec<&ErrorLog>) =
            errors.iter().partition(|error| destination.accepts(error));
        let outcomes = match &destination.target {
            _ if wanted.is_empty() => Vec::new(),
            _ if health.defers_first_attempts(Timestamp::now()) => vec![Outcome::Skipped; wanted.len()],
            Target::Webhook(webhook) => self.webhooks.send(route, webhook, &wanted).await,
            // A destination never changes its type.
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

    /// Writes down that errors are not sent, because the destination was switched off or limited otherwise since.
    async fn cancel(&self, route: Route, errors: &[&ErrorLog]) -> Vec<ErrorKey> {
        let cancelled = |id| Delivery::finished(id, route.destination, DeliveryStatus::Cancelled, Vec::new());
        let deliveries: Vec<(WorkflowId, Delivery)> =
            errors.iter().map(|error| (error.workflow_id, cancelled(error.error_id))).collect();
        match self.recorder.deliveries.record(route, &deliveries, Timestamp::now()).await {
            Ok(unprocessed) => {
                unprocessed.into_iter().filter_map(|index| errors.get(index)).map(|error| error.key()).collect()
            }
            Err(error) => {
                tracing::error!(error = %ErrorChain(&error), "deliveries cannot be written");
                errors.iter().map(|error| error.key()).collect()
            }
        }
    }
}
