//! Forwards the stream of the Errors table to destinations: the first attempt for every error.
//!
//! Attempts to EventBridge buses are made here, within [a short timeout]. First attempts to
//! webhooks are enqueued for [`first_attempts`](super::first_attempts), so that no customer
//! endpoint can block a shard of the stream.
//!
//! [a short timeout]: super::eventbridge::FIRST_ATTEMPT_TIMEOUT

use std::{collections::BTreeMap, sync::Arc};

use aws_lambda_events::event::{
    dynamodb::{Event as StreamEvent, EventRecord},
    streams::{DynamoDbBatchItemFailure, DynamoDbEventResponse},
};

use super::{
    eventbridge::EventBridgeSender,
    queues::{FirstAttempts, MAX_ERRORS_PER_MESSAGE, Queue, UnreadableRecord},
    recorder::{AttemptedBatch, DeliveryRecorder},
};
use crate::{
    domain::{
        delivery::{Outcome, Route},
        destination::{Destination, Target},
        error_log::ErrorLog,
        health::Health,
        id::EnvironmentId,
        timestamp::Timestamp,
    },
    logs::ErrorChain,
};

/// Forwarder of stream records.
#[derive(Clone, Debug)]
pub struct Forwarder {
    /// Recorder of the outcomes.
    pub recorder: DeliveryRecorder,
    /// Sender to EventBridge buses.
    pub eventbridge: EventBridgeSender,
    /// Queue of first attempts to webhooks.
    pub webhook_queue: Queue,
    /// Queue of stream records that cannot be parsed.
    pub dead_letter_queue: Queue,
}

/// Error of a stream record.
struct Record {
    sequence_number: String,
    error: ErrorLog,
}

impl Forwarder {
    /// Makes the first attempt for every error of the batch and every EventBridge bus that accepts
    /// it, and enqueues first attempts for webhooks. Returns the lowest sequence number that was
    /// not processed. Lambda retries the batch from that record, so an error may arrive twice but
    /// is never lost.
    ///
    /// Environments, and the destinations of an environment, are processed concurrently.
    ///
    /// AWS calls: one query per environment; per bus one `PutEvents` per ten errors and the calls
    /// of [`DeliveryRecorder::record`]; per webhook one `SendMessageBatch` per 100 errors.
    pub async fn forward(&self, event: StreamEvent) -> DynamoDbEventResponse {
        let mut unprocessed = Vec::new();
        let mut environments: BTreeMap<EnvironmentId, Vec<Record>> = BTreeMap::new();
        for record in event.records {
            match parse_record(record) {
                Ok(record) => environments.entry(record.error.environment_id).or_default().push(record),
                Err(unreadable) => unprocessed.extend(self.dead_letter(unreadable).await),
            }
        }
        let mut running = tokio::task::JoinSet::new();
        for (environment, records) in environments {
            let forwarder = self.clone();
            running.spawn(async move { forwarder.forward_environment(environment, records).await });
        }
        unprocessed.extend(running.join_all().await.into_iter().flatten());
        // Sequence numbers are decimal numbers of up to 40 digits without leading zeros: a shorter
        // one is lower.
        unprocessed.sort_by(|a, b| a.len().cmp(&b.len()).then_with(|| a.cmp(b)));
        let lowest = unprocessed.into_iter().next().map(|sequence_number| {
            let mut failure = DynamoDbBatchItemFailure::default();
            failure.item_identifier = Some(sequence_number);
            failure
        });
        let mut response = DynamoDbEventResponse::default();
        response.batch_item_failures = lowest.into_iter().collect();
        response
    }

    /// Sends an unreadable record to the dead-letter queue, so that it does not block the records
    /// behind it. Returns its sequence number on failure.
    async fn dead_letter(&self, unreadable: UnreadableRecord) -> Option<String> {
        let UnreadableRecord::UnreadableRecordV1 { sequence_number, .. } = &unreadable;
        let now = Timestamp::now();
        match self.dead_letter_queue.send("forwarder", &unreadable, now, now).await {
            Ok(()) => None,
            Err(error) => {
                tracing::error!(error = %ErrorChain(&error), sequence_number, "failed to send unreadable record to dead-letter queue");
                Some(sequence_number.clone())
            }
        }
    }

    /// Forwards the records of one environment. Returns the sequence numbers that were not
    /// processed.
    async fn forward_environment(&self, environment: EnvironmentId, records: Vec<Record>) -> Vec<String> {
        let destinations = match self.recorder.destinations.list_with_health(environment).await {
            Ok(destinations) => destinations,
            Err(error) => {
                tracing::error!(error = %ErrorChain(&error), %environment, "failed to read destinations");
                return records.into_iter().map(|record| record.sequence_number).collect();
            }
        };
        let records = Arc::new(records);
        let mut running = tokio::task::JoinSet::new();
        for (destination, health) in destinations {
            let (forwarder, records) = (self.clone(), records.clone());
            running.spawn(
                async move { forwarder.forward_to_destination(environment, destination, health, &records).await },
            );
        }
        let unprocessed = running.join_all().await.into_iter().flatten();
        unprocessed.filter_map(|index| Some(records.get(index)?.sequence_number.clone())).collect()
    }

    /// Forwards records to one destination. Returns the indices of the records that were not
    /// processed.
    async fn forward_to_destination(
        &self,
        environment: EnvironmentId,
        destination: Destination,
        health: Health,
        records: &[Record],
    ) -> Vec<usize> {
        let route = Route { environment, destination: destination.destination_id };
        let wanted = records.iter().enumerate().filter(|(_, record)| destination.accepts(&record.error));
        let (indices, errors): (Vec<usize>, Vec<&ErrorLog>) =
            wanted.map(|(index, record)| (index, &record.error)).unzip();
        if errors.is_empty() {
            return indices;
        }
        let outcomes = match &destination.target {
            _ if health.defers_first_attempts(Timestamp::now()) => vec![Outcome::Skipped; errors.len()],
            Target::EventBridge(bus) => self.eventbridge.send(route, destination.version, bus, &errors).await,
            Target::Webhook(_) => return self.enqueue_for_webhooks(route, &errors, &indices).await,
        };
        let errors: Vec<(&ErrorLog, Outcome)> = errors.into_iter().zip(outcomes).collect();
        let batch = AttemptedBatch { route, destination: &destination, health: &health, errors: &errors };
        let unprocessed = self.recorder.record(batch).await;
        unprocessed.into_iter().filter_map(|index| indices.get(index).copied()).collect()
    }

    /// Enqueues first attempts for [`first_attempts`](super::first_attempts). Returns the indices,
    /// taken from `indices`, of the errors that were not enqueued.
    async fn enqueue_for_webhooks(&self, route: Route, errors: &[&ErrorLog], indices: &[usize]) -> Vec<usize> {
        let messages = errors.chunks(MAX_ERRORS_PER_MESSAGE).map(|chunk| FirstAttempts::FirstAttemptsV1 {
            environment_id: route.environment,
            destination_id: route.destination,
            errors: chunk.iter().map(|error| (error.workflow_id, error.error_id)).collect(),
        });
        let messages: Vec<FirstAttempts> = messages.collect();
        let failed = self.webhook_queue.send_all(&route.destination.to_string(), &messages).await;
        let unprocessed =
            failed.into_iter().flat_map(|index| index * MAX_ERRORS_PER_MESSAGE..(index + 1) * MAX_ERRORS_PER_MESSAGE);
        unprocessed.filter_map(|index| indices.get(index).copied()).collect()
    }
}

/// Parses the error of a stream record. A record that cannot be parsed yields the keys of its item.
fn parse_record(record: EventRecord) -> Result<Record, UnreadableRecord> {
    let sequence_number = record.change.sequence_number.unwrap_or_default();
    match serde_dynamo::from_item::<_, ErrorLog>(record.change.new_image) {
        Ok(error) => Ok(Record { sequence_number, error }),
        Err(error) => {
            tracing::error!(error = %ErrorChain(&error), sequence_number, "unreadable stream record");
            let keys = serde_dynamo::from_item(record.change.keys).unwrap_or_default();
            Err(UnreadableRecord::UnreadableRecordV1 { sequence_number, keys })
        }
    }
}
