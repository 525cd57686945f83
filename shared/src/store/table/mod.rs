//! DynamoDB tables: the only module that calls the DynamoDB client.
//!
//! * `client`: [`Table`] with its [`Access`], connections, and reads of single items.
//! * `write`: conditional writes of single items.
//! * `expression`: [`Put`], [`Update`] and [`Delete`], alone or as a [`Write`] of a transaction.
//! * `condition`: [`Condition`], and the placeholders of all expressions.
//! * `transact`: transactions and the reasons why they are cancelled.
//! * `batch`: `BatchGetItem` and `BatchWriteItem`, with one loop for unprocessed requests.
//! * `query`: key ranges, filters and queries of single partitions.
//! * `page` and `merge`: pages over several partitions, merged in the order of their sort keys.
//! * `error`: [`StoreError`] and retries.
//! * `item`: conversions between items and entities.
//!
//! Writes exist only for `Table<ReadWrite>`. A function whose IAM policy grants only reads of a
//! table holds a `Table<ReadOnly>`, so code that would write to it does not compile.

mod batch;
mod client;
mod condition;
mod error;
mod expression;
mod item;
mod merge;
mod page;
mod query;
mod transact;
mod write;

pub(super) use batch::separate;
pub(crate) use client::dynamodb_client;
pub use client::{Access, ReadOnly, ReadWrite, Table};
pub(super) use condition::Condition;
pub(super) use error::Retries;
pub use error::StoreError;
pub(super) use expression::{Delete, Put, Update, Write};
pub(super) use item::{
    Item, all_readable, attribute_text, from_item, is_unexpired, item_key, number, readable, text, to_item, to_value,
};
pub use page::{Page, PageRequest, Position};
pub(super) use query::{BY_ENVIRONMENT, BY_USER, Filter, LISTING, Range, TABLE, View};
pub(super) use transact::{Place, Refused, Transacted, Transaction};
