//! Table client: access, connections, and reads of single items.

use std::{fmt::Debug, marker::PhantomData};

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use futures_util::future::try_join_all;
use serde::{Deserialize, de::DeserializeOwned};

use super::{error::StoreError, item::from_item};
use crate::{
    aws::{SettingError, setting},
    logs::ErrorChain,
    store::keys::Key,
};

/// Access of a function to a table: [`ReadOnly`] or [`ReadWrite`], as its IAM policy grants it.
pub trait Access: sealed::Sealed + Clone + Debug + Send + Sync + 'static {}

/// Access that allows reads.
#[derive(Clone, Copy, Debug)]
pub enum ReadOnly {}

/// Access that allows reads and writes.
#[derive(Clone, Copy, Debug)]
pub enum ReadWrite {}

impl Access for ReadOnly {}
impl Access for ReadWrite {}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::ReadOnly {}
    impl Sealed for super::ReadWrite {}
}

/// DynamoDB table of this stack.
#[derive(Clone, Debug)]
pub struct Table<A: Access = ReadWrite> {
    pub(super) client: Client,
    pub(super) name: String,
    access: PhantomData<A>,
}

impl Table {
    /// Creates the client of a table without opening a connection.
    pub fn new(config: &SdkConfig, name: impl Into<String>) -> Self {
        Self::of(Client::new(config), name)
    }

    /// Creates a table with an existing client.
    pub fn of(client: Client, name: impl Into<String>) -> Self {
        Self::with_client(client, name.into())
    }

    /// Returns the same table without write access.
    pub fn read_only(self) -> Table<ReadOnly> {
        Table::with_client(self.client, self.name)
    }
}

impl<A: Access> Table<A> {
    /// Opens the Directory table: users, workflows, destinations and keys. `connections` is the
    /// number of concurrent requests. Their connections are opened now, because Lambda provides a
    /// full CPU during initialization, so that no caller waits for a TLS handshake.
    pub async fn directory(config: &SdkConfig, connections: u32) -> Result<Self, SettingError> {
        Self::open(config, "DIRECTORY_TABLE", connections).await
    }

    /// Opens the Errors table: errors and deliveries. See [`Self::directory`].
    pub async fn errors(config: &SdkConfig, connections: u32) -> Result<Self, SettingError> {
        Self::open(config, "ERRORS_TABLE", connections).await
    }

    /// Opens the Directory and Errors tables with a shared client.
    pub async fn both(config: &SdkConfig, connections: u32) -> Result<(Self, Self), SettingError> {
        let errors = Self::errors(config, connections).await?;
        Ok((Self::with_client(errors.client.clone(), setting("DIRECTORY_TABLE")?), errors))
    }

    fn with_client(client: Client, name: String) -> Self {
        Self { client, name, access: PhantomData }
    }

    /// Creates the client of the table that a setting names, and opens connections.
    async fn open(config: &SdkConfig, name: &'static str, connections: u32) -> Result<Self, SettingError> {
        let table = Self::with_client(Client::new(config), setting(name)?);
        let nothing = Key { pk: "open".into(), sk: "open".into() };
        let opening = (0..connections).map(|_| table.get::<Ignored>(&nothing));
        if let Err(error) = try_join_all(opening).await {
            // The function starts anyway, because DynamoDB may become available before the first
            // request.
            tracing::warn!(error = %ErrorChain(&error), table = table.name, "failed to connect to DynamoDB at start-up");
        }
        Ok(table)
    }

    /// Returns an item. One strongly consistent read.
    pub(in crate::store) async fn get<T: DeserializeOwned>(&self, key: &Key) -> Result<Option<T>, StoreError> {
        let request =
            self.client.get_item().table_name(&self.name).set_key(Some(key.attributes())).consistent_read(true);
        request.send().await?.item.map(from_item).transpose()
    }
}

#[derive(Deserialize)]
struct Ignored {}
