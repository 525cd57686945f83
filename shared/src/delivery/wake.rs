//! Telling the drain of a destination to run.

use super::queues::{Drain, LONGEST_DELAY, Queue};
use crate::{
    domain::{delivery::Route, timestamp::Timestamp},
    logs::Chain,
    store::{StoreError, health::Healths},
};

/// Tells drains to run.
#[derive(Clone, Debug)]
pub struct Waker {
    /// Where it is noted that a message is under way.
    pub healths: Healths,
    /// The way of the message.
    pub queue: Queue,
}

impl Waker {
    /// Lets the drain of a destination run at a time, or in fifteen minutes where that is earlier; it then sees to it that
    /// it runs again. One message and one write.
    pub async fn wake(&self, route: Route, at: Timestamp, now: Timestamp) -> Result<(), StoreError> {
        let at = at.max(now).min(now + LONGEST_DELAY);
        self.send(route, at, now).await?;
        if let Err(error) = self.healths.told(route, at).await {
            // Others will tell the drain too, which does no harm.
            tracing::warn!(error = %Chain(&error), "a wake-up was not noted");
        }
        Ok(())
    }

    /// The message alone, where it is noted already.
    pub async fn send(&self, route: Route, at: Timestamp, now: Timestamp) -> Result<(), StoreError> {
        self.queue.send(&route.destination.to_string(), &Drain::of(route), at, now).await
    }
}
