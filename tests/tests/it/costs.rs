//! Consumed DynamoDB capacity of the operations, compared with docs/capacity.json.

use std::{
    collections::{BTreeMap, HashSet},
    sync::LazyLock,
    time::Duration,
};

use serde::Serialize;
use serde_json::Value;
use tenon::{
    domain::{
        credential::Credential,
        delivery::{Attempt, Route},
        error_log::{ErrorIdentity, ErrorLog, NewError, WorkflowRef, truncate},
        event::{Actor, Event, EventData, EventType},
        id::{CredentialId, DestinationId, EnvironmentId, EventId, KeyId, UserId, WorkflowId},
        installation::{Installation, InstalledCredential, InstalledWorkflow, WorkflowPlan, WorkflowSelection},
        integration::{Content, Integration, IntegrationId, WorkflowTemplate},
        names::{Names, UserRef},
        record::RecordRef,
        request_seed::RequestSeed,
        secret::Sealed,
        settings::Settings,
        text::Text,
        timestamp::Timestamp,
        user::{Metadata, NewUser, OwnerStatus, User},
        workflow::{NewWorkflow, Workflow},
    },
    store::{
        PageRequest, Table,
        credentials::{Credentials, SealedCredential},
        deliveries::Deliveries,
        erasures::{Erasure, Erasures},
        errors::{ErrorQuery, ErrorScope, Errors, MAX_GROUPED},
        events::Outbox,
        installations::{InstallationChange, Installations, Leftovers},
        integrations::Integrations,
        record_pages::Window,
        records::Records,
        retention::Retention,
        users::Users,
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

/// Installation of an integration with one credential and two workflows, by the calls of the
/// endpoints.
struct Installing {
    environment: EnvironmentId,
    users: Users,
    integrations: Integrations,
    installations: Installations,
    workflows: Workflows,
    credentials: Credentials,
    integration: Integration,
    outbox: Outbox,
    change: InstallationChange,
}

/// Time of all events: an erasure needs a query for each second in which some were stored.
static STORED_AT: LazyLock<Timestamp> = LazyLock::new(Timestamp::now);

/// Returns the event of a change, which carries an object.
fn event(environment_id: EnvironmentId, user_id: UserId, event_type: EventType, object: &impl Serialize) -> Event {
    Event {
        event_id: EventId::new(),
        environment_id,
        event_type,
        created_at: *STORED_AT,
        user_id,
        workflow_id: Some(WorkflowId::new()),
        integration_id: Some("shopify".parse().unwrap()),
        actor: Some(Actor::Key { key_id: KeyId::new() }),
        data: EventData::of(object).unwrap(),
    }
}

impl Installing {
    async fn new(environment: EnvironmentId, user: &User, directory: &Table, outbox: Outbox) -> Self {
        let template = |key: &str| WorkflowTemplate {
            key: key.parse().unwrap(),
            name: format!("Shopify {key}").parse().unwrap(),
            description: Some("Sends new orders to the shop".parse().unwrap()),
        };
        let content = Content {
            name: "Shopify".parse().unwrap(),
            description: None,
            icon: None,
            credential_types: Vec::new(),
            settings: Vec::new(),
            workflows: vec![template("orders"), template("stock")],
            hints: Vec::new(),
            enabled: true,
        };
        let now = Timestamp::now();
        let integration_id: IntegrationId = "shopify".parse().unwrap();
        let id = integration_id.clone();
        let integration = Integration { integration_id: id, content, version: 1, created_at: now, updated_at: now };
        let integrations = Integrations(directory.clone());
        integrations.create(environment, &integration).await.unwrap();
        let credential_type: Text<128> = "shopify".parse().unwrap();
        let name = "Shopify".parse().unwrap();
        let credential = Credential::new(CredentialId::new(), user.user_id, credential_type.clone(), name, now);
        let (credential_id, data_revision) = (credential.credential_id, Some(credential.data_revision));
        let installation = Installation {
            integration_id,
            user_id: user.user_id,
            integration_version: 1,
            revision: 1,
            credentials: vec![InstalledCredential { credential_type, credential_id, data_revision }],
            settings: r#"{"region":"eu","batchSize":50}"#.parse().unwrap(),
            workflows: Vec::new(),
            created_credentials: vec![credential_id],
            installed_at: now,
            updated_at: now,
        };
        // As large as KMS and AES-GCM make the data of two fields.
        let data = Sealed { version: 1, wrapped_key: vec![0; 184], nonce: vec![0; 12], ciphertext: vec![0; 120] };
        Self {
            environment,
            users: Users(directory.clone()),
            integrations,
            installations: Installations(directory.clone()),
            workflows: Workflows(directory.clone()),
            credentials: Credentials(directory.clone()),
            integration,
            outbox,
            change: InstallationChange {
                installation,
                new_workflows: Vec::new(),
                changed_workflows: Vec::new(),
                new_credentials: vec![SealedCredential { credential, data }],
                replaced_credentials: Vec::new(),
                referenced_credentials: Vec::new(),
            },
        }
    }

    /// Reads what an endpoint reads before a change. Returns the workflows.
    async fn read(&self) -> Vec<Workflow> {
        let Installation { user_id, integration_id, workflows, created_credentials, .. } = &self.change.installation;
        self.users.get(self.environment, *user_id).await.unwrap();
        self.integrations.get(self.environment, integration_id).await.unwrap();
        self.installations.get(self.environment, *user_id, integration_id).await.unwrap();
        let credentials = created_credentials.iter().map(|id| (*user_id, *id));
        self.credentials.get_all::<SealedCredential>(self.environment, credentials).await.unwrap();
        let ids: Vec<WorkflowId> = workflows.iter().map(|workflow| workflow.workflow_id).collect();
        self.workflows.get_all(self.environment, &ids).await.unwrap().items
    }

    fn plan(&self, present: Vec<Workflow>, selection: WorkflowSelection<'_>) -> WorkflowPlan {
        WorkflowPlan::new(&self.change.installation, present, &self.integration, selection, &HashSet::new())
    }

    /// Returns the events of changes of the installation, of workflows and of the credential.
    fn events(&self, event_type: EventType, workflows: &[Workflow], has_credential: bool) -> Vec<Event> {
        let InstallationChange { installation, new_credentials, .. } = &self.change;
        let user = installation.user_id;
        let mut events = vec![event(self.environment, user, event_type, installation)];
        events.extend(workflows.iter().map(|workflow| event(self.environment, user, event_type, workflow)));
        let credentials = new_credentials.iter().filter(|_| has_credential);
        events.extend(credentials.map(|sealed| event(self.environment, user, event_type, &sealed.credential)));
        events
    }

    async fn install(&mut self) {
        let present = self.read().await;
        let planned = self.plan(present, WorkflowSelection::All).new;
        let installed =
            |one: &Workflow| InstalledWorkflow { workflow_id: one.workflow_id, key: one.key.clone().unwrap() };
        self.change.installation.workflows = planned.iter().map(installed).collect();
        self.change.new_workflows = planned;
        let events = self.events(EventType::WorkflowCreated, &self.change.new_workflows, true);
        let (owner, events) = (OwnerStatus::default(), self.outbox.prepare(&events).unwrap());
        self.installations.change(self.environment, owner, None, &self.change, events).await.unwrap();
    }

    async fn change_settings(&mut self) {
        let before = self.change.installation.clone();
        let present = self.read().await;
        self.change.installation.settings = r#"{"region":"us","batchSize":50}"#.parse().unwrap();
        self.change.installation.revision += 1;
        self.change.changed_workflows = self.plan(present, WorkflowSelection::Unchanged).changed;
        self.change.new_workflows.clear();
        let new = std::mem::take(&mut self.change.new_credentials);
        let after: Vec<Workflow> = self.change.changed_workflows.iter().map(|(_, after)| after.clone()).collect();
        let events = self.events(EventType::WorkflowUpdated, &after, false);
        let (owner, events) = (OwnerStatus::default(), self.outbox.prepare(&events).unwrap());
        self.installations.change(self.environment, owner, Some(&before), &self.change, events).await.unwrap();
        self.change.new_credentials = new;
    }

    async fn replace_data(&mut self) {
        let SealedCredential { credential, data } = &self.change.new_credentials[0];
        self.users.get(self.environment, credential.user_id).await.unwrap();
        self.credentials.sealed(self.environment, credential.user_id, credential.credential_id).await.unwrap();
        let after = SealedCredential { credential: credential.replaced(None, Timestamp::now()), data: data.clone() };
        let event = event(self.environment, credential.user_id, EventType::CredentialReplaced, &after.credential);
        let events = self.outbox.prepare(&[event]).unwrap();
        assert!(self.credentials.replace(self.environment, credential, &after, events).await.unwrap());
        self.change.new_credentials = vec![after];
    }

    async fn uninstall(&self) {
        let workflows = self.read().await;
        let SealedCredential { credential, .. } = &self.change.new_credentials[0];
        self.workflows.ids_by_user(self.environment, credential.user_id).await.unwrap();
        self.installations.by_user(self.environment, credential.user_id).await.unwrap();
        let credentials = Leftovers { unreferenced: vec![credential.clone()], shared: Vec::new() };
        let events = self.events(EventType::WorkflowDeleted, &workflows, true);
        let events = self.outbox.prepare(&events).unwrap();
        let installation = &self.change.installation;
        let deleted = self.installations.delete(self.environment, installation, &workflows, &credentials, events);
        assert!(deleted.await.unwrap());
    }
}

#[tokio::test]
async fn operations_consume_the_documented_capacity() {
    let (client, units) = CapacityMeter::attach(&aws(&setting("AWS_ACCESS_KEY_ID")).await);
    let directory = Table::of(client.clone(), setting("DIRECTORY_TABLE"));
    let table = Table::of(client, setting("ERRORS_TABLE"));
    let (users, workflows) = (Users(directory.clone()), Workflows(directory.clone()));
    let errors = Errors { table: table.clone(), retention: Retention::days(30) };
    let outbox = Outbox { table: table.clone(), retention: Retention::days(30) };
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
    users.list(environment, None, PageRequest::first(100)).await.unwrap();
    measure("list 100 users");
    let workflow = NewWorkflow {
        user_id: joe.user_id,
        name: "Orders to Shopify".parse().unwrap(),
        integration_id: None,
        credential_ids: Vec::new(),
        settings: Settings::default(),
    };
    let workflow = workflow.create(&origin);
    let created = event(environment, joe.user_id, EventType::WorkflowCreated, &workflow);
    let events = outbox.prepare(&[created]).unwrap();
    workflows.create(environment, &workflow, OwnerStatus::default(), &origin, events).await.unwrap();
    measure("create a workflow");

    let active = (joe.user_id, OwnerStatus::default());
    let changed = (workflow.clone(), Workflow { active: false, ..workflow.touched(Timestamp::now()) });
    let events = event(environment, joe.user_id, EventType::WorkflowDeactivated, &changed.1);
    let events = outbox.prepare(&[events]).unwrap();
    workflows.get_all(environment, &[workflow.workflow_id]).await.unwrap();
    users.get(environment, joe.user_id).await.unwrap();
    assert!(workflows.change_all(environment, active, &[changed], events).await.unwrap());
    measure("activate or deactivate a workflow");

    let mut installing = Installing::new(environment, &joe, &directory, outbox.clone()).await;
    units.take();
    installing.install().await;
    measure("install an integration with one credential and two workflows");
    installing.change_settings().await;
    measure("change the settings of an installation with two workflows");
    installing.replace_data().await;
    measure("replace the data of a credential");
    installing.uninstall().await;
    measure("uninstall an integration with one credential and two workflows");
    for index in 1..=100 {
        let name = format!("Workflow {index}").parse().unwrap();
        let another = Workflow { workflow_id: WorkflowId::new(), name, ..workflow.clone() };
        let (owner, events) = (OwnerStatus::default(), outbox.prepare(&[]).unwrap());
        workflows.create(environment, &another, owner, &origin, events).await.unwrap();
    }
    units.take();
    workflows.page(environment, PageRequest::first(100)).await.unwrap();
    measure("list 100 workflows of an environment");

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
        assert!(errors.record(&new).await.is_empty());
        new
    };
    workflows.find_with_owner(environment, None, workflow.workflow_id).await.unwrap();
    record(1, &"x".repeat(300)).await;
    measure("record an error of 300 bytes");
    workflows.find_with_owner(environment, None, workflow.workflow_id).await.unwrap();
    record(100, &"y".repeat(301)).await;
    measure("record 100 errors of 300 bytes");
    let of_workflow = ErrorQuery {
        scope: ErrorScope::Workflow(workflow.workflow_id),
        window: Window { limit: 100, ..Window::default() },
        ..ErrorQuery::default()
    };
    errors.page(environment, &of_workflow).await.unwrap();
    measure("list 100 errors of a workflow");
    let all = ErrorQuery { window: Window { limit: 100, ..Window::default() }, ..ErrorQuery::default() };
    errors.page(environment, &all).await.unwrap();
    measure("list 100 errors of an environment");
    let of_user = ErrorQuery { scope: ErrorScope::User(joe.user_id), ..all };
    errors.page(environment, &of_user).await.unwrap();
    measure("list 100 errors of a user");
    let erasure =
        Erasure { environment_id: environment, user_id: joe.user_id, started_at: origin.at - Duration::from_secs(120) };
    let erasures = Erasures { directory: directory.clone(), errors: table.clone() };
    units.take();
    Users(directory.clone()).start_erasure(&erasure).await.unwrap();
    // All errors were recorded after this erasure was requested, so it finds none.
    assert!(erasures.run(&erasure, Timestamp::now()).await.unwrap());
    units.take();
    let erasure = Erasure { started_at: Timestamp::now(), ..erasure };
    Users(directory.clone()).start_erasure(&erasure).await.unwrap();
    assert!(!erasures.run(&erasure, Timestamp::now()).await.unwrap());
    measure("erase 101 errors and 14 events without deliveries");
    record(1, &"z".repeat(64 * 1024)).await;
    measure("write an error of 64 KiB");
    let mut recorded = Vec::new();
    for _ in 0..50 {
        recorded = record(100, &format!("{}{}", "w".repeat(300), rand::random::<u64>())).await;
    }
    units.take();
    let groups = errors.groups(environment, &ErrorQuery::default(), MAX_GROUPED).await.unwrap().groups;
    assert_eq!(groups.iter().map(|group| group.count).sum::<usize>(), 5000);
    measure("group 5,000 errors");

    let ten: Vec<_> = recorded.iter().take(10).map(|error| error.key()).collect();
    let records = Records(table.clone().read_only());
    assert_eq!(records.get_all(environment, &ten).await.unwrap().records.len(), 10);
    measure("read 10 errors to send them");
    let route = Route { environment, destination: DestinationId::new() };
    // The response of EventBridge contains the event id.
    let response = format!("event {}", "0".repeat(36));
    let attempt = Attempt { at: origin.at, status: Some(200), latency_ms: 123, response };
    let delivered: Vec<_> = recorded
        .iter()
        .map(|error| (RecordRef { key: error.key(), recorded_at: error.updated_at }, attempt.clone()))
        .collect();
    let deliveries = Deliveries { table, retention: errors.retention };
    deliveries.record_delivered(route, &delivered[..10]).await.unwrap();
    measure("record 10 deliveries at the first attempt");
    deliveries.record_delivered(route, &delivered).await.unwrap();
    measure("record 100 deliveries at the first attempt");
    let shown = deliveries.list_by_record(&recorded[50].clone().into(), &[route.destination].into()).await.unwrap();
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
