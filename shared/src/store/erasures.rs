//! Erasures: background jobs that delete the errors and events of a user and their deliveries.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures_util::stream::{self, TryStreamExt};
use serde::{Deserialize, Serialize};

use super::{
    deliveries::delete_delivered,
    destinations::Destinations,
    jobs::{self, Job, JobId, JobKind},
    keys::{self, Key},
    records::RecordKind,
    table::{
        BY_USER, Condition, Filter, PageRequest, Position, Range, StoreError, TABLE, Table, Update, number, readable,
        text,
    },
    tombstones::REMEMBERED,
};
use crate::domain::{
    delivery::Route,
    error_log::MAX_CLOCK_SKEW,
    event::EventType,
    id::{DestinationId, EnvironmentId, ErrorId, EventId, ObjectId, UserId, WorkflowId},
    record::{RecordKey, RecordOwner, RecordRef},
    timestamp::Timestamp,
};

/// Erasures of all environments.
#[derive(Clone, Debug)]
pub struct Erasures {
    /// Directory table, which holds the jobs.
    pub directory: Table,
    /// Errors table, from which they delete.
    pub errors: Table,
}

/// Job that erases the errors and events of a user that were stored before its start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Erasure {
    /// Environment of the user.
    pub environment_id: EnvironmentId,
    /// User, who may be deleted already.
    pub user_id: UserId,
    /// Time of the request.
    pub started_at: Timestamp,
}

impl Job for Erasure {
    fn id(&self) -> JobId {
        JobId { kind: JobKind::Erasure, environment: self.environment_id, user: self.user_id }
    }

    fn started_at(&self) -> Timestamp {
        self.started_at
    }
}

/// Entry of an error in the index, or an event.
#[derive(Deserialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
enum Listed {
    Error {
        #[serde(rename = "sk")]
        error_id: ErrorId,
        workflow_id: WorkflowId,
        updated_at: Timestamp,
    },
    Event {
        event_id: EventId,
        created_at: Timestamp,
    },
}

impl Listed {
    /// Returns the record of a user that is listed.
    fn stored(&self, user_id: UserId) -> RecordRef {
        match *self {
            Self::Error { error_id, workflow_id, updated_at } => {
                RecordRef { key: RecordKey::Error { workflow_id, error_id }, recorded_at: updated_at }
            }
            Self::Event { event_id, created_at } => {
                RecordRef { key: RecordKey::Event { user_id, event_id }, recorded_at: created_at }
            }
        }
    }
}

/// Attributes of a delivery that identify its pending item.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ErasedDelivery {
    #[serde(flatten)]
    key: Key,
    destination_id: DestinationId,
    next_attempt_at: Option<Timestamp>,
}

/// Start of a job of a user.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Started {
    started_at: Timestamp,
}

/// Number of records that a step erases.
const RECORDS_PER_STEP: usize = 50;
/// Number of groups of first-attempt deliveries that are deleted concurrently.
const MAX_CONCURRENT_GROUPS: usize = 8;
/// Number of destinations whose deliveries are read and deleted together.
const DESTINATIONS_PER_READ: usize = 20;

/// Minimum duration of an erasure. The index is eventually consistent and may list an error late.
const MAX_INDEX_LAG: Duration = Duration::from_secs(60);

impl Erasures {
    /// Returns the unfinished erasures, at most 40,000, of environments in turn. One query per
    /// megabyte of each of four partitions.
    pub async fn open(&self) -> Result<Vec<Erasure>, StoreError> {
        jobs::open(&self.directory, &[JobKind::Erasure]).await
    }

    /// Erases all records that are listed at `now`. Returns whether the erasure is complete. May
    /// stop anywhere and may run twice: each record is deleted last because its key leads to the
    /// other items.
    pub async fn run(&self, erasure: &Erasure, now: Timestamp) -> Result<bool, StoreError> {
        // Read before the records, so that none is missed that such a job stores while they are
        // listed.
        let is_changing = self.is_changing(erasure).await?;
        let mut found = false;
        for kind in [RecordKind::Errors, RecordKind::Events] {
            let mut after = None;
            loop {
                // Read in each step, because a replay may deliver records to a new destination.
                let destinations = Destinations(self.directory.clone()).ids(erasure.environment_id).await?.all();
                let (erased, next) = self.step(erasure, kind, &destinations, after.as_deref()).await?;
                found |= erased;
                after = next;
                if after.is_none() {
                    break;
                }
            }
        }
        if found || is_changing || now < erasure.started_at + MAX_INDEX_LAG {
            return Ok(false);
        }
        self.complete(erasure).await.map(|()| true)
    }

    /// Returns whether another job may still store events of changes from before the erasure. One
    /// that cannot be read may. Two reads.
    async fn is_changing(&self, erasure: &Erasure) -> Result<bool, StoreError> {
        for kind in [JobKind::Deletion, JobKind::StatusChange] {
            let key = keys::user_job(JobId { kind, ..erasure.id() });
            let Some(job) = self.directory.get_item(&key).await? else { continue };
            if readable::<Started>(job).is_none_or(|job| job.started_at <= erasure.started_at) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Erases the next records. Returns whether there were any, and the position of the next step.
    async fn step(
        &self,
        erasure: &Erasure,
        kind: RecordKind,
        destinations: &BTreeSet<DestinationId>,
        after: Option<&str>,
    ) -> Result<(bool, Option<Position>), StoreError> {
        let Erasure { environment_id: environment, user_id, started_at } = *erasure;
        // Ids may be ahead of the clock by up to `MAX_CLOCK_SKEW`, so no record stored by then has
        // a later id.
        let latest = started_at + MAX_CLOCK_SKEW + Duration::from_secs(1);
        let Some((low, high)) = keys::record_bounds(None, Some(latest)) else { return Ok((false, None)) };
        let (view, partition, filter) = match kind {
            RecordKind::Errors => {
                let filter = Filter::default().not_after("updatedAt", started_at);
                (BY_USER, keys::errors_of_user(environment, user_id), filter)
            }
            RecordKind::Events => {
                let filter = Filter::default().not_after("createdAt", started_at);
                // The receipt of the user's deletion contains no data of the user.
                let filter = filter.differs("eventType", EventType::UserDeleted.as_str());
                (TABLE, keys::events(environment, user_id), filter)
            }
        };
        let range = Range { view, low, high, newest_first: false };
        let page =
            self.errors.page_of_items(&[partition], &range, &filter, PageRequest::new(after, RECORDS_PER_STEP)).await?;
        let found = !page.items.is_empty();
        // Malformed ones remain, and with them the job, so that its age raises an alarm.
        let listed = page.items.into_iter().filter_map(readable::<Listed>);
        let records: Vec<RecordRef> = listed.map(|listed| listed.stored(user_id)).collect();

        let mut groups: BTreeMap<(RecordOwner, Timestamp), BTreeSet<ObjectId>> = BTreeMap::new();
        for RecordRef { key, recorded_at } in &records {
            groups.entry((key.owner(), recorded_at.second())).or_default().insert(*key.id());
        }
        stream::iter(groups.iter().map(Ok))
            .try_for_each_concurrent(MAX_CONCURRENT_GROUPS, |(group, ids)| {
                delete_delivered(&self.errors, environment, *group, ids)
            })
            .await?;
        let erased: Vec<RecordKey> = records.iter().map(|record| record.key).collect();
        self.delete_deliveries(environment, destinations, &erased).await?;
        self.errors.delete_all(erased.iter().map(|record| keys::record(environment, *record)).collect()).await?;
        Ok((found, page.next))
    }

    /// Deletes the deliveries of records that have items of their own, and their pending items.
    async fn delete_deliveries(
        &self,
        environment: EnvironmentId,
        destinations: &BTreeSet<DestinationId>,
        records: &[RecordKey],
    ) -> Result<(), StoreError> {
        for destinations in destinations.iter().collect::<Vec<_>>().chunks(DESTINATIONS_PER_READ) {
            let routes = destinations.iter().map(|destination| Route { environment, destination: **destination });
            let candidates: Vec<Key> =
                routes.flat_map(|route| records.iter().map(move |record| keys::delivery(route, *record))).collect();
            // Expired ones too: they lead to items that DynamoDB deletes later.
            let (erased, unreadable) = self.errors.get_readable::<ErasedDelivery>(&candidates).await?;
            let (mut pending, mut deliveries) = (Vec::new(), unreadable);
            for ErasedDelivery { key, destination_id, next_attempt_at } in erased {
                if let (Some(at), Some(record)) = (next_attempt_at, keys::parse_listed_record(&key.sk)) {
                    let route = Route { environment, destination: destination_id };
                    pending.push(keys::pending_delivery(route, at, record));
                }
                deliveries.push(key);
            }
            // A delivery leads to its pending item, so it is deleted after it.
            self.errors.delete_all(pending).await?;
            self.errors.delete_all(deliveries).await?;
        }
        Ok(())
    }

    /// Turns the job into a mark that is kept for 36 days, unless it was requested again. One
    /// write.
    async fn complete(&self, erasure: &Erasure) -> Result<(), StoreError> {
        let unchanged = Condition::equals("startedAt", text(erasure.started_at));
        let done = Update::of(&keys::user_job(erasure.id()))
            // Another type, so that the stream does not start the job again.
            .set("type", text("erased"))
            .set("expiresAt", number((erasure.started_at + REMEMBERED).seconds()))
            .remove("listPk")
            .remove("listSk");
        self.directory.update(done.when(unchanged)).await.map(|_| ())
    }
}
