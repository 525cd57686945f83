//! Replays: add records to the pending deliveries of a destination again, step by step. The
//! [`drain`](super::drain) then sends them.

use std::{collections::BTreeSet, ops::RangeInclusive, time::Duration};

use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::{
    drain_scheduler::DrainScheduler,
    queues::{Queue, ReplayStep},
};
use crate::{
    domain::{
        delivery::{DeliveryStatus, Route},
        destination::Destination,
        health::Health,
        id::EnvironmentId,
        record::{RecordId, RecordRef},
        replay::{ReplayPosition, ReplaySelection, ReplayStatus},
        timestamp::Timestamp,
    },
    logs::ErrorChain,
    metrics::{self, Metric},
    store::{
        PageRequest, StoreError,
        deliveries::Deliveries,
        destinations::Destinations,
        health::HealthStore,
        pending::{PendingDeliveries, QueueOutcome, Queued},
        records::{ListedRecord, RecordKind, Records, SHARDS},
        replays::Replays,
    },
};

/// Number of records that a step examines.
const RECORDS_PER_STEP: usize = 200;
/// Maximum number of queries by id that a step makes concurrently.
const MAX_CONCURRENT_QUERIES: usize = 16;

/// Wait before a step is repeated whose deliveries others keep changing, in milliseconds.
const INTERFERENCE_DELAY: RangeInclusive<u64> = 2_000..=10_000;

/// Executor of replay steps.
#[derive(Clone, Debug)]
pub struct Replayer {
    /// Replays.
    pub replays: Replays,
    /// Destinations.
    pub destinations: Destinations,
    /// Health of the destinations.
    pub health_store: HealthStore,
    /// Records.
    pub records: Records,
    /// Deliveries, to select those with a status.
    pub deliveries: Deliveries,
    /// Pending deliveries, to which replayed records are added.
    pub pending: PendingDeliveries,
    /// Queue of replay steps.
    pub steps: Queue,
    /// Scheduler of drains.
    pub scheduler: DrainScheduler,
}

/// Records that a step selected.
struct SelectedRecords {
    records: Vec<RecordRef>,
    /// Position of the next step, or none at the end.
    next: Option<ReplayPosition>,
}

impl Replayer {
    /// Executes a step of a replay and enqueues its successor, unless the replay has left the
    /// position of the step: so messages of a replay do not multiply. A step may stop anywhere and
    /// may run twice: a delivery knows the replays that queued it, so each record is queued and
    /// counted once. A replay that cannot be read, or whose destination cannot, waits for the
    /// sweep, and so does one whose step stopped before it had enqueued its successor.
    ///
    /// AWS calls: two reads; one query for a time range, one query per id, or one query
    /// for each of eight partitions and one per delivery for deliveries by status; two
    /// `BatchGetItem` and one transaction per 33 records; up to four writes and two messages.
    pub async fn run(&self, step: &ReplayStep) -> Result<(), StoreError> {
        match self.step(step).await {
            // A repetition of the message would fail too.
            Err(StoreError::Malformed(error)) => {
                let ReplayStep::ReplayStepV1 { environment_id: environment, replay_id: id, .. } = step;
                tracing::error!(error = %ErrorChain(&*error), %environment, replay = %id, "unreadable replay or destination");
                metrics::emit(&[(Metric::UnreadableItems, 1)]);
                Ok(())
            }
            result => result,
        }
    }

    /// Executes a step of a replay like [`Self::run`]. Fails if the replay or its destination
    /// cannot be read.
    async fn step(&self, step: &ReplayStep) -> Result<(), StoreError> {
        let ReplayStep::ReplayStepV1 { environment_id: environment, replay_id: id, position } = step;
        let (environment, id) = (*environment, *id);
        let Some(replay) = self.replays.get(environment, id).await? else {
            return Ok(());
        };
        let route = Route { environment, destination: replay.destination_id };
        let destination = self.destinations.get(environment, replay.destination_id).await?;
        let destination = match (replay.status, destination) {
            (ReplayStatus::Running, Some(destination)) => destination,
            (ReplayStatus::Running, None) => {
                self.replays.cancel(environment, id).await?;
                return Ok(());
            }
            (ReplayStatus::Cancelled, Some(_)) => return self.wake_for_cancelled(route).await,
            (ReplayStatus::Cancelled, None) | (ReplayStatus::Done, _) => return Ok(()),
        };
        if *position != replay.position {
            return Ok(());
        }
        let position = replay.position.clone().unwrap_or(ReplayPosition { part: 0, after: None });
        let found = match &replay.selection {
            ReplaySelection::Range { since, until } => {
                self.select_range(environment, &destination, (*since, *until), position).await?
            }
            ReplaySelection::Errors(ids) => {
                let ids: Vec<RecordId> = ids.iter().map(|id| RecordId::Error { error_id: *id }).collect();
                self.select_by_id(environment, &destination, &ids, position).await?
            }
            ReplaySelection::Events(ids) => {
                let ids: Vec<RecordId> = ids.iter().map(|id| RecordId::Event { event_id: *id }).collect();
                self.select_by_id(environment, &destination, &ids, position).await?
            }
            ReplaySelection::Deliveries(statuses) => {
                self.select_by_status(environment, &destination, statuses, position).await?
            }
        };
        // If this step fails, the sweep finds what it has queued.
        if !found.records.is_empty() {
            self.health_store.announce_backlog(route, Timestamp::now()).await?;
        }
        let queued = self.pending.queue_again(route, &self.replays, &replay, &found.records).await?;
        let now = Timestamp::now();
        let Queued { records: count, added } = match queued {
            QueueOutcome::Queued(queued) => queued,
            QueueOutcome::ReplayEnded => return self.wake_for_cancelled(route).await,
            QueueOutcome::Interfered => {
                // Sooner than SQS would deliver the message again.
                let at = now + Duration::from_millis(rand::random_range(INTERFERENCE_DELAY));
                return self.steps.send(&environment.to_string(), step, at, now).await;
            }
        };
        let more = found.next.is_some();
        // At least one, so that a drain sees the change. It corrects the number.
        let pending_delta = i64::try_from(added.max(1)).unwrap_or(i64::MAX);
        let before = match count {
            0 => None,
            _ => Some(self.health_store.add_pending(route, pending_delta, now).await?),
        };
        // Before the drain is scheduled, because it updates the same item.
        let advanced = self.replays.advance(environment, &replay, found.next.as_ref()).await?;
        tracing::info!(%environment, replay = %id, found = count, more, "replay step completed");
        let woken = match before {
            Some(before) => self.wake(route, &before, now).await,
            None => Ok(()),
        };
        // If another run has already executed this step, that run enqueues the successor. This run
        // does even if the drain could not be woken: its message, repeated, is superseded.
        if let Some(next) = found.next.filter(|_| advanced) {
            let step = ReplayStep::ReplayStepV1 { environment_id: environment, replay_id: id, position: Some(next) };
            self.steps.send(&environment.to_string(), &step, now, now).await?;
        }
        woken
    }

    /// Schedules a drain for what a replay queued before it was cancelled. A former drain may have
    /// found nothing pending.
    async fn wake_for_cancelled(&self, route: Route) -> Result<(), StoreError> {
        let now = Timestamp::now();
        let before = self.health_store.add_pending(route, 1, now).await?;
        self.wake(route, &before, now).await
    }

    /// Schedules a drain, unless one is already scheduled or running. `before` is the health before
    /// deliveries were added.
    async fn wake(&self, route: Route, before: &Health, now: Timestamp) -> Result<(), StoreError> {
        if before.needs_wakeup(now, now) {
            self.scheduler.schedule(route, now, now).await?;
        }
        Ok(())
    }

    /// Selects records of a time range, from one partition of the index: first errors, then events.
    async fn select_range(
        &self,
        environment: EnvironmentId,
        destination: &Destination,
        (since, until): (Timestamp, Timestamp),
        ReplayPosition { part, after }: ReplayPosition,
    ) -> Result<SelectedRecords, StoreError> {
        let (kind, parts) = if part < SHARDS { (RecordKind::Errors, SHARDS) } else { (RecordKind::Events, 2 * SHARDS) };
        let is_wanted = match kind {
            RecordKind::Errors => destination.wants_errors(),
            RecordKind::Events => destination.wants_events(),
        };
        if !is_wanted {
            return Ok(SelectedRecords { records: Vec::new(), next: next_position(parts - 1, None, 2 * SHARDS) });
        }
        let request = PageRequest::new(after.as_deref(), RECORDS_PER_STEP);
        let range = (Some(since), Some(until));
        let page = self.records.page_of_shard(environment, (kind, part % SHARDS), range, request).await?;
        let records = wanted(page.items, destination);
        Ok(SelectedRecords { records, next: next_position(part, page.next, 2 * SHARDS) })
    }

    /// Selects records by id.
    async fn select_by_id(
        &self,
        environment: EnvironmentId,
        destination: &Destination,
        ids: &[RecordId],
        ReplayPosition { part, .. }: ReplayPosition,
    ) -> Result<SelectedRecords, StoreError> {
        let begin = usize::try_from(part).unwrap_or(usize::MAX);
        let chunk = ids.iter().skip(begin).take(RECORDS_PER_STEP);
        let records = self.find(environment, destination, chunk.copied()).await?;
        let end = begin.saturating_add(RECORDS_PER_STEP);
        let next =
            (end < ids.len()).then(|| ReplayPosition { part: u32::try_from(end).unwrap_or(u32::MAX), after: None });
        Ok(SelectedRecords { records, next })
    }

    /// Selects the records of deliveries with these statuses, one status after the other.
    async fn select_by_status(
        &self,
        environment: EnvironmentId,
        destination: &Destination,
        statuses: &[DeliveryStatus],
        ReplayPosition { part, after }: ReplayPosition,
    ) -> Result<SelectedRecords, StoreError> {
        let Some(status) = usize::try_from(part).ok().and_then(|part| statuses.get(part)) else {
            return Ok(SelectedRecords { records: Vec::new(), next: None });
        };
        let route = Route { environment, destination: destination.destination_id };
        let page =
            self.deliveries.list(route, Some(*status), PageRequest::new(after.as_deref(), RECORDS_PER_STEP)).await?;
        let ids = page.items.iter().map(|delivery| delivery.record);
        let records = self.find(environment, destination, ids).await?;
        let parts = u32::try_from(statuses.len()).unwrap_or(u32::MAX);
        Ok(SelectedRecords { records, next: next_position(part, page.next, parts) })
    }

    /// Returns the records with these ids that the destination wants, each once: two workflows may
    /// have an error of the same id. One query per different id.
    async fn find(
        &self,
        environment: EnvironmentId,
        destination: &Destination,
        ids: impl Iterator<Item = RecordId>,
    ) -> Result<Vec<RecordRef>, StoreError> {
        let ids: BTreeSet<RecordId> = ids.collect();
        let found = stream::iter(ids).map(|id| self.records.find(environment, id)).buffered(MAX_CONCURRENT_QUERIES);
        let found: Vec<Vec<ListedRecord>> = found.try_collect().await?;
        Ok(wanted(found.into_iter().flatten(), destination))
    }
}

/// Returns the records that a destination wants.
fn wanted(records: impl IntoIterator<Item = ListedRecord>, destination: &Destination) -> Vec<RecordRef> {
    let wanted = records.into_iter().filter(|record| destination.wants(&record.filter_attributes()));
    wanted.filter_map(|record| record.stored()).collect()
}

/// Returns the position after a step that read a part up to `after`, or to its end.
fn next_position(part: u32, after: Option<String>, parts: u32) -> Option<ReplayPosition> {
    match after {
        Some(after) => Some(ReplayPosition { part, after: Some(after) }),
        None => (part + 1 < parts).then_some(ReplayPosition { part: part + 1, after: None }),
    }
}
