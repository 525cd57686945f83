//! Destinations of an environment, and their count.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    health::{HealthStore, Reset, health_of, repairing, reset_of},
    keys::{self, Key},
    retention::Retention,
    table::{
        Access, Condition, Delete, Item, Put, ReadWrite, StoreError, Table, Transacted, Transaction, Update, Write,
        attribute_text, from_item, item_key, number, readable, text, to_item, to_value,
    },
};
use crate::{
    domain::{
        delivery::Route,
        destination::{Destination, MAX_DESTINATIONS, Target, Verification},
        health::Health,
        id::{DestinationId, EnvironmentId},
        request_seed::RequestSeed,
        timestamp::Timestamp,
    },
    metrics::{self, Metric},
};

/// Destinations of all environments.
#[derive(Clone, Debug)]
pub struct Destinations<A: Access = ReadWrite>(pub Table<A>);

/// Reason why a destination was not created.
#[derive(Debug, thiserror::Error)]
pub enum CreateDestinationError {
    /// The environment has the maximum number of destinations.
    #[error("the environment already has {MAX_DESTINATIONS} destinations; delete one first")]
    TooMany,
    /// An earlier attempt of the same request created the destination, which was deleted since.
    #[error("the destination of this Idempotency-Key was deleted; use another key")]
    Deleted,
    /// DynamoDB failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Reason why a destination was not updated.
#[derive(Debug, thiserror::Error)]
pub enum UpdateDestinationError {
    /// The destination was changed or deleted after it was read.
    #[error("the destination was modified concurrently")]
    Conflict,
    /// DynamoDB failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Destinations {
    /// Creates a destination, unless the environment has the maximum number of them. One
    /// transaction, which also updates the count that enforces the limit.
    pub async fn create(
        &self,
        environment: EnvironmentId,
        destination: &Destination,
        seed: &RequestSeed,
    ) -> Result<(), CreateDestinationError> {
        let below_limit = Condition::compare("destinations", "<", number(MAX_DESTINATIONS));
        let count = Update::of(&keys::destinations_count(environment))
            .set("type", text("destinationCount"))
            .add("destinations", number(1))
            .when(Condition::item_absent().or(below_limit));
        let key = keys::destination(environment, destination.destination_id);
        let put = Put::if_absent(to_item("destination", &key, destination, &[])?);
        let mut writes = Transaction::default();
        writes.add(count);
        let stored = writes.add(put);
        // The id of a deleted destination is kept for longer than any request can be repeated.
        let deleted = keys::deleted_destination(environment, destination.destination_id);
        let deleted = seed.is_retry.then(|| writes.add(Write::check_absent(&deleted)));
        let Transacted::Refused(refused) = self.0.transact(writes).await? else { return Ok(()) };
        Err(if refused.has_any(&deleted) {
            CreateDestinationError::Deleted
        } else if refused.has(stored) {
            // The same request was sent before and is still being processed.
            StoreError::Busy("the destination already exists".into()).into()
        } else {
            CreateDestinationError::TooMany
        })
    }

    /// Disables a destination with a reason, if its version is unchanged. One write.
    pub async fn disable(
        &self,
        Route { environment, destination }: Route,
        version: u32,
        reason: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let enabled = Condition::equals("enabled", AttributeValue::Bool(true));
        let update = Update::of(&keys::destination(environment, destination))
            .set("enabled", AttributeValue::Bool(false))
            .set("disabledReason", text(reason))
            .set("disabledAt", text(now))
            .set("updatedAt", text(now))
            .add("version", number(1))
            .when(Condition::equals("version", number(version)).and(enabled));
        if self.0.update(update).await? {
            tracing::warn!(%environment, %destination, reason, "destination disabled");
            metrics::emit(&[(Metric::DisabledDestinations, 1)]);
        }
        Ok(())
    }

    /// Records the result of a test event of a destination, if its target is unchanged. The new
    /// version keeps a concurrent change from restoring the previous result. One write.
    pub async fn set_verification(
        &self,
        Route { environment, destination }: Route,
        target: &Target,
        Verification { verified, reason }: &Verification,
    ) -> Result<(), StoreError> {
        let target = to_value(target)?;
        let update = Update::of(&keys::destination(environment, destination))
            .set("verification.verified", AttributeValue::Bool(*verified))
            .set("verification.reason", text(reason))
            .add("version", number(1))
            .when(Condition::equals("target", target));
        self.0.update(update).await.map(|_| ())
    }

    /// Deletes a destination with its secrets and its health, decrements the count, and keeps the
    /// id until all deliveries have expired. Returns false if the destination does not exist. One
    /// transaction.
    pub async fn delete(
        &self,
        environment: EnvironmentId,
        id: DestinationId,
        retention: Retention,
    ) -> Result<bool, StoreError> {
        let key = keys::deleted_destination(environment, id);
        let mut item = to_item("deletedDestination", &key, &DeletedDestination { destination_id: id }, &[])?;
        item.insert("expiresAt".into(), retention.expires_at(Timestamp::now()));
        let writes = vec![
            Delete::existing(&keys::destination(environment, id)).into(),
            Update::of(&keys::destinations_count(environment)).add("destinations", number(-1)).into(),
            Delete::of(&keys::health(Route { environment, destination: id })).into(),
            Put::new(item).into(),
        ];
        Ok(self.0.transact(writes).await?.is_committed())
    }

    /// Replaces a destination like [`Self::update`], and resets its health. One transaction, and if
    /// its health is damaged, another one after four writes.
    pub async fn update_and_reset(
        &self,
        route: Route,
        destination: &Destination,
        reset: Reset,
    ) -> Result<(), UpdateDestinationError> {
        let replaced = repairing(&self.0, route, || async move {
            let writes = vec![
                replacement(route.environment, destination)?.into(),
                reset_of(route, reset, destination.updated_at).into(),
            ];
            self.0.transact(writes).await
        });
        if replaced.await?.is_committed() { Ok(()) } else { Err(UpdateDestinationError::Conflict) }
    }

    /// Replaces a destination, if its stored version precedes the new one. One write.
    pub async fn update(
        &self,
        environment: EnvironmentId,
        destination: &Destination,
    ) -> Result<(), UpdateDestinationError> {
        let replaced = self.0.replace(replacement(environment, destination)?, destination).await?;
        if replaced { Ok(()) } else { Err(UpdateDestinationError::Conflict) }
    }
}

/// Returns the write that replaces a destination, if its stored version precedes the new one.
fn replacement(environment: EnvironmentId, destination: &Destination) -> Result<Put, StoreError> {
    let key = keys::destination(environment, destination.destination_id);
    let item = to_item("destination", &key, destination, &[])?;
    Ok(Put::new(item).when(Condition::equals("version", number(destination.version.saturating_sub(1)))))
}

impl<A: Access> Destinations<A> {
    /// Returns the destination with this id. One read.
    pub async fn get(&self, environment: EnvironmentId, id: DestinationId) -> Result<Option<Destination>, StoreError> {
        self.0.get(&keys::destination(environment, id)).await
    }

    /// Returns a destination and its health. Two concurrent reads.
    pub async fn get_with_health(&self, route: Route) -> Result<Option<(Destination, Health)>, StoreError> {
        let health_store = HealthStore(self.0.clone());
        let (destination, health) =
            tokio::try_join!(self.get(route.environment, route.destination), health_store.get(route))?;
        Ok(destination.map(|destination| (destination, health)))
    }

    /// Returns the keys of the items from which [`destination_with_health`] reads a destination.
    pub(super) fn keys_with_health(route: Route) -> [Key; 2] {
        [keys::destination(route.environment, route.destination), keys::health(route)]
    }

    /// Returns all destinations of an environment with their health, the newest first. Strongly
    /// consistent, so that a new destination receives the next error. Malformed items are logged
    /// and skipped, so that they do not block the other destinations. One query per megabyte; an
    /// environment has at most [`MAX_DESTINATIONS`].
    pub async fn list_with_health(&self, environment: EnvironmentId) -> Result<Vec<(Destination, Health)>, StoreError> {
        let (mut destinations, mut health_by_id) = (Vec::<Destination>::new(), HashMap::new());
        for item in self.0.list_descending(keys::destinations(environment)).await? {
            let sk = item_key(&item).sk;
            if let Some(id) = keys::destination_id_of_health(&sk) {
                health_by_id.insert(id, health_of(item));
            } else if keys::destination_id(&sk).is_some() {
                destinations.extend(readable::<Destination>(item));
            }
        }
        let with_health = |destination: Destination| {
            let health = health_by_id.remove(&destination.destination_id).unwrap_or_default();
            (destination, health)
        };
        Ok(destinations.into_iter().map(with_health).collect())
    }

    /// Returns the ids of all destinations that may have deliveries. They are read from the keys,
    /// so that an unreadable item hides no deliveries. Two concurrent queries.
    pub async fn ids(&self, environment: EnvironmentId) -> Result<DestinationIds, StoreError> {
        let list = |pk| self.0.list_prefix(pk, keys::DESTINATION_PREFIX);
        let (existing, deleted) =
            tokio::try_join!(list(keys::destinations(environment)), list(keys::deleted_destinations(environment)))?;
        let ids = |items: Vec<Item>| items.iter().filter_map(|item| keys::destination_id(&item_key(item).sk)).collect();
        Ok(DestinationIds { existing: ids(existing), deleted: ids(deleted) })
    }
}

/// Ids of the destinations of an environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DestinationIds {
    /// Destinations that exist.
    pub existing: BTreeSet<DestinationId>,
    /// Deleted destinations whose deliveries may not have expired.
    pub deleted: BTreeSet<DestinationId>,
}

impl DestinationIds {
    /// Returns all ids.
    pub fn all(&self) -> BTreeSet<DestinationId> {
        self.existing.union(&self.deleted).copied().collect()
    }
}

/// Returns the destination of its items, with its health, or none if it does not exist.
pub(super) fn destination_with_health(items: Vec<Item>) -> Result<Option<(Destination, Health)>, StoreError> {
    let (mut destination, mut health) = (None, Health::default());
    for item in items {
        match attribute_text(&item, "type").as_str() {
            "destination" => destination = Some(from_item(item)?),
            _ => health = health_of(item),
        }
    }
    Ok(destination.map(|destination| (destination, health)))
}

/// Deleted destination.
#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct DeletedDestination {
    destination_id: DestinationId,
}
