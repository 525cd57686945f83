//! Items that tests write to and read from the tables directly.

use std::{collections::HashMap, time::Duration};

use aws_config::SdkConfig;
use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::StreamExt;
use serde_json::Value;
use tenon::domain::{
    id::EnvironmentId,
    names::Names,
    request_seed::RequestSeed,
    timestamp::Timestamp,
    user::{Metadata, NewUser},
};

use crate::{keys, setting};

/// Item of a table.
pub type Item = HashMap<String, AttributeValue>;

/// Returns the items of a partition.
pub async fn query(aws: &SdkConfig, table: &str, pk: &str) -> Vec<Item> {
    let query = aws_sdk_dynamodb::Client::new(aws).query().table_name(table).key_condition_expression("pk = :pk");
    query.expression_attribute_values(":pk", keys::attribute(pk)).send().await.unwrap().items.unwrap()
}

/// Makes all pending deliveries of a destination due, and ends its back-off and its drain's lease.
pub async fn fast_forward(aws: &SdkConfig, [directory, errors]: [&str; 2], environment: &str, destination: &str) {
    let dynamodb = aws_sdk_dynamodb::Client::new(aws);
    let now = Timestamp::now();
    for shard in 0..keys::DELIVERY_SHARDS {
        let pk = keys::pending_deliveries(environment, destination, shard);
        let query = dynamodb.query().table_name(errors).key_condition_expression("pk = :pk AND sk > :now");
        let query = query.expression_attribute_values(":pk", keys::attribute(pk));
        let query = query.expression_attribute_values(":now", AttributeValue::S(format!("{now}$")));
        for (index, item) in (0..).zip(query.send().await.unwrap().items.unwrap()) {
            // The time is part of the key, so that of a record that is pending twice must differ.
            let at = (now - Duration::from_millis(index)).to_string();
            let (error, workflow) = (item["errorId"].as_s().unwrap(), item["workflowId"].as_s().unwrap());
            let mut due = item.clone();
            due.insert("sk".into(), keys::attribute(keys::pending_delivery(&at, error, workflow)));
            due.insert("nextAttemptAt".into(), AttributeValue::S(at));
            let key = ["pk", "sk"].map(|name| (name.to_owned(), item[name].clone())).into();
            let delete = aws_sdk_dynamodb::types::Delete::builder().table_name(errors).set_key(Some(key));
            let delete = delete.condition_expression("attribute_exists(pk)").build().unwrap();
            let put = aws_sdk_dynamodb::types::Put::builder().table_name(errors).set_item(Some(due)).build().unwrap();
            let action = aws_sdk_dynamodb::types::TransactWriteItem::builder;
            let request = dynamodb.transact_write_items();
            let request = request.transact_items(action().delete(delete).build());
            // Fails if a drain removed the item in the meantime.
            let _ = request.transact_items(action().put(put).build()).send().await;
        }
    }
    let request = dynamodb.update_item().table_name(directory);
    let request = request.key("pk", keys::attribute(keys::destinations(environment)));
    let request = request.key("sk", keys::attribute(keys::health(destination)));
    request.update_expression("REMOVE nextProbeAt, retryAfter, leasedUntil").send().await.unwrap();
}

/// Writes items to a table.
pub async fn load(aws: &SdkConfig, table: &str, items: Vec<Item>) {
    let dynamodb = aws_sdk_dynamodb::Client::new(aws);
    let writing = items.chunks(25).map(|chunk| {
        let put = |item: &HashMap<_, _>| {
            let put = aws_sdk_dynamodb::types::PutRequest::builder().set_item(Some(item.clone())).build().unwrap();
            aws_sdk_dynamodb::types::WriteRequest::builder().put_request(put).build()
        };
        let request = dynamodb.batch_write_item().request_items(table, chunk.iter().map(put).collect());
        async move { assert!(request.send().await.unwrap().unprocessed_items.unwrap_or_default().is_empty()) }
    });
    futures_util::stream::iter(writing).buffer_unordered(16).collect::<Vec<()>>().await;
}

/// Writes a number of users to the directory.
pub async fn load_users(aws: &SdkConfig, environment: EnvironmentId, count: usize) {
    let origin = RequestSeed::new();
    let items = (0..count).map(|n| {
        let names = Names::of(format!("user-{n}").parse().unwrap(), None).unwrap();
        let user = NewUser { names, full_name: None, metadata: Metadata::default() }.create(&origin, n);
        let id = user.user_id;
        let mut item: Item = HashMap::new();
        for (name, value) in serde_json::to_value(&user).unwrap().as_object().unwrap() {
            let value = match value {
                Value::String(text) => AttributeValue::S(text.clone()),
                Value::Number(number) => AttributeValue::N(number.to_string()),
                Value::Null => AttributeValue::Null(true),
                _ => AttributeValue::M(HashMap::new()),
            };
            item.insert(name.clone(), value);
        }
        for (name, text) in [
            ("pk", keys::user(environment, id)),
            ("sk", "user".into()),
            ("type", "user".into()),
            ("listPk", keys::listed_users(environment, id.object_id().shard(keys::USER_SHARDS))),
            ("listSk", id.to_string()),
        ] {
            item.insert(name.into(), AttributeValue::S(text));
        }
        item
    });
    load(aws, &setting("DIRECTORY_TABLE"), items.collect()).await;
}
