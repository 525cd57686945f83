//! Background jobs. The stream of the directory table starts a job when its item is written; a
//! schedule resumes it until it is complete.

use std::time::Duration;

use aws_lambda_events::event::{
    dynamodb::Event as StreamEvent,
    streams::{DynamoDbBatchItemFailure, DynamoDbEventResponse},
};
use futures_util::stream::{self, StreamExt};
use lambda_runtime::Diagnostic;
use serde::Deserialize;
use serde_json::Value;
use tenon::{
    domain::timestamp::Timestamp,
    logs::ErrorChain,
    metrics::{self, Metric},
    store::{
        StoreError,
        jobs::{Job, JobId},
    },
};
use tokio::time::{Instant, timeout_at};

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
        // A malformed event of the stream must fail, not count as the schedule, so that an alarm
        // notices.
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
/// Duration after which a run abandons its unfinished jobs. Below the timeout of the functions and
/// the interval of the schedule (both 300 seconds), so that a long job is no failure, and scheduled
/// runs do not overlap.
const RUN_BUDGET: Duration = Duration::from_secs(240);

/// Runs the jobs of a trigger as far as possible. `open` returns the unfinished jobs; `run` runs
/// one job, which may stay unfinished. Fails if the unfinished jobs cannot be listed, so that an
/// alarm notices.
pub(crate) async fn run<J: Job>(
    trigger: Trigger,
    open: impl AsyncFn() -> Result<Vec<J>, StoreError>,
    run: impl AsyncFn(&J) -> Result<(), StoreError>,
) -> Result<DynamoDbEventResponse, Diagnostic> {
    run_until(Instant::now() + RUN_BUDGET, trigger, open, run).await
}

async fn run_until<J: Job>(
    deadline: Instant,
    trigger: Trigger,
    open: impl AsyncFn() -> Result<Vec<J>, StoreError>,
    run: impl AsyncFn(&J) -> Result<(), StoreError>,
) -> Result<DynamoDbEventResponse, Diagnostic> {
    let mut response = DynamoDbEventResponse::default();
    match trigger {
        Trigger::Stream(event) => {
            // All of them, although the batch is retried from the first one that failed: jobs do
            // not depend on each other, and may run twice.
            for record in event.records {
                let job = match serde_dynamo::from_item::<_, J>(record.change.new_image) {
                    Ok(job) => job,
                    Err(error) => {
                        tracing::error!(error = %ErrorChain(&error), "failed to read job");
                        continue;
                    }
                };
                if run_one(deadline, &job, &run).await.is_err() && response.batch_item_failures.is_empty() {
                    let mut failure = DynamoDbBatchItemFailure::default();
                    failure.item_identifier = record.change.sequence_number;
                    response.batch_item_failures.push(failure);
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
            // Emitted before the jobs run, so that the metric is reported even if the function
            // times out.
            let oldest = open.iter().map(Job::started_at).min();
            let age = oldest.map_or(0, |since| Timestamp::now().seconds() - since.seconds());
            metrics::emit(&[(Metric::OldestJob, age)]);
            // Concurrent, so that a long job does not delay short ones.
            let running = open.iter().take(MAX_RESUMED).map(|job| run_one(deadline, job, &run));
            stream::iter(running.collect::<Vec<_>>()).buffer_unordered(MAX_CONCURRENT).collect::<Vec<_>>().await;
        }
    }
    Ok(response)
}

/// Runs a job until the deadline. A job that is cut off is no failure: the schedule resumes it.
/// Logs failures.
async fn run_one<J: Job>(
    deadline: Instant,
    job: &J,
    run: &impl AsyncFn(&J) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let ran = timeout_at(deadline, run(job)).await;
    let (JobId { kind, environment, user }, started_at) = (job.id(), job.started_at().to_string());
    let kind = kind.as_str();
    match ran {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => {
            tracing::warn!(error = %ErrorChain(&error), kind, %environment, %user, started_at, "job failed; will retry");
            Err(error)
        }
        Err(_) => {
            tracing::info!(kind, %environment, %user, started_at, "job continues in the next scheduled run");
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tenon::{
        domain::id::{EnvironmentId, UserId},
        store::jobs::JobKind,
    };

    use super::*;

    #[derive(Deserialize)]
    struct Numbered {
        number: u32,
    }

    impl Job for Numbered {
        fn id(&self) -> JobId {
            JobId { kind: JobKind::Erasure, environment: EnvironmentId::new(), user: UserId::new() }
        }

        fn started_at(&self) -> Timestamp {
            Timestamp::now()
        }
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
    async fn all_jobs_of_a_stream_run_and_it_is_retried_from_the_first_that_failed() {
        let event = json!({ "Records": [record("10", "1"), record("11", "2"), record("12", "3")] });
        let trigger = Trigger::Stream(serde_json::from_value(event).unwrap());
        let ran = std::sync::Mutex::new(Vec::new());
        let response = run(
            trigger,
            async || Ok(Vec::new()),
            async |job: &Numbered| {
                ran.lock().unwrap().push(job.number);
                if job.number >= 2 { Err(StoreError::Busy("busy".into())) } else { Ok(()) }
            },
        )
        .await
        .unwrap();
        let failures: Vec<_> =
            response.batch_item_failures.into_iter().map(|failure| failure.item_identifier.unwrap()).collect();
        assert_eq!((failures, ran.into_inner().unwrap()), (vec!["11".to_owned()], vec![1, 2, 3]));
    }

    #[tokio::test]
    async fn unreadable_job_of_a_stream_is_skipped() {
        let event = json!({ "Records": [record("10", "-1"), record("11", "2")] });
        let ran = std::sync::Mutex::new(0);
        let response = run(
            Trigger::Stream(serde_json::from_value(event).unwrap()),
            async || Ok(Vec::new()),
            async |_: &Numbered| {
                *ran.lock().unwrap() += 1;
                Ok(())
            },
        )
        .await
        .unwrap();
        assert_eq!((response.batch_item_failures.len(), ran.into_inner().unwrap()), (0, 1));
    }

    #[tokio::test]
    async fn job_that_takes_too_long_is_left_to_the_next_scheduled_run() {
        let event = json!({ "Records": [record("10", "1"), record("11", "2")] });
        let (stream, listed) = (serde_json::from_value(event).unwrap(), r#"[{ "number": 1 }, { "number": 2 }]"#);
        for trigger in [Trigger::Stream(stream), Trigger::Schedule] {
            let open = async || Ok(serde_json::from_str::<Vec<Numbered>>(listed).unwrap());
            let endless = async |_: &Numbered| std::future::pending().await;
            let response = run_until(Instant::now(), trigger, open, endless).await.unwrap();
            assert!(response.batch_item_failures.is_empty());
        }
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
        let open = async || Err::<Vec<Numbered>, _>(StoreError::Refused("access denied".into()));
        let ran = run(Trigger::Schedule, open, async |_: &Numbered| Ok(())).await;
        assert_eq!(ran.unwrap_err().error_type, "JobsNotListed");
    }
}
