//! `forward_errors`, triggered by the stream of the Errors table. AWS calls per batch: see
//! [`Forwarder::forward`].

use aws_config::SdkConfig;
use aws_lambda_events::event::{dynamodb::Event as StreamEvent, streams::DynamoDbEventResponse};
use lambda_runtime::Diagnostic;
use serde_json::value::RawValue;
use tenon::{
    aws::setting,
    delivery::{
        eventbridge::{EventBridgeSender, FIRST_ATTEMPT_TIMEOUT},
        forward::Forwarder,
        recorder::DeliveryRecorder,
    },
    http::StartError,
    vault::Vault,
};

/// Connects to DynamoDB and KMS.
pub async fn state(config: &SdkConfig) -> Result<Forwarder, StartError> {
    let vault = Vault::new(config, setting::<String>("DESTINATIONS_KEY")?);
    let (recorder, ()) = tokio::join!(DeliveryRecorder::open(config), vault.connect());
    let recorder = recorder?;
    let queue = |url| recorder.scheduler.queue.with_url(url);
    Ok(Forwarder {
        eventbridge: EventBridgeSender::new(config, vault, FIRST_ATTEMPT_TIMEOUT),
        webhook_queue: queue(setting("WEBHOOKS_QUEUE")?),
        dead_letter_queue: queue(setting("FORWARD_FAILURES_QUEUE")?),
        recorder,
    })
}

/// Makes or enqueues the first attempt to send each record of the batch.
pub async fn forward_errors(forwarder: Forwarder, event: Box<RawValue>) -> Result<DynamoDbEventResponse, Diagnostic> {
    // Parsed here, since the Lambda runtime tracks the path of every value that it parses for its
    // error messages.
    let event: StreamEvent = serde_json::from_str(event.get())
        .map_err(|error| Diagnostic { error_type: "UnreadableEvent".into(), error_message: error.to_string() })?;
    Ok(forwarder.forward(event).await)
}
