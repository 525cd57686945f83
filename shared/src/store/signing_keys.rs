//! The keys that sign user tokens. Their private parts are sealed.

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    keys,
    table::{StoreError, Table, from_item, to_item},
};
use crate::tokens::StoredKey;

/// The stack's signing keys.
#[derive(Clone, Debug)]
pub struct SigningKeys(pub Table);

impl SigningKeys {
    /// One write.
    pub async fn create(&self, key: &StoredKey) -> Result<(), StoreError> {
        let item = to_item("signingKey", &keys::signing_key(&key.kid), key, &[])?;
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

    /// All keys, the newest first. One read: there are never more than a few.
    pub async fn list(&self) -> Result<Vec<StoredKey>, StoreError> {
        let Table { client, name } = &self.0;
        let answer = client
            .query()
            .table_name(name)
            .consistent_read(true)
            .key_condition_expression("pk = :pk AND begins_with(sk, :prefix)")
            .expression_attribute_values(":pk", AttributeValue::S(keys::SIGNING_KEYS.into()))
            .expression_attribute_values(":prefix", AttributeValue::S(keys::SIGNING_KEY_PREFIX.into()))
            .send()
            .await?;
        let mut found: Vec<StoredKey> =
            answer.items.unwrap_or_default().into_iter().map(from_item).collect::<Result<_, _>>()?;
        found.sort_by_key(|key| std::cmp::Reverse(key.created_at));
        Ok(found)
    }
}
