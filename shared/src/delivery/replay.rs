//! Replays: add recorded errors to the pending deliveries of a destination again, step by step. The
//! [`drain`](super::drain) then sends them.

use super::{
    drain_scheduler::DrainScheduler,
    queues::{Queue, ReplayStep},
};
use crate::{
    domain::{
        delivery::{DeliveryStatus, Route},
        health::{Health, HealthUpdate},
        id::{EnvironmentId, ErrorId, ReplayId},
        record::{FilterAttributes, RecordKey},
        replay::{Position, ReplayStatus, Selection},
        timestamp::Timestamp,
    },
    store::{
        StoreError,
        deliveries::Deliveries,
        destinations::Destinations,
        errors::{Errors, ListedError, SHARDS},
        health::HealthStore,
        pending::{PendingDeliveries, Queued},
        replays::Replays,
    },
};

/// Number of errors that a step examines.
const ERRORS_PER_STEP: usize = 200;

/// Executor of replay steps.
#[derive(Clone, Debug)]
pub struct Replayer {
    /// Replays.
    pub replays: Replays,
    /// Destinations.
    pub destinations: Destinations,
    /// Health of the destinations.
    pub health_store: HealthStore,
    /// Recorded errors.
    pub errors: Errors,
    /// Deliveries, to select those that failed.
    pub deliveries: Deliveries,
    /// Pending deliveries, to which replayed errors are added.
    pub pending: PendingDeliveries,
    /// Queue of replay steps.
    pub steps: Queue,
    /// Scheduler of drains.
    pub scheduler: DrainScheduler,
}

/// Records that a step selected.
struct SelectedRecords {
    records: Vec<RecordKey>,
    /// Position of the next step, or none at the end.
    next: Option<Position>,
}

impl Replayer {
    /// Executes the next step of a replay and enqueues its successor. A step may stop anywhere and
    /// may run twice: a delivery knows the replays that queued it, so each error is queued and counted
    /// once.
    ///
    /// AWS calls: two or three reads; one query for a time range, one query per id, or one query
    /// for each of eight partitions and one per delivery for deliveries by status; two
    /// `BatchGetItem` and one transaction per 33 errors; up to three writes and two messages.
    pub async fn step(&self, environment: EnvironmentId, id: ReplayId) -> Result<(), StoreError> {
        let Some(replay) = self.replays.get(environment, id).await? else {
            return Ok(());
        };
        let route = Route { environment, destination: replay.destination_id };
        if replay.status != ReplayStatus::Running {
            return Ok(());
        }
        let Some(destination) = self.destinations.get(environment, replay.destination_id).await? else {
            self.replays.cancel(environment, id).await?;
            return Ok(());
        };
        let position = replay.position.clone().unwrap_or(Position { part: 0, after: None });
        let wanted = |error: &ListedError| {
            let ListedError { workflow_id, user_id, block_type, .. } = error;
            let attributes = FilterAttributes { workflow_id: *workflow_id, user_id: *user_id, block_type };
            destination.filter.matches(&attributes)
        };
        let found = match &replay.selection {
            Selection::Range { since, until } => {
                self.select_range(environment, (*since, *until), position, wanted).await?
            }
            Selection::Errors(ids) => self.select_by_id(environment, ids, position, wanted).await?,
            Selection::Deliveries(statuses) => self.select_by_status(route, statuses, position, wanted).await?,
        };
        let queued = self.pending.queue_again(route, &self.replays.0, &replay, &found.records).await?;
        let Some(Queued { records: count, added }) = queued else {
            return Ok(());
        };
        let now = Timestamp::now();
        let more = found.next.is_some();
        // At least one, so that a drain sees the change. It corrects the number.
        let pending_delta = i64::try_from(added.max(1)).unwrap_or(i64::MAX);
        let update = HealthUpdate { pending_delta, ..HealthUpdate::default() };
        // Only the backlog changes, so the current health does not have to be read.
        let before = match count {
            0 => None,
            _ => Some(self.health_store.record(route, &Health::default(), &update, now).await?),
        };
        // Before the drain is scheduled, because it updates the same item.
        let advanced = self.replays.advance(environment, &replay, found.next.as_ref()).await?;
        tracing::info!(%environment, replay = %id, found = count, more, "replay step completed");
        if before.is_some_and(|before| before.needs_wakeup(now, now)) {
            self.scheduler.schedule(route, now, now).await?;
        }
        // If another run has already executed this step, that run enqueues the successor, unless it
        // stopped before. So the successor is also enqueued if the replay is still at this
        // position.
        if more && (advanced || self.continues_at(environment, id, found.next.as_ref()).await?) {
            let step = ReplayStep::ReplayStepV1 { environment_id: environment, replay_id: id };
            self.steps.send(&environment.to_string(), &step, now, now).await?;
        }
        Ok(())
    }

    /// Returns whether a replay continues at this position.
    async fn continues_at(
        &self,
        environment: EnvironmentId,
        id: ReplayId,
        position: Option<&Position>,
    ) -> Result<bool, StoreError> {
        Ok(self.replays.get(environment, id).await?.is_some_and(|replay| replay.position.as_ref() == position))
    }

    /// Selects errors of a time range, from one partition of the index.
    async fn select_range(
        &self,
        environment: EnvironmentId,
        range: (Option<Timestamp>, Option<Timestamp>),
        Position { part, after }: Position,
        wanted: impl Fn(&ListedError) -> bool,
    ) -> Result<SelectedRecords, StoreError> {
        let page = self.errors.page_of_shard(environment, part, range, (after.as_deref(), ERRORS_PER_STEP)).await?;
        Ok(SelectedRecords { records: keys(page.items, wanted), next: next_position(part, page.next, SHARDS) })
    }

    /// Selects errors by id.
    async fn select_by_id(
        &self,
        environment: EnvironmentId,
        ids: &[ErrorId],
        Position { part, .. }: Position,
        wanted: impl Fn(&ListedError) -> bool,
    ) -> Result<SelectedRecords, StoreError> {
        let begin = usize::try_from(part).unwrap_or(usize::MAX);
        let chunk = ids.iter().skip(begin).take(ERRORS_PER_STEP);
        let found = futures_util::future::try_join_all(chunk.map(|id| self.errors.find(environment, *id))).await?;
        let records = keys(found.into_iter().flatten(), wanted);
        let end = begin.saturating_add(ERRORS_PER_STEP);
        let next = (end < ids.len()).then(|| Position { part: u32::try_from(end).unwrap_or(u32::MAX), after: None });
        Ok(SelectedRecords { records, next })
    }

    /// Selects the errors of deliveries with these statuses, one status after the other.
    async fn select_by_status(
        &self,
        route: Route,
        statuses: &[DeliveryStatus],
        Position { part, after }: Position,
        wanted: impl Fn(&ListedError) -> bool,
    ) -> Result<SelectedRecords, StoreError> {
        let Some(status) = usize::try_from(part).ok().and_then(|part| statuses.get(part)) else {
            return Ok(SelectedRecords { records: Vec::new(), next: None });
        };
        let page = self.deliveries.list(route, Some(*status), (after.as_deref(), ERRORS_PER_STEP)).await?;
        let ids = page.items.iter().map(|delivery| self.errors.find(route.environment, delivery.error_id));
        let found = futures_util::future::try_join_all(ids).await?;
        let records = keys(found.into_iter().flatten(), wanted);
        let parts = u32::try_from(statuses.len()).unwrap_or(u32::MAX);
        Ok(SelectedRecords { records, next: next_position(part, page.next, parts) })
    }
}

/// Returns the keys of the errors that `wanted` accepts.
fn keys(errors: impl IntoIterator<Item = ListedError>, wanted: impl Fn(&ListedError) -> bool) -> Vec<RecordKey> {
    errors.into_iter().filter(wanted).map(|error| (error.workflow_id, error.error_id).into()).collect()
}

/// Returns the position after a step that read a part up to `after`, or to its end.
fn next_position(part: u32, after: Option<String>, parts: u32) -> Option<Position> {
    match after {
        Some(after) => Some(Position { part, after: Some(after) }),
        None => (part + 1 < parts).then_some(Position { part: part + 1, after: None }),
    }
}
