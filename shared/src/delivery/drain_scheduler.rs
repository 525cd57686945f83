//! Telling the drain of a destination to run.

use super::queues::{DrainRequest, MAX_DELAY, Queue};
use crate::{
    domain::{delivery::Route, timestamp::Timestamp},
    logs::ErrorChain,
    store::{StoreError, health::HealthStore},
};

/// Tells drains to run.
#[derive(Clone, Debug)]
pub struct DrainScheduler {
    /// Where it is noted that a message is under way.
    pub health_store: HealthStore,
    /// The way of the message.
    pub queue: Queue,
}

impl DrainScheduler {
    /// Lets the drain of a destination run at a time, or in fifteen minutes where that is earlier; it then sees to it that
    /// it runs again. One message and one write.
    pub async fn schedule(&self, route: Route, at: Timestamp, now: Timestamp) -> Result<(), StoreError> {
        let at = at.max(now).min(now + MAX_DELAY);
        self.enqueue(route, at, now).await?;
        if let Err(error) = self.health_store.record_wakeup(route, at).await {
            // Others will tell the drain too, which does no harm.
            tracing::warn!(error = %ErrorChain(&error), "a wake-up was not noted");
        }
        Ok(())
    }

    /// The message alone, where it is noted already.
    pub async fn enqueue(&self, route: Route, at: Timestamp, now: Timestamp) -> Result<(), StoreError> {
        self.queue.send(&route.destination.to_string(), &DrainRequest::new(route), at, now).await
    }
}
