//! `drain`, triggered by the queue of wake-ups. AWS calls: see [`tenon::delivery::drain::drain`].

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use lambda_runtime::Diagnostic;
use tenon::delivery::{drain::Drains, queues::DrainRequest};

use super::messages;

/// Sends the pending deliveries of a destination that are due.
pub async fn run_drain(drains: Drains, event: SqsEvent) -> Result<SqsBatchResponse, Diagnostic> {
    messages::handle_each(event, async |message: &DrainRequest| drains.run(message.route()).await).await
}
