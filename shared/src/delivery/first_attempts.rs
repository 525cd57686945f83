//! First attempts to webhooks, which [`forward`](super::forward) enqueues. Deliveries to a bus
//! whose results it could not store become pending here.
//!
//! A webhook may take up to 15 seconds to respond. A queue between the stream and the webhooks
//! keeps slow endpoints from delaying the stream.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;

use super::{
    pipeline::{self, Batch},
    queues::FirstAttempts,
    recorder::DeliveryRecorder,
    webhook::WebhookSender,
};
use crate::{
    domain::{
        delivery::{Disposition, PendingDelivery, Route, Settlement},
        record::RecordKey,
        timestamp::Timestamp,
    },
    logs::ErrorChain,
    store::{StoreError, records::Records},
};

/// Sender of first attempts to webhooks.
#[derive(Clone, Debug)]
pub struct FirstAttemptSender {
    /// Recorder of the outcomes.
    pub recorder: DeliveryRecorder,
    /// Records; the messages contain only their keys.
    pub records: Records,
    /// Sender of webhooks.
    pub webhooks: WebhookSender,
}

impl FirstAttemptSender {
    /// Makes the first attempt for every record of the messages, for all destinations concurrently.
    /// Those to a bus become pending without one. Returns the indices of the messages to retry:
    /// those with a record whose outcome was not recorded.
    ///
    /// AWS calls per destination: one `BatchGetItem` of the destination, its health and 98 records,
    /// one more per 100 further records; and the calls of [`DeliveryRecorder::of`].
    pub async fn send(&self, messages: &[FirstAttempts]) -> Vec<usize> {
        let mut routes: BTreeMap<Route, Vec<(usize, &[RecordKey])>> = BTreeMap::new();
        for (index, message) in messages.iter().enumerate() {
            let FirstAttempts::FirstAttemptsV1 { environment_id, destination_id, records } = message;
            let route = Route { environment: *environment_id, destination: *destination_id };
            routes.entry(route).or_default().push((index, records));
        }
        join_all(routes.iter().map(|(route, messages)| self.send_to_destination(*route, messages))).await.concat()
    }

    /// Sends the messages of one destination. Returns the indices of the messages to retry.
    async fn send_to_destination(&self, route: Route, messages: &[(usize, &[RecordKey])]) -> Vec<usize> {
        match self.attempt(route, messages).await {
            Ok(unprocessed) => {
                let retried =
                    messages.iter().filter(|(_, records)| records.iter().any(|key| unprocessed.contains(key)));
                retried.map(|(index, _)| *index).collect()
            }
            Err(error) => {
                let Route { environment, destination } = route;
                tracing::error!(error = %ErrorChain(&error), %environment, %destination, "failed to make first attempts");
                messages.iter().map(|(index, _)| *index).collect()
            }
        }
    }

    /// Makes the attempts. Returns the records whose outcome was not recorded.
    async fn attempt(
        &self,
        route: Route,
        messages: &[(usize, &[RecordKey])],
    ) -> Result<BTreeSet<RecordKey>, StoreError> {
        let keys: Vec<RecordKey> = messages.iter().flat_map(|(_, records)| *records).copied().collect();
        let (destination, found) = self.records.get_all_for(&self.recorder.destinations, route, &keys).await?;
        let Some((destination, health)) = destination else {
            // The destination was deleted in the meantime.
            return Ok(BTreeSet::new());
        };
        let mut batch = Batch::first_attempts(route, &destination, &health, found.records.values());
        // A record that cannot be read fails alone.
        let now = Timestamp::now();
        let failed = found.unreadable.iter().map(|record| PendingDelivery::first(*record, now));
        batch.unattempted = failed.map(|delivery| Settlement::without_attempt(delivery, Disposition::Failed)).collect();
        let processed = pipeline::run(&self.webhooks, &self.recorder.of(route), batch).await?;
        Ok(processed.unrecorded)
    }
}
