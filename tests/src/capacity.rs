//! Consumed capacity of DynamoDB requests. Write units are those that DynamoDB returns. Read units
//! are calculated from the sizes of the items read, since the local DynamoDB does not return them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use aws_config::SdkConfig;
use aws_sdk_dynamodb::{
    Client,
    config::{
        ConfigBag, Intercept, RuntimeComponents,
        interceptors::{BeforeSerializationInterceptorContextMut, FinalizerInterceptorContextRef},
    },
    error::BoxError,
    operation::{
        batch_get_item::{BatchGetItemInput, BatchGetItemOutput},
        batch_write_item::{BatchWriteItemInput, BatchWriteItemOutput},
        delete_item::{DeleteItemInput, DeleteItemOutput},
        get_item::GetItemOutput,
        put_item::{PutItemInput, PutItemOutput},
        query::{QueryInput, QueryOutput},
        transact_write_items::{TransactWriteItemsInput, TransactWriteItemsOutput},
        update_item::{UpdateItemInput, UpdateItemOutput},
    },
    types::{AttributeValue, ConsumedCapacity, ReturnConsumedCapacity},
};
use aws_smithy_types::config_bag::{Storable, StoreReplace};

/// Consumed read and write units.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ConsumedUnits {
    /// Read units.
    pub read: f64,
    /// Write units.
    pub write: f64,
}

/// Properties of a request that its response does not repeat.
#[derive(Debug)]
struct RequestProperties {
    consistent: bool,
    keys: usize,
}

impl Storable for RequestProperties {
    type Storer = StoreReplace<Self>;
}

/// Meter of the capacity consumed by a client.
#[derive(Clone, Debug, Default)]
pub struct CapacityMeter(Arc<Mutex<ConsumedUnits>>);

impl CapacityMeter {
    /// Returns a client and the meter of its requests.
    pub fn attach(config: &SdkConfig) -> (Client, Self) {
        let meter = Self::default();
        let counted = aws_sdk_dynamodb::config::Builder::from(config).interceptor(meter.clone()).build();
        (Client::from_conf(counted), meter)
    }

    /// Returns the units consumed since the previous `take`.
    pub fn take(&self) -> ConsumedUnits {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    fn add_writes(&self, consumed: &[ConsumedCapacity]) {
        self.0.lock().unwrap().write += consumed.iter().filter_map(|consumed| consumed.capacity_units()).sum::<f64>();
    }

    /// Adds the read units of reads of these sizes.
    fn add_reads(&self, sizes: &[usize], consistent: bool) {
        let units: usize = sizes.iter().map(|bytes| bytes.div_ceil(4096).max(1)).sum();
        self.0.lock().unwrap().read += if consistent { units as f64 } else { units as f64 / 2.0 };
    }
}

/// Returns the size of an item in bytes.
fn size(item: &HashMap<String, AttributeValue>) -> usize {
    item.iter().map(|(name, value)| name.len() + size_of_value(value)).sum()
}

fn size_of_value(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::N(number) => number.len().div_ceil(2) + 1,
        AttributeValue::B(bytes) => bytes.as_ref().len(),
        AttributeValue::M(members) => 3 + members.len() + size(members),
        AttributeValue::L(items) => 3 + items.iter().map(|item| 1 + size_of_value(item)).sum::<usize>(),
        _ => 1,
    }
}

impl Intercept for CapacityMeter {
    fn name(&self) -> &'static str {
        "CapacityMeter"
    }

    fn modify_before_serialization(
        &self,
        context: &mut BeforeSerializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let input = context.input_mut();
        let consistent = input.downcast_ref::<QueryInput>().and_then(|query| query.consistent_read);
        let tables = input.downcast_ref::<BatchGetItemInput>().and_then(|input| input.request_items.as_ref());
        let keys = tables.into_iter().flat_map(|tables| tables.values().map(|keys| keys.keys.len())).sum();
        bag.interceptor_state().store_put(RequestProperties { consistent: consistent.unwrap_or(false), keys });
        let asked = Some(ReturnConsumedCapacity::Total);
        macro_rules! ask {
            ($($input:ty),*) => {$(
                if let Some(input) = input.downcast_mut::<$input>() {
                    input.return_consumed_capacity = asked.clone();
                }
            )*};
        }
        ask!(BatchWriteItemInput, DeleteItemInput, PutItemInput, TransactWriteItemsInput, UpdateItemInput);
        Ok(())
    }

    fn read_after_execution(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let Some(Ok(output)) = context.output_or_error() else { return Ok(()) };
        macro_rules! add_writes {
            ($($output:ty),*) => {$(
                if let Some(output) = output.downcast_ref::<$output>() {
                    self.add_writes(&output.consumed_capacity().into_iter().cloned().collect::<Vec<_>>());
                }
            )*};
        }
        add_writes!(BatchWriteItemOutput, DeleteItemOutput, PutItemOutput, TransactWriteItemsOutput, UpdateItemOutput);
        let Some(RequestProperties { consistent, keys }) = bag.load::<RequestProperties>() else { return Ok(()) };
        if let Some(found) = output.downcast_ref::<QueryOutput>() {
            self.add_reads(&[found.items().iter().map(size).sum()], *consistent);
        }
        if let Some(found) = output.downcast_ref::<GetItemOutput>() {
            self.add_reads(&[found.item().map_or(0, size)], true);
        }
        if let Some(found) = output.downcast_ref::<BatchGetItemOutput>() {
            let sizes: Vec<usize> =
                found.responses().into_iter().flat_map(|r| r.values().flatten().map(size)).collect();
            self.add_reads(&[sizes.clone(), vec![0; keys.saturating_sub(sizes.len())]].concat(), true);
        }
        Ok(())
    }
}
