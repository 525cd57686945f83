//! Sends errors to a destination of any type.

use super::{eventbridge::EventBridgeSender, webhook::WebhookSender};
use crate::domain::{
    delivery::{Outcome, Route},
    destination::{Destination, Target},
    error_log::ErrorLog,
};

/// Senders for all types of destinations.
#[derive(Clone, Debug)]
pub struct Senders {
    /// Sender to EventBridge buses.
    pub eventbridge: EventBridgeSender,
    /// Sender to webhooks.
    pub webhooks: WebhookSender,
}

impl Senders {
    /// Makes one attempt for each error. Returns one outcome per error, in order.
    pub async fn send(&self, route: Route, destination: &Destination, errors: &[&ErrorLog]) -> Vec<Outcome> {
        match &destination.target {
            Target::EventBridge(bus) => self.eventbridge.send(route, destination.version, bus, errors).await,
            Target::Webhook(webhook) => self.webhooks.send(route, webhook, errors).await,
        }
    }

    /// Sends a test event.
    pub async fn send_test(&self, route: Route, destination: &Destination) -> Outcome {
        match &destination.target {
            Target::EventBridge(bus) => self.eventbridge.send_test(route, destination.version, bus).await,
            Target::Webhook(webhook) => self.webhooks.send_test(route, webhook).await,
        }
    }
}
