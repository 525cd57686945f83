//! `deliver_webhooks`, triggered by the queue of first attempts. AWS calls per destination: see
//! [`FirstAttemptSender::send`].

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use lambda_runtime::Diagnostic;
use tenon::delivery::first_attempts::FirstAttemptSender;

use super::messages;

/// Makes the first attempt to send each record of the messages.
pub async fn deliver_webhooks(sender: FirstAttemptSender, event: SqsEvent) -> Result<SqsBatchResponse, Diagnostic> {
    messages::handle_batch(event, async |messages| sender.send(&messages).await).await
}
