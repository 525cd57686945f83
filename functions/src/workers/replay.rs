//! `replay`, triggered by the queue of replay steps. AWS calls: see [`Replayer::step`].

use aws_config::SdkConfig;
use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use lambda_runtime::Diagnostic;
use tenon::{
    aws::setting,
    delivery::{queues::ReplayStep, recorder::DeliveryRecorder, replay::Replayer},
    http::StartError,
    store::replays::Replays,
};

use super::messages;

/// Connects to both tables.
pub async fn state(config: &SdkConfig) -> Result<Replayer, StartError> {
    let recorder = DeliveryRecorder::open(config).await?;
    let (errors, steps) = (recorder.errors(), recorder.scheduler.queue.with_url(setting("REPLAYS_QUEUE")?));
    let DeliveryRecorder { destinations, health_store, deliveries, pending, scheduler } = recorder;
    Ok(Replayer {
        replays: Replays(destinations.0.clone()),
        errors,
        destinations,
        health_store,
        deliveries,
        pending,
        steps,
        scheduler,
    })
}

/// Performs the next step of a replay.
pub async fn replay_step(replayer: Replayer, event: SqsEvent) -> Result<SqsBatchResponse, Diagnostic> {
    messages::handle_each(event, async |ReplayStep::ReplayStepV1 { environment_id, replay_id }: &ReplayStep| {
        replayer.step(*environment_id, *replay_id).await
    })
    .await
}
