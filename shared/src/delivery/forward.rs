//! From the table's stream to the destinations: the first attempt for every error.

use std::collections::BTreeMap;

use aws_lambda_events::event::{
    dynamodb::{Event as StreamEvent, EventRecord},
    streams::{DynamoDbBatchItemFailure, DynamoDbEventResponse},
};

use super::eventbridge::Buses;
use crate::{
    domain::{
        delivery::{Attempt, second_attempt},
        destination::{Destination, Target},
        error_log::ErrorLog,
        id::EnvironmentId,
    },
    logs::Chain,
    store::{
        destinations::Destinations,
        pending::{PendingDeliveries, PendingDelivery},
    },
};

/// Forwards the errors of a batch of stream records.
#[derive(Clone, Debug)]
pub struct Forwarder {
    /// Where errors go.
    pub destinations: Destinations,
    /// What waits for its next attempt.
    pub pending: PendingDeliveries,
    /// The means of sending.
    pub buses: Buses,
}

/// An error of the batch, and the place of its record.
struct Record {
    sequence_number: String,
    error: ErrorLog,
}

impl Forwarder {
    /// Makes the first attempt to send every error of the batch to every destination that wants it; what fails becomes a
    /// pending delivery. Answers with the lowest sequence number that could be neither sent nor noted as pending: Lambda
    /// tries everything from there on again, so that an error may arrive twice and is never lost.
    ///
    /// Environments do not wait for each other, nor do the destinations of one. AWS calls: one query an environment,
    /// one `PutEvents` for ten errors and a destination, one `BatchWriteItem` for 25 failures.
    pub async fn forward(&self, event: StreamEvent) -> DynamoDbEventResponse {
        let mut undone = Vec::new();
        let mut environments: BTreeMap<EnvironmentId, Vec<Record>> = BTreeMap::new();
        for record in event.records {
            match read(record) {
                Ok(record) => environments.entry(record.error.environment_id).or_default().push(record),
                Err(sequence_number) => undone.push(sequence_number),
            }
        }
        let mut running = tokio::task::JoinSet::new();
        for (environment, records) in environments {
            let forwarder = self.clone();
            running.spawn(async move { forwarder.forward_environment(environment, records).await });
        }
        undone.extend(running.join_all().await.into_iter().flatten());
        // Sequence numbers are decimal numbers of up to 40 digits: the shorter is the lower.
        undone.sort_by(|a, b| a.len().cmp(&b.len()).then_with(|| a.cmp(b)));
        let lowest = undone.into_iter().next().map(|sequence_number| {
            let mut failure = DynamoDbBatchItemFailure::default();
            failure.item_identifier = Some(sequence_number);
            failure
        });
        let mut response = DynamoDbEventResponse::default();
        response.batch_item_failures = lowest.into_iter().collect();
        response
    }

    /// Answers with the sequence numbers that could be neither sent nor noted.
    async fn forward_environment(&self, environment: EnvironmentId, records: Vec<Record>) -> Vec<String> {
        let destinations = match self.destinations.list(environment).await {
            Ok(destinations) => destinations,
            Err(error) => {
                tracing::error!(error = %Chain(&error), %environment, "the destinations cannot be read");
                return records.into_iter().map(|record| record.sequence_number).collect();
            }
        };
        let records = std::sync::Arc::new(records);
        let mut running = tokio::task::JoinSet::new();
        for destination in destinations {
            let (forwarder, records) = (self.clone(), records.clone());
            running.spawn(async move { forwarder.forward_to(environment, destination, &records).await });
        }
        let undone = running.join_all().await.into_iter().flatten();
        undone.filter_map(|index| Some(records.get(index)?.sequence_number.clone())).collect()
    }

    /// Answers with the places of the records that could be neither sent nor noted.
    async fn forward_to(&self, environment: EnvironmentId, destination: Destination, records: &[Record]) -> Vec<usize> {
        let (places, errors): (Vec<usize>, Vec<&ErrorLog>) = records
            .iter()
            .enumerate()
            .filter(|(_, record)| destination.wants(&record.error))
            .map(|(place, record)| (place, &record.error))
            .unzip();
        if errors.is_empty() {
            return places;
        }
        let identity = (destination.destination_id, destination.version);
        let attempts = match &destination.target {
            Target::EventBridge(bus) => self.buses.send(environment, identity, bus, &errors).await,
        };
        let failures = places.iter().zip(&errors).zip(attempts);
        let (places, failed): (Vec<usize>, Vec<PendingDelivery>) = failures
            .filter_map(|((place, error), attempt)| {
                Some((*place, pending_after_first(environment, &destination, error, attempt?)))
            })
            .unzip();
        tracing::info!(
            %environment,
            destination = %destination.destination_id,
            delivered = errors.len() - failed.len(),
            failed = failed.len(),
            "forwarded"
        );
        if failed.is_empty() {
            return places;
        }
        match self.pending.add(&failed).await {
            Ok(unwritten) => unwritten.into_iter().filter_map(|index| places.get(index).copied()).collect(),
            Err(error) => {
                tracing::error!(error = %Chain(&error), "pending deliveries cannot be written");
                places
            }
        }
    }
}

fn pending_after_first(
    environment: EnvironmentId,
    destination: &Destination,
    error: &ErrorLog,
    attempt: Attempt,
) -> PendingDelivery {
    PendingDelivery {
        environment_id: environment,
        destination_id: destination.destination_id,
        workflow_id: error.workflow_id,
        error_id: error.error_id,
        first_failed_at: attempt.at,
        attempts: vec![attempt],
        next_attempt_at: second_attempt(error.updated_at, error.error_id, destination.destination_id),
    }
}

/// The error of a stream record, or the sequence number of one that cannot be read.
fn read(record: EventRecord) -> Result<Record, String> {
    let sequence_number = record.change.sequence_number.unwrap_or_default();
    match serde_dynamo::from_item::<_, ErrorLog>(record.change.new_image) {
        Ok(error) => Ok(Record { sequence_number, error }),
        Err(error) => {
            tracing::error!(error = %Chain(&error), sequence_number, "a stream record cannot be read");
            Err(sequence_number)
        }
    }
}
