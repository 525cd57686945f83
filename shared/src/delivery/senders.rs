//! The means of sending, whatever the type of the destination.

use super::{eventbridge::EventBridgeSender, webhook::WebhookSender};
use crate::domain::{
    delivery::{Outcome, Route},
    destination::{Destination, Target},
    error_log::ErrorLog,
};

/// Sends errors to destinations of every type.
#[derive(Clone, Debug)]
pub struct Senders {
    /// To buses.
    pub eventbridge: EventBridgeSender,
    /// To webhooks.
    pub webhooks: WebhookSender,
}

impl Senders {
    /// Makes one attempt to send each error. The answer has one outcome per error, in order.
    pub async fn send(&self, route: Route, destination: &Destination, errors: &[&ErrorLog]) -> Vec<Outcome> {
        match &destination.target {
            Target::EventBridge(bus) => self.eventbridge.send(route, destination.version, bus, errors).await,
            Target::Webhook(webhook) => self.webhooks.send(route, webhook, errors).await,
        }
    }

    /// Sends a test event now.
    pub async fn send_test(&self, route: Route, destination: &Destination) -> Outcome {
        match &destination.target {
            Target::EventBridge(bus) => self.eventbridge.send_test(route, destination.version, bus).await,
            Target::Webhook(webhook) => self.webhooks.send_test(route, webhook).await,
        }
    }
}
