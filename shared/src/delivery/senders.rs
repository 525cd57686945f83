//! Senders of records: one per type of destination, and one that selects by type.

use super::{eventbridge::EventBridgeSender, webhook::WebhookSender};
use crate::domain::{
    delivery::{Outcome, Route},
    destination::{Destination, Target},
    record::Record,
};

/// Sender of records to a destination.
pub trait Sender {
    /// Makes one attempt for each record. Returns one outcome per record, in order. Attempts to a
    /// destination of a type that the sender does not support are skipped.
    fn send(&self, route: Route, destination: &Destination, records: &[&Record]) -> impl Future<Output = Vec<Outcome>>;
}

/// Senders for all types of destinations.
#[derive(Clone, Debug)]
pub struct Senders {
    /// Sender to EventBridge buses.
    pub eventbridge: EventBridgeSender,
    /// Sender to webhooks.
    pub webhooks: WebhookSender,
}

impl Sender for Senders {
    async fn send(&self, route: Route, destination: &Destination, records: &[&Record]) -> Vec<Outcome> {
        match &destination.target {
            Target::EventBridge(_) => self.eventbridge.send(route, destination, records).await,
            Target::Webhook(_) => self.webhooks.send(route, destination, records).await,
        }
    }
}

impl Senders {
    /// Sends a test event.
    pub async fn send_test(&self, route: Route, destination: &Destination) -> Outcome {
        match &destination.target {
            Target::EventBridge(bus) => self.eventbridge.send_test(route, bus).await,
            Target::Webhook(webhook) => self.webhooks.send_test(route, webhook).await,
        }
    }
}
