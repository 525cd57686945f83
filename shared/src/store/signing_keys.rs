//! Keys that sign user tokens. Private keys are sealed.

use serde::Serialize;

use super::{
    keys,
    table::{StoreError, Table, put_if_absent, to_item},
};
use crate::domain::signing_key::StoredKey;

/// Marker that the stack has had a first signing key.
#[derive(Serialize)]
struct Marker<'a> {
    kid: &'a str,
}

/// Signing keys of the stack.
#[derive(Clone, Debug)]
pub struct SigningKeys(pub Table);

impl SigningKeys {
    /// Creates a signing key; does nothing if its id exists. One write.
    pub async fn create(&self, key: &StoredKey) -> Result<(), StoreError> {
        self.0.create(to_item("signingKey", &keys::signing_key(&key.kid), key, &[])?).await
    }

    /// Creates the first signing key of the stack; does nothing if the stack has ever had one. One
    /// transaction.
    pub async fn create_first(&self, key: &StoredKey) -> Result<(), StoreError> {
        let name = &self.0.name;
        let marker = keys::first_signing_key();
        let actions = vec![
            put_if_absent(name, to_item("firstSigningKey", &marker, &Marker { kid: &key.kid }, &[])?)?,
            put_if_absent(name, to_item("signingKey", &keys::signing_key(&key.kid), key, &[])?)?,
        ];
        self.0.transact(actions).await?;
        Ok(())
    }

    /// Deletes a key. One write.
    pub async fn remove(&self, kid: &str) -> Result<(), StoreError> {
        let Table { client, name } = &self.0;
        client.delete_item().table_name(name).set_key(Some(keys::signing_key(kid).attributes())).send().await?;
        Ok(())
    }

    /// Returns all keys, the newest first. One query; there are only a few keys.
    pub async fn list(&self) -> Result<Vec<StoredKey>, StoreError> {
        let mut found: Vec<StoredKey> = self.0.list(keys::SIGNING_KEYS.into(), keys::SIGNING_KEY_PREFIX).await?;
        found.sort_by_key(|key| std::cmp::Reverse(key.created_at));
        Ok(found)
    }
}
