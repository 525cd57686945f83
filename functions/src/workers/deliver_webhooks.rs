//! `deliver_webhooks`, triggered by the queue of first attempts. AWS calls per destination: see
//! [`FirstAttemptSender::send`].

use aws_config::SdkConfig;
use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use lambda_runtime::Diagnostic;
use tenon::{
    aws::setting,
    delivery::{
        first_attempts::FirstAttemptSender, guard::EgressRules, recorder::DeliveryRecorder, webhook::WebhookSender,
    },
    http::StartError,
    vault::Vault,
};

use super::messages;

/// Connects to DynamoDB and KMS.
pub async fn state(config: &SdkConfig) -> Result<FirstAttemptSender, StartError> {
    let vault = Vault::new(config, setting::<String>("DESTINATIONS_KEY")?);
    let (recorder, ()) = tokio::join!(DeliveryRecorder::open(config), vault.connect());
    let recorder = recorder?;
    Ok(FirstAttemptSender {
        records: recorder.records(),
        recorder,
        webhooks: WebhookSender::new(EgressRules::from_env()?, vault),
    })
}

/// Makes the first attempt to send each record of the messages.
pub async fn deliver_webhooks(sender: FirstAttemptSender, event: SqsEvent) -> Result<SqsBatchResponse, Diagnostic> {
    messages::handle_batch(event, async |messages| sender.send(&messages).await).await
}
