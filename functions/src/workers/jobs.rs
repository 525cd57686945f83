//! Background jobs. The stream of the directory table starts a job when its item is written; a
//! schedule resumes it until it is complete.

use aws_lambda_events::event::{
    dynamodb::Event as StreamEvent,
    streams::{DynamoDbBatchItemFailure, DynamoDbEventResponse},
};
use futures_util::stream::{self, StreamExt};
use lambda_runtime::Diagnostic;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use tenon::{
    domain::timestamp::Timestamp,
    logs::ErrorChain,
    metrics::{self, Metric},
    store::StoreError,
};

/// Trigger of the function.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Value")]
pub enum Trigger {
    /// Stream records of new jobs.
    Stream(StreamEvent),
    /// Schedule that resumes unfinished jobs.
    Schedule,
}

impl TryFrom<Value> for Trigger {
    type Error = serde_json::Error;

    fn try_from(event: Value) -> Result<Self, serde_json::Error> {
        // A malformed event of the stream must fail, not count as the schedule, so that an alarm notices.
        if event.get("Records").is_some() {
            serde_json::from_value(event).map(Self::Stream)
        } else {
            Ok(Self::Schedule)
        }
    }
}

/// Maximum number of unfinished jobs that a scheduled run resumes.
const MAX_RESUMED: usize = 1000;
/// Maximum number of jobs that a scheduled run executes concurrently.
const MAX_CONCURRENT: usize = 8;

/// Runs the jobs of a trigger as far as possible. `open` returns the unfinished jobs; `run` runs one job
/// and returns whether it is complete; `since` returns the time at which a job started. Fails if the
/// unfinished jobs cannot be listed, so that an alarm notices.
pub(crate) async fn run<J: DeserializeOwned>(
    trigger: Trigger,
    open: impl AsyncFn() -> Result<Vec<J>, StoreError>,
    run: impl AsyncFn(&J) -> Result<bool, StoreError>,
    since: impl Fn(&J) -> Timestamp,
) -> Result<DynamoDbEventResponse, Diagnostic> {
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
                    Err(error) => tracing::error!(error = %ErrorChain(&error), "failed to read job"),
                }
            }
        }
        Trigger::Schedule => {
            let open = open().await.map_err(|error| {
                tracing::error!(error = %ErrorChain(&error), "failed to list unfinished jobs");
                Diagnostic {
                    error_type: "JobsNotListed".into(),
                    error_message: "failed to list unfinished jobs".into(),
                }
            })?;
            // Emitted before the jobs run, so that the metric is reported even if the function times
            // out.
            let oldest = open.iter().map(&since).min();
            let age = oldest.map_or(0, |since| Timestamp::now().seconds() - since.seconds());
            metrics::emit(&[(Metric::OldestJob, age)]);
            // Concurrent, so that a long job does not delay short ones.
            let running = open.iter().take(MAX_RESUMED).map(async |job| {
                if let Err(error) = run(job).await {
                    tracing::warn!(error = %ErrorChain(&error), "job failed; will retry");
                }
            });
            stream::iter(running.collect::<Vec<_>>()).buffer_unordered(MAX_CONCURRENT).collect::<Vec<()>>().await;
        }
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(Deserialize)]
    struct Job {
        number: u32,
    }

    fn record(sequence_number: &str, number: &str) -> Value {
        json!({
            "eventID": sequence_number, "eventName": "INSERT", "awsRegion": "us-east-1",
            "dynamodb": {
                "ApproximateCreationDateTime": 1_795_498_200.0, "Keys": {}, "SizeBytes": 1,
                "SequenceNumber": sequence_number, "NewImage": { "number": { "N": number } },
            },
        })
    }

    #[tokio::test]
    async fn stream_is_retried_from_the_first_job_that_failed() {
        let event = json!({ "Records": [record("10", "1"), record("11", "2"), record("12", "3")] });
        let trigger = Trigger::Stream(serde_json::from_value(event).unwrap());
        let ran = std::sync::Mutex::new(Vec::new());
        let response = run(
            trigger,
            async || Ok(Vec::new()),
            async |job: &Job| {
                ran.lock().unwrap().push(job.number);
                if job.number == 2 { Err(StoreError::Busy("busy".into())) } else { Ok(true) }
            },
            |_| Timestamp::now(),
        )
        .await
        .unwrap();
        let failures: Vec<_> =
            response.batch_item_failures.into_iter().map(|failure| failure.item_identifier.unwrap()).collect();
        assert_eq!((failures, ran.into_inner().unwrap()), (vec!["11".to_owned()], vec![1, 2]));
    }

    #[tokio::test]
    async fn unreadable_job_of_a_stream_is_skipped() {
        let event = json!({ "Records": [record("10", "-1"), record("11", "2")] });
        let ran = std::sync::Mutex::new(0);
        let response = run(
            Trigger::Stream(serde_json::from_value(event).unwrap()),
            async || Ok(Vec::new()),
            async |_: &Job| {
                *ran.lock().unwrap() += 1;
                Ok(true)
            },
            |_| Timestamp::now(),
        )
        .await
        .unwrap();
        assert_eq!((response.batch_item_failures.len(), ran.into_inner().unwrap()), (0, 1));
    }

    #[test]
    fn malformed_event_of_the_stream_is_not_taken_for_the_schedule() {
        let malformed = json!({ "Records": [{ "eventName": 1 }] });
        assert!(serde_json::from_value::<Trigger>(malformed).is_err());
        let schedule = json!({ "source": "aws.events", "detail": {} });
        assert!(matches!(serde_json::from_value(schedule), Ok(Trigger::Schedule)));
    }

    #[tokio::test]
    async fn scheduled_run_fails_if_the_jobs_cannot_be_listed() {
        let open = async || Err::<Vec<Job>, _>(StoreError::Refused("access denied".into()));
        let ran = run(Trigger::Schedule, open, async |_: &Job| Ok(true), |_| Timestamp::now()).await;
        assert_eq!(ran.unwrap_err().error_type, "JobsNotListed");
    }
}
