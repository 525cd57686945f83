//! The world of the end-to-end tests: a deployed Tenon, its environments, and a customer's own AWS account.
//!
//! `make test` deploys the template and gives its addresses in the environment. Nothing here uses the product's types for
//! what travels over the wire: the tests read what a client would read.

pub mod browser;
pub mod crash;
pub mod inside;
pub mod receiver;
pub mod units;

use std::{
    future::Future,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::{config::Credentials, types::AttributeValue};
use aws_sdk_sqs::types::{MessageSystemAttributeName, QueueAttributeName};
use aws_smithy_http_client::test_util::infallible_client_fn;
use aws_smithy_runtime_api::client::{
    http::{
        HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
    },
    orchestrator::HttpRequest,
    runtime_components::RuntimeComponents,
};
use serde_json::{Value, json};

/// A setting that `make test` gives.
pub fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run these tests by `make test`"))
}

/// AWS as the root of an account of the emulator.
pub async fn aws(account: &str) -> SdkConfig {
    let credentials = Credentials::new(account, setting("AWS_SECRET_ACCESS_KEY"), None, None, "tests");
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .region(Region::new(setting("AWS_REGION")))
        .endpoint_url(setting("AWS_ENDPOINT_URL"))
        .credentials_provider(credentials)
        .load()
        .await
}

/// Asks again and again until there is an answer; panics when there is none within a minute.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(60) {
        if let Some(found) = ask().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("not within a minute: {what}")
}

/// A deployed Tenon.
#[derive(Clone, Debug)]
pub struct Tenon {
    /// The account that it is deployed in, as its root.
    pub aws: SdkConfig,
}

impl Tenon {
    /// The one that `make test` has deployed.
    pub async fn deployed() -> Self {
        Self { aws: aws(&setting("AWS_ACCESS_KEY_ID")).await }
    }

    /// Invokes a function that only IAM may invoke; the answer is its payload or the error's.
    pub async fn invoke(&self, output: &str, payload: Value) -> Result<Value, Value> {
        let answer = aws_sdk_lambda::Client::new(&self.aws)
            .invoke()
            .function_name(setting(&format!("TENON_STACK_{output}")))
            .payload(aws_sdk_lambda::primitives::Blob::new(payload.to_string()))
            .send()
            .await
            .unwrap();
        let body = serde_json::from_slice(answer.payload.unwrap().as_ref()).unwrap();
        if answer.function_error.is_some() { Err(body) } else { Ok(body) }
    }

    /// A new environment with a key for its back end and one for its engine.
    pub async fn environment(&self) -> Environment {
        let made = self.invoke("CreateEnvironment", json!({ "name": "acme", "kind": "test" })).await.unwrap();
        let id = made["environmentId"].as_str().unwrap().to_owned();
        let backend = Api::new(self.key(&id, "manage").await);
        let engine = Api::new(self.key(&id, "engine").await);
        Environment { tenon: self.clone(), id, backend, engine }
    }

    /// A new key of an environment with one scope.
    pub async fn key(&self, environment: &str, scope: &str) -> String {
        let payload = json!({ "environmentId": environment, "name": scope, "scopes": [scope] });
        let made = self.invoke("CreateKey", payload).await.unwrap();
        made["key"].as_str().unwrap().to_owned()
    }

    /// Returns the lines of the functions' logs that contain a text.
    pub async fn logs(&self, text: &str) -> String {
        let script = "import boto3, sys\n\
            pages = boto3.client('logs').get_paginator('filter_log_events').paginate(logGroupName=sys.argv[1])\n\
            print('\\n'.join(e['message'] for page in pages for e in page['events'] if sys.argv[2] in e['message']))";
        let python = tokio::process::Command::new(setting("TENON_PYTHON"))
            .args(["-c", script, &setting("TENON_STACK_LogGroup"), text])
            .env("AWS_DEFAULT_REGION", setting("AWS_REGION"))
            .output();
        String::from_utf8(python.await.unwrap().stdout).unwrap()
    }

    /// All items of a partition of a table.
    pub async fn items(&self, table: &str, pk: &str) -> Vec<std::collections::HashMap<String, AttributeValue>> {
        let answer = aws_sdk_dynamodb::Client::new(&self.aws)
            .query()
            .table_name(setting(&format!("TENON_STACK_{table}")))
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", AttributeValue::S(pk.to_owned()))
            .send()
            .await
            .unwrap();
        answer.items.unwrap()
    }
}

/// An environment and those who act in it.
#[derive(Clone, Debug)]
pub struct Environment {
    /// Where it is.
    pub tenon: Tenon,
    /// Its id.
    pub id: String,
    /// The API with the back end's key.
    pub backend: Api,
    /// The API with the engine's key.
    pub engine: Api,
}

impl Environment {
    /// Creates a user with this e-mail address. Returns its id.
    pub async fn user(&self, email: &str) -> String {
        self.backend.post("/users", json!({ "email": email })).await.is(201).text("userId")
    }

    /// Creates a workflow of a user. Returns its id.
    pub async fn workflow(&self, user: &str, name: &str) -> String {
        self.backend.post("/workflows", json!({ "userId": user, "name": name })).await.is(201).text("workflowId")
    }

    /// Creates a credential of a user with these data. Returns its id.
    pub async fn credential(&self, user: &str, data: Value) -> String {
        let body = json!({ "type": "shopify", "name": "Shop", "data": data });
        self.backend.post(&format!("/users/{user}/credentials"), body).await.is(201).text("credentialId")
    }

    /// Deletes a user.
    pub async fn delete_user(&self, user: &str) {
        self.backend.delete(&format!("/users/{user}")).await.is(200);
    }

    /// A user's token.
    pub async fn token(&self, user: &str) -> String {
        self.backend.get(&format!("/users/{user}/token")).await.is(200).text("token")
    }

    /// Disables a user.
    pub async fn disable(&self, user: &str) {
        let answer = self.backend.post(&format!("/users/{user}/disable"), json!({})).await.is(200);
        assert_eq!(answer.body["status"], "disabled");
    }

    /// Enables a user.
    pub async fn enable(&self, user: &str) {
        let answer = self.backend.post(&format!("/users/{user}/enable"), json!({})).await.is(200);
        assert_eq!(answer.body["status"], "active");
    }

    /// Records an error of a workflow by its text. Returns its id.
    pub async fn record(&self, workflow: &str, error: &str) -> String {
        let answer = self.engine.post(&format!("/workflows/{workflow}/errors"), example_error(error)).await.is(202);
        answer.body["ids"][0].as_str().unwrap().to_owned()
    }

    /// The texts of a workflow's errors, the newest first.
    pub async fn errors(&self, workflow: &str) -> Vec<String> {
        let page = self.backend.get(&format!("/workflows/{workflow}/errors?limit=100")).await.is(200).body;
        page["errors"].as_array().unwrap().iter().map(|error| error["error"].as_str().unwrap().to_owned()).collect()
    }

    /// Saves a bus as a destination. Returns its id.
    pub async fn destination(&self, bus: &str) -> String {
        self.backend.post("/destinations", bus_settings(bus)).await.is(201).text("destinationId")
    }

    /// Saves a webhook as a destination. Returns its id and its secret.
    pub async fn webhook(&self, url: &str) -> (String, String) {
        let created = self.backend.post("/destinations", json!({ "type": "webhook", "url": url })).await.is(201);
        (created.text("destinationId"), created.text("secret"))
    }

    /// A webhook that takes everything: what has arrived there was forwarded, to all destinations that there were.
    pub async fn witness(&self) -> receiver::Receiver {
        let receiver = receiver::Receiver::new().await;
        self.webhook(&receiver.url).await;
        receiver
    }

    /// A destination as the API shows it.
    pub async fn shown(&self, destination: &str) -> Value {
        self.backend.get(&format!("/destinations/{destination}")).await.is(200).body
    }

    /// The deliveries of a destination that stand so.
    pub async fn deliveries(&self, destination: &str, status: &str) -> Vec<Value> {
        let path = format!("/destinations/{destination}/deliveries?limit=100&status={status}");
        self.backend.get(&path).await.is(200).body["data"].as_array().unwrap().clone()
    }

    /// Lets the time pass for which a destination's pending deliveries wait, the one for which it is left alone, and the one
    /// for which a drain that died has it: makes all due, and tells its drain to run.
    pub async fn hurry(&self, destination: &str) {
        let tables = [setting("TENON_STACK_DirectoryTable"), setting("TENON_STACK_ErrorsTable")];
        hurry(&self.tenon.aws, [&tables[0], &tables[1]], &self.id, destination).await;
        self.wake(destination).await;
    }

    /// Tells a destination's drain to run.
    pub async fn wake(&self, destination: &str) {
        let message = json!({ "message": "DrainV1", "environmentId": self.id, "destinationId": destination });
        let request = aws_sdk_sqs::Client::new(&self.tenon.aws).send_message();
        let request = request.queue_url(setting("TENON_STACK_Drains")).message_body(message.to_string());
        request.send().await.unwrap();
    }

    /// Turns a destination to a bus that its keys may not use, as if the customer had taken the permission away since.
    pub async fn take_permission_away(&self, destination: &str) {
        let (region, account) = (setting("AWS_REGION"), setting("TENON_CUSTOMER_ACCOUNT"));
        let forbidden = format!("arn:aws:events:{region}:{account}:event-bus/somebody-elses");
        let request = aws_sdk_dynamodb::Client::new(&self.tenon.aws).update_item();
        request
            .table_name(setting("TENON_STACK_DirectoryTable"))
            .key("pk", AttributeValue::S(format!("env#{}#destinations", self.id)))
            .key("sk", AttributeValue::S(format!("destination#{destination}")))
            .update_expression("SET target.eventbridge.eventBusName = :bus ADD version :one")
            .expression_attribute_values(":bus", AttributeValue::S(forbidden))
            .expression_attribute_values(":one", AttributeValue::N("1".into()))
            .send()
            .await
            .unwrap();
    }

    /// The pending deliveries of a destination.
    pub async fn pending(&self, destination: &str) -> Vec<std::collections::HashMap<String, AttributeValue>> {
        let mut found = Vec::new();
        for shard in 0..8 {
            let pk = format!("env#{}#destination#{destination}#pending#{shard}", self.id);
            found.extend(self.tenon.items("ErrorsTable", &pk).await);
        }
        found
    }
}

/// Lets time pass for a destination, in a directory and a table of errors.
pub async fn hurry(aws: &SdkConfig, [directory, errors]: [&str; 2], environment: &str, destination: &str) {
    let dynamodb = aws_sdk_dynamodb::Client::new(aws);
    let now = tenon::domain::timestamp::Timestamp::now().to_string();
    for shard in 0..8 {
        let pk = format!("env#{environment}#destination#{destination}#pending#{shard}");
        let query = dynamodb.query().table_name(errors).key_condition_expression("pk = :pk AND sk > :now");
        let query = query.expression_attribute_values(":pk", AttributeValue::S(pk));
        let query = query.expression_attribute_values(":now", AttributeValue::S(format!("{now}$")));
        for item in query.send().await.unwrap().items.unwrap() {
            let (error, workflow) = (item["errorId"].as_s().unwrap(), item["workflowId"].as_s().unwrap());
            let mut due = item.clone();
            due.insert("sk".into(), AttributeValue::S(format!("{now}#{error}#{workflow}")));
            due.insert("nextAttemptAt".into(), AttributeValue::S(now.clone()));
            let key = ["pk", "sk"].map(|name| (name.to_owned(), item[name].clone())).into();
            let delete = aws_sdk_dynamodb::types::Delete::builder().table_name(errors).set_key(Some(key));
            let delete = delete.condition_expression("attribute_exists(pk)").build().unwrap();
            let put = aws_sdk_dynamodb::types::Put::builder().table_name(errors).set_item(Some(due)).build().unwrap();
            let action = aws_sdk_dynamodb::types::TransactWriteItem::builder;
            let request = dynamodb.transact_write_items();
            let request = request.transact_items(action().delete(delete).build());
            // A drain may have been quicker.
            let _ = request.transact_items(action().put(put).build()).send().await;
        }
    }
    let request = dynamodb.update_item().table_name(directory);
    let request = request.key("pk", AttributeValue::S(format!("env#{environment}#destinations")));
    let request = request.key("sk", AttributeValue::S(format!("health#{destination}")));
    request.update_expression("REMOVE holdUntil, retryAfter, leasedUntil").send().await.unwrap();
}

/// An error as an engine records it.
pub fn example_error(error: &str) -> Value {
    json!({
        "executionId": "6155ac246093840013297377",
        "blockId": "edb4e8e8-1e0e-4fac-84fd-9f9d4855ce93",
        "blockType": "alloy.shopify",
        "error": error,
    })
}

/// A destination for a bus, with the customer's keys.
pub fn bus_settings(bus: &str) -> Value {
    json!({
        "type": "eventbridge",
        "region": setting("AWS_REGION"),
        "eventBusName": bus,
        "credentials": {
            "accessKeyId": setting("TENON_CUSTOMER_KEY_ID"),
            "secretAccessKey": setting("TENON_CUSTOMER_SECRET"),
        },
    })
}

/// The API as the holder of a key or token sees it.
#[derive(Clone, Debug)]
pub struct Api {
    credential: Option<String>,
    client: reqwest::Client,
}

impl Api {
    /// With a key or a token.
    pub fn new(credential: impl Into<String>) -> Self {
        Self { credential: Some(credential.into()), client: reqwest::Client::new() }
    }

    /// The key or token itself.
    pub fn credential(&self) -> &str {
        self.credential.as_deref().unwrap_or_default()
    }

    /// Without the header.
    pub fn anonymous() -> Self {
        Self { credential: None, client: reqwest::Client::new() }
    }

    /// A request that is yet to be sent.
    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let request = self.client.request(method.parse().unwrap(), format!("{}{path}", setting("TENON_URL")));
        match &self.credential {
            Some(credential) => request.bearer_auth(credential),
            None => request,
        }
    }

    /// A GET.
    pub async fn get(&self, path: &str) -> Answer {
        send(self.request("GET", path)).await
    }

    /// A POST with a JSON body.
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        send(self.request("POST", path).json(&body)).await
    }

    /// A DELETE.
    pub async fn delete(&self, path: &str) -> Answer {
        send(self.request("DELETE", path)).await
    }

    /// A PUT with a JSON body.
    pub async fn put(&self, path: &str, body: Value) -> Answer {
        send(self.request("PUT", path).json(&body)).await
    }

    /// A PATCH with a JSON body.
    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        send(self.request("PATCH", path).json(&body)).await
    }
}

/// Sends a request and reads the whole answer.
pub async fn send(request: reqwest::RequestBuilder) -> Answer {
    let answer = request.send().await.unwrap();
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let text = answer.text().await.unwrap();
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Answer { status, headers, body }
}

/// What the API answered. A failed expectation prints all of it.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: http::HeaderMap,
    /// The body, as JSON where it is.
    pub body: Value,
}

impl Answer {
    /// Expects a status.
    #[track_caller]
    pub fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:#?}");
        self
    }

    /// Expects a problem document of a kind.
    #[track_caller]
    pub fn is_problem(self, status: u16, kind: &str) -> Self {
        let answer = self.is(status);
        assert_eq!(answer.header("content-type"), "application/problem+json", "{answer:#?}");
        assert_eq!(answer.body["type"], format!("urn:tenon:problem:{kind}"), "{answer:#?}");
        assert_eq!(answer.body["status"], status, "{answer:#?}");
        assert_eq!(answer.body["message"], answer.body["detail"], "{answer:#?}");
        assert!(!answer.body["instance"].as_str().unwrap_or_default().is_empty(), "{answer:#?}");
        answer
    }

    /// Expects a problem to name exactly these fields.
    #[track_caller]
    pub fn names(self, pointers: &[&str]) -> Self {
        let errors = self.body["errors"].as_array().cloned().unwrap_or_default();
        let named: Vec<&str> = errors.iter().filter_map(|error| error["pointer"].as_str()).collect();
        assert_eq!(named, pointers, "{self:#?}");
        self
    }

    /// A header's value, empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    /// A member that is a text.
    #[track_caller]
    pub fn text(&self, member: &str) -> String {
        self.body[member].as_str().unwrap_or_else(|| panic!("no {member}: {self:#?}")).to_owned()
    }
}

/// A bus in the customer's account, whose events arrive in a queue.
#[derive(Clone, Debug)]
pub struct Bus {
    /// The bus's name.
    pub name: String,
    sqs: aws_sdk_sqs::Client,
    queue: String,
}

impl Bus {
    /// Makes a bus with a name that the customer's keys may put events on, a queue, and a rule between them.
    pub async fn new() -> Self {
        Self::of(&setting("TENON_CUSTOMER_ACCOUNT")).await
    }

    /// The same in another account.
    pub async fn of(account: &str) -> Self {
        let aws = aws(account).await;
        let name = format!("tenon-test-{}", tenon::domain::id::UserId::new());
        let (events, sqs) = (aws_sdk_eventbridge::Client::new(&aws), aws_sdk_sqs::Client::new(&aws));
        events.create_event_bus().name(&name).send().await.unwrap();
        let queue = sqs.create_queue().queue_name(&name).send().await.unwrap().queue_url.unwrap();
        let arn = format!("arn:aws:sqs:{}:{account}:{name}", setting("AWS_REGION"));
        let policy = json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow",
            "Principal": { "Service": "events.amazonaws.com" }, "Action": "sqs:SendMessage", "Resource": arn }] });
        let allow = QueueAttributeName::Policy;
        sqs.set_queue_attributes().queue_url(&queue).attributes(allow, policy.to_string()).send().await.unwrap();
        let pattern = json!({ "source": ["tenon.errors"] }).to_string();
        events.put_rule().name(&name).event_bus_name(&name).event_pattern(pattern).send().await.unwrap();
        let target = aws_sdk_eventbridge::types::Target::builder().id("queue").arn(&arn).build().unwrap();
        events.put_targets().rule(&name).event_bus_name(&name).targets(target).send().await.unwrap();
        Self { name, sqs, queue }
    }

    /// Events that have arrived since the last call, none where there are none.
    pub async fn arrived(&self) -> Vec<Value> {
        self.arrived_at().await.into_iter().map(|(_, event)| event).collect()
    }

    /// The same with the milliseconds since 1970 at which each arrived.
    pub async fn arrived_at(&self) -> Vec<(i64, Value)> {
        let sent_at = MessageSystemAttributeName::SentTimestamp;
        let request = self.sqs.receive_message().queue_url(&self.queue).max_number_of_messages(10);
        let answer = request.message_system_attribute_names(sent_at.clone()).send().await.unwrap();
        let mut events = Vec::new();
        for message in answer.messages.unwrap_or_default() {
            let receipt = message.receipt_handle.unwrap();
            self.sqs.delete_message().queue_url(&self.queue).receipt_handle(receipt).send().await.unwrap();
            let at = message.attributes.unwrap()[&sent_at].parse().unwrap();
            events.push((at, serde_json::from_str(&message.body.unwrap()).unwrap()));
        }
        events
    }

    /// Waits for so many errors; test events are passed over.
    pub async fn errors(&self, count: usize) -> Vec<Value> {
        self.receive("Workflow Error", count).await
    }

    /// Waits for so many events of a type.
    pub async fn receive(&self, detail_type: &str, count: usize) -> Vec<Value> {
        let events = std::sync::Mutex::new(Vec::new());
        eventually("the events arrive on the bus", async || {
            let mut arrived = self.arrived().await;
            arrived.retain(|event| event["detail-type"] == detail_type);
            let mut events = events.lock().unwrap();
            events.extend(arrived);
            (events.len() >= count).then_some(())
        })
        .await;
        events.into_inner().unwrap()
    }
}

/// AWS as a script plays it: for each request, from its operation and body, a status and a body.
pub async fn scripted(answer: impl Fn(&str, Value) -> (u16, Value) + Send + Sync + 'static) -> SdkConfig {
    let client = infallible_client_fn(move |request| {
        let body = serde_json::from_slice(request.body().bytes().unwrap_or_default()).unwrap_or_default();
        let (status, body) =
            answer(operation(request.headers().get("x-amz-target").and_then(|v| v.to_str().ok())), body);
        let response = http::Response::builder().status(status).header("content-type", "application/x-amz-json-1.1");
        response.body(body.to_string()).unwrap()
    });
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(client)
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("AKIAIOSFODNN7EXAMPLE", "secret", None, None, "tests"))
        .load()
        .await
}

/// The operation that `x-amz-target` names.
fn operation(target: Option<&str>) -> &str {
    target.and_then(|target| target.rsplit('.').next()).unwrap_or_default()
}

/// The AWS calls of a client, counted at its HTTP layer by their operations.
#[derive(Clone, Debug)]
pub struct Calls {
    made: Arc<Mutex<Vec<String>>>,
    client: SharedHttpClient,
}

impl Calls {
    /// Counts what is sent with a configuration from now on.
    pub fn count(config: &SdkConfig) -> (SdkConfig, Self) {
        let calls = Self { made: Arc::default(), client: config.http_client().unwrap() };
        let counting = config.clone().into_builder().http_client(SharedHttpClient::new(calls.clone())).build();
        (counting, calls)
    }

    /// The calls since the last time that this was asked.
    pub fn taken(&self) -> Vec<String> {
        std::mem::take(&mut *self.made.lock().unwrap())
    }
}

impl HttpClient for Calls {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let connector = self.client.http_connector(settings, components);
        SharedHttpConnector::new(CountingConnector { made: self.made.clone(), connector })
    }
}

#[derive(Debug)]
struct CountingConnector {
    made: Arc<Mutex<Vec<String>>>,
    connector: SharedHttpConnector,
}

impl HttpConnector for CountingConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        self.made.lock().unwrap().push(operation(request.headers().get("x-amz-target")).to_owned());
        self.connector.call(request)
    }
}

/// The event file of a function.
pub fn event(function: &str) -> Value {
    let path = format!("{}/tests/events/{function}.json", setting("TENON_ROOT"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}
