//! Destinations of an environment, and their count.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_dynamodb::types::{AttributeValue, Delete, Put, TransactWriteItem, Update};

use super::{
    errors::Retention,
    health::HealthStore,
    keys,
    table::{StoreError, Table, from_item, none_if_condition_failed, put_if_absent, refused, to_item},
};
use crate::{
    domain::{
        delivery::Route,
        destination::{Destination, MAX_DESTINATIONS},
        health::Health,
        id::{DestinationId, EnvironmentId},
        timestamp::Timestamp,
    },
    logs::ErrorChain,
};

/// Destinations of all environments.
#[derive(Clone, Debug)]
pub struct Destinations(pub Table);

/// Reason why a destination was not created.
#[derive(Debug, thiserror::Error)]
pub enum CreateDestinationError {
    /// The environment has the maximum number of destinations.
    #[error("the environment already has {MAX_DESTINATIONS} destinations")]
    TooMany,
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
    ) -> Result<(), CreateDestinationError> {
        let name = &self.0.name;
        let number = |n: u32| AttributeValue::N(n.to_string());
        let count = Update::builder()
            .table_name(name)
            .set_key(Some(keys::destinations_count(environment).attributes()))
            .update_expression("ADD destinations :one SET #type = :type")
            .condition_expression("attribute_not_exists(pk) OR destinations < :most")
            .expression_attribute_names("#type", "type")
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":most", number(MAX_DESTINATIONS))
            .expression_attribute_values(":type", AttributeValue::S("destinationCount".into()))
            .build()
            .map_err(refused)?;
        let key = keys::destination(environment, destination.destination_id);
        let actions = vec![
            TransactWriteItem::builder().update(count).build(),
            put_if_absent(name, to_item("destination", &key, destination, &[])?)?,
        ];
        match self.0.transact(actions).await?[..] {
            [] => Ok(()),
            // The same request was sent before and is still being processed.
            [_, true] => Err(StoreError::Busy("the destination already exists".into()).into()),
            _ => Err(CreateDestinationError::TooMany),
        }
    }

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

    /// Returns all destinations of an environment with their health, the newest first. Strongly
    /// consistent, so that a new destination receives the next error. Malformed items are logged
    /// and skipped, so that they do not block the other destinations. One query per megabyte; an
    /// environment has at most [`MAX_DESTINATIONS`].
    pub async fn list_with_health(&self, environment: EnvironmentId) -> Result<Vec<(Destination, Health)>, StoreError> {
        let Table { client, name } = &self.0;
        let mut items = client
            .query()
            .table_name(name)
            .consistent_read(true)
            .scan_index_forward(false)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", AttributeValue::S(keys::destinations(environment)))
            .into_paginator()
            .items()
            .send();
        let (mut destinations, mut health_by_id) = (Vec::<Destination>::new(), HashMap::new());
        while let Some(item) = items.next().await {
            let item = item?;
            let read = match item.get("type").and_then(|kind| kind.as_s().ok()).map(String::as_str) {
                Some("destination") => from_item(item).map(|destination| destinations.push(destination)),
                Some("health") => from_item::<HealthRow>(item).map(|row| {
                    health_by_id.insert(row.destination_id, row.health);
                }),
                _ => Ok(()),
            };
            if let Err(error) = read {
                tracing::error!(error = %ErrorChain(&error), %environment, "unreadable destination item");
            }
        }
        let with_health = |destination: Destination| {
            let health = health_by_id.remove(&destination.destination_id).unwrap_or_default();
            (destination, health)
        };
        Ok(destinations.into_iter().map(with_health).collect())
    }

    /// Disables a destination with a reason, if its version is unchanged. One write.
    pub async fn disable(
        &self,
        Route { environment, destination }: Route,
        version: u32,
        reason: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let Table { client, name } = &self.0;
        let request = client
            .update_item()
            .table_name(name)
            .set_key(Some(keys::destination(environment, destination).attributes()))
            .update_expression("SET enabled = :off, disabledReason = :reason, updatedAt = :now ADD version :one")
            .condition_expression("version = :read AND enabled = :on")
            .expression_attribute_values(":off", AttributeValue::Bool(false))
            .expression_attribute_values(":on", AttributeValue::Bool(true))
            .expression_attribute_values(":reason", AttributeValue::S(reason.to_owned()))
            .expression_attribute_values(":now", AttributeValue::S(now.to_string()))
            .expression_attribute_values(":read", AttributeValue::N(version.to_string()))
            .expression_attribute_values(":one", AttributeValue::N("1".into()));
        if none_if_condition_failed(request.send().await)?.is_some() {
            tracing::warn!(%environment, %destination, reason, "destination disabled");
        }
        Ok(())
    }

    /// Records that a test event was accepted, if the version of the destination is unchanged. One
    /// write.
    pub async fn mark_verified(
        &self,
        Route { environment, destination }: Route,
        version: u32,
        reason: &str,
    ) -> Result<(), StoreError> {
        let Table { client, name } = &self.0;
        let request = client
            .update_item()
            .table_name(name)
            .set_key(Some(keys::destination(environment, destination).attributes()))
            .update_expression("SET verification.verified = :yes, verification.reason = :reason")
            .condition_expression("version = :read")
            .expression_attribute_values(":yes", AttributeValue::Bool(true))
            .expression_attribute_values(":reason", AttributeValue::S(reason.to_owned()))
            .expression_attribute_values(":read", AttributeValue::N(version.to_string()));
        none_if_condition_failed(request.send().await).map(|_| ())
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
        let name = &self.0.name;
        let key = keys::deleted_destination(environment, id);
        let mut item = to_item("deletedDestination", &key, &DestinationRow { destination_id: id }, &[])?;
        item.insert("expiresAt".into(), retention.expires_at(Timestamp::now()));
        let put_deleted = Put::builder().table_name(name).set_item(Some(item)).build().map_err(refused)?;
        let delete = Delete::builder()
            .table_name(name)
            .set_key(Some(keys::destination(environment, id).attributes()))
            .condition_expression("attribute_exists(pk)")
            .build()
            .map_err(refused)?;
        let count = Update::builder()
            .table_name(name)
            .set_key(Some(keys::destinations_count(environment).attributes()))
            .update_expression("ADD destinations :less")
            .expression_attribute_values(":less", AttributeValue::N("-1".into()))
            .build()
            .map_err(refused)?;
        let health = Delete::builder()
            .table_name(name)
            .set_key(Some(keys::health(Route { environment, destination: id }).attributes()))
            .build()
            .map_err(refused)?;
        let action = TransactWriteItem::builder;
        let actions = vec![
            action().delete(delete).build(),
            action().update(count).build(),
            action().delete(health).build(),
            action().put(put_deleted).build(),
        ];
        Ok(self.0.transact(actions).await?.is_empty())
    }

    /// Returns the ids of all destinations that may have deliveries, including deleted ones. Two
    /// concurrent queries.
    pub async fn ids_including_deleted(
        &self,
        environment: EnvironmentId,
    ) -> Result<BTreeSet<DestinationId>, StoreError> {
        let list = |pk| self.0.list::<DestinationRow>(pk, keys::DESTINATION_PREFIX);
        let (current, deleted) =
            tokio::try_join!(list(keys::destinations(environment)), list(keys::deleted_destinations(environment)))?;
        Ok(current.into_iter().chain(deleted).map(|row| row.destination_id).collect())
    }

    /// Replaces a destination, if its stored version precedes the new one. One write.
    pub async fn update(
        &self,
        environment: EnvironmentId,
        destination: &Destination,
    ) -> Result<(), UpdateDestinationError> {
        let key = keys::destination(environment, destination.destination_id);
        let item = to_item("destination", &key, destination, &[])?;
        let Table { client, name } = &self.0;
        let before = destination.version.saturating_sub(1).to_string();
        let request = client
            .put_item()
            .table_name(name)
            .set_item(Some(item))
            .condition_expression("version = :before")
            .expression_attribute_values(":before", AttributeValue::N(before));
        none_if_condition_failed(request.send().await)?.map(|_| ()).ok_or(UpdateDestinationError::Conflict)
    }
}

/// Id of a destination.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct DestinationRow {
    destination_id: DestinationId,
}

/// Health item with the id of its destination.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct HealthRow {
    destination_id: DestinationId,
    #[serde(flatten)]
    health: Health,
}
