//! Messages of the SQS queues, and the client that sends them.
//!
//! Messages contain ids only, never the contents of records. Each variant has its version in its
//! name (`DrainV1`), so that a deployment can read the messages that its predecessor enqueued.

use std::{collections::BTreeMap, time::Duration};

use aws_config::SdkConfig;
use aws_sdk_sqs::{
    Client,
    types::{SendMessageBatchRequestEntry, builders::SendMessageBatchRequestEntryBuilder},
};
use futures_util::future::join_all;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    domain::{
        delivery::Route,
        id::{DestinationId, EnvironmentId, ReplayId},
        record::RecordKey,
        replay::ReplayPosition,
        timestamp::Timestamp,
    },
    logs::ErrorChain,
    store::StoreError,
};

/// Request for first attempts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "message", rename_all_fields = "camelCase")]
pub enum FirstAttempts {
    /// First attempts to one webhook, or to a bus if the forwarder could not store their results:
    /// these become pending.
    FirstAttemptsV1 {
        /// Environment of the destination and the records.
        environment_id: EnvironmentId,
        /// Destination.
        destination_id: DestinationId,
        /// Records to send.
        records: Vec<RecordKey>,
    },
}

/// Maximum number of records per [`FirstAttempts`] message. The function receives up to ten
/// messages and sends their records concurrently.
pub const MAX_RECORDS_PER_MESSAGE: usize = 10;

/// Request to drain a destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "message", rename_all_fields = "camelCase")]
pub enum DrainRequest {
    /// Drain of one destination.
    DrainV1 {
        /// Environment.
        environment_id: EnvironmentId,
        /// Destination.
        destination_id: DestinationId,
    },
}

impl DrainRequest {
    /// Creates the request for a destination.
    pub fn new(Route { environment, destination }: Route) -> Self {
        Self::DrainV1 { environment_id: environment, destination_id: destination }
    }

    /// Returns the destination to drain.
    pub fn route(&self) -> Route {
        let Self::DrainV1 { environment_id, destination_id } = self;
        Route { environment: *environment_id, destination: *destination_id }
    }
}

/// Request for the next step of a replay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "message", rename_all_fields = "camelCase")]
pub enum ReplayStep {
    /// Step of one replay.
    ReplayStepV1 {
        /// Environment.
        environment_id: EnvironmentId,
        /// Replay.
        replay_id: ReplayId,
        /// Position of the step, none for the first one. If the replay has left it, the message is
        /// superseded. A message of an earlier build has none: the sweep resumes its replay.
        #[serde(default)]
        position: Option<ReplayPosition>,
    },
}

/// Report, for the operator, of a stream record that cannot be parsed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "message", rename_all_fields = "camelCase")]
pub enum UnreadableRecord {
    /// One stream record.
    UnreadableRecordV1 {
        /// Sequence number in the stream.
        sequence_number: String,
        /// Primary key of the item in the Errors table.
        keys: BTreeMap<String, String>,
    },
}

/// Parses the body of a message.
pub fn parse<M: DeserializeOwned>(body: Option<&str>) -> Result<M, serde_json::Error> {
    serde_json::from_str(body.unwrap_or_default())
}

/// SQS queue of this stack.
#[derive(Clone, Debug)]
pub struct Queue {
    client: Client,
    url: String,
}

/// Maximum number of messages per `SendMessageBatch` (AWS limit).
const MAX_BATCH: usize = 10;
/// Maximum delay of a message (AWS limit).
pub const MAX_DELAY: Duration = Duration::from_secs(900);

impl Queue {
    /// Creates a client for the queue with this URL.
    pub fn new(config: &SdkConfig, url: String) -> Self {
        Self { client: Client::new(config), url }
    }

    /// Returns a queue with another URL that shares the client.
    pub fn with_url(&self, url: String) -> Self {
        Self { client: self.client.clone(), url }
    }

    /// Sends one message that becomes visible at `at`, but no later than after
    /// [`MAX_DELAY`]. One call.
    ///
    /// `group` is the message group. SQS fair queues keep the backlog of one group from delaying
    /// others.
    pub async fn send<M: Serialize>(
        &self,
        group: &str,
        message: &M,
        at: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let milliseconds = u64::try_from(at.milliseconds() - now.milliseconds()).unwrap_or(0);
        // Rounded up: a drain that runs too early would find nothing due.
        let seconds = milliseconds.div_ceil(1000).min(MAX_DELAY.as_secs());
        self.client
            .send_message()
            .queue_url(&self.url)
            .message_group_id(group)
            .message_body(json(message)?)
            .delay_seconds(i32::try_from(seconds).unwrap_or(0))
            .send()
            .await?;
        Ok(())
    }

    /// Sends messages without a delay, each in its group (see [`Self::send`]). Returns the indices
    /// of the messages that were not sent. One call per ten messages, all concurrently.
    pub async fn send_all<M: Serialize>(&self, messages: &[M], group: impl Fn(&M) -> String) -> Vec<usize> {
        let calls = messages.chunks(MAX_BATCH).map(|messages| self.send_batch(messages, &group));
        let failed = join_all(calls).await.into_iter().enumerate();
        failed.flat_map(|(number, failed)| failed.into_iter().map(move |index| number * MAX_BATCH + index)).collect()
    }

    /// Sends up to ten messages. Returns the indices of those that were not sent.
    async fn send_batch<M: Serialize>(&self, messages: &[M], group: &impl Fn(&M) -> String) -> Vec<usize> {
        let sent = async {
            let entries = messages.iter().enumerate().map(|(index, message)| entry(index, &group(message), message));
            let entries = entries.collect::<Result<_, _>>()?;
            let request = self.client.send_message_batch().queue_url(&self.url).set_entries(Some(entries));
            Ok::<_, StoreError>(request.send().await?)
        };
        match sent.await {
            Ok(response) => {
                for failure in &response.failed {
                    tracing::error!(
                        code = failure.code,
                        reason = failure.message,
                        queue = self.url,
                        "message rejected"
                    );
                }
                response.failed.iter().filter_map(|failure| failure.id.parse().ok()).collect()
            }
            Err(error) => {
                tracing::error!(error = %ErrorChain(&error), "failed to send messages");
                (0..messages.len()).collect()
            }
        }
    }
}

fn entry<M: Serialize>(index: usize, group: &str, message: &M) -> Result<SendMessageBatchRequestEntry, StoreError> {
    let entry = SendMessageBatchRequestEntryBuilder::default();
    let entry = entry.id(index.to_string()).message_group_id(group).message_body(json(message)?);
    entry.build().map_err(StoreError::refused)
}

fn json<M: Serialize>(message: &M) -> Result<String, StoreError> {
    serde_json::to_string(message).map_err(StoreError::malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::{ErrorId, WorkflowId};

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

    #[test]
    fn first_attempts_name_records_by_their_keys() {
        let (workflow_id, error_id) = (WorkflowId::new(), ErrorId::new());
        let message = FirstAttempts::FirstAttemptsV1 {
            environment_id: EnvironmentId::new(),
            destination_id: DestinationId::new(),
            records: vec![RecordKey::Error { workflow_id, error_id }],
        };
        let value = serde_json::to_value(&message).unwrap();
        assert_eq!(value["records"], serde_json::json!([{ "workflowId": workflow_id, "errorId": error_id }]));
        assert_eq!(parse::<FirstAttempts>(Some(&value.to_string())).unwrap(), message);
    }
}
