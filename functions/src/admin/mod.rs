//! The functions that only IAM may invoke: environments and API keys.

use aws_config::SdkConfig;
use serde::Serialize;
use tenon::{
    domain::{
        api_key::{KeyRecord, Scope},
        id::KeyId,
        text::Text,
        timestamp::{Day, Timestamp},
    },
    http::StartError,
    store::{Table, api_keys::ApiKeys},
};

pub mod environments_create;
pub mod keys_create;
pub mod keys_list;
pub mod keys_revoke;

/// The store that list and revoke are given.
pub async fn keys_state(config: &SdkConfig) -> Result<ApiKeys, StartError> {
    Ok(ApiKeys(Table::directory(config, 1).await?))
}

/// What is told of a key.
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
