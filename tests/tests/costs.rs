//! What operations cost in DynamoDB's units, held to what docs/cost.md says.

use std::{collections::BTreeMap, time::Duration};

use tenon::{
    domain::{
        delivery::{Attempt, Route},
        error_log::{ErrorIdentity, ErrorLog, NewError, WorkflowRef, cut},
        id::{DestinationId, EnvironmentId},
        names::{Names, UserRef},
        origin::Origin,
        timestamp::Timestamp,
        user::{Metadata, NewUser, User},
        workflow::NewWorkflow,
    },
    store::{
        Table,
        deliveries::Deliveries,
        erasures::{Erasure, Erasures, begin},
        errors::{ErrorQuery, Errors, Retention, Within},
        users::{UserQuery, Users},
        workflows::Workflows,
    },
};
use tests::{
    aws, setting,
    units::{Spent, Units},
};

/// The rows of the table: an operation, its read units and its write units.
fn stated() -> BTreeMap<String, Spent> {
    let document = std::fs::read_to_string(format!("{}/docs/cost.md", setting("TENON_ROOT"))).unwrap();
    let (counted, _) = document.split_once("## In money").unwrap();
    let rows = counted.lines().filter_map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [operation, read, write] = cells[..] else { return None };
        Some((operation.to_owned(), Spent { read: read.parse().ok()?, write: write.parse().ok()? }))
    });
    rows.collect()
}

fn user(name: &str, origin: &Origin, place: usize) -> User {
    let names = Names::new(None, Some(format!("{name}@acme.example").parse().unwrap()), &origin.suffix(place)).unwrap();
    NewUser { names, full_name: Some("Joe Smoe".parse().unwrap()), metadata: Metadata::default() }.create(origin, place)
}

#[tokio::test]
async fn each_operation_costs_what_the_document_says() {
    let (client, units) = Units::count(&aws(&setting("AWS_ACCESS_KEY_ID")).await);
    let directory = Table::of(client.clone(), setting("DIRECTORY_TABLE"));
    let table = Table::of(client, setting("ERRORS_TABLE"));
    let (users, workflows) = (Users(directory.clone()), Workflows(directory.clone()));
    let errors = Errors { table: table.clone(), retention: Retention::days(30) };
    let (environment, origin) = (EnvironmentId::new(), Origin::new());
    let mut measured: BTreeMap<String, Spent> = BTreeMap::new();
    let mut note = |operation: &str| {
        measured.insert(operation.to_owned(), units.taken());
    };

    let joe = user("joe", &origin, 0);
    users.create(environment, &joe).await.unwrap();
    note("create a user with an e-mail address");
    users.get(environment, joe.user_id).await.unwrap();
    note("find a user by its id");
    let name: UserRef = "joe@acme.example".parse().unwrap();
    users.find(environment, &name).await.unwrap();
    note("find a user by a name");
    let many: Vec<User> = (1..=1000).map(|n| user(&format!("user-{n}"), &origin, n)).collect();
    assert!(users.create_all(environment, &many).await.iter().all(Result::is_ok));
    note("create 1,000 users in a batch");
    users.list(environment, UserQuery { limit: 100, ..UserQuery::default() }).await.unwrap();
    note("list 100 users");
    let workflow = NewWorkflow {
        user_id: joe.user_id,
        name: "Orders to Shopify".parse().unwrap(),
        integration_id: None,
        credential_ids: Vec::new(),
    };
    let workflow = workflow.create(&origin);
    workflows.create(environment, &workflow).await.unwrap();
    note("create a workflow");

    let record = async |count: usize, text: &str| {
        let made = Origin::of(origin.at);
        let new = (0..count).map(|place| {
            let new = NewError {
                identity: ErrorIdentity::new(None, None, &made, place).unwrap(),
                execution_id: "6155ac246093840013297377".parse().unwrap(),
                block_id: "edb4e8e8-1e0e-4fac-84fd-9f9d4855ce93".parse().unwrap(),
                block_type: "alloy.shopify".parse().unwrap(),
                error: cut(text.to_owned()),
            };
            new.record(environment, &WorkflowRef::from(&workflow), origin.at)
        });
        let new: Vec<ErrorLog> = new.collect();
        assert!(errors.record(&new).await.unwrap().is_empty());
        new
    };
    workflows.find_with_owner(environment, workflow.workflow_id).await.unwrap();
    record(1, &"x".repeat(300)).await;
    note("record an error of 300 bytes");
    workflows.find_with_owner(environment, workflow.workflow_id).await.unwrap();
    record(100, &"y".repeat(301)).await;
    note("record 100 errors of 300 bytes");
    let of_workflow =
        ErrorQuery { within: Within::Workflow(workflow.workflow_id), limit: 100, ..ErrorQuery::default() };
    errors.page(environment, &of_workflow).await.unwrap();
    note("list 100 errors of a workflow");
    let all = ErrorQuery { limit: 100, ..ErrorQuery::default() };
    errors.page(environment, &all).await.unwrap();
    note("list 100 errors of an environment");
    let of_user = ErrorQuery { within: Within::User(joe.user_id), ..all };
    errors.page(environment, &of_user).await.unwrap();
    note("list 100 errors of a user");
    let erasure =
        Erasure { environment_id: environment, user_id: joe.user_id, started_at: origin.at - Duration::from_secs(120) };
    let erasures = Erasures { directory: directory.clone(), errors: table.clone() };
    units.taken();
    begin(&directory, &erasure).await.unwrap();
    // They were recorded after it.
    assert!(erasures.run(&erasure).await.unwrap());
    units.taken();
    let erasure = Erasure { started_at: Timestamp::now(), ..erasure };
    begin(&directory, &erasure).await.unwrap();
    assert!(!erasures.run(&erasure).await.unwrap());
    note("erase 101 errors that were sent nowhere");
    record(1, &"z".repeat(64 * 1024)).await;
    note("write an error of 64 KiB");
    let mut recorded = Vec::new();
    for _ in 0..50 {
        recorded = record(100, &format!("{}{}", "w".repeat(300), rand::random::<u64>())).await;
    }
    units.taken();
    let (groups, _) = errors.groups(environment, (None, None)).await.unwrap();
    assert_eq!(groups.iter().map(|group| group.count).sum::<usize>(), 5000);
    note("group 5,000 errors");

    let ten: Vec<_> = recorded.iter().take(10).map(|error| (error.workflow_id, error.error_id)).collect();
    assert_eq!(errors.get_all(environment, &ten).await.unwrap().len(), 10);
    note("read 10 errors to send them");
    let route = Route { environment, destination: DestinationId::new() };
    // As EventBridge answers, with the id of the event.
    let response = format!("event {}", "0".repeat(36));
    let attempt = Attempt { at: origin.at, status: Some(200), latency_ms: 123, response };
    let delivered: Vec<_> = recorded.iter().map(|error| (error, attempt.clone())).collect();
    let deliveries = Deliveries { table, retention: errors.retention };
    deliveries.note_delivered(route, &delivered[..10], origin.at).await.unwrap();
    note("note 10 deliveries at the first attempt");
    deliveries.note_delivered(route, &delivered, origin.at).await.unwrap();
    note("note 100 deliveries at the first attempt");
    let told = deliveries.of_error(&recorded[50], &[route.destination].into()).await.unwrap();
    assert_eq!(told.len(), 1);
    note("show the delivery of one of 100 errors");

    // What is stated is never less than what is charged, and little more.
    let stated = stated();
    let holds = |operation: &String, spent: &Spent| {
        let near = |stated: f64, charged: f64| charged <= stated && stated <= charged * 1.2 + 1.0;
        stated.get(operation).is_some_and(|s| near(s.read, spent.read) && near(s.write, spent.write))
    };
    let wrong: BTreeMap<_, _> = measured.iter().filter(|(operation, spent)| !holds(operation, spent)).collect();
    assert!(wrong.is_empty(), "charged: {wrong:#?}\nstated: {stated:#?}");
    assert_eq!(measured.keys().collect::<Vec<_>>(), stated.keys().collect::<Vec<_>>());
}
