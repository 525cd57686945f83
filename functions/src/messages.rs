//! What functions that a queue triggers share: messages in, the ids of those that are to come again out.

use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent};
use lambda_runtime::Diagnostic;
use serde::de::DeserializeOwned;
use tenon::{delivery::queues::read, logs::Chain, store::StoreError};

/// Works on messages together. The work answers with the indices of those that are to come again. A message that cannot
/// be read comes again too, until the queue puts it aside.
pub(crate) async fn answer<M: DeserializeOwned>(
    event: SqsEvent,
    work: impl AsyncFnOnce(Vec<M>) -> Vec<usize>,
) -> Result<SqsBatchResponse, Diagnostic> {
    let (mut ids, mut messages, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    for record in event.records {
        let id = record.message_id.unwrap_or_default();
        match read(record.body.as_deref()) {
            Ok(message) => {
                ids.push(id);
                messages.push(message);
            }
            Err(error) => {
                tracing::error!(error = %Chain(&error), id, "a message cannot be read");
                failed.push(id);
            }
        }
    }
    let again = work(messages).await;
    failed.extend(again.into_iter().filter_map(|index| ids.get(index).cloned()));
    let mut response = SqsBatchResponse::default();
    response.batch_item_failures = failed
        .into_iter()
        .map(|id| {
            let mut failure = BatchItemFailure::default();
            failure.item_identifier = id;
            failure
        })
        .collect();
    Ok(response)
}

/// Works on messages one by one.
pub(crate) async fn answer_each<M: DeserializeOwned>(
    event: SqsEvent,
    work: impl AsyncFn(&M) -> Result<(), StoreError>,
) -> Result<SqsBatchResponse, Diagnostic> {
    answer(event, async |messages: Vec<M>| {
        let mut again = Vec::new();
        for (index, message) in messages.iter().enumerate() {
            if let Err(error) = work(message).await {
                tracing::error!(error = %Chain(&error), "a message was not worked on");
                again.push(index);
            }
        }
        again
    })
    .await
}
