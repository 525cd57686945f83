//! Handling of SQS batches: parses the messages and returns the ids of those that SQS must deliver
//! again.

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use lambda_runtime::Diagnostic;
use serde::de::DeserializeOwned;
use tenon::{delivery::queues::parse, logs::ErrorChain, store::StoreError};

/// Processes the messages of a batch together. `process` returns the indices of the messages to
/// retry. A message that cannot be parsed is retried too, until the queue moves it to the
/// dead-letter queue.
pub(crate) async fn handle_batch<M: DeserializeOwned>(
    event: SqsEvent,
    process: impl AsyncFnOnce(Vec<M>) -> Vec<usize>,
) -> Result<SqsBatchResponse, Diagnostic> {
    let (mut ids, mut messages, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    for record in event.records {
        let id = record.message_id.unwrap_or_default();
        match parse(record.body.as_deref()) {
            Ok(message) => {
                ids.push(id);
                messages.push(message);
            }
            Err(error) => {
                tracing::error!(error = %ErrorChain(&error), id, "failed to parse message");
                failed.push(id);
            }
        }
    }
    let retry = process(messages).await;
    failed.extend(retry.into_iter().filter_map(|index| ids.get(index).cloned()));
    let mut response = SqsBatchResponse::default();
    response.set_failures(failed);
    Ok(response)
}

/// Processes the messages of a batch one by one.
pub(crate) async fn handle_each<M: DeserializeOwned>(
    event: SqsEvent,
    process: impl AsyncFn(&M) -> Result<(), StoreError>,
) -> Result<SqsBatchResponse, Diagnostic> {
    handle_batch(event, async |messages: Vec<M>| {
        let mut retry = Vec::new();
        for (index, message) in messages.iter().enumerate() {
            if let Err(error) = process(message).await {
                tracing::error!(error = %ErrorChain(&error), "failed to process message");
                retry.push(index);
            }
        }
        retry
    })
    .await
}
