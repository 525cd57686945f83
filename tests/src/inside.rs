//! Delivery by itself: forwarder, first attempts and drains in the test's own process, on tables and queues of their own,
//! with an AWS that fails as a test wants.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use aws_config::SdkConfig;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_runtime_api::client::{
    http::{
        HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
    },
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
    runtime_components::RuntimeComponents,
};
use aws_smithy_types::body::SdkBody;
use futures_util::StreamExt;
use serde_json::{Value, json};
use tenon::{
    delivery::{
        books::Books,
        drain::Drains,
        eventbridge::{Buses, FIRST_ATTEMPT, PATIENT},
        first_attempts::FirstSender,
        forward::Forwarder,
        guard::Rules,
        outlets::Outlets,
        queues::{Drain, FirstAttempts, Queue, read},
        wake::Waker,
        webhook::{Webhooks, new_secret, seal_secret},
    },
    domain::{
        delivery::Route,
        destination::{Destination, Filter, Target, Verification},
        error_log::{ErrorIdentity, ErrorLog, NewError, WorkflowRef},
        health::{Health, Note},
        id::{DestinationId, EnvironmentId, UserId, WorkflowId},
        names::Names,
        origin::Origin,
        timestamp::Timestamp,
        user::{Metadata, NewUser, User},
        webhook::Webhook,
    },
    store::{
        Table,
        deliveries::Deliveries,
        destinations::Destinations,
        errors::{Errors, Retention},
        health::Healths,
        pending::PendingDeliveries,
        replays::Replays,
        users::Users,
        workflows::Workflows,
    },
    vault::Vault,
};

use crate::{aws, event, setting};

/// Delivery with all its parts.
#[derive(Clone)]
pub struct Inside {
    /// AWS as it is, without faults.
    pub aws: SdkConfig,
    /// AWS with the faults.
    pub faulty: SdkConfig,
    /// How many of a hundred calls fail.
    pub faults: Arc<AtomicU32>,
    /// How many calls were made.
    pub calls: Arc<AtomicU32>,
    /// The directory, with the faults.
    pub directory: Table,
    /// The environment of all destinations and errors.
    pub environment: EnvironmentId,
    /// The parts.
    pub forwarder: Forwarder,
    /// What makes the first attempts for webhooks.
    pub first: FirstSender,
    drains: Drains,
    queues: [String; 2],
    stopped: Arc<AtomicBool>,
}

impl Inside {
    /// With queues of its own, in the tables that tests share.
    pub async fn new() -> Self {
        let aws = aws(&setting("AWS_ACCESS_KEY_ID")).await;
        let (faults, calls) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let client = Faulty { rate: faults.clone(), calls: calls.clone(), client: aws.http_client().unwrap() };
        let config = aws.clone().into_builder().http_client(SharedHttpClient::new(client)).build();
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
        let books = Books {
            destinations: Destinations(directory.clone()),
            healths: Healths(directory.clone()),
            deliveries: Deliveries { table: table.clone(), retention },
            pending: PendingDeliveries { table: table.clone(), retention },
            waker: Waker { healths: Healths(directory.clone()), queue: Queue::new(&config, queues[1].clone()) },
        };
        let rules = Rules { ports: vec![443], loopback: true };
        let webhooks = Webhooks::new(rules, vault.clone());
        let errors = Errors { table, retention };
        Self {
            directory: directory.clone(),
            forwarder: Forwarder {
                books: books.clone(),
                buses: Buses::new(&config, vault.clone(), FIRST_ATTEMPT),
                webhooks: Queue::new(&config, queues[0].clone()),
                failures: Queue::new(&config, setting("FORWARD_FAILURES_QUEUE")),
            },
            first: FirstSender { books: books.clone(), errors: errors.clone(), webhooks: webhooks.clone() },
            drains: Drains {
                destinations: books.destinations,
                healths: books.healths,
                pending: books.pending,
                errors,
                replays: Replays(directory.clone()),
                waker: books.waker,
                outlets: Outlets { buses: Buses::new(&config, vault, PATIENT), webhooks },
            },
            environment: EnvironmentId::new(),
            queues,
            faults,
            calls,
            aws,
            faulty: config,
            stopped: Arc::default(),
        }
    }

    /// Saves a webhook.
    pub async fn webhook(&self, url: &str) -> Route {
        let route = Route { environment: self.environment, destination: DestinationId::new() };
        let vault = Vault::new(&self.aws, setting("DESTINATIONS_KEY"));
        let secret = seal_secret(&vault, route, 1, &new_secret().unwrap()).await.unwrap();
        let now = Timestamp::now();
        let destination = Destination {
            destination_id: route.destination,
            version: 1,
            enabled: true,
            disabled_reason: None,
            filter: Filter::default(),
            target: Target::Webhook(Webhook {
                url: url.parse().unwrap(),
                description: None,
                secret,
                previous: Vec::new(),
            }),
            verification: Verification::not_tested(),
            created_at: now,
            updated_at: now,
        };
        self.drains.destinations.create(self.environment, &destination).await.unwrap();
        route
    }

    /// Records errors, of a few workflows.
    pub async fn record(&self, count: usize) -> Vec<ErrorLog> {
        let workflows: Vec<WorkflowId> = (0..3).map(|_| WorkflowId::new()).collect();
        let (user, now) = (UserId::new(), Timestamp::now());
        let errors: Vec<ErrorLog> = (0..count)
            .map(|n| {
                let new = NewError {
                    identity: ErrorIdentity::new(None, None, &Origin::of(now), 0).unwrap(),
                    execution_id: "e".parse().unwrap(),
                    block_id: "b".parse().unwrap(),
                    block_type: "shopify".parse().unwrap(),
                    error: format!("error {n}"),
                };
                let workflow_id = workflows[n % workflows.len()];
                new.record(self.environment, &WorkflowRef { workflow_id, user_id: user, integration_id: None }, now)
            })
            .collect();
        assert!(self.drains.errors.record(&errors).await.unwrap().is_empty());
        errors
    }

    /// Forwards errors as the stream does: what is reported comes again, with all that comes after it.
    pub async fn forward(&self, errors: &[ErrorLog]) {
        for batch in errors.chunks(20) {
            let mut from = 0;
            while from < batch.len() {
                let records: Vec<Value> = (from..batch.len()).map(|n| stream_record(&batch[n], n)).collect();
                let event = serde_json::from_value(json!({ "Records": records })).unwrap();
                let answer = serde_json::to_value(self.forwarder.forward(event).await).unwrap();
                from = match answer["batchItemFailures"][0]["itemIdentifier"].as_str() {
                    Some(lowest) => lowest.parse::<usize>().unwrap() - 1,
                    None => batch.len(),
                };
            }
        }
    }

    /// Works on both queues until it is stopped: messages that failed come again.
    pub fn work(&self) -> tokio::task::JoinHandle<()> {
        let inside = self.clone();
        tokio::spawn(async move {
            let sqs = aws_sdk_sqs::Client::new(&inside.aws);
            while !inside.stopped.load(Ordering::SeqCst) {
                for (number, queue) in inside.queues.iter().enumerate() {
                    let received = sqs.receive_message().queue_url(queue).max_number_of_messages(10);
                    let messages = received.visibility_timeout(3).send().await.unwrap().messages.unwrap_or_default();
                    let done: Vec<bool> = match number {
                        0 => {
                            let attempts: Vec<FirstAttempts> =
                                messages.iter().map(|message| read(message.body()).unwrap()).collect();
                            let again = inside.first.send(&attempts).await;
                            (0..messages.len()).map(|index| !again.contains(&index)).collect()
                        }
                        _ => {
                            let drained = messages.iter().map(async |message| {
                                inside.drain(read::<Drain>(message.body()).unwrap().route()).await
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

    /// Lets each error wait for a destination so many times, due since a while.
    pub async fn pile_up(&self, route: Route, errors: &[ErrorLog], count: usize) {
        let now = Timestamp::now();
        let items = (0..count).map(|n| {
            let error = &errors[n % errors.len()];
            let due = now - Duration::from_millis(n as u64 + 1);
            let shard = error.error_id.object_id().shard(8);
            let texts = [
                ("pk", format!("env#{}#destination#{}#pending#{shard}", route.environment, route.destination)),
                ("sk", format!("{due}#{}#{}", error.error_id, error.workflow_id)),
                ("type", "pendingDelivery".into()),
                ("workflowId", error.workflow_id.to_string()),
                ("errorId", error.error_id.to_string()),
                ("waitingSince", now.to_string()),
                ("nextAttemptAt", due.to_string()),
            ];
            let mut item: HashMap<String, AttributeValue> =
                texts.map(|(name, text)| (name.to_owned(), AttributeValue::S(text))).into();
            item.insert("attempts".into(), AttributeValue::N("0".into()));
            item
        });
        load(&self.aws, &setting("ERRORS_TABLE"), items.collect()).await;
        let note = Note { waiting: count as i64, ..Note::default() };
        self.drains.healths.note(route, &Health::default(), &note, now).await.unwrap();
    }

    /// A user that owns so many things: half of them credentials, half workflows, whose ids stand beside it.
    pub async fn user_with(&self, count: usize) -> (User, Vec<WorkflowId>) {
        let names = Names::of("joe".parse().unwrap(), None).unwrap();
        let user = NewUser { names, full_name: None, metadata: Metadata::default() }.create(&Origin::new(), 0);
        Users(self.directory.clone()).create(self.environment, &user).await.unwrap();
        let pk = format!("env#{}#user#{}", self.environment, user.user_id);
        let mut items: Vec<HashMap<String, AttributeValue>> = Vec::new();
        let item = |texts: &[(&str, String)]| {
            texts.iter().map(|(name, text)| ((*name).to_owned(), AttributeValue::S(text.clone()))).collect()
        };
        let workflows: Vec<WorkflowId> = (0..count / 2).map(|_| WorkflowId::new()).collect();
        for (n, id) in workflows.iter().enumerate() {
            items.push(item(&[("pk", pk.clone()), ("sk", format!("credential#{n:024x}"))]));
            let id = id.to_string();
            items.push(item(&[("pk", pk.clone()), ("sk", format!("workflow#{n}")), ("workflowId", id.clone())]));
            let workflow = format!("env#{}#workflow#{id}", self.environment);
            items.push(item(&[("pk", workflow), ("sk", "workflow".into()), ("userId", user.user_id.to_string())]));
        }
        load(&self.aws, &setting("DIRECTORY_TABLE"), items).await;
        (user, workflows)
    }

    /// Whether nothing is there any more of a user and of these workflows.
    pub async fn nothing_is_left(&self, user: &User, workflows: &[WorkflowId]) -> bool {
        let dynamodb = aws_sdk_dynamodb::Client::new(&self.aws);
        let pk = AttributeValue::S(format!("env#{}#user#{}", self.environment, user.user_id));
        let query = dynamodb.query().table_name(setting("DIRECTORY_TABLE")).key_condition_expression("pk = :pk");
        if query.expression_attribute_values(":pk", pk).send().await.unwrap().count > 0 {
            return false;
        }
        Workflows(Table::new(&self.aws, setting("DIRECTORY_TABLE")))
            .get_all(self.environment, workflows)
            .await
            .unwrap()
            .is_empty()
    }

    /// Remembers a destination as one that was deleted.
    pub async fn former_destination(&self, Route { environment, destination }: Route) {
        let item = [
            ("pk", format!("env#{environment}#former-destinations")),
            ("sk", format!("destination#{destination}")),
            ("destinationId", destination.to_string()),
        ];
        let item = item.map(|(name, text)| (name.to_owned(), AttributeValue::S(text))).into();
        load(&self.aws, &setting("DIRECTORY_TABLE"), vec![item]).await;
    }

    /// How many items there are of the deliveries of these errors: what is told of them, and those that wait.
    pub async fn told_of(&self, Route { environment, destination }: Route, errors: &[ErrorLog]) -> usize {
        let dynamodb = aws_sdk_dynamodb::Client::new(&self.aws);
        let mut count = 0;
        for part in ["attempts", "pending"] {
            for shard in 0..8 {
                let pk = AttributeValue::S(format!("env#{environment}#destination#{destination}#{part}#{shard}"));
                let query = dynamodb.query().table_name(setting("ERRORS_TABLE")).key_condition_expression("pk = :pk");
                let items = query.expression_attribute_values(":pk", pk).send().await.unwrap().items.unwrap();
                let of = |text: &str| errors.iter().any(|error| text == error.error_id.to_string());
                count += items.iter().filter(|item| of(item["errorId"].as_s().unwrap())).count();
            }
        }
        let workflows: BTreeSet<WorkflowId> = errors.iter().map(|error| error.workflow_id).collect();
        for workflow in workflows {
            let pk = AttributeValue::S(format!("env#{environment}#workflow#{workflow}#deliveries"));
            let query = dynamodb.query().table_name(setting("ERRORS_TABLE")).key_condition_expression("pk = :pk");
            let items = query.expression_attribute_values(":pk", pk).send().await.unwrap().items.unwrap();
            let here = items.iter().filter(|item| item["destinationId"].as_s().unwrap() == &destination.to_string());
            let told: BTreeSet<&String> = here.flat_map(|item| item["attempts"].as_m().unwrap().keys()).collect();
            count += errors.iter().filter(|error| told.contains(&error.error_id.to_string())).count();
        }
        count
    }

    /// The health of a destination.
    pub async fn health(&self, route: Route) -> Health {
        self.drains.healths.get(route).await.unwrap()
    }

    /// Runs a destination's drain. Whether it came to its end.
    pub async fn drain(&self, route: Route) -> bool {
        self.drains.run(route).await.is_ok()
    }

    /// Ends what [`Self::work`] began.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
    }

    /// Lets the time pass for which a destination's deliveries wait, and runs its drain.
    pub async fn hurry(&self, route: Route) {
        let (directory, errors) = (setting("DIRECTORY_TABLE"), setting("ERRORS_TABLE"));
        let Route { environment, destination } = route;
        let (environment, destination) = (environment.to_string(), destination.to_string());
        crate::hurry(&self.aws, [&directory, &errors], &environment, &destination).await;
        self.drain(route).await;
    }
}

/// Writes many items into a table.
pub async fn load(aws: &SdkConfig, table: &str, items: Vec<HashMap<String, AttributeValue>>) {
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

/// Writes so many users into the directory.
pub async fn load_users(aws: &SdkConfig, environment: EnvironmentId, count: usize) {
    let origin = Origin::new();
    let items = (0..count).map(|n| {
        let names = Names::of(format!("user-{n}").parse().unwrap(), None).unwrap();
        let user = NewUser { names, full_name: None, metadata: Metadata::default() }.create(&origin, n);
        let id = user.user_id;
        let mut item: HashMap<String, AttributeValue> = HashMap::new();
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
            ("pk", format!("env#{environment}#user#{id}")),
            ("sk", "user".into()),
            ("type", "user".into()),
            ("listPk", format!("env#{environment}#users#{}", id.object_id().shard(4))),
            ("listSk", id.to_string()),
        ] {
            item.insert(name.into(), AttributeValue::S(text));
        }
        item
    });
    load(aws, &setting("DIRECTORY_TABLE"), items.collect()).await;
}

fn stream_record(error: &ErrorLog, place: usize) -> Value {
    let mut record = event("forward_errors")["Records"][0].clone();
    let members = serde_json::to_value(error).unwrap();
    let image = members.as_object().unwrap().iter().map(|(name, value)| (name.clone(), json!({ "S": value })));
    record["dynamodb"]["NewImage"] = image.collect();
    record["dynamodb"]["SequenceNumber"] = json!((place + 1).to_string());
    record
}

/// The ids of errors, sorted.
pub fn ids(errors: &[ErrorLog]) -> Vec<String> {
    let ids: BTreeSet<String> = errors.iter().map(|error| error.error_id.to_string()).collect();
    ids.into_iter().collect()
}

/// AWS with faults: throttling, internal errors, unprocessed items, and answers that are lost after the work was done.
#[derive(Debug)]
struct Faulty {
    rate: Arc<AtomicU32>,
    calls: Arc<AtomicU32>,
    client: SharedHttpClient,
}

impl HttpClient for Faulty {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let connector = self.client.http_connector(settings, components);
        SharedHttpConnector::new(FaultyConnector { rate: self.rate.clone(), calls: self.calls.clone(), connector })
    }
}

#[derive(Debug)]
struct FaultyConnector {
    rate: Arc<AtomicU32>,
    calls: Arc<AtomicU32>,
    connector: SharedHttpConnector,
}

impl HttpConnector for FaultyConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        self.calls.fetch_add(1, Ordering::SeqCst);
        if rand::random_range(0..100) >= self.rate.load(Ordering::SeqCst) {
            return self.connector.call(request);
        }
        let operation = request.headers().get("x-amz-target").unwrap_or_default().to_owned();
        let body: Value = serde_json::from_slice(request.body().bytes().unwrap_or_default()).unwrap_or_default();
        match rand::random_range(0..4) {
            0 => answer(400, json!({ "__type": "ThrottlingException", "message": "Rate exceeded" })),
            1 => answer(500, json!({ "__type": "InternalServerError", "message": "" })),
            2 if operation.ends_with("BatchWriteItem") => {
                answer(200, json!({ "UnprocessedItems": body["RequestItems"] }))
            }
            _ => {
                let called = self.connector.call(request);
                HttpConnectorFuture::new(async move {
                    called.await?;
                    Err(ConnectorError::io("the answer was lost".into()))
                })
            }
        }
    }
}

fn answer(status: u16, body: Value) -> HttpConnectorFuture {
    let mut response = HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body.to_string()));
    response.headers_mut().insert("content-type", "application/x-amz-json-1.0");
    HttpConnectorFuture::ready(Ok(response))
}
