//! Senders of records: one per type of destination, and one that selects by type.

use std::time::Instant;

use super::{eventbridge::EventBridgeSender, webhook::WebhookSender};
use crate::{
    domain::{
        delivery::{Attempt, Failure, Outcome, Route},
        destination::{Destination, Target},
        record::Record,
        timestamp::Timestamp,
    },
    logs::ErrorChain,
    vault::VaultError,
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

/// Returns the milliseconds since the start of an attempt.
pub(super) fn milliseconds_since(started: Instant) -> u32 {
    u32::try_from(started.elapsed().as_millis()).unwrap_or(u32::MAX)
}

/// Returns the outcome of an attempt that failed before anything was sent.
pub(super) fn failed_before_sending(failure: Failure, message: &str) -> Outcome {
    Outcome::Failed(
        Attempt { at: Timestamp::now(), status: None, latency_ms: 0, response: message.to_owned() },
        failure,
    )
}

/// Returns the outcome of an attempt whose secret could not be decrypted. It is skipped while KMS
/// is busy or rejects all requests, which is not the customer's fault.
pub(super) fn failed_to_decrypt(route: Route, error: &VaultError) -> Outcome {
    let Route { environment, destination } = route;
    let chain = ErrorChain(error);
    match error {
        VaultError::Busy(_) => {
            tracing::warn!(error = %chain, %environment, %destination, "KMS unavailable, skipped attempts");
            Outcome::Skipped
        }
        VaultError::Refused(_) => {
            tracing::error!(error = %chain, %environment, %destination, "KMS refuses the function, skipped attempts");
            Outcome::Skipped
        }
        VaultError::Undecryptable | VaultError::Random => {
            tracing::error!(error = %chain, %environment, %destination, "failed to decrypt secret of destination");
            failed_before_sending(Failure::Refused, "the stored secret could not be decrypted")
        }
    }
}
