//! Keys that sign user tokens. Private keys are sealed.

use serde::Serialize;

use super::{
    keys,
    table::{Access, Delete, Put, ReadWrite, StoreError, Table, Transacted, readable, to_item},
};
use crate::domain::signing_key::StoredKey;

/// Marker that the stack has had a first signing key.
#[derive(Serialize)]
struct Marker<'a> {
    kid: &'a str,
}

/// Signing keys of the stack.
#[derive(Clone, Debug)]
pub struct SigningKeys<A: Access = ReadWrite>(pub Table<A>);

impl SigningKeys {
    /// Creates a signing key; does nothing if its id exists. One write.
    pub async fn create(&self, key: &StoredKey) -> Result<(), StoreError> {
        let item = to_item("signingKey", &keys::signing_key(&key.kid), key, &[])?;
        self.0.put(Put::if_absent(item)).await.map(|_| ())
    }

    /// Creates the first signing key of the stack; does nothing if the stack has ever had one. One
    /// transaction.
    pub async fn create_first(&self, key: &StoredKey) -> Result<(), StoreError> {
        let marker = keys::first_signing_key();
        let writes = vec![
            Put::if_absent(to_item("firstSigningKey", &marker, &Marker { kid: &key.kid }, &[])?).into(),
            Put::if_absent(to_item("signingKey", &keys::signing_key(&key.kid), key, &[])?).into(),
        ];
        // Refused if the stack has had one.
        let (Transacted::Committed | Transacted::Refused(_)) = self.0.transact(writes).await?;
        Ok(())
    }

    /// Deletes a key. One write.
    pub async fn remove(&self, kid: &str) -> Result<(), StoreError> {
        self.0.delete(Delete::of(&keys::signing_key(kid))).await.map(|_| ())
    }
}

impl<A: Access> SigningKeys<A> {
    /// Returns all keys, the newest first. One query; there are only a few keys.
    pub async fn list(&self) -> Result<Vec<StoredKey>, StoreError> {
        let items = self.0.list_prefix(keys::SIGNING_KEYS.into(), keys::SIGNING_KEY_PREFIX).await?;
        let mut found: Vec<StoredKey> = items.into_iter().filter_map(readable).collect();
        found.sort_by_key(|key| std::cmp::Reverse(key.created_at));
        Ok(found)
    }
}
