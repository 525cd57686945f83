//! Consumed DynamoDB capacity of the operations, compared with docs/capacity.json.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;
use tenon::{
    domain::{
        delivery::{Attempt, Route},
        error_log::{ErrorIdentity, ErrorLog, NewError, WorkflowRef, truncate},
        id::{DestinationId, EnvironmentId},
        names::{Names, UserRef},
        request_seed::RequestSeed,
        settings::Settings,
        timestamp::Timestamp,
        user::{Metadata, NewUser, User},
        workflow::NewWorkflow,
    },
    store::{
        Table,
        deliveries::Deliveries,
        erasures::{Erasure, Erasures, start_erasure},
        errors::{ErrorQuery, ErrorScope, Errors, Retention},
        records::Records,
        users::{UserQuery, Users},
        workflows::Workflows,
    },
};
use tests::{
    aws,
    capacity::{CapacityMeter, ConsumedUnits},
    setting,
};

/// Returns the read and write units of each operation in docs/capacity.json.
fn documented() -> BTreeMap<String, ConsumedUnits> {
    let document = std::fs::read_to_string(format!("{}/docs/capacity.json", setting("TENON_ROOT"))).unwrap();
    let operations: BTreeMap<String, Value> = serde_json::from_str(&document).unwrap();
    let units =
        |unit: &Value| ConsumedUnits { read: unit["read"].as_f64().unwrap(), write: unit["write"].as_f64().unwrap() };
    operations.iter().map(|(operation, unit)| (operation.clone(), units(unit))).collect()
}

fn user(name: &str, origin: &RequestSeed, index: usize) -> User {
    let names = Names::new(None, Some(format!("{name}@acme.example").parse().unwrap()), &origin.suffix(index)).unwrap();
    NewUser { names, full_name: Some("Joe Smoe".parse().unwrap()), metadata: Metadata::default() }.create(origin, index)
}

#[tokio::test]
async fn operations_consume_the_documented_capacity() {
    let (client, units) = CapacityMeter::attach(&aws(&setting("AWS_ACCESS_KEY_ID")).await);
    let directory = Table::of(client.clone(), setting("DIRECTORY_TABLE"));
    let table = Table::of(client, setting("ERRORS_TABLE"));
    let (users, workflows) = (Users(directory.clone()), Workflows(directory.clone()));
    let errors = Errors { table: table.clone(), retention: Retention::days(30) };
    let (environment, origin) = (EnvironmentId::new(), RequestSeed::new());
    let mut measured: BTreeMap<String, ConsumedUnits> = BTreeMap::new();
    let mut measure = |operation: &str| {
        measured.insert(operation.to_owned(), units.take());
    };

    let joe = user("joe", &origin, 0);
    users.create(environment, &joe, &origin).await.unwrap();
    measure("create a user with an e-mail address");
    users.get(environment, joe.user_id).await.unwrap();
    measure("find a user by its id");
    let name: UserRef = "joe@acme.example".parse().unwrap();
    users.find(environment, &name).await.unwrap();
    measure("find a user by a name");
    let many: Vec<User> = (1..=1000).map(|n| user(&format!("user-{n}"), &origin, n)).collect();
    assert!(users.create_all(environment, &many, &origin).await.iter().all(Result::is_ok));
    measure("create 1,000 users in a batch");
    users.list(environment, UserQuery { limit: 100, ..UserQuery::default() }).await.unwrap();
    measure("list 100 users");
    let workflow = NewWorkflow {
        user_id: joe.user_id,
        name: "Orders to Shopify".parse().unwrap(),
        integration_id: None,
        credential_ids: Vec::new(),
        settings: Settings::default(),
    };
    let workflow = workflow.create(&origin);
    workflows.create(environment, &workflow, &origin).await.unwrap();
    measure("create a workflow");

    let record = async |count: usize, text: &str| {
        let seed = RequestSeed::of(origin.at);
        let new = (0..count).map(|index| {
            let new = NewError {
                identity: ErrorIdentity::new(None, None, &seed, index).unwrap(),
                execution_id: "6155ac246093840013297377".parse().unwrap(),
                block_id: "edb4e8e8-1e0e-4fac-84fd-9f9d4855ce93".parse().unwrap(),
                block_type: "alloy.shopify".parse().unwrap(),
                error: truncate(text.to_owned()),
            };
            new.record(environment, &WorkflowRef::from(&workflow), seed.at)
        });
        let new: Vec<ErrorLog> = new.collect();
        assert!(errors.record(&new).await.unwrap().is_empty());
        new
    };
    workflows.find_with_owner(environment, None, workflow.workflow_id).await.unwrap();
    record(1, &"x".repeat(300)).await;
    measure("record an error of 300 bytes");
    workflows.find_with_owner(environment, None, workflow.workflow_id).await.unwrap();
    record(100, &"y".repeat(301)).await;
    measure("record 100 errors of 300 bytes");
    let of_workflow =
        ErrorQuery { scope: ErrorScope::Workflow(workflow.workflow_id), limit: 100, ..ErrorQuery::default() };
    errors.page(environment, &of_workflow).await.unwrap();
    measure("list 100 errors of a workflow");
    let all = ErrorQuery { limit: 100, ..ErrorQuery::default() };
    errors.page(environment, &all).await.unwrap();
    measure("list 100 errors of an environment");
    let of_user = ErrorQuery { scope: ErrorScope::User(joe.user_id), ..all };
    errors.page(environment, &of_user).await.unwrap();
    measure("list 100 errors of a user");
    let erasure =
        Erasure { environment_id: environment, user_id: joe.user_id, started_at: origin.at - Duration::from_secs(120) };
    let erasures = Erasures { directory: directory.clone(), errors: table.clone() };
    units.take();
    start_erasure(&directory, &erasure).await.unwrap();
    // All errors were recorded after this erasure was requested, so it finds none.
    assert!(erasures.run(&erasure, Timestamp::now()).await.unwrap());
    units.take();
    let erasure = Erasure { started_at: Timestamp::now(), ..erasure };
    start_erasure(&directory, &erasure).await.unwrap();
    assert!(!erasures.run(&erasure, Timestamp::now()).await.unwrap());
    measure("erase 101 errors without deliveries");
    record(1, &"z".repeat(64 * 1024)).await;
    measure("write an error of 64 KiB");
    let mut recorded = Vec::new();
    for _ in 0..50 {
        recorded = record(100, &format!("{}{}", "w".repeat(300), rand::random::<u64>())).await;
    }
    units.take();
    let groups = errors.groups(environment, &ErrorQuery::default()).await.unwrap().groups;
    assert_eq!(groups.iter().map(|group| group.count).sum::<usize>(), 5000);
    measure("group 5,000 errors");

    let ten: Vec<_> = recorded.iter().take(10).map(|error| error.key().into()).collect();
    let records = Records(table.clone());
    assert_eq!(records.get_all(environment, &ten).await.unwrap().records.len(), 10);
    measure("read 10 errors to send them");
    let route = Route { environment, destination: DestinationId::new() };
    // The response of EventBridge contains the event id.
    let response = format!("event {}", "0".repeat(36));
    let attempt = Attempt { at: origin.at, status: Some(200), latency_ms: 123, response };
    let delivered: Vec<_> =
        recorded.iter().map(|error| (error.key().into(), error.updated_at, attempt.clone())).collect();
    let deliveries = Deliveries { table, retention: errors.retention };
    deliveries.record_delivered(route, &delivered[..10], origin.at).await.unwrap();
    measure("record 10 deliveries at the first attempt");
    deliveries.record_delivered(route, &delivered, origin.at).await.unwrap();
    measure("record 100 deliveries at the first attempt");
    let shown = deliveries.list_by_error(&recorded[50], &[route.destination].into()).await.unwrap();
    assert_eq!(shown.len(), 1);
    measure("show the delivery of one of 100 errors");

    // The documented units are an upper bound that is at most a little too high.
    let documented = documented();
    let holds = |operation: &String, consumed: &ConsumedUnits| {
        let near = |documented: f64, consumed: f64| consumed <= documented && documented <= consumed * 1.2 + 1.0;
        documented.get(operation).is_some_and(|s| near(s.read, consumed.read) && near(s.write, consumed.write))
    };
    let wrong: BTreeMap<_, _> = measured.iter().filter(|(operation, consumed)| !holds(operation, consumed)).collect();
    assert!(wrong.is_empty(), "consumed: {wrong:#?}\ndocumented: {documented:#?}");
    assert_eq!(measured.keys().collect::<Vec<_>>(), documented.keys().collect::<Vec<_>>());
}
