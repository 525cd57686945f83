//! Items that tests write to and read from the tables directly.

use std::{collections::HashMap, time::Duration};

use aws_config::SdkConfig;
use aws_sdk_dynamodb::types::{self, AttributeValue, TransactWriteItem};
use futures_util::StreamExt;
use serde::Serialize;
use serde_json::Value;
use tenon::domain::{
    credential::Credential,
    id::{CredentialId, EnvironmentId, UserId, WorkflowId},
    names::Names,
    request_seed::RequestSeed,
    settings::Settings,
    timestamp::Timestamp,
    user::{Metadata, NewUser, User},
    workflow::{NewWorkflow, Workflow},
};

use crate::{keys, setting};

/// Item of a table.
pub type Item = HashMap<String, AttributeValue>;

/// Returns whether an item contains a text, also in binary attributes, which `Debug` shows as
/// numbers.
pub fn contains(item: &Item, text: &str) -> bool {
    fn flatten(value: &AttributeValue, bytes: &mut Vec<u8>) {
        match value {
            AttributeValue::S(text) | AttributeValue::N(text) => bytes.extend(text.as_bytes()),
            AttributeValue::B(blob) => bytes.extend(blob.as_ref()),
            AttributeValue::L(list) => list.iter().for_each(|value| flatten(value, bytes)),
            AttributeValue::M(members) => members.values().for_each(|value| flatten(value, bytes)),
            _ => {}
        }
    }
    let mut bytes = Vec::new();
    item.values().for_each(|value| flatten(value, &mut bytes));
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// Returns the items of a partition.
pub async fn query(aws: &SdkConfig, table: &str, pk: &str) -> Vec<Item> {
    let query = aws_sdk_dynamodb::Client::new(aws).query().table_name(table).key_condition_expression("pk = :pk");
    query.expression_attribute_values(":pk", keys::attribute(pk)).send().await.unwrap().items.unwrap()
}

/// Returns all items of a table.
pub async fn scan(aws: &SdkConfig, table: &str) -> Vec<Item> {
    let items = aws_sdk_dynamodb::Client::new(aws).scan().table_name(table).into_paginator().items().send();
    items.collect::<Result<_, _>>().await.unwrap()
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
        let deliveries = keys::delivery_attempts(environment, destination, shard);
        for (index, item) in (0..).zip(query.send().await.unwrap().items.unwrap()) {
            // The time is part of the key, so that of a record that is pending twice must differ.
            let due = (now - Duration::from_millis(index)).to_string();
            move_pending(&dynamodb, errors, &deliveries, item, &due).await;
        }
    }
    let request = dynamodb.update_item().table_name(directory);
    let request = request.key("pk", keys::attribute(keys::destinations(environment)));
    let request = request.key("sk", keys::attribute(keys::health(destination)));
    request.update_expression("REMOVE nextProbeAt, retryAfter, leasedUntil").send().await.unwrap();
}

/// Moves a pending delivery to another time, unless a drain removed it in the meantime.
///
/// The time of its delivery in the partition `deliveries` changes with it, as when a drain moves
/// it. A replay that queues the delivery at the same moment would otherwise not notice, and count
/// it twice.
async fn move_pending(dynamodb: &aws_sdk_dynamodb::Client, table: &str, deliveries: &str, item: Item, due: &str) {
    let (before, record) = item["sk"].as_s().unwrap().split_once('#').unwrap();
    let (before, record) = (before.to_owned(), record.to_owned());
    let key = ["pk", "sk"].map(|name| (name.to_owned(), item[name].clone())).into();
    let delete = types::Delete::builder().table_name(table).set_key(Some(key));
    let delete = delete.condition_expression("attribute_exists(pk)").build().unwrap();
    let mut moved = item;
    moved.insert("sk".into(), keys::attribute(format!("{due}#{record}")));
    moved.insert("nextAttemptAt".into(), keys::attribute(due));
    let put = types::Put::builder().table_name(table).set_item(Some(moved)).build().unwrap();
    let move_with = async |other: TransactWriteItem| {
        let request = dynamodb.transact_write_items();
        let request = request.transact_items(TransactWriteItem::builder().delete(delete.clone()).build());
        let request = request.transact_items(TransactWriteItem::builder().put(put.clone()).build());
        request.transact_items(other).send().await
    };

    let delivery = [("pk", keys::attribute(deliveries)), ("sk", keys::attribute(record))];
    let delivery = HashMap::from(delivery.map(|(name, value)| (name.to_owned(), value)));
    let update = types::Update::builder().table_name(table).set_key(Some(delivery.clone()));
    let update = update.condition_expression("nextAttemptAt = :before").update_expression("SET nextAttemptAt = :due");
    let update = update.expression_attribute_values(":before", AttributeValue::S(before.clone()));
    let update = update.expression_attribute_values(":due", keys::attribute(due)).build().unwrap();
    if move_with(TransactWriteItem::builder().update(update).build()).await.is_ok() {
        return;
    }
    // After a crash, the record may be pending without its delivery, or twice.
    let unlike = types::ConditionCheck::builder().table_name(table).set_key(Some(delivery));
    let unlike = unlike.condition_expression("attribute_not_exists(pk) OR nextAttemptAt <> :before");
    let unlike = unlike.expression_attribute_values(":before", AttributeValue::S(before)).build().unwrap();
    let _ = move_with(TransactWriteItem::builder().condition_check(unlike).build()).await;
}

/// Lets all items of an environment expire that ever do. Their time to live has not deleted them
/// yet.
pub async fn expire(aws: &SdkConfig, table: &str, environment: &str) {
    let client = aws_sdk_dynamodb::Client::new(aws);
    let scan = client.scan().table_name(table);
    let scan = scan.filter_expression("begins_with(pk, :environment) AND attribute_exists(expiresAt)");
    let scan = scan.expression_attribute_values(":environment", AttributeValue::S(format!("env#{environment}#")));
    let mut items = scan.into_paginator().items().send();
    while let Some(item) = items.next().await {
        let mut item = item.unwrap();
        item.insert("expiresAt".into(), AttributeValue::N("1".into()));
        client.put_item().table_name(table).set_item(Some(item)).send().await.unwrap();
    }
}

/// Writes items to a table.
pub async fn load(aws: &SdkConfig, table: &str, items: Vec<Item>) {
    let dynamodb = aws_sdk_dynamodb::Client::new(aws);
    let writing = items.chunks(25).map(|chunk| {
        let put = |item: &HashMap<_, _>| {
            let put = types::PutRequest::builder().set_item(Some(item.clone())).build().unwrap();
            types::WriteRequest::builder().put_request(put).build()
        };
        let request = dynamodb.batch_write_item().request_items(table, chunk.iter().map(put).collect());
        async move { assert!(request.send().await.unwrap().unprocessed_items.unwrap_or_default().is_empty()) }
    });
    futures_util::stream::iter(writing).buffer_unordered(16).collect::<Vec<()>>().await;
}

/// Writes a number of users to the directory.
pub async fn load_users(aws: &SdkConfig, environment: EnvironmentId, count: usize) {
    let origin = RequestSeed::new();
    let items = (0..count).map(|n| user_item(environment, &new_user(&format!("user-{n}"), &origin, n)));
    load(aws, &setting("DIRECTORY_TABLE"), items.collect()).await;
}

/// Writes a user and a number of its workflows to the directory. Returns their ids.
pub async fn load_workflows(aws: &SdkConfig, environment: EnvironmentId, count: usize) -> Vec<WorkflowId> {
    let origin = RequestSeed::new();
    let user = new_user("owner", &origin, 0);
    let ids: Vec<WorkflowId> = (0..count).map(|_| WorkflowId::new()).collect();
    let workflows = ids.iter().enumerate().map(|(n, &id)| workflow_item(environment, user.user_id, (n, id)));
    let items = std::iter::once(user_item(environment, &user)).chain(workflows);
    load(aws, &setting("DIRECTORY_TABLE"), items.collect()).await;
    ids
}

/// Returns the items of a number of workflows of a user, their pointers, and as many credentials.
/// Returns the ids of the workflows with them.
pub fn owned_items(environment: EnvironmentId, user: UserId, count: usize) -> (Vec<WorkflowId>, Vec<Item>) {
    let ids: Vec<WorkflowId> = (0..count).map(|_| WorkflowId::new()).collect();
    let pk = keys::user(environment, user);
    let items = ids.iter().enumerate().flat_map(|(n, &id)| {
        let pointer = [
            ("pk", pk.clone()),
            ("sk", keys::workflow_name(format_args!("Workflow {n}"))),
            ("type", "workflowPointer".to_owned()),
            ("workflowId", id.to_string()),
        ];
        let pointer = pointer.map(|(name, text)| (name.to_owned(), keys::attribute(text))).into();
        let name = format!("Account {n}").parse().unwrap();
        let id_of_credential = CredentialId::new();
        let credential = Credential::new(id_of_credential, user, "shopify".parse().unwrap(), name, Timestamp::now());
        let credential = item(&credential, "credential", [pk.clone(), keys::credential(id_of_credential)]);
        [workflow_item(environment, user, (n, id)), pointer, credential]
    });
    let items = items.collect();
    (ids, items)
}

fn workflow_item(environment: EnvironmentId, user_id: UserId, (n, id): (usize, WorkflowId)) -> Item {
    let new = NewWorkflow {
        user_id,
        name: format!("Workflow {n}").parse().unwrap(),
        integration_id: None,
        credential_ids: Vec::new(),
        settings: Settings::default(),
    };
    let workflow = Workflow { workflow_id: id, ..new.create(&RequestSeed::new()) };
    let partition = keys::listed_workflows(environment, id.object_id().shard(keys::WORKFLOW_SHARDS));
    let item = item(&workflow, "workflow", [keys::workflow(environment, id), "workflow".into()]);
    listed(item, [partition, id.to_string()])
}

fn new_user(name: &str, origin: &RequestSeed, index: usize) -> User {
    let names = Names::of(name.parse().unwrap(), None).unwrap();
    NewUser { names, full_name: None, metadata: Metadata::default() }.create(origin, index)
}

fn user_item(environment: EnvironmentId, user: &User) -> Item {
    let id = user.user_id;
    let partition = keys::listed_users(environment, id.object_id().shard(keys::USER_SHARDS));
    listed(item(user, "user", [keys::user(environment, id), "user".into()]), [partition, id.to_string()])
}

/// Returns an item with its keys in the index `listing`.
fn listed(mut item: Item, [pk, sk]: [String; 2]) -> Item {
    item.extend([("listPk", pk), ("listSk", sk)].map(|(name, text)| (name.to_owned(), keys::attribute(text))));
    item
}

/// Returns the item of an entity of a type, with its keys. The lists and objects of the entity must
/// be empty.
fn item(entity: &impl Serialize, kind: &str, [pk, sk]: [String; 2]) -> Item {
    let entity = serde_json::to_value(entity).unwrap();
    let attribute = |value: &Value| match value {
        Value::String(text) => AttributeValue::S(text.clone()),
        Value::Number(number) => AttributeValue::N(number.to_string()),
        Value::Bool(value) => AttributeValue::Bool(*value),
        Value::Null => AttributeValue::Null(true),
        Value::Array(list) if list.is_empty() => AttributeValue::L(Vec::new()),
        Value::Object(members) if members.is_empty() => AttributeValue::M(HashMap::new()),
        _ => panic!("not empty: {value}"),
    };
    let members = entity.as_object().unwrap().iter().map(|(name, value)| (name.clone(), attribute(value)));
    let texts = [("pk", pk), ("type", kind.to_owned()), ("sk", sk)];
    members.chain(texts.map(|(name, text)| (name.to_owned(), keys::attribute(text)))).collect()
}
