//! Stored items that cannot be read.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use aws_sdk_dynamodb::{Client, types::AttributeValue};
use tenon::{
    delivery::replay::Replayer,
    domain::{
        delivery::{Attempt, DeliveryStatus, PendingDelivery},
        destination::Destination,
        health::Health,
        id::EnvironmentId,
        names::{Names, UserRef},
        record::Record,
        replay::ReplayStatus,
        request_seed::RequestSeed,
        timestamp::Timestamp,
        user::{Metadata, NewUser},
    },
    start::{FromAws, connect},
    store::{
        PageRequest, StoreError, Table,
        credentials::Credentials,
        deliveries::Deliveries,
        destinations::Destinations,
        erasures::{Erasure, Erasures},
        errors::{ErrorQuery, ErrorScope, Errors},
        health::HealthStore,
        record_pages::Window,
        records::{RecordKind, Records},
        retention::Retention,
        users::Users,
        workflows::Workflows,
    },
};
use tests::{
    delivery_harness::{DeliveryHarness, first_step, ids},
    keys, setting, table_items,
    table_items::Item,
    webhook_receiver::Receiver,
};

/// Attributes of a key, without which DynamoDB stores no item.
const KEYS: [&str; 6] = ["pk", "sk", "listPk", "listSk", "environmentPk", "userPk"];

#[tokio::test]
async fn damaged_item_of_the_directory_breaks_no_list() {
    let kinds =
        ["credential", "destination", "destinationCount", "health", "nameClaim", "user", "workflow", "workflowPointer"];
    break_items("DIRECTORY_TABLE", &kinds).await;
}

#[tokio::test]
async fn damaged_item_of_the_errors_breaks_no_list_and_no_drain() {
    break_items("ERRORS_TABLE", &["delivery", "error", "pendingDelivery"]).await;
}

/// Damages each attribute of each type of item in a table. Fails if the drain then fails, or a list
/// that has an intact item fails or is empty.
async fn break_items(damaged_table: &str, expected_kinds: &[&str]) {
    let harness = DeliveryHarness::new().await;
    let environment = harness.environment;
    let tables = [setting("DIRECTORY_TABLE"), setting("ERRORS_TABLE")];
    let directory = || Table::new(&harness.aws, &tables[0]).read_only();
    let table = || Table::new(&harness.aws, &tables[1]).read_only();
    let route = harness.create_webhook("http://127.0.0.1:9/").await;
    let other = harness.create_webhook("http://127.0.0.1:9/").await;
    // At least two of everything, so that each list has an intact item.
    let errors = harness.record_errors(6).await;
    harness.seed_backlog(route, &errors, 6).await;
    assert!(harness.drain(route).await);
    let (user, _) = harness.seed_user(4).await;
    let names = Names::of("jim@acme.example".parse().unwrap(), None).unwrap();
    let jim = NewUser { names, full_name: None, metadata: Metadata::default() }.create(&RequestSeed::new(), 0);
    Users(Table::new(&harness.aws, &tables[0])).create(environment, &jim, &RequestSeed::new()).await.unwrap();

    let (users, workflows) = (Users(directory()), Workflows(directory()));
    let (credentials, destinations) = (Credentials(directory()), Destinations(directory()));
    let retention = Retention::days(30);
    let (deliveries, stored) = (Deliveries { table: table(), retention }, Errors { table: table(), retention });
    let records: [Record; 2] = [errors[0].clone().into(), errors[1].clone().into()];
    let of_an_error = async || -> Result<bool, StoreError> {
        let all = destinations.ids(environment).await?.all();
        let mut found = Vec::new();
        for record in &records {
            found.extend(deliveries.list_by_record(record, &all).await?);
        }
        Ok(found.iter().any(|delivery| delivery.destination_id == route.destination))
    };
    let of_jim = UserRef::Id(jim.user_id);
    let of_directory = async || {
        let found = tokio::join!(
            users.list(environment, None, PageRequest::first(50)),
            users.find(environment, &of_jim),
            workflows.first_by_user(environment, user.user_id, 50),
            credentials.page(environment, user.user_id, PageRequest::first(50)),
            destinations.list_with_health(environment),
            of_an_error(),
            async { HealthStore(directory()).get(route).await },
            destinations.get_with_health(route),
        );
        let has_destination =
            |(found, _): &(Destination, Health)| [route.destination, other.destination].contains(&found.destination_id);
        vec![
            ("users", found.0.is_ok_and(|page| !page.items.is_empty())),
            ("jim", found.1.is_ok_and(|found| found.is_some())),
            ("workflows", found.2.is_ok_and(|page| !page.items.is_empty())),
            ("credentials", found.3.is_ok_and(|page| !page.items.is_empty())),
            ("destinations", found.4.is_ok_and(|all| all.iter().any(has_destination))),
            ("deliveries of an error", found.5.is_ok_and(|has_one| has_one)),
            ("health", found.6.is_ok()),
            ("destination", found.7.is_ok()),
        ]
    };
    let query =
        |scope| ErrorQuery { scope, window: Window { limit: 50, ..Window::default() }, ..ErrorQuery::default() };
    let (logs, own, of_workflow, everything) = (
        query(ErrorScope::Environment),
        query(ErrorScope::User(errors[0].user_id)),
        query(ErrorScope::Workflow(errors[0].workflow_id)),
        ErrorQuery::default(),
    );
    let of_errors = async || {
        let found = tokio::join!(
            stored.page(environment, &logs),
            stored.page(environment, &own),
            stored.page(environment, &of_workflow),
            stored.groups(environment, &everything, 5000),
            deliveries.list(route, None, PageRequest::first(50)),
            of_an_error(),
        );
        vec![
            ("logs", found.0.is_ok_and(|page| !page.items.is_empty())),
            ("errors of a user", found.1.is_ok_and(|page| !page.items.is_empty())),
            ("errors of a workflow", found.2.is_ok_and(|page| !page.items.is_empty())),
            ("groups", found.3.is_ok_and(|groups| !groups.groups.is_empty())),
            ("deliveries", found.4.is_ok_and(|page| !page.items.is_empty())),
            ("deliveries of an error", found.5.is_ok_and(|has_one| has_one)),
        ]
    };
    let client = Client::new(&harness.aws);
    let mut broken = Vec::new();
    let name = &setting(damaged_table);
    let examples = examples(&client, name, environment).await;
    let kinds: Vec<&str> = examples.keys().map(String::as_str).collect();
    assert_eq!(kinds, expected_kinds);
    for (kind, item) in &examples {
        // Only the user or the destination itself may be missing without its own item.
        for attribute in item.keys().filter(|attribute| !KEYS.contains(&attribute.as_str())) {
            for damage in [None, Some(AttributeValue::M([("x".to_owned(), AttributeValue::Bool(true))].into()))] {
                let mut copy = item.clone();
                match damage {
                    Some(value) => copy.insert(attribute.clone(), value),
                    None => copy.remove(attribute),
                };
                client.put_item().table_name(name).set_item(Some(copy)).send().await.unwrap();
                let lists = if name == &tables[1] { of_errors().await } else { of_directory().await };
                for (list, works) in lists {
                    let own = [("jim", "user"), ("destination", "destination")].contains(&(list, kind.as_str()));
                    if !works && !own {
                        broken.push(format!("{list} with a damaged {attribute} of a {kind}"));
                    }
                }
                if name == &tables[1] && !harness.drain(route).await {
                    broken.push(format!("drain with a damaged {attribute} of a {kind}"));
                }
                client.put_item().table_name(name).set_item(Some(item.clone())).send().await.unwrap();
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[tokio::test]
async fn group_whose_newest_errors_are_damaged_is_shown_with_the_next_one() {
    let harness = DeliveryHarness::new().await;
    harness.record_errors(5).await;
    let (client, table) = (Client::new(&harness.aws), setting("ERRORS_TABLE"));
    let errors = Errors { table: Table::new(&harness.aws, &table).read_only(), retention: Retention::days(30) };
    let window = Window { limit: 50, ..Window::default() };
    let query = ErrorQuery { scope: ErrorScope::Environment, window, ..ErrorQuery::default() };
    let newest_first = errors.page(harness.environment, &query).await.unwrap().items;
    for error in &newest_first[..2] {
        let update = client.update_item().table_name(&table).update_expression("REMOVE executionId");
        let update = update.key("pk", keys::attribute(keys::workflow(harness.environment, error.workflow_id)));
        update.key("sk", keys::attribute(error.error_id.to_string())).send().await.unwrap();
    }

    let found = errors.groups(harness.environment, &query, 5000).await.unwrap();

    let [group] = &found.groups[..] else { panic!("{:?}", found.groups) };
    assert_eq!((group.count, group.example.error_id, found.complete), (5, newest_first[2].error_id, true));
}

#[tokio::test]
async fn damaged_errors_end_no_replay_and_no_erasure() {
    let harness = DeliveryHarness::new().await;
    let errors = harness.record_errors(60).await;
    let client = Client::new(&harness.aws);
    let table = setting("ERRORS_TABLE");
    for error in &errors[..8] {
        let update = client.update_item().table_name(&table).update_expression("REMOVE userId, workflowId");
        let partition = keys::attribute(keys::workflow(harness.environment, error.workflow_id));
        let sort_key = keys::attribute(error.error_id.to_string());
        update.key("pk", partition).key("sk", sort_key).send().await.unwrap();
    }
    let records = Records(harness.errors.table.clone().read_only());
    let mut found = BTreeSet::new();
    for shard in 0..8 {
        let mut after = None;
        loop {
            let position = PageRequest::new(after.as_deref(), 2);
            let shard = (RecordKind::Errors, shard);
            let page = records.page_of_shard(harness.environment, shard, (None, None), position);
            let page = page.await.unwrap();
            found.extend(page.items.iter().filter_map(|one| Some(one.stored()?.key)));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
    }
    assert_eq!(found, errors[8..].iter().map(|error| error.key()).collect());

    let user_id = errors[0].user_id;
    let erasure = Erasure { environment_id: harness.environment, user_id, started_at: Timestamp::now() };
    let erasures = Erasures { directory: harness.directory.clone(), errors: harness.errors.table.clone() };
    let late = erasure.started_at + Duration::from_secs(3600);
    for _ in 0..2 {
        assert!(!erasures.run(&erasure, late).await.unwrap(), "errors of the user remain");
    }
    for (index, error) in errors.iter().enumerate() {
        let partition = keys::workflow(harness.environment, error.workflow_id);
        let remains = client.get_item().table_name(&table).key("pk", keys::attribute(partition));
        let remains = remains.key("sk", keys::attribute(error.error_id.to_string())).consistent_read(true);
        assert_eq!(remains.send().await.unwrap().item.is_some(), index < 8, "{index}");
    }
}

#[tokio::test]
async fn erasure_deletes_a_damaged_delivery_with_its_errors() {
    let harness = DeliveryHarness::new().await;
    let errors = harness.record_errors(3).await;
    let client = Client::new(&harness.aws);
    for error in &errors {
        let partition = keys::workflow_deliveries(harness.environment, error.workflow_id);
        let second = format!("{:08x}#damaged", Record::from(error.clone()).recorded_at().milliseconds() / 1000);
        let item = [("pk", partition), ("sk", second)];
        let item = item.map(|(name, text)| (name.to_owned(), keys::attribute(text))).into();
        client.put_item().table_name(setting("ERRORS_TABLE")).set_item(Some(item)).send().await.unwrap();
    }
    let user_id = errors[0].user_id;
    let erasure = Erasure { environment_id: harness.environment, user_id, started_at: Timestamp::now() };
    let erasures = Erasures { directory: harness.directory.clone(), errors: harness.errors.table.clone() };
    let late = erasure.started_at + Duration::from_secs(3600);
    assert!(!erasures.run(&erasure, late).await.unwrap(), "errors were found");
    assert!(erasures.run(&erasure, late).await.unwrap(), "nothing is left");
    for error in &errors {
        let partition = keys::workflow_deliveries(harness.environment, error.workflow_id);
        let left = table_items::query(&harness.aws, &setting("ERRORS_TABLE"), &partition).await;
        assert!(left.is_empty(), "{left:?}");
    }
}

#[tokio::test]
async fn damaged_workflow_fails_a_change_of_all_workflows_and_hides_none_from_a_job() {
    let harness = DeliveryHarness::new().await;
    let (user, _) = harness.seed_user(8).await;
    let workflows = Workflows(harness.directory.clone());
    let all = workflows.ids_by_user(harness.environment, user.user_id).await.unwrap();
    assert_eq!(all.require_all("workflow").unwrap().len(), 4);
    let (client, table) = (Client::new(&harness.aws), setting("DIRECTORY_TABLE"));
    let key = keys::user(harness.environment, user.user_id);
    let update = client.update_item().table_name(&table).update_expression("REMOVE workflowId");
    let update = update.key("pk", keys::attribute(key)).key("sk", keys::attribute(keys::workflow_name("Workflow 0")));
    update.send().await.unwrap();
    let others = workflows.ids_by_user(harness.environment, user.user_id).await.unwrap();
    assert_eq!(others.items.len(), 3);
    assert!(others.require_all("workflow").is_err());
}

/// Returns an item of each type of an environment.
async fn examples(client: &Client, table: &str, environment: EnvironmentId) -> BTreeMap<String, Item> {
    let mut scanned = client
        .scan()
        .table_name(table)
        .filter_expression("begins_with(pk, :environment)")
        .expression_attribute_values(":environment", keys::attribute(format!("env#{environment}#")))
        .into_paginator()
        .items()
        .send();
    let mut found = BTreeMap::new();
    while let Some(item) = scanned.next().await {
        let item = item.unwrap();
        if let Some(kind) = item.get("type").and_then(|kind| kind.as_s().ok()) {
            found.insert(kind.clone(), item);
        }
    }
    found
}

#[tokio::test]
async fn damaged_delivery_or_replay_keeps_no_other_from_being_settled() {
    let (harness, receiver) = (DeliveryHarness::new().await, Receiver::new().await);
    let route = harness.create_webhook(&receiver.url).await;
    let errors = harness.record_errors(6).await;
    let replayer = connect(&harness.aws, Replayer::from_aws).await.unwrap();
    let at = Timestamp::now();
    let attempt = Attempt { at, status: Some(500), latency_ms: 7, response: "down".into() };
    let waiting = errors.iter().map(|error| (PendingDelivery::first(error.key(), at), Some(attempt.clone())));
    assert!(replayer.pending.add(route, &waiting.collect::<Vec<_>>()).await.unwrap().is_empty());
    let mut replays = Vec::new();
    for half in errors.chunks(3) {
        let replay = harness.start_replay(route, half).await;
        replayer.run(&first_step(route.environment, &replay)).await.unwrap();
        replays.push(replay.replay_id);
    }
    let client = Client::new(&harness.aws);
    let damage = async |table: &str, pk: String, sk: String, attribute: &str| {
        let update = client.update_item().table_name(setting(table));
        let update = update.key("pk", keys::attribute(pk)).key("sk", keys::attribute(sk));
        let update = update.update_expression("SET #damaged = :text").expression_attribute_names("#damaged", attribute);
        let update = update.expression_attribute_values(":text", keys::attribute("damaged"));
        update.condition_expression("attribute_exists(pk)").send().await.unwrap();
    };
    let row = examples(&client, &setting("ERRORS_TABLE"), route.environment).await.remove("delivery").unwrap();
    let text = |name: &str| row[name].as_s().unwrap().clone();
    damage("ERRORS_TABLE", text("pk"), text("sk"), "attempts").await;
    let replays_partition = format!("env#{}#replays", route.environment);
    damage("DIRECTORY_TABLE", replays_partition, format!("replay#{}", replays[1]), "delivered").await;

    assert!(harness.drain(route).await);

    assert_eq!(receiver.ids(), ids(&errors));
    assert_eq!(replayer.pending.backlog(route).await.unwrap().earliest_due, None);
    let intact = replayer.replays.get(route.environment, replays[0]).await.unwrap().unwrap();
    assert_eq!((intact.delivered, intact.pending), (3, 0));
    let all = [route.destination].into();
    for error in &errors {
        let deliveries = replayer.deliveries.list_by_record(&error.clone().into(), &all).await.unwrap();
        let [delivery] = &deliveries[..] else { panic!("{deliveries:?}") };
        assert_eq!(delivery.status, DeliveryStatus::Delivered);
        let expected = if error.error_id.to_string() == text("errorId") { 1 } else { 2 };
        assert_eq!(delivery.attempts.len(), expected, "only the damaged delivery loses its former attempt");
    }
}

#[tokio::test]
async fn replay_waits_until_its_damaged_destination_is_repaired() {
    let (harness, receiver) = (DeliveryHarness::new().await, Receiver::new().await);
    let route = harness.create_webhook(&receiver.url).await;
    let errors = harness.record_errors(3).await;
    let replayer = connect(&harness.aws, Replayer::from_aws).await.unwrap();
    let replay = harness.start_replay(route, &errors).await;
    let client = Client::new(&harness.aws);
    let put = async |item: Item| {
        client.put_item().table_name(setting("DIRECTORY_TABLE")).set_item(Some(item)).send().await.unwrap();
    };
    let intact = examples(&client, &setting("DIRECTORY_TABLE"), route.environment).await.remove("destination").unwrap();
    let mut damaged = intact.clone();
    damaged.remove("enabled").unwrap();
    put(damaged).await;

    replayer.run(&first_step(route.environment, &replay)).await.unwrap();

    let waiting = replayer.replays.get(route.environment, replay.replay_id).await.unwrap().unwrap();
    assert_eq!((waiting.status, receiver.ids()), (ReplayStatus::Running, Vec::new()));
    put(intact).await;
    replayer.run(&first_step(route.environment, &replay)).await.unwrap();
    assert!(harness.drain(route).await);
    assert_eq!(receiver.ids(), ids(&errors));
}
