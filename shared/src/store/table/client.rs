//! Table client: access, connections, and reads of single items.

use std::{fmt::Debug, marker::PhantomData};

use aws_config::SdkConfig;
use aws_sdk_dynamodb::{
    Client, Config,
    operation::{delete_item::DeleteItemError, put_item::PutItemError, update_item::UpdateItemError},
};
use aws_smithy_runtime_api::client::{
    interceptors::context::InterceptorContext,
    orchestrator::OrchestratorError,
    retries::classifiers::{ClassifyRetry, RetryAction},
};
use futures_util::future::try_join_all;
use serde::{Deserialize, de::DeserializeOwned};

use super::{
    error::StoreError,
    item::{Item, from_item},
};
use crate::{logs::ErrorChain, store::keys::Key};

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

/// Creates a client that repeats a write of a single item which a transaction prevented.
pub(crate) fn dynamodb_client(config: &SdkConfig) -> Client {
    Client::from_conf(Config::from(config).to_builder().retry_classifier(PreventedWrites).build())
}

/// Classifier of writes that a transaction on the same item prevented, which the SDK does not
/// retry.
#[derive(Debug)]
struct PreventedWrites;

impl ClassifyRetry for PreventedWrites {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let output = context.output_or_error().and_then(Result::err);
        let prevented = output.and_then(OrchestratorError::as_operation_error).is_some_and(|error| {
            error.downcast_ref().is_some_and(UpdateItemError::is_transaction_conflict_exception)
                || error.downcast_ref().is_some_and(PutItemError::is_transaction_conflict_exception)
                || error.downcast_ref().is_some_and(DeleteItemError::is_transaction_conflict_exception)
        });
        if prevented { RetryAction::server_error() } else { RetryAction::NoActionIndicated }
    }

    fn name(&self) -> &'static str {
        "PreventedWrites"
    }
}

/// DynamoDB table of this stack.
#[derive(Clone, Debug)]
pub struct Table<A: Access = ReadWrite> {
    pub(super) client: Client,
    pub(super) name: String,
    access: PhantomData<A>,
}

impl Table {
    /// Creates a handle of a table and its client. Opens no connection.
    pub fn new(config: &SdkConfig, name: impl Into<String>) -> Self {
        Self::of(dynamodb_client(config), name)
    }

    /// Creates a handle of a table with an existing client.
    pub fn of(client: Client, name: impl Into<String>) -> Self {
        Self::with_client(client, name.into())
    }

    /// Returns the same table without write access.
    pub fn read_only(self) -> Table<ReadOnly> {
        Table::with_client(self.client, self.name)
    }
}

impl<A: Access> Table<A> {
    /// Creates a handle of any access with an existing client.
    pub(crate) fn with_client(client: Client, name: String) -> Self {
        Self { client, name, access: PhantomData }
    }

    /// Opens connections with concurrent reads of an item that does not exist. Lambda provides a
    /// full CPU during initialization, so no caller waits for a TLS handshake.
    pub async fn open(&self, connections: u32) {
        let nothing = Key { pk: "open".into(), sk: "open".into() };
        let opening = (0..connections).map(|_| self.get::<Ignored>(&nothing));
        if let Err(error) = try_join_all(opening).await {
            // The function starts anyway, because DynamoDB may become available before the first
            // request.
            tracing::warn!(error = %ErrorChain(&error), table = self.name, "failed to connect to DynamoDB at start-up");
        }
    }

    /// Returns an item, expired or not. One strongly consistent read.
    pub(in crate::store) async fn get<T: DeserializeOwned>(&self, key: &Key) -> Result<Option<T>, StoreError> {
        self.get_item(key).await?.map(from_item).transpose()
    }

    /// Returns an item like [`Self::get`], without parsing it.
    pub(in crate::store) async fn get_item(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        let request =
            self.client.get_item().table_name(&self.name).set_key(Some(key.attributes())).consistent_read(true);
        Ok(request.send().await?.item)
    }
}

#[derive(Deserialize)]
struct Ignored {}
