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

impl Table {
    /// Writes an item. Returns false if the condition fails. One write.
    pub(in crate::store) async fn put(&self, put: Put) -> Result<bool, StoreError> {
        Ok(none_if_condition_failed(self.put_request(put).send().await)?.is_some())
    }

    /// Writes an item. Returns none, or the existing item if the condition fails. One write.
    pub(in crate::store) async fn put_or_get<T: DeserializeOwned>(&self, put: Put) -> Result<Option<T>, StoreError> {
        self.put_unless_refused(put).await?.map(|existing| from_item(existing.unwrap_or_default())).transpose()
    }

    /// Writes an item. Returns none, or the existing item, if there is one, if the condition fails.
    /// One write.
    async fn put_unless_refused(&self, put: Put) -> Result<Option<Option<Item>>, StoreError> {
        let request = self.put_request(put);
        let request = request.return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match request.send().await {
            Ok(_) => Ok(None),
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(failed)) => Ok(Some(failed.item.clone())),
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
        let refused = self.put_unless_refused(put).await?;
        Ok(refused.is_none_or(|existing| existing.and_then(readable::<T>).is_some_and(|stored| stored == *written)))
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

    /// Updates an item. Returns none if the condition fails; otherwise the item before the update
    /// without parsing it, if it existed. One write.
    pub(in crate::store) async fn update_returning_old(
        &self,
        update: Update,
    ) -> Result<Option<Option<Item>>, StoreError> {
        let request = self.update_request(update).return_values(ReturnValue::AllOld);
        let updated = none_if_condition_failed(request.send().await)?;
        Ok(updated.map(|output| output.attributes.filter(|item| !item.is_empty())))
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
