//! From the queue to the webhooks: the first attempt for every error, with all the time that an endpoint may take.

use futures_util::future::join_all;

use super::{
    books::{Books, Sent},
    queues::FirstAttempts,
    webhook::Webhooks,
};
use crate::{
    domain::{
        delivery::{Delivery, DeliveryStatus, Outcome, Route},
        destination::{Destination, Target},
        error_log::ErrorLog,
        health::Health,
        id::WorkflowId,
        timestamp::Timestamp,
    },
    logs::Chain,
    store::{StoreError, errors::Errors},
};

/// Makes the first attempts for webhooks.
#[derive(Clone, Debug)]
pub struct FirstSender {
    /// Where it is written down what came of it.
    pub books: Books,
    /// The errors, of which the queue has only the ids.
    pub errors: Errors,
    /// The means of sending.
    pub webhooks: Webhooks,
}

impl FirstSender {
    /// Makes the first attempt to send every error of each message; messages do not wait for each other. Answers with the
    /// indices of those of which something could be neither sent nor written down.
    ///
    /// AWS calls for a message: one read of the destination and one of its health, one `BatchGetItem`, and what
    /// [`Books::note`] says.
    pub async fn send(&self, messages: &[FirstAttempts]) -> Vec<usize> {
        let sending = messages.iter().map(|message| self.send_one(message));
        let done = join_all(sending).await.into_iter().enumerate();
        done.filter_map(|(index, done)| match done {
            Ok(true) => None,
            Ok(false) => Some(index),
            Err(error) => {
                tracing::error!(error = %Chain(&error), "first attempts were not made");
                Some(index)
            }
        })
        .collect()
    }

    /// Whether all of the message was sent or written down.
    async fn send_one(&self, message: &FirstAttempts) -> Result<bool, StoreError> {
        let FirstAttempts::FirstAttemptsV1 { environment_id, destination_id, errors } = message;
        let route = Route { environment: *environment_id, destination: *destination_id };
        let (destination, errors) = tokio::try_join!(
            self.books.destinations.get_with_health(route),
            self.errors.get_all(route.environment, errors),
        )?;
        let Some((destination, health)) = destination else {
            // It was deleted since, and all that waits for it with it.
            return Ok(true);
        };
        let (wanted, unwanted): (Vec<&ErrorLog>, Vec<&ErrorLog>) =
            errors.iter().partition(|error| destination.wants(error));
        let outcomes = match &destination.target {
            _ if wanted.is_empty() => Vec::new(),
            _ if health.holds_back(Timestamp::now()) => vec![Outcome::NotMade; wanted.len()],
            Target::Webhook(webhook) => self.webhooks.send(route, webhook, &wanted).await,
            // A destination never changes its type.
            Target::EventBridge(_) => Vec::new(),
        };
        let sent: Vec<(&ErrorLog, Outcome)> = wanted.into_iter().zip(outcomes).collect();
        let noted = self.note(route, &destination, &health, &sent).await;
        Ok(self.cancel(route, &unwanted).await? && noted)
    }

    async fn note(
        &self,
        route: Route,
        destination: &Destination,
        health: &Health,
        errors: &[(&ErrorLog, Outcome)],
    ) -> bool {
        errors.is_empty() || self.books.note(Sent { route, destination, health, errors }).await.is_empty()
    }

    /// Writes down that errors are not sent, because the destination was switched off or limited otherwise since.
    async fn cancel(&self, route: Route, errors: &[&ErrorLog]) -> Result<bool, StoreError> {
        let cancelled = |id| Delivery::ended(id, route.destination, DeliveryStatus::Cancelled, Vec::new());
        let told: Vec<(WorkflowId, Delivery)> =
            errors.iter().map(|error| (error.workflow_id, cancelled(error.error_id))).collect();
        Ok(told.is_empty() || self.books.deliveries.note(route, &told, Timestamp::now()).await?.is_empty())
    }
}
