//! Destinations of an environment, and their number.

use aws_sdk_dynamodb::types::{AttributeValue, Delete, TransactWriteItem, Update};

use super::{
    keys,
    table::{StoreError, Table, cancellation_reasons, from_item, put_new, refused, to_item},
};
use crate::{
    domain::{
        destination::{Destination, MAX_DESTINATIONS},
        id::{DestinationId, EnvironmentId},
    },
    logs::Chain,
};

/// The destinations of all environments.
#[derive(Clone, Debug)]
pub struct Destinations(pub Table);

/// Why a destination was not created.
#[derive(Debug, thiserror::Error)]
pub enum CreateDestinationError {
    /// The environment has as many as it may.
    #[error("there are {MAX_DESTINATIONS} destinations already")]
    TooMany,
    /// DynamoDB did not answer as it should.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a destination was not changed.
#[derive(Debug, thiserror::Error)]
pub enum UpdateDestinationError {
    /// It was changed or deleted since it was read.
    #[error("the destination was changed meanwhile")]
    Changed,
    /// DynamoDB did not answer as it should.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Destinations {
    /// One transaction: the destination and the environment's count, which holds the limit, or nothing.
    pub async fn create(
        &self,
        environment: EnvironmentId,
        destination: &Destination,
    ) -> Result<(), CreateDestinationError> {
        let Table { client, name } = &self.0;
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
        let request = client
            .transact_write_items()
            .transact_items(TransactWriteItem::builder().update(count).build())
            .transact_items(put_new(name, to_item("destination", &key, destination, &[])?)?);
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) => match error.as_service_error() {
                Some(refusal) if refusal.is_transaction_canceled_exception() => match cancellation_reasons(refusal)[..]
                {
                    [true, ..] => Err(CreateDestinationError::TooMany),
                    _ => Err(StoreError::Busy(error.into()).into()),
                },
                _ => Err(StoreError::from(error).into()),
            },
        }
    }

    /// One read.
    pub async fn get(&self, environment: EnvironmentId, id: DestinationId) -> Result<Option<Destination>, StoreError> {
        self.0.get(&keys::destination(environment, id)).await
    }

    /// All destinations of an environment, the newest first; one that cannot be read is logged and left out, so that it
    /// holds up no other. Strongly consistent, so that a destination which was just saved sees the next error. One query,
    /// and another for each megabyte of filters: there are at most [`MAX_DESTINATIONS`].
    pub async fn list(&self, environment: EnvironmentId) -> Result<Vec<Destination>, StoreError> {
        let Table { client, name } = &self.0;
        let mut items = client
            .query()
            .table_name(name)
            .consistent_read(true)
            .scan_index_forward(false)
            .key_condition_expression("pk = :pk AND begins_with(sk, :prefix)")
            .expression_attribute_values(":pk", AttributeValue::S(keys::destinations(environment)))
            .expression_attribute_values(":prefix", AttributeValue::S(keys::DESTINATION_PREFIX.into()))
            .into_paginator()
            .items()
            .send();
        let mut destinations = Vec::new();
        while let Some(item) = items.next().await {
            match from_item(item?) {
                Ok(destination) => destinations.push(destination),
                Err(error) => tracing::error!(error = %Chain(&error), %environment, "a destination cannot be read"),
            }
        }
        Ok(destinations)
    }

    /// Removes a destination with its secrets, and counts it down: one transaction. False where there is none.
    pub async fn delete(&self, environment: EnvironmentId, id: DestinationId) -> Result<bool, StoreError> {
        let Table { client, name } = &self.0;
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
        let request = client
            .transact_write_items()
            .transact_items(TransactWriteItem::builder().delete(delete).build())
            .transact_items(TransactWriteItem::builder().update(count).build());
        match request.send().await {
            Ok(_) => Ok(true),
            Err(error) => match error.as_service_error().map(cancellation_reasons).as_deref() {
                Some([true, ..]) => Ok(false),
                Some([_, ..]) => Err(StoreError::Busy(error.into())),
                _ => Err(error.into()),
            },
        }
    }

    /// Replaces a destination, where its version is still the one before. One write.
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
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) if error.as_service_error().is_some_and(|e| e.is_conditional_check_failed_exception()) => {
                Err(UpdateDestinationError::Changed)
            }
            Err(error) => Err(StoreError::from(error).into()),
        }
    }
}
