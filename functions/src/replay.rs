//! `replay`, triggered by the queue of replays' steps. AWS calls: see [`Replayer::step`].

use aws_config::SdkConfig;
use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use lambda_runtime::Diagnostic;
use tenon::{
    aws::setting,
    delivery::{books::Books, queues::ReplayStep, replay::Replayer},
    http::StartError,
    store::replays::Replays,
};

use crate::messages;

/// Opens the connections to both tables.
pub async fn state(config: &SdkConfig) -> Result<Replayer, StartError> {
    let books = Books::open(config).await?;
    let (errors, steps) = (books.errors(), books.waker.queue.beside(setting("REPLAYS_QUEUE")?));
    let Books { destinations, healths, deliveries, pending, waker } = books;
    Ok(Replayer {
        replays: Replays(destinations.0.clone()),
        errors,
        destinations,
        healths,
        deliveries,
        pending,
        steps,
        waker,
    })
}

/// Makes the next step of a replay.
pub async fn replay_step(replayer: Replayer, event: SqsEvent) -> Result<SqsBatchResponse, Diagnostic> {
    messages::answer_each(event, async |ReplayStep::ReplayStepV1 { environment_id, replay_id }: &ReplayStep| {
        replayer.step(*environment_id, *replay_id).await
    })
    .await
}
