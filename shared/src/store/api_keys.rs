//! API keys, by their hash.

use super::{
    keys,
    table::{StoreError, Table, to_item},
};
use crate::domain::api_key::{KeyHash, KeyRecord};

/// The stack's API keys.
#[derive(Clone, Debug)]
pub struct ApiKeys(pub Table);

impl ApiKeys {
    /// One write.
    pub async fn create(&self, hash: &KeyHash, record: &KeyRecord) -> Result<(), StoreError> {
        let listing = [("listPk", keys::api_keys(record.environment_id)), ("listSk", record.key_id.to_string())];
        let item = to_item("apiKey", &keys::api_key(hash), record, &listing)?;
        let Table { client, name } = &self.0;
        client
            .put_item()
            .table_name(name)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(pk)")
            .send()
            .await?;
        Ok(())
    }

    /// One read.
    pub async fn find(&self, hash: &KeyHash) -> Result<Option<KeyRecord>, StoreError> {
        self.0.get(&keys::api_key(hash)).await
    }
}
