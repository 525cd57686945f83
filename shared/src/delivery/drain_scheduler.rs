//! Schedules drains: a delayed queue message wakes the drain of a destination, and the health item
//! records the time of that wake-up.

use super::queues::{DrainRequest, MAX_DELAY, Queue};
use crate::{
    domain::{delivery::Route, timestamp::Timestamp},
    logs::ErrorChain,
    store::{StoreError, health::HealthStore},
};

/// Scheduler of drains.
#[derive(Clone, Debug)]
pub struct DrainScheduler {
    /// Health of the destinations, which records scheduled wake-ups.
    pub health_store: HealthStore,
    /// Queue of drain requests.
    pub queue: Queue,
}

impl DrainScheduler {
    /// Schedules the drain of a destination at the given time, at most 15 minutes ahead (the SQS
    /// limit of a delay). A drain that runs earlier than needed schedules its successor. One
    /// message and one write.
    pub async fn schedule(&self, route: Route, at: Timestamp, now: Timestamp) -> Result<(), StoreError> {
        let due = at.max(now);
        let at = due.min(now + MAX_DELAY);
        self.enqueue(route, at, now).await?;
        if let Err(error) = self.health_store.record_wakeup(route, at, due).await {
            // A missing record causes only redundant wake-ups, which are harmless.
            tracing::warn!(error = %ErrorChain(&error), "failed to record drain wake-up");
        }
        Ok(())
    }

    /// Sends the message of a wake-up that is already recorded. One message, and one write if it
    /// cannot be sent.
    pub async fn enqueue_recorded(&self, route: Route, at: Timestamp, now: Timestamp) -> Result<(), StoreError> {
        let sent = self.enqueue(route, at, now).await;
        if sent.is_err()
            && let Err(error) = self.health_store.forget_wakeup(route, at).await
        {
            // The sweep sends the message when it is overdue.
            tracing::warn!(error = %ErrorChain(&error), "failed to forget drain wake-up");
        }
        sent
    }

    async fn enqueue(&self, route: Route, at: Timestamp, now: Timestamp) -> Result<(), StoreError> {
        self.queue.send(&route.destination.to_string(), &DrainRequest::new(route), at, now).await
    }
}
