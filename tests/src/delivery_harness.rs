//! Forwarder, first attempts and drains in the test's own process, with their own queues and an AWS
//! that fails at a chosen rate.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use aws_config::SdkConfig;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use serde_json::{Value, json};
use tenon::{
    delivery::{
        drain::Drains,
        drain_scheduler::DrainScheduler,
        eventbridge::{DEFAULT_TIMEOUT, EventBridgeSender, FIRST_ATTEMPT_TIMEOUT, credentials::seal_credentials},
        first_attempts::FirstAttemptSender,
        forward::Forwarder,
        guard::EgressRules,
        queues::{DrainRequest, FirstAttempts, Queue, ReplayStep, parse},
        recorder::DeliveryRecorder,
        senders::Senders,
        webhook::{WebhookSender, new_secret, seal_secret},
    },
    domain::{
        delivery::Route,
        destination::{Destination, Filter, Target, Verification, errors_only},
        error_log::{ErrorIdentity, ErrorLog, NewError, WorkflowRef},
        event_bus::{AwsCredentials, BusAccess, EventBridge},
        health::Health,
        id::{DestinationId, EnvironmentId, ReplayId, UserId, WorkflowId},
        names::Names,
        replay::{Replay, ReplaySelection},
        request_seed::RequestSeed,
        timestamp::Timestamp,
        user::{Metadata, NewUser, User},
        webhook::Webhook,
    },
    store::{
        Table, deliveries::Deliveries, destinations::Destinations, errors::Errors, health::HealthStore,
        pending::PendingDeliveries, records::Records, replays::Replays, retention::Retention, users::Users,
    },
    vault::Vault,
};

use crate::{
    aws, event,
    faulty_aws::faulty,
    keys, setting,
    table_items::{self, Item, load, owned_items},
};

/// Delivery pipeline of one environment.
#[derive(Clone)]
pub struct DeliveryHarness {
    /// AWS without faults.
    pub aws: SdkConfig,
    /// AWS with faults.
    pub faulty: SdkConfig,
    /// Percentage of calls that fail.
    pub faults: Arc<AtomicU32>,
    /// Number of calls made.
    pub calls: Arc<AtomicU32>,
    /// Directory table, with faults.
    pub directory: Table,
    /// Environment of all destinations and errors.
    pub environment: EnvironmentId,
    /// Forwarder.
    pub forwarder: Forwarder,
    /// Sender of the first attempts for webhooks.
    pub first_attempts: FirstAttemptSender,
    /// Errors of all environments, with faults.
    pub errors: Errors,
    drains: Drains,
    queues: [String; 2],
    stopped: Arc<AtomicBool>,
}

impl DeliveryHarness {
    /// Creates a pipeline with its own queues on the tables that tests share.
    pub async fn new() -> Self {
        let aws = aws(&setting("AWS_ACCESS_KEY_ID")).await;
        let (faults, calls) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let config = faulty(&aws, faults.clone(), calls.clone());
        let sqs = aws_sdk_sqs::Client::new(&aws);
        let mut queues = Vec::new();
        for name in ["webhooks", "drains"] {
            let name = format!("{name}-{}", DestinationId::new());
            queues.push(sqs.create_queue().queue_name(name).send().await.unwrap().queue_url.unwrap());
        }
        let queues: [String; 2] = queues.try_into().unwrap();
        let (directory, errors) = (setting("DIRECTORY_TABLE"), setting("ERRORS_TABLE"));
        let (directory, table) = (Table::new(&config, directory), Table::new(&config, errors));
        let retention = Retention::days(30);
        let vault = Vault::new(&config, setting("DESTINATIONS_KEY"));
        let recorder = DeliveryRecorder {
            destinations: Destinations(directory.clone()),
            health_store: HealthStore(directory.clone()),
            deliveries: Deliveries { table: table.clone(), retention },
            pending: PendingDeliveries { table: table.clone(), retention },
            replays: Replays(directory.clone()),
            scheduler: DrainScheduler {
                health_store: HealthStore(directory.clone()),
                queue: Queue::new(&config, queues[1].clone()),
            },
        };
        let rules = EgressRules { ports: vec![443], allow_loopback: true };
        let webhooks = WebhookSender::new(rules, vault.clone());
        let errors = Errors { table: table.clone(), retention };
        let records = Records(table.clone().read_only());
        Self {
            directory: directory.clone(),
            forwarder: Forwarder {
                recorder: recorder.clone(),
                eventbridge: EventBridgeSender::new(&config, vault.clone(), FIRST_ATTEMPT_TIMEOUT),
                webhook_queue: Queue::new(&config, queues[0].clone()),
                dead_letter_queue: Queue::new(&config, setting("FORWARD_FAILURES_QUEUE")),
            },
            first_attempts: FirstAttemptSender {
                records: records.clone(),
                recorder: recorder.clone(),
                webhooks: webhooks.clone(),
            },
            drains: Drains {
                records,
                recorder,
                senders: Senders { eventbridge: EventBridgeSender::new(&config, vault, DEFAULT_TIMEOUT), webhooks },
            },
            errors,
            environment: EnvironmentId::new(),
            queues,
            faults,
            calls,
            aws,
            faulty: config,
            stopped: Arc::default(),
        }
    }

    /// Stores a webhook destination.
    pub async fn create_webhook(&self, url: &str) -> Route {
        let route = self.new_route();
        let vault = Vault::new(&self.aws, setting("DESTINATIONS_KEY"));
        let secret = seal_secret(&vault, route, 1, &new_secret().unwrap()).await.unwrap();
        let webhook = Webhook { url: url.parse().unwrap(), description: None, secret, previous: Vec::new() };
        self.create_destination(route, Target::Webhook(webhook)).await;
        route
    }

    /// Stores an EventBridge destination.
    pub async fn create_bus(&self, name: &str, credentials: &AwsCredentials) -> Route {
        let route = self.new_route();
        let vault = Vault::new(&self.aws, setting("DESTINATIONS_KEY"));
        let bus = EventBridge {
            region: setting("AWS_REGION").parse().unwrap(),
            event_bus_name: name.parse().unwrap(),
            access: BusAccess::Keys {
                masked_access_key_id: credentials.access_key_id.masked(),
                credentials: seal_credentials(&vault, route, 1, credentials).await.unwrap(),
            },
        };
        self.create_destination(route, Target::EventBridge(bus)).await;
        route
    }

    /// Deletes a destination.
    pub async fn delete_destination(&self, route: Route) {
        assert!(
            self.drains
                .recorder
                .destinations
                .delete(route.environment, route.destination, Retention::days(30))
                .await
                .unwrap()
        );
    }

    fn new_route(&self) -> Route {
        Route { environment: self.environment, destination: DestinationId::new() }
    }

    async fn create_destination(&self, route: Route, target: Target) {
        let destination = destination(route, target);
        self.drains.recorder.destinations.create(self.environment, &destination, &RequestSeed::new()).await.unwrap();
    }

    /// Records errors of three workflows.
    pub async fn record_errors(&self, count: usize) -> Vec<ErrorLog> {
        let workflows: Vec<WorkflowId> = (0..3).map(|_| WorkflowId::new()).collect();
        let (user, now) = (UserId::new(), Timestamp::now());
        let errors: Vec<ErrorLog> = (0..count)
            .map(|n| {
                let new = NewError {
                    identity: ErrorIdentity::new(None, None, &RequestSeed::of(now), 0).unwrap(),
                    execution_id: "e".parse().unwrap(),
                    block_id: "b".parse().unwrap(),
                    block_type: "shopify".parse().unwrap(),
                    error: format!("error {n}"),
                };
                let workflow_id = workflows[n % workflows.len()];
                let workflow = WorkflowRef { workflow_id, user_id: user, integration_id: None };
                new.record(self.environment, &workflow, now)
            })
            .collect();
        assert!(self.errors.record(&errors).await.is_empty());
        errors
    }

    /// Forwards errors like the stream: the lowest failed record and all records after it come
    /// again.
    pub async fn forward(&self, errors: &[ErrorLog]) {
        for batch in errors.chunks(20) {
            let mut from = 0;
            while from < batch.len() {
                let event = stream_event(batch, from).to_string();
                let answer = serde_json::to_value(self.forwarder.forward(&event).await.unwrap()).unwrap();
                from = match answer["batchItemFailures"][0]["itemIdentifier"].as_str() {
                    Some(lowest) => lowest.parse::<usize>().unwrap() - 1,
                    None => batch.len(),
                };
            }
        }
    }

    /// Processes both queues until [`Self::stop`]. Failed messages come again.
    pub fn start_workers(&self) -> tokio::task::JoinHandle<()> {
        let harness = self.clone();
        tokio::spawn(async move {
            let sqs = aws_sdk_sqs::Client::new(&harness.aws);
            while !harness.stopped.load(Ordering::SeqCst) {
                for (number, queue) in harness.queues.iter().enumerate() {
                    let received = sqs.receive_message().queue_url(queue).max_number_of_messages(10);
                    let messages = received.visibility_timeout(3).send().await.unwrap().messages.unwrap_or_default();
                    let done: Vec<bool> = match number {
                        0 => {
                            let attempts: Vec<FirstAttempts> =
                                messages.iter().map(|message| parse(message.body()).unwrap()).collect();
                            let again = harness.first_attempts.send(&attempts).await;
                            (0..messages.len()).map(|index| !again.contains(&index)).collect()
                        }
                        _ => {
                            let drained = messages.iter().map(async |message| {
                                harness.drain(parse::<DrainRequest>(message.body()).unwrap().route()).await
                            });
                            futures_util::future::join_all(drained).await
                        }
                    };
                    for (message, _) in messages.iter().zip(done).filter(|(_, done)| *done) {
                        let handle = message.receipt_handle().unwrap();
                        sqs.delete_message().queue_url(queue).receipt_handle(handle).send().await.unwrap();
                    }
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
    }

    /// Stores a number of pending deliveries of a destination, all due.
    pub async fn seed_backlog(&self, route: Route, errors: &[ErrorLog], count: usize) {
        let now = Timestamp::now();
        let items = (0..count).map(|n| {
            let error = &errors[n % errors.len()];
            let due = now - Duration::from_millis(n as u64 + 1);
            let shard = error.error_id.object_id().shard(keys::DELIVERY_SHARDS);
            let texts = [
                ("pk", keys::pending_deliveries(route.environment, route.destination, shard)),
                ("sk", keys::pending_delivery(due, error.error_id, error.workflow_id)),
                ("type", "pendingDelivery".into()),
                ("workflowId", error.workflow_id.to_string()),
                ("errorId", error.error_id.to_string()),
                ("pendingSince", now.to_string()),
                ("nextAttemptAt", due.to_string()),
            ];
            let mut item: Item = texts.map(|(name, text)| (name.to_owned(), AttributeValue::S(text))).into();
            item.insert("attempts".into(), AttributeValue::N("0".into()));
            item
        });
        load(&self.aws, &setting("ERRORS_TABLE"), items.collect()).await;
        self.drains.recorder.health_store.add_pending(route, count as i64, now).await.unwrap();
    }

    /// Stores a user that owns a number of items, half of them credentials and half workflows.
    /// Returns the user and the ids of its workflows.
    pub async fn seed_user(&self, count: usize) -> (User, Vec<WorkflowId>) {
        let names = Names::of("joe".parse().unwrap(), None).unwrap();
        let user = NewUser { names, full_name: None, metadata: Metadata::default() }.create(&RequestSeed::new(), 0);
        Users(self.directory.clone()).create(self.environment, &user, &RequestSeed::new()).await.unwrap();
        let (workflows, items) = owned_items(self.environment, user.user_id, count / 2);
        load(&self.aws, &setting("DIRECTORY_TABLE"), items).await;
        (user, workflows)
    }

    /// Returns whether nothing of a user and of these workflows is stored.
    pub async fn is_fully_deleted(&self, user: &User, workflows: &[WorkflowId]) -> bool {
        let pk = keys::user(self.environment, user.user_id);
        if !table_items::query(&self.aws, &setting("DIRECTORY_TABLE"), &pk).await.is_empty() {
            return false;
        }
        let client = aws_sdk_dynamodb::Client::new(&self.aws);
        for workflows in workflows.chunks(100) {
            let key = |id: &WorkflowId| {
                let key = [("pk", keys::workflow(self.environment, id)), ("sk", "workflow".to_owned())];
                key.map(|(name, text)| (name.to_owned(), keys::attribute(text))).into()
            };
            let wanted = KeysAndAttributes::builder().set_keys(Some(workflows.iter().map(key).collect()));
            let request = client.batch_get_item().request_items(setting("DIRECTORY_TABLE"), wanted.build().unwrap());
            let found = request.send().await.unwrap();
            assert!(found.unprocessed_keys.unwrap_or_default().is_empty());
            if found.responses.unwrap().values().any(|items| !items.is_empty()) {
                return false;
            }
        }
        true
    }

    /// Stores a destination as deleted.
    pub async fn seed_deleted_destination(&self, Route { environment, destination }: Route) {
        let item = [
            ("pk", keys::deleted_destinations(environment)),
            ("sk", keys::destination(destination)),
            ("destinationId", destination.to_string()),
        ];
        let item = item.map(|(name, text)| (name.to_owned(), AttributeValue::S(text))).into();
        load(&self.aws, &setting("DIRECTORY_TABLE"), vec![item]).await;
    }

    /// Counts the stored deliveries of these errors: finished, retried and pending.
    pub async fn count_delivery_items(&self, Route { environment, destination }: Route, errors: &[ErrorLog]) -> usize {
        let mut count = 0;
        for shard in 0..keys::DELIVERY_SHARDS {
            for pk in [
                keys::delivery_attempts(environment, destination, shard),
                keys::pending_deliveries(environment, destination, shard),
            ] {
                let items = table_items::query(&self.aws, &setting("ERRORS_TABLE"), &pk).await;
                let of = |text: &str| errors.iter().any(|error| text == error.error_id.to_string());
                count += items.iter().filter(|item| of(item["errorId"].as_s().unwrap())).count();
            }
        }
        let workflows: BTreeSet<WorkflowId> = errors.iter().map(|error| error.workflow_id).collect();
        for workflow in workflows {
            let pk = keys::workflow_deliveries(environment, workflow);
            let items = table_items::query(&self.aws, &setting("ERRORS_TABLE"), &pk).await;
            let here = items.iter().filter(|item| item["destinationId"].as_s().unwrap() == &destination.to_string());
            let recorded: BTreeSet<&String> = here.flat_map(|item| item["attempts"].as_m().unwrap().keys()).collect();
            count += errors.iter().filter(|error| recorded.contains(&error.error_id.to_string())).count();
        }
        count
    }

    /// Stores a replay of these errors, none of whose steps has been executed.
    pub async fn start_replay(&self, route: Route, errors: &[ErrorLog]) -> Replay {
        let selection = ReplaySelection::Errors(errors.iter().map(|error| error.error_id).collect());
        let replay = Replay::new(ReplayId::new(), route.destination, selection, Timestamp::now());
        self.drains.recorder.replays.create(route.environment, &replay).await.unwrap();
        replay
    }

    /// Returns the health of a destination.
    pub async fn health(&self, route: Route) -> Health {
        self.drains.recorder.health_store.get(route).await.unwrap()
    }

    /// Runs a destination's drain. Returns whether it succeeded.
    pub async fn drain(&self, route: Route) -> bool {
        self.drains.run(route).await.is_ok()
    }

    /// Stops the tasks started by [`Self::start_workers`].
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
    }

    /// Makes all pending deliveries of a destination due and runs its drain.
    pub async fn fast_forward(&self, route: Route) {
        let (directory, errors) = (setting("DIRECTORY_TABLE"), setting("ERRORS_TABLE"));
        let Route { environment, destination } = route;
        let (environment, destination) = (environment.to_string(), destination.to_string());
        table_items::fast_forward(&self.aws, [&directory, &errors], &environment, &destination).await;
        self.drain(route).await;
    }
}

/// Returns the event of the stream for these errors, without the first ones.
pub fn stream_event(errors: &[ErrorLog], from: usize) -> Value {
    let records: Vec<Value> = (from..errors.len()).map(|n| stream_record(&errors[n], n)).collect();
    json!({ "Records": records })
}

fn stream_record(error: &ErrorLog, index: usize) -> Value {
    let mut record = event("forward_errors")["Records"][0].clone();
    let members = serde_json::to_value(error).unwrap();
    let image = members.as_object().unwrap().iter().map(|(name, value)| (name.clone(), json!({ "S": value })));
    record["dynamodb"]["NewImage"] = image.collect();
    record["dynamodb"]["SequenceNumber"] = json!((index + 1).to_string());
    record
}

/// Returns the message of the first step of a replay.
pub fn first_step(environment_id: EnvironmentId, replay: &Replay) -> ReplayStep {
    ReplayStep::ReplayStepV1 { environment_id, replay_id: replay.replay_id, position: None }
}

/// Returns the ids of errors, sorted and without duplicates.
pub fn ids(errors: &[ErrorLog]) -> Vec<String> {
    let ids: BTreeSet<String> = errors.iter().map(|error| error.error_id.to_string()).collect();
    ids.into_iter().collect()
}

/// Returns an enabled destination that receives all errors.
pub fn destination(route: Route, target: Target) -> Destination {
    let now = Timestamp::now();
    Destination {
        destination_id: route.destination,
        version: 1,
        enabled: true,
        name: None,
        disabled_reason: None,
        disabled_at: None,
        events: errors_only(),
        filter: Filter::default(),
        target,
        verification: Verification::untested(),
        created_at: now,
        updated_at: now,
    }
}
