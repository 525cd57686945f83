//! `forward_errors`, triggered by the stream of the Errors table. AWS calls per batch: see
//! [`Forwarder::forward`].

use aws_lambda_events::event::{dynamodb::Event as StreamEvent, streams::DynamoDbEventResponse};
use lambda_runtime::Diagnostic;
use serde_json::value::RawValue;
use tenon::delivery::forward::Forwarder;

/// Makes or enqueues the first attempt to send each record of the batch.
pub async fn forward_errors(forwarder: Forwarder, event: Box<RawValue>) -> Result<DynamoDbEventResponse, Diagnostic> {
    // Parsed here, since the Lambda runtime tracks the path of every value that it parses for its
    // error messages.
    let event: StreamEvent = serde_json::from_str(event.get())
        .map_err(|error| Diagnostic { error_type: "UnreadableEvent".into(), error_message: error.to_string() })?;
    Ok(forwarder.forward(event).await)
}
