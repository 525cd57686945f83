//! Functions that only IAM principals may invoke: environments and API keys.

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
    store::{Access, Table, api_keys::ApiKeys},
};

pub mod environments_create;
pub mod keys_create;
pub mod keys_list;
pub mod keys_revoke;

/// Connects to the directory table, for `keys-list` and `keys-revoke`.
pub async fn keys_state<A: Access>(config: &SdkConfig) -> Result<ApiKeys<A>, StartError> {
    Ok(ApiKeys(Table::directory(config, 1).await?))
}

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
