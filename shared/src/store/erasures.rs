//! Erasures: a user's errors are removed, with all that is told of their deliveries.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::stream::{self, TryStreamExt};
use serde::{Deserialize, Serialize};

use super::{
    deliveries::delete_delivered,
    destinations::Destinations,
    keys::{self, Key},
    listing::{BY_USER, Filter, LISTING, Position, Range},
    table::{StoreError, Table, none_if_condition_failed, to_item},
};
use crate::domain::{
    delivery::Route,
    error_log::MAX_CLOCK_SKEW,
    id::{DestinationId, EnvironmentId, ErrorId, UserId, WorkflowId},
    timestamp::Timestamp,
};

/// The erasures of all environments.
#[derive(Clone, Debug)]
pub struct Erasures {
    /// Where they are noted.
    pub directory: Table,
    /// What they empty.
    pub errors: Table,
}

/// That a user's errors are to be erased, those that were recorded before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Erasure {
    /// The environment of the user.
    pub environment_id: EnvironmentId,
    /// The user, who need not be there any more.
    pub user_id: UserId,
    /// When it was asked for.
    pub started_at: Timestamp,
}

/// An error as the index lists it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    #[serde(rename = "sk")]
    error_id: ErrorId,
    workflow_id: WorkflowId,
    updated_at: Timestamp,
}

/// What is told of a delivery, as far as it leads on.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DeliveryRow {
    pk: String,
    sk: String,
    destination_id: DestinationId,
    next_attempt_at: Option<Timestamp>,
}

/// So many errors are erased in a step.
const ERRORS_PER_STEP: usize = 50;
/// What was delivered at once is forgotten in so many places at once.
const MAX_CONCURRENT_GROUPS: usize = 8;
/// The deliveries to so many destinations are looked at at once.
const DESTINATIONS_PER_READ: usize = 20;

/// The index tells of an error after a moment: an erasure is not over before that.
const MAX_INDEX_LAG: Duration = Duration::from_secs(60);

/// Notes in the directory that a user's errors are to be erased. One write.
pub async fn start_erasure(directory: &Table, erasure: &Erasure) -> Result<(), StoreError> {
    let key = keys::erasure(erasure.environment_id, erasure.user_id);
    let listed = keys::listed_erasure(erasure.environment_id, erasure.user_id);
    let item = to_item("erasure", &key, erasure, &[("listPk", listed.pk), ("listSk", listed.sk)])?;
    let Table { client, name } = directory;
    client.put_item().table_name(name).set_item(Some(item)).send().await?;
    Ok(())
}

impl Erasures {
    /// Erasures that are not over, up to `most`. One query for each of four partitions.
    pub async fn open(&self, limit: usize) -> Result<Vec<Erasure>, StoreError> {
        let partitions: Vec<String> = (0..keys::DELETION_SHARDS).map(keys::erasures).collect();
        Ok(self.directory.page(&partitions, &Range::all(LISTING), &Filter::default(), (None, limit)).await?.items)
    }

    /// Erases all that is listed now. True where the erasure is over with that. It may die anywhere and be run twice: an
    /// error goes last, since it leads to the rest.
    pub async fn run(&self, erasure: &Erasure) -> Result<bool, StoreError> {
        let (mut after, mut found) = (None, false);
        loop {
            // Read for each step: errors may be replayed to a destination that is new.
            let destinations =
                Destinations(self.directory.clone()).ids_including_deleted(erasure.environment_id).await?;
            let (erased, next) = self.step(erasure, &destinations, after.as_deref()).await?;
            found |= erased;
            after = next;
            if after.is_none() {
                break;
            }
        }
        if found || Timestamp::now() < erasure.started_at + MAX_INDEX_LAG {
            return Ok(false);
        }
        self.complete(erasure).await.map(|()| true)
    }

    /// Erases the next errors. Answers with whether there were any, and where the next step goes on.
    async fn step(
        &self,
        erasure: &Erasure,
        destinations: &BTreeSet<DestinationId>,
        after: Option<&str>,
    ) -> Result<(bool, Option<Position>), StoreError> {
        let Erasure { environment_id: environment, user_id, started_at } = *erasure;
        let partition = keys::errors_of_user(environment, user_id);
        // No error that was recorded by then can have a later id.
        let latest = started_at + MAX_CLOCK_SKEW + Duration::from_secs(1);
        let Some((low, high)) = keys::error_bounds(None, Some(latest)) else { return Ok((false, None)) };
        let range = Range { view: BY_USER, low, high, newest_first: false };
        let recorded_by_then = Filter::default().updated_by(started_at);
        let page = self.errors.page(&[partition], &range, &recorded_by_then, (after, ERRORS_PER_STEP)).await?;
        let errors: Vec<Listed> = page.items;

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
                errors.iter().map(move |error| keys::delivery(route, error.workflow_id, error.error_id))
            });
            let rows: Vec<DeliveryRow> = self.errors.get_all(&candidates.collect::<Vec<_>>()).await?;
            let (mut pending, mut deliveries) = (Vec::new(), Vec::new());
            for DeliveryRow { pk, sk, destination_id, next_attempt_at } in rows {
                if let (Some(at), Some((error, workflow))) = (next_attempt_at, identity(&sk)) {
                    let route = Route { environment, destination: destination_id };
                    pending.push(keys::pending_delivery(route, at, workflow, error));
                }
                deliveries.push(Key { pk, sk });
            }
            // What is told of a delivery leads to where it waits, and so goes after that.
            self.errors.delete_all(pending).await?;
            self.errors.delete_all(deliveries).await?;
        }
        let keys: Vec<Key> =
            errors.iter().map(|error| keys::error(environment, error.workflow_id, error.error_id)).collect();
        self.errors.delete_all(keys).await?;
        Ok((!errors.is_empty(), page.next))
    }

    /// Forgets an erasure, unless it was asked for again. One write.
    async fn complete(&self, erasure: &Erasure) -> Result<(), StoreError> {
        let Table { client, name } = &self.directory;
        let request = client
            .delete_item()
            .table_name(name)
            .set_key(Some(keys::erasure(erasure.environment_id, erasure.user_id).attributes()))
            .condition_expression("startedAt = :started")
            .expression_attribute_values(":started", AttributeValue::S(erasure.started_at.to_string()));
        none_if_condition_failed(request.send().await).map(|_| ())
    }
}

/// The error and workflow that the sort key of a delivery names.
fn identity(sk: &str) -> Option<(ErrorId, WorkflowId)> {
    let (error, workflow) = sk.split_once('#')?;
    Some((error.parse().ok()?, workflow.parse().ok()?))
}
