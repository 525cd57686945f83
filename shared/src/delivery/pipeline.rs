//! The steps of every attempt: filter, check circuit and backoff, send, record (see the diagram in
//! [`delivery`](super)).
//!
//! Callers differ in the source of the deliveries, in the sender, and in the [`Stage`]: first
//! attempts come from the stream or the queue of first attempts, later attempts from the
//! [`drain`](super::drain).

use std::collections::BTreeSet;

use super::{
    recorder::{AttemptedBatch, Recorder, record},
    senders::Sender,
};
use crate::{
    domain::{
        delivery::{Disposition, Outcome, PendingDelivery, Route, Settlement},
        destination::Destination,
        health::Health,
        record::{Record, RecordKey},
        timestamp::Timestamp,
    },
    store::StoreError,
};

/// Distinguishes first attempts from attempts of pending deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// First attempt. Nothing is stored about the deliveries yet, unless it is repeated or a replay
    /// came first.
    First,
    /// Attempt of pending deliveries, by the drain that holds the lease.
    Pending {
        /// `true` if the attempt probes an open circuit.
        probe: bool,
    },
}

impl Stage {
    /// Returns `true` if the circuit or a backoff prevents the first attempts. Their outcome is
    /// then `Skipped`. A drain checks both itself.
    fn defers(self, health: &Health, now: Timestamp) -> bool {
        match self {
            Self::First => health.defers_first_attempts(now),
            Self::Pending { .. } => false,
        }
    }

    fn disposition(self, delivery: &PendingDelivery, outcome: &Outcome, now: Timestamp) -> Disposition {
        match (self, outcome) {
            // Keeps its due time, which is part of the key, so that repeating the batch adds no
            // other item.
            (Self::First, Outcome::Skipped) => Disposition::Pending(delivery.clone()),
            _ => delivery.disposition(outcome, now),
        }
    }
}

/// Deliveries to one destination that are attempted together.
#[derive(Clone, Debug)]
pub struct Batch<'a> {
    /// Environment and destination.
    pub route: Route,
    /// Destination as it was read before the attempts.
    pub destination: &'a Destination,
    /// Health as it was read before the attempts.
    pub health: &'a Health,
    /// Stage of all deliveries.
    pub stage: Stage,
    /// Deliveries to attempt, with their records. Each record occurs at most once.
    pub deliveries: Vec<(PendingDelivery, &'a Record)>,
    /// Results of deliveries without an attempt, which are recorded with the others.
    pub unattempted: Vec<Settlement>,
}

impl<'a> Batch<'a> {
    /// Creates the batch of the first attempts for these records.
    pub fn first_attempts(
        route: Route,
        destination: &'a Destination,
        health: &'a Health,
        records: impl IntoIterator<Item = &'a Record>,
    ) -> Self {
        let first = |record: &'a Record| (PendingDelivery::first(record.key(), record.recorded_at()), record);
        let deliveries = records.into_iter().map(first).collect();
        Self { route, destination, health, stage: Stage::First, deliveries, unattempted: Vec::new() }
    }

    /// Returns the keys of all records of the deliveries.
    pub fn keys(&self) -> BTreeSet<RecordKey> {
        self.deliveries.iter().map(|(delivery, _)| delivery.record).collect()
    }
}

/// Result of [`run`].
#[derive(Clone, Debug, Default)]
pub struct Processed {
    /// Records whose first attempt the caller must repeat, because its result was not stored.
    pub unrecorded: BTreeSet<RecordKey>,
    /// `true` if attempts were skipped.
    pub skipped: bool,
}

/// Attempts the deliveries of a batch that the destination accepts, cancels the others, and records
/// the results.
pub async fn run(sender: &impl Sender, recorder: &impl Recorder, batch: Batch<'_>) -> Result<Processed, StoreError> {
    let Batch { route, destination, health, stage, deliveries, unattempted: mut settled } = batch;
    let (accepted, unwanted): (Vec<_>, Vec<_>) =
        deliveries.into_iter().partition(|(_, record)| destination.accepts(record));
    settled.extend(
        unwanted.into_iter().map(|(delivery, _)| Settlement::without_attempt(delivery, Disposition::Cancelled)),
    );
    let (deliveries, records): (Vec<PendingDelivery>, Vec<&Record>) = accepted.into_iter().unzip();
    let mut outcomes = match records.len() {
        0 => Vec::new(),
        count if stage.defers(health, recorder.now()) => vec![Outcome::Skipped; count],
        _ => sender.send(route, destination, &records).await,
    };
    let now = recorder.now();
    // A sender returns one outcome per record, in their order. A delivery without one stays
    // pending.
    debug_assert_eq!(outcomes.len(), records.len());
    outcomes.resize(records.len(), Outcome::Skipped);
    settled.extend(deliveries.into_iter().zip(&outcomes).map(|(delivery, outcome)| Settlement {
        disposition: stage.disposition(&delivery, outcome, now),
        attempt: outcome.attempt().cloned(),
        delivery,
    }));
    if settled.is_empty() {
        return Ok(Processed::default());
    }
    let counts = outcomes.iter().collect();
    let unrecorded =
        record(recorder, &AttemptedBatch { route, destination, health, stage, counts, settled, now }).await?;
    Ok(Processed { unrecorded, skipped: outcomes.contains(&Outcome::Skipped) })
}
