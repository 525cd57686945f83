//! `deliver_webhooks`, triggered by the queue of first attempts. AWS calls for a destination: see [`FirstSender::send`].

use aws_config::SdkConfig;
use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use lambda_runtime::Diagnostic;
use tenon::{
    aws::setting,
    delivery::{books::Books, first_attempts::FirstSender, guard::Rules, webhook::Webhooks},
    http::StartError,
    vault::Vault,
};

use crate::messages;

/// Opens the connections to DynamoDB and KMS.
pub async fn state(config: &SdkConfig) -> Result<FirstSender, StartError> {
    let vault = Vault::new(config, setting::<String>("DESTINATIONS_KEY")?);
    let (books, ()) = tokio::join!(Books::open(config), vault.connect());
    let books = books?;
    Ok(FirstSender { errors: books.errors(), books, webhooks: Webhooks::new(Rules::from_env()?, vault) })
}

/// Makes the first attempt to send every error of the messages.
pub async fn deliver_webhooks(sender: FirstSender, event: SqsEvent) -> Result<SqsBatchResponse, Diagnostic> {
    messages::answer(event, async |messages| sender.send(&messages).await).await
}
