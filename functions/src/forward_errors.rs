//! `forward_errors`, triggered by the stream of the table of errors. AWS calls for a batch: see [`Forwarder::forward`].

use aws_config::SdkConfig;
use aws_lambda_events::event::{dynamodb::Event as StreamEvent, streams::DynamoDbEventResponse};
use lambda_runtime::Diagnostic;
use tenon::{
    aws::setting,
    delivery::{eventbridge::Buses, forward::Forwarder},
    http::StartError,
    store::{Table, destinations::Destinations, errors::Retention, pending::PendingDeliveries},
    vault::Vault,
};

/// Opens the connections to DynamoDB and KMS.
pub async fn state(config: &SdkConfig) -> Result<Forwarder, StartError> {
    let vault = Vault::new(config, setting::<String>("DESTINATIONS_KEY")?);
    let (directory, errors, ()) = tokio::join!(Table::directory(config), Table::errors(config), vault.connect());
    Ok(Forwarder {
        destinations: Destinations(directory?),
        pending: PendingDeliveries { table: errors?, retention: Retention::from_env()? },
        buses: Buses::new(config, vault),
    })
}

/// Makes the first attempt to send every error of the batch.
pub async fn forward_errors(forwarder: Forwarder, event: StreamEvent) -> Result<DynamoDbEventResponse, Diagnostic> {
    Ok(forwarder.forward(event).await)
}
