//! `drain`, triggered by the queue that wakes the drains of destinations. AWS calls: see [`tenon::delivery::drain::drain`].

use aws_config::SdkConfig;
use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use lambda_runtime::Diagnostic;
use tenon::{
    aws::setting,
    delivery::{
        books::Books,
        drain::Drains,
        eventbridge::{Buses, PATIENT},
        guard::Rules,
        outlets::Outlets,
        queues::Drain,
        webhook::Webhooks,
    },
    http::StartError,
    store::replays::Replays,
    vault::Vault,
};

use crate::messages;

/// Opens the connections to DynamoDB and KMS.
pub async fn state(config: &SdkConfig) -> Result<Drains, StartError> {
    let vault = Vault::new(config, setting::<String>("DESTINATIONS_KEY")?);
    let (books, ()) = tokio::join!(Books::open(config), vault.connect());
    let books = books?;
    let errors = books.errors();
    let Books { destinations, healths, deliveries: _, pending, waker } = books;
    Ok(Drains {
        errors,
        replays: Replays(destinations.0.clone()),
        destinations,
        healths,
        pending,
        waker,
        outlets: Outlets {
            buses: Buses::new(config, vault.clone(), PATIENT),
            webhooks: Webhooks::new(Rules::from_env()?, vault),
        },
    })
}

/// Sends what waits for a destination and is due.
pub async fn run_drain(drains: Drains, event: SqsEvent) -> Result<SqsBatchResponse, Diagnostic> {
    messages::answer_each(event, async |message: &Drain| drains.run(message.route()).await).await
}
