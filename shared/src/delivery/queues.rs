//! What travels through queues: ids and no contents, with its version by name, so that a deployment in the middle of a
//! backlog loses nothing.

use std::{collections::BTreeMap, time::Duration};

use aws_config::SdkConfig;
use aws_sdk_sqs::{
    Client,
    types::{SendMessageBatchRequestEntry, builders::SendMessageBatchRequestEntryBuilder},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    aws::is_transient,
    domain::{
        delivery::Route,
        error_log::ErrorKey,
        id::{DestinationId, EnvironmentId, ReplayId},
        timestamp::Timestamp,
    },
    store::StoreError,
};

/// Errors whose first attempt is to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "message", rename_all_fields = "camelCase")]
pub enum FirstAttempts {
    /// To one webhook.
    FirstAttemptsV1 {
        /// The environment of all.
        environment_id: EnvironmentId,
        /// Where they go.
        destination_id: DestinationId,
        /// The errors, each by its workflow and its id.
        errors: Vec<ErrorKey>,
    },
}

/// The most errors of a message; those of ten messages are sent to one webhook at once.
pub const MAX_ERRORS_PER_MESSAGE: usize = 10;

/// Tells a destination's drain to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "message", rename_all_fields = "camelCase")]
pub enum DrainRequest {
    /// One destination's.
    DrainV1 {
        /// Its environment.
        environment_id: EnvironmentId,
        /// The destination.
        destination_id: DestinationId,
    },
}

impl DrainRequest {
    /// For this destination.
    pub fn new(Route { environment, destination }: Route) -> Self {
        Self::DrainV1 { environment_id: environment, destination_id: destination }
    }

    /// The destination that is meant.
    pub fn route(&self) -> Route {
        let Self::DrainV1 { environment_id, destination_id } = self;
        Route { environment: *environment_id, destination: *destination_id }
    }
}

/// Tells a replay to make its next step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "message", rename_all_fields = "camelCase")]
pub enum ReplayStep {
    /// One replay's.
    ReplayStepV1 {
        /// Its environment.
        environment_id: EnvironmentId,
        /// The replay.
        replay_id: ReplayId,
    },
}

/// Tells the operator of a record of the stream that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "message", rename_all_fields = "camelCase")]
pub enum UnreadableRecord {
    /// One record.
    UnreadableRecordV1 {
        /// Its place in the stream.
        sequence_number: String,
        /// Where its item is in the table of errors.
        keys: BTreeMap<String, String>,
    },
}

/// Reads a message of a queue.
pub fn parse<M: DeserializeOwned>(body: Option<&str>) -> Result<M, serde_json::Error> {
    serde_json::from_str(body.unwrap_or_default())
}

/// A queue of this stack.
#[derive(Clone, Debug)]
pub struct Queue {
    client: Client,
    url: String,
}

/// The most messages of a `SendMessageBatch` (an AWS limit).
const MAX_BATCH: usize = 10;
/// The longest delay of a message (an AWS limit).
pub const MAX_DELAY: Duration = Duration::from_secs(900);

impl Queue {
    /// A queue by its URL.
    pub fn new(config: &SdkConfig, url: String) -> Self {
        Self { client: Client::new(config), url }
    }

    /// Another queue, with the same client.
    pub fn with_url(&self, url: String) -> Self {
        Self { client: self.client.clone(), url }
    }

    /// Sends a message of a group that is seen from `at` on, or after fifteen minutes where that is later. One call.
    pub async fn send<M: Serialize>(
        &self,
        group: &str,
        message: &M,
        at: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let milliseconds = at.milliseconds() - now.milliseconds();
        // Rounded up: a drain that runs too early finds nothing due.
        let seconds = ((milliseconds.max(0) + 999) / 1000).min(900);
        self.client
            .send_message()
            .queue_url(&self.url)
            .message_group_id(group)
            .message_body(json(message)?)
            .delay_seconds(i32::try_from(seconds).unwrap_or(0))
            .send()
            .await
            .map_err(store_error)?;
        Ok(())
    }

    /// Sends messages of one group, so that its backlog delays no other group (SQS fair queues). One call for ten. Returns
    /// the indices of those that SQS did not take.
    pub async fn send_all<M: Serialize>(&self, group: &str, messages: &[M]) -> Vec<usize> {
        let mut failed = Vec::new();
        for (number, chunk) in messages.chunks(MAX_BATCH).enumerate() {
            let entries: Result<Vec<SendMessageBatchRequestEntry>, StoreError> =
                chunk.iter().enumerate().map(|(index, message)| entry(index, group, message)).collect();
            let sent = match entries {
                Ok(entries) => {
                    let request = self.client.send_message_batch().queue_url(&self.url);
                    request.set_entries(Some(entries)).send().await.map_err(store_error)
                }
                Err(error) => Err(error),
            };
            let first = number * MAX_BATCH;
            match sent {
                Ok(response) => {
                    failed.extend(
                        response
                            .failed
                            .iter()
                            .filter_map(|failure| failure.id.parse::<usize>().ok())
                            .map(|id| first + id),
                    );
                }
                Err(error) => {
                    tracing::error!(error = %crate::logs::ErrorChain(&error), "messages were not sent");
                    failed.extend(first..first + chunk.len());
                }
            }
        }
        failed
    }
}

fn entry<M: Serialize>(index: usize, group: &str, message: &M) -> Result<SendMessageBatchRequestEntry, StoreError> {
    let entry = SendMessageBatchRequestEntryBuilder::default();
    let entry = entry.id(index.to_string()).message_group_id(group).message_body(json(message)?);
    entry.build().map_err(|error| StoreError::Refused(error.into()))
}

fn json<M: Serialize>(message: &M) -> Result<String, StoreError> {
    serde_json::to_string(message).map_err(|error| StoreError::Refused(error.into()))
}

fn store_error<E, R>(error: aws_sdk_sqs::error::SdkError<E, R>) -> StoreError
where
    E: aws_sdk_sqs::error::ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let busy =
        is_transient(&error, &["RequestThrottled", "ThrottlingException", "ServiceUnavailable", "InternalFailure"]);
    if busy { StoreError::Busy(error.into()) } else { StoreError::Refused(error.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_name_contains_its_version() {
        let route = Route { environment: EnvironmentId::new(), destination: DestinationId::new() };
        let text = serde_json::to_string(&DrainRequest::new(route)).unwrap();
        assert_eq!(
            text,
            format!(
                r#"{{"message":"DrainV1","environmentId":"{}","destinationId":"{}"}}"#,
                route.environment, route.destination
            )
        );
        assert_eq!(parse::<DrainRequest>(Some(&text)).unwrap().route(), route);
    }
}
