//! Conditional writes of single items. The SDK repeats a request whose response was lost, so a
//! condition can fail because this same write succeeded. Callers that must tell the difference
//! compare what is stored with what they wrote, or store an id of their own (see the lease).

use aws_sdk_dynamodb::{
    operation::{
        delete_item::builders::DeleteItemFluentBuilder,
        put_item::{PutItemError, builders::PutItemFluentBuilder},
        update_item::{UpdateItemError, builders::UpdateItemFluentBuilder},
    },
    types::{ReturnValue, ReturnValuesOnConditionCheckFailure},
};
use serde::de::DeserializeOwned;

use super::{
    client::Table,
    error::{StoreError, none_if_condition_failed},
    expression::{Delete, Put, Rendered, Update},
    item::{Item, from_item, readable},
};

/// Conflict that prevented a write: the existing item, if there is one.
struct Conflict {
    existing: Option<Item>,
}

impl Table {
    /// Writes an item. Returns false if the condition fails. One write.
    pub(in crate::store) async fn put(&self, put: Put) -> Result<bool, StoreError> {
        Ok(none_if_condition_failed(self.put_request(put).send().await)?.is_some())
    }

    /// Writes an item. Returns none, or the existing item if the condition fails. One write.
    pub(in crate::store) async fn put_or_get<T: DeserializeOwned>(&self, put: Put) -> Result<Option<T>, StoreError> {
        let conflict = self.put_or_conflict(put).await?;
        conflict.map(|Conflict { existing }| from_item(existing.unwrap_or_default())).transpose()
    }

    /// Writes an item. Returns what conflicts with it if the condition fails. One write.
    async fn put_or_conflict(&self, put: Put) -> Result<Option<Conflict>, StoreError> {
        let request = self.put_request(put);
        let request = request.return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match request.send().await {
            Ok(_) => Ok(None),
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(failed)) => {
                    Ok(Some(Conflict { existing: failed.item.clone() }))
                }
                _ => Err(error.into()),
            },
        }
    }

    /// Replaces an item with `written`, which `put` contains. Returns false if the condition fails,
    /// except after a lost response to this same write. One write.
    pub(in crate::store) async fn replace<T: DeserializeOwned + PartialEq>(
        &self,
        put: Put,
        written: &T,
    ) -> Result<bool, StoreError> {
        let conflict = self.put_or_conflict(put).await?;
        let stored = |Conflict { existing }: Conflict| existing.and_then(readable::<T>);
        Ok(conflict.is_none_or(|conflict| stored(conflict).is_some_and(|stored| stored == *written)))
    }

    /// Deletes an item. Returns false if the condition fails. One write.
    pub(in crate::store) async fn delete(&self, delete: Delete) -> Result<bool, StoreError> {
        Ok(none_if_condition_failed(self.delete_request(delete).send().await)?.is_some())
    }

    /// Updates an item. Returns false if the condition fails. One write.
    pub(in crate::store) async fn update(&self, update: Update) -> Result<bool, StoreError> {
        Ok(none_if_condition_failed(self.update_request(update).send().await)?.is_some())
    }

    /// Updates an item. Returns the item after the update without parsing it, or none if the
    /// condition fails. One write.
    pub(in crate::store) async fn update_returning_new(&self, update: Update) -> Result<Option<Item>, StoreError> {
        let request = self.update_request(update).return_values(ReturnValue::AllNew);
        Ok(none_if_condition_failed(request.send().await)?.and_then(|output| output.attributes))
    }

    /// Updates an item. Returns none if the condition fails; otherwise the item before the update,
    /// or the default if it did not exist or was not readable. One write.
    pub(in crate::store) async fn update_returning_old<T: DeserializeOwned + Default>(
        &self,
        update: Update,
    ) -> Result<Option<T>, StoreError> {
        let request = self.update_request(update).return_values(ReturnValue::AllOld);
        let updated = none_if_condition_failed(request.send().await)?;
        let before = |item: Option<Item>| item.filter(|item| !item.is_empty()).and_then(readable).unwrap_or_default();
        Ok(updated.map(|output| before(output.attributes)))
    }

    /// Updates an item. Returns the item after the update, or the unchanged item if the condition
    /// fails; none if it does not exist. One write.
    pub(in crate::store) async fn update_or_get<T: DeserializeOwned>(
        &self,
        update: Update,
    ) -> Result<Option<T>, StoreError> {
        let request = self
            .update_request(update)
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let item = match request.send().await {
            Ok(output) => output.attributes,
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(failed)) => failed.item.clone(),
                _ => return Err(error.into()),
            },
        };
        item.map(from_item).transpose()
    }

    fn put_request(&self, put: Put) -> PutItemFluentBuilder {
        let (item, Rendered { condition, names, values }) = put.render();
        self.client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(item))
            .set_condition_expression(condition)
            .set_expression_attribute_names(names)
            .set_expression_attribute_values(values)
    }

    fn delete_request(&self, delete: Delete) -> DeleteItemFluentBuilder {
        let (key, Rendered { condition, names, values }) = delete.render();
        self.client
            .delete_item()
            .table_name(&self.name)
            .set_key(Some(key))
            .set_condition_expression(condition)
            .set_expression_attribute_names(names)
            .set_expression_attribute_values(values)
    }

    fn update_request(&self, update: Update) -> UpdateItemFluentBuilder {
        let (key, expression, Rendered { condition, names, values }) = update.render();
        self.client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(key))
            .update_expression(expression)
            .set_condition_expression(condition)
            .set_expression_attribute_names(names)
            .set_expression_attribute_values(values)
    }
}
