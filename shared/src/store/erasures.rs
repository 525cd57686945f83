//! Erasures: background jobs that delete the errors of a user and the deliveries of those errors.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures_util::stream::{self, TryStreamExt};
use serde::{Deserialize, Serialize};

use super::{
    deliveries::delete_delivered,
    destinations::Destinations,
    jobs,
    keys::{self, Key},
    table::{
        Access, BY_USER, Condition, Filter, Position, Put, Range, StoreError, Table, Update, number, readable, text,
        to_item,
    },
    tombstones::REMEMBERED,
};
use crate::domain::{
    delivery::Route,
    error_log::MAX_CLOCK_SKEW,
    id::{DestinationId, EnvironmentId, ErrorId, UserId, WorkflowId},
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

/// Job that erases the errors of a user that were recorded before its start.
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

/// Index entry of an error.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    #[serde(rename = "sk")]
    error_id: ErrorId,
    workflow_id: WorkflowId,
    updated_at: Timestamp,
}

/// Attributes of a delivery that identify its pending item.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DeliveryRow {
    pk: String,
    sk: String,
    destination_id: DestinationId,
    next_attempt_at: Option<Timestamp>,
}

/// Number of errors that a step erases.
const ERRORS_PER_STEP: usize = 50;
/// Number of groups of first-attempt deliveries that are deleted concurrently.
const MAX_CONCURRENT_GROUPS: usize = 8;
/// Number of destinations whose deliveries are read and deleted together.
const DESTINATIONS_PER_READ: usize = 20;

/// Minimum duration of an erasure. The index is eventually consistent and may list an error late.
const MAX_INDEX_LAG: Duration = Duration::from_secs(60);

/// Stores the job that erases the errors of a user. One write.
pub async fn start_erasure(directory: &Table, erasure: &Erasure) -> Result<(), StoreError> {
    let key = keys::erasure(erasure.environment_id, erasure.user_id);
    let listed = keys::listed_erasure(erasure.environment_id, erasure.user_id);
    let item = to_item("erasure", &key, erasure, &[("listPk", listed.pk), ("listSk", listed.sk)])?;
    directory.put(Put::new(item)).await.map(|_| ())
}

impl Erasures {
    /// Returns the unfinished erasures, at most 40,000, of environments in turn. One query per
    /// megabyte of each of four partitions.
    pub async fn open(&self) -> Result<Vec<Erasure>, StoreError> {
        let partitions: Vec<String> = (0..keys::DELETION_SHARDS).map(keys::erasures).collect();
        jobs::open(&self.directory, &partitions, |job: &Erasure| job.environment_id).await
    }

    /// Erases all errors that the index lists at `now`. Returns whether the erasure is complete. May
    /// stop anywhere and may run twice: each error is deleted last because its key leads to the other
    /// items.
    pub async fn run(&self, erasure: &Erasure, now: Timestamp) -> Result<bool, StoreError> {
        let (mut after, mut found) = (None, false);
        loop {
            // Read in each step, because a replay may deliver errors to a new destination.
            let destinations =
                Destinations(self.directory.clone()).ids_including_deleted(erasure.environment_id).await?;
            let (erased, next) = self.step(erasure, &destinations, after.as_deref()).await?;
            found |= erased;
            after = next;
            if after.is_none() {
                break;
            }
        }
        if found || now < erasure.started_at + MAX_INDEX_LAG {
            return Ok(false);
        }
        self.complete(erasure).await.map(|()| true)
    }

    /// Erases the next errors. Returns whether there were any, and the position of the next step.
    async fn step(
        &self,
        erasure: &Erasure,
        destinations: &BTreeSet<DestinationId>,
        after: Option<&str>,
    ) -> Result<(bool, Option<Position>), StoreError> {
        let Erasure { environment_id: environment, user_id, started_at } = *erasure;
        let partition = keys::errors_of_user(environment, user_id);
        // Ids may be ahead of the clock by up to `MAX_CLOCK_SKEW`, so no error recorded by then has
        // a later id.
        let latest = started_at + MAX_CLOCK_SKEW + Duration::from_secs(1);
        let Some((low, high)) = keys::error_bounds(None, Some(latest)) else { return Ok((false, None)) };
        let range = Range { view: BY_USER, low, high, newest_first: false };
        let recorded_by_then = Filter::default().not_updated_after(started_at);
        let page = self.errors.page_of_items(&[partition], &range, &recorded_by_then, (after, ERRORS_PER_STEP)).await?;
        let found = !page.items.is_empty();
        // Malformed ones remain, and with them the job, so that its age raises an alarm.
        let errors: Vec<Listed> = page.items.into_iter().filter_map(readable).collect();

        let mut groups: BTreeMap<(WorkflowId, Timestamp), BTreeSet<ErrorId>> = BTreeMap::new();
        for Listed { error_id, workflow_id, updated_at } in &errors {
            groups.entry((*workflow_id, updated_at.second())).or_default().insert(*error_id);
        }
        stream::iter(groups.iter().map(Ok))
            .try_for_each_concurrent(MAX_CONCURRENT_GROUPS, |(group, errors)| {
                delete_delivered(&self.errors, environment, *group, errors)
            })
            .await?;
        for destinations in destinations.iter().collect::<Vec<_>>().chunks(DESTINATIONS_PER_READ) {
            let routes = destinations.iter().map(|destination| Route { environment, destination: **destination });
            let candidates = routes.flat_map(|route| {
                errors.iter().map(move |error| keys::delivery(route, (error.workflow_id, error.error_id).into()))
            });
            let candidates: Vec<Key> = candidates.collect();
            // Expired ones too: they lead to items that DynamoDB deletes later.
            let (rows, unreadable) = self.errors.get_readable::<DeliveryRow>(&candidates).await?;
            let (mut pending, mut deliveries) = (Vec::new(), unreadable);
            for DeliveryRow { pk, sk, destination_id, next_attempt_at } in rows {
                if let (Some(at), Some((error, workflow))) = (next_attempt_at, identity(&sk)) {
                    let route = Route { environment, destination: destination_id };
                    pending.push(keys::pending_delivery(route, at, (workflow, error).into()));
                }
                deliveries.push(Key { pk, sk });
            }
            // A delivery leads to its pending item, so it is deleted after it.
            self.errors.delete_all(pending).await?;
            self.errors.delete_all(deliveries).await?;
        }
        let keys: Vec<Key> =
            errors.iter().map(|error| keys::error(environment, error.workflow_id, error.error_id)).collect();
        self.errors.delete_all(keys).await?;
        Ok((found, page.next))
    }

    /// Turns the job into a mark that is kept for 36 days, unless it was requested again. One write.
    async fn complete(&self, erasure: &Erasure) -> Result<(), StoreError> {
        let unchanged = Condition::equals("startedAt", text(erasure.started_at));
        let done = Update::of(&keys::erasure(erasure.environment_id, erasure.user_id))
            // Another type, so that the stream does not start the job again.
            .set("type", text("erased"))
            .set("expiresAt", number((erasure.started_at + REMEMBERED).seconds()))
            .remove("listPk")
            .remove("listSk");
        self.directory.update(done.when(unchanged)).await.map(|_| ())
    }
}

/// Returns the start of the last erasure of a user's errors, if a request from before it can still be
/// repeated. One read.
pub async fn erased_at<A: Access>(
    directory: &Table<A>,
    environment: EnvironmentId,
    user: UserId,
) -> Result<Option<Timestamp>, StoreError> {
    let erasure: Option<Erasure> = directory.get(&keys::erasure(environment, user)).await?;
    Ok(erasure.map(|erasure| erasure.started_at))
}

/// Parses the error and workflow from the sort key of a delivery.
fn identity(sk: &str) -> Option<(ErrorId, WorkflowId)> {
    let (error, workflow) = sk.split_once('#')?;
    Some((error.parse().ok()?, workflow.parse().ok()?))
}
