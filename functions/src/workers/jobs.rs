//! Jobs that go on by themselves: begun by the stream of the directory, which sees the item that notes them, and gone on with by
//! a schedule until they are over.

use aws_lambda_events::event::{
    dynamodb::Event as StreamEvent,
    streams::{DynamoDbBatchItemFailure, DynamoDbEventResponse},
};
use futures_util::stream::{self, StreamExt};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use tenon::{
    domain::timestamp::Timestamp,
    logs::ErrorChain,
    metrics::{self, Metric},
    store::StoreError,
};

/// What triggers the function.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Trigger {
    /// Jobs were noted.
    Stream(StreamEvent),
    /// The time has come to look at what is not over.
    Schedule(Value),
}

/// So many jobs are looked at by the schedule.
const MAX_SCANNED: usize = 1000;
/// So many of them run at once.
const MAX_CONCURRENT: usize = 8;

/// Runs the jobs of a trigger, as far as they go. `open` finds those that are not over, up to so many; `run` runs one that
/// began at `since`, and says whether it is over.
pub(crate) async fn run<J: DeserializeOwned>(
    trigger: Trigger,
    open: impl AsyncFn(usize) -> Result<Vec<J>, StoreError>,
    run: impl AsyncFn(&J) -> Result<bool, StoreError>,
    since: impl Fn(&J) -> Timestamp,
) -> DynamoDbEventResponse {
    let mut response = DynamoDbEventResponse::default();
    match trigger {
        Trigger::Stream(event) => {
            for record in event.records {
                match serde_dynamo::from_item::<_, J>(record.change.new_image) {
                    Ok(job) => {
                        if let Err(error) = run(&job).await {
                            tracing::warn!(error = %ErrorChain(&error), "job failed; will retry");
                            let mut failure = DynamoDbBatchItemFailure::default();
                            failure.item_identifier = record.change.sequence_number;
                            response.batch_item_failures = vec![failure];
                            break;
                        }
                    }
                    Err(error) => tracing::error!(error = %ErrorChain(&error), "a job cannot be read"),
                }
            }
        }
        Trigger::Schedule(_) => match open(MAX_SCANNED).await {
            Ok(open) => {
                // Before they are run, so that it is told also when the function's time is over meanwhile.
                let oldest = open.iter().map(&since).min();
                let age = oldest.map_or(0, |since| Timestamp::now().seconds() - since.seconds());
                metrics::emit(&[(Metric::OldestJob, age)]);
                // Several at once: a long one holds up no short one.
                let running = open.iter().map(async |job| {
                    if let Err(error) = run(job).await {
                        tracing::warn!(error = %ErrorChain(&error), "job failed; will retry");
                    }
                });
                stream::iter(running.collect::<Vec<_>>()).buffer_unordered(MAX_CONCURRENT).collect::<Vec<()>>().await;
            }
            Err(error) => tracing::error!(error = %ErrorChain(&error), "the jobs that are not over cannot be read"),
        },
    }
    response
}
