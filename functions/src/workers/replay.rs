//! `replay`, triggered by the queue of replay steps. AWS calls: see [`Replayer::run`].

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use lambda_runtime::Diagnostic;
use tenon::delivery::{queues::ReplayStep, replay::Replayer};

use super::messages;

/// Executes a step of a replay.
pub async fn replay_step(replayer: Replayer, event: SqsEvent) -> Result<SqsBatchResponse, Diagnostic> {
    messages::handle_each(event, async |step: &ReplayStep| replayer.run(step).await).await
}
