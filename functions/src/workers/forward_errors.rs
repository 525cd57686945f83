//! `forward_errors`, triggered by the stream of the Errors table. AWS calls per batch: see
//! [`Forwarder::forward`].

use aws_lambda_events::event::streams::DynamoDbEventResponse;
use lambda_runtime::Diagnostic;
use serde_json::value::RawValue;
use tenon::delivery::forward::Forwarder;

/// Makes or enqueues the first attempt to send each record of the batch.
pub async fn forward_errors(forwarder: Forwarder, event: Box<RawValue>) -> Result<DynamoDbEventResponse, Diagnostic> {
    let forwarded = forwarder.forward(event.get()).await;
    forwarded.map_err(|error| Diagnostic { error_type: "UnreadableEvent".into(), error_message: error.to_string() })
}
