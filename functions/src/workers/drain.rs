//! `drain`, triggered by the queue of wake-ups. AWS calls: see [`tenon::delivery::drain::drain`].

use aws_config::SdkConfig;
use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use lambda_runtime::Diagnostic;
use tenon::{
    aws::setting,
    delivery::{
        drain::Drains,
        eventbridge::{DEFAULT_TIMEOUT, EventBridgeSender},
        guard::EgressRules,
        queues::DrainRequest,
        recorder::DeliveryRecorder,
        senders::Senders,
        webhook::WebhookSender,
    },
    http::StartError,
    store::replays::Replays,
    vault::Vault,
};

use super::messages;

/// Connects to DynamoDB and KMS.
pub async fn state(config: &SdkConfig) -> Result<Drains, StartError> {
    let vault = Vault::new(config, setting::<String>("DESTINATIONS_KEY")?);
    let (recorder, ()) = tokio::join!(DeliveryRecorder::open(config), vault.connect());
    let recorder = recorder?;
    Ok(Drains {
        records: recorder.records(),
        replays: Replays(recorder.destinations.0.clone()),
        recorder,
        senders: Senders {
            eventbridge: EventBridgeSender::new(config, vault.clone(), DEFAULT_TIMEOUT),
            webhooks: WebhookSender::new(EgressRules::from_env()?, vault),
        },
    })
}

/// Sends the pending deliveries of a destination that are due.
pub async fn run_drain(drains: Drains, event: SqsEvent) -> Result<SqsBatchResponse, Diagnostic> {
    messages::handle_each(event, async |message: &DrainRequest| drains.run(message.route()).await).await
}
