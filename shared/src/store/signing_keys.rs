//! The keys that sign user tokens. Their private parts are sealed.

use serde::Serialize;

use super::{
    keys,
    table::{StoreError, Table, put_if_absent, to_item},
};
use crate::tokens::StoredKey;

#[derive(Serialize)]
struct Marker<'a> {
    kid: &'a str,
}

/// The stack's signing keys.
#[derive(Clone, Debug)]
pub struct SigningKeys(pub Table);

impl SigningKeys {
    /// One write.
    pub async fn create(&self, key: &StoredKey) -> Result<(), StoreError> {
        self.0.create(to_item("signingKey", &keys::signing_key(&key.kid), key, &[])?).await
    }

    /// Makes a key the stack's first, or does nothing where there ever was one. One transaction.
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

    /// Removes a key. One write.
    pub async fn remove(&self, kid: &str) -> Result<(), StoreError> {
        let Table { client, name } = &self.0;
        client.delete_item().table_name(name).set_key(Some(keys::signing_key(kid).attributes())).send().await?;
        Ok(())
    }

    /// All keys, the newest first. One read: there are never more than a few.
    pub async fn list(&self) -> Result<Vec<StoredKey>, StoreError> {
        let mut found: Vec<StoredKey> = self.0.list(keys::SIGNING_KEYS.into(), keys::SIGNING_KEY_PREFIX).await?;
        found.sort_by_key(|key| std::cmp::Reverse(key.created_at));
        Ok(found)
    }
}
