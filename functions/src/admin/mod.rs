//! Functions that only IAM principals may invoke: environments and API keys.

use serde::Serialize;
use tenon::domain::{
    api_key::{KeyRecord, Scope},
    id::KeyId,
    text::Text,
    timestamp::{Day, Timestamp},
};

pub mod environments_create;
pub mod keys_create;
pub mod keys_list;
pub mod keys_revoke;

/// API key as these functions return it, without the secret.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyBody {
    key_id: KeyId,
    prefix: String,
    name: Text<128>,
    scopes: Vec<Scope>,
    created_at: Timestamp,
    last_used_on: Option<Day>,
    revoked_at: Option<Timestamp>,
}

impl From<KeyRecord> for KeyBody {
    fn from(record: KeyRecord) -> Self {
        let KeyRecord { key_id, prefix, hash: _, name, scopes, created_at, last_used_on, revoked_at } = record;
        Self { key_id, prefix, name, scopes, created_at, last_used_on, revoked_at }
    }
}
