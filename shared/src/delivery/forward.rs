//! Forwards the stream of the Errors table to destinations: the first attempt for every record.
//!
//! EventBridge attempts are made here, within [a short timeout]. First attempts to webhooks are
//! queued for [`first_attempts`](super::first_attempts), so that no customer endpoint blocks a
//! shard. If a destination is backing off or its circuit is open, the delivery becomes pending
//! without an attempt. Deliveries to a bus whose results cannot be stored are queued too.
//!
//! [a short timeout]: super::eventbridge::FIRST_ATTEMPT_TIMEOUT

use std::collections::{BTreeMap, BTreeSet, HashSet};

use aws_lambda_events::event::streams::{DynamoDbBatchItemFailure, DynamoDbEventResponse};
use futures_util::{
    future::join_all,
    stream::{self, StreamExt},
};

use super::{
    eventbridge::EventBridgeSender,
    pipeline::{self, Batch},
    queues::{FirstAttempts, MAX_RECORDS_PER_MESSAGE, Queue, UnreadableRecord},
    recorder::DeliveryRecorder,
    stream::{StreamEvent, StreamRecord},
};
use crate::{
    domain::{
        delivery::Route,
        destination::{Destination, Target},
        health::Health,
        id::EnvironmentId,
        record::{Record, RecordKey},
        timestamp::Timestamp,
    },
    logs::ErrorChain,
};

/// Maximum number of environments that are processed concurrently. Each may have 20 destinations,
/// with a connection to KMS, the bus and DynamoDB at a time, and a function has 1,024 file
/// descriptors (AWS limit).
const MAX_CONCURRENT_ENVIRONMENTS: usize = 16;

/// Makes or enqueues first attempts for records of the stream.
#[derive(Clone, Debug)]
pub struct Forwarder {
    /// Recorder of the outcomes.
    pub recorder: DeliveryRecorder,
    /// Sender to EventBridge buses.
    pub eventbridge: EventBridgeSender,
    /// Queue of first attempts to webhooks, and to buses whose results could not be stored.
    pub webhook_queue: Queue,
    /// Queue for the keys of stream records that cannot be parsed.
    pub dead_letter_queue: Queue,
}

impl Forwarder {
    /// Makes the first attempt for every record of the batch and every EventBridge bus that accepts
    /// it, and enqueues first attempts for webhooks, and for buses whose results could not be
    /// stored. Returns the lowest sequence number whose record was not processed. Lambda retries
    /// the batch from there, for up to 20 hours, then sends its position to the failure queue. A
    /// record may therefore be sent twice. A malformed destination is logged and skipped; its
    /// records must be replayed. Fails if the event is not that of a stream.
    ///
    /// Up to 16 environments, and the destinations of each, are processed concurrently.
    ///
    /// AWS calls: one query per environment. Per bus one `PutEvents` per ten records or 250 KB, at
    /// most one KMS call, and the calls of the recorder. One `SendMessageBatch` per ten messages to
    /// webhooks, each of up to ten records to one of them; the calls of the recorder for a webhook
    /// that defers first attempts. One `SendMessageBatch` per ten messages for results that could
    /// not be stored. One message per unreadable record.
    pub async fn forward(&self, event: &str) -> Result<DynamoDbEventResponse, serde_json::Error> {
        let event: StreamEvent<'_> = serde_json::from_str(event)?;
        let mut unprocessed = Vec::new();
        let mut environments: BTreeMap<EnvironmentId, Vec<StreamRecord>> = BTreeMap::new();
        for record in event.records {
            match record.parse() {
                Ok(record) => environments.entry(record.record.environment_id()).or_default().push(record),
                Err(unreadable) => unprocessed.extend(self.dead_letter(unreadable).await),
            }
        }
        let running =
            environments.into_iter().map(|(environment, records)| self.forward_environment(environment, records));
        let mut running = stream::iter(running).buffer_unordered(MAX_CONCURRENT_ENVIRONMENTS);
        while let Some(environment) = running.next().await {
            unprocessed.extend(environment);
        }
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
        Ok(response)
    }

    /// Sends the keys of an unreadable record to the dead-letter queue, so that it does not block
    /// the records behind it. Returns its sequence number on failure.
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
    async fn forward_environment(&self, environment: EnvironmentId, records: Vec<StreamRecord>) -> Vec<String> {
        let destinations = match self.recorder.destinations.list_with_health(environment).await {
            Ok(destinations) => destinations,
            Err(error) => {
                tracing::error!(error = %ErrorChain(&error), %environment, "failed to read destinations");
                return records.into_iter().map(|record| record.sequence_number).collect();
            }
        };
        let records = latest(records);
        let (mut running, mut messages) = (Vec::new(), Vec::new());
        for (destination, health) in &destinations {
            let route = Route { environment, destination: destination.destination_id };
            if matches!(destination.target, Target::Webhook(_)) && !health.defers_first_attempts(Timestamp::now()) {
                messages.extend(first_attempts(route, destination, &records));
                continue;
            }
            running.push(self.forward_to_destination(route, destination, health, &records));
        }
        let (mut unprocessed, unrecorded) = tokio::join!(self.enqueue(&messages), join_all(running));
        // Lambda would repeat the whole batch, for all destinations. A message is repeated alone.
        let messages: Vec<FirstAttempts> =
            unrecorded.iter().flat_map(|(route, records)| messages_of(*route, records)).collect();
        unprocessed.extend(self.enqueue(&messages).await);
        let unprocessed = records.iter().filter(|record| unprocessed.contains(&record.record.key()));
        unprocessed.map(|record| record.sequence_number.clone()).collect()
    }

    /// Enqueues first attempts for [`first_attempts`](super::first_attempts). Returns the records
    /// that were not enqueued.
    async fn enqueue(&self, messages: &[FirstAttempts]) -> BTreeSet<RecordKey> {
        let group = |FirstAttempts::FirstAttemptsV1 { destination_id, .. }: &FirstAttempts| destination_id.to_string();
        let failed = self.webhook_queue.send_all(messages, group).await;
        let unsent = failed.into_iter().filter_map(|index| messages.get(index));
        unsent.flat_map(|FirstAttempts::FirstAttemptsV1 { records, .. }| records).copied().collect()
    }

    /// Forwards records to a bus, or makes their deliveries to a webhook pending, which defers
    /// first attempts. Returns the destination with the records whose results were not stored.
    async fn forward_to_destination(
        &self,
        route: Route,
        destination: &Destination,
        health: &Health,
        records: &[StreamRecord],
    ) -> (Route, Vec<RecordKey>) {
        let batch = Batch::first_attempts(route, destination, health, accepted(destination, records));
        // The pipeline checks deferral again, slightly later. If the backoff ends in between, the
        // EventBridge sender skips webhooks, so the delivery still becomes pending.
        let keys = batch.keys();
        let unrecorded = match pipeline::run(&self.eventbridge, &self.recorder.of(route), batch).await {
            Ok(processed) => processed.unrecorded,
            Err(error) => {
                let Route { environment, destination } = route;
                tracing::error!(error = %ErrorChain(&error), %environment, %destination, "failed to make first attempts");
                keys
            }
        };
        (route, unrecorded.into_iter().collect())
    }
}

/// Keeps the last of records with the same key. There are several if one was erased and recorded
/// again before the stream was read.
fn latest(mut records: Vec<StreamRecord>) -> Vec<StreamRecord> {
    let mut keys = HashSet::new();
    records.reverse();
    records.retain(|record| keys.insert(record.record.key()));
    records.reverse();
    records
}

/// Returns the records that a destination accepts. The others are dropped here: no delivery exists
/// yet, so there is none to cancel.
fn accepted<'a>(destination: &Destination, records: &'a [StreamRecord]) -> impl Iterator<Item = &'a Record> {
    records.iter().map(|record| &record.record).filter(|record| destination.accepts(record))
}

/// Returns the messages that request the first attempts for the records that a webhook accepts.
fn first_attempts(route: Route, webhook: &Destination, records: &[StreamRecord]) -> Vec<FirstAttempts> {
    let keys: Vec<RecordKey> = accepted(webhook, records).map(Record::key).collect();
    messages_of(route, &keys).collect()
}

/// Returns the messages that request the first attempts for records to a destination.
fn messages_of(route: Route, records: &[RecordKey]) -> impl Iterator<Item = FirstAttempts> {
    records.chunks(MAX_RECORDS_PER_MESSAGE).map(move |keys| FirstAttempts::FirstAttemptsV1 {
        environment_id: route.environment,
        destination_id: route.destination,
        records: keys.to_vec(),
    })
}
