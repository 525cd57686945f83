//! Cost of warm requests. The binary of an endpoint handles its event file repeatedly, against an
//! AWS that replays recorded responses. It takes turns with a handwritten function that makes the
//! same AWS calls.

use axum::body::Bytes;
use serde_json::{Value, json};
use tests::{bus_settings, event, example_error};

use crate::{
    aws::{Aws, Call},
    figures::{Spread, spread},
    process::{Functions, Process},
    runtime::{Runtime, succeeded},
};

/// Number of processes of each function that are measured, one after the other: the time of a
/// request differs more between processes than between rounds.
pub const PROCESSES: usize = 3;
/// Number of rounds in which the processes of the functions take turns. Each handles [`REQUESTS`]
/// requests in a round.
const ROUNDS: usize = 5;
const REQUESTS: usize = 60;

/// Cost of a warm request.
#[derive(Debug)]
pub struct Warm {
    /// Function name.
    pub name: String,
    /// Processor time in microseconds.
    pub cpu: Spread,
    /// Processor time of the minimal handler in microseconds.
    pub minimal: Spread,
    /// Ratio to the minimal handler, per round.
    pub ratio: Spread,
    /// Ratio to the minimal handler in which the SDK serializes the items, if all writes put items.
    pub item_ratio: Option<Spread>,
    /// AWS calls of a request.
    pub calls: Vec<String>,
}

/// Sequence of requests to all functions, in which each prepares the next ones, with the
/// measurements.
pub struct Scenario<'a> {
    functions: &'a Functions,
    aws: &'a Aws,
    /// Environment of all requests.
    pub environment: String,
    /// Measurements.
    pub warm: Vec<Warm>,
    measuring: bool,
}

impl<'a> Scenario<'a> {
    /// Creates a scenario without any requests.
    pub fn new(functions: &'a Functions, aws: &'a Aws, measuring: bool) -> Self {
        Self { functions, aws, environment: String::new(), warm: Vec::new(), measuring }
    }

    /// Sends an event to a function with the local AWS, then measures it if the scenario does so.
    /// Returns the response.
    pub async fn step(&mut self, name: &str, event: &Value) -> Value {
        self.aws.record();
        let (process, mut runtime) = self.functions.ready(name, self.aws).await;
        let event = Bytes::from(event.to_string());
        let response = runtime.invoke(&event).await.1;
        let answer: Value = serde_json::from_slice(&response).unwrap_or_default();
        let http = answer.get("statusCode").is_some();
        assert!(succeeded(&response), "{name}: {answer}");
        if self.measuring {
            self.aws.replay();
            let calls = self.calls(name, &mut runtime, &event).await;
            drop(process);
            let warm = self.measure(name, http, calls, (&event, &response)).await;
            eprintln!("{name}: {} µs, {} × minimal", warm.cpu, warm.ratio);
            self.warm.push(warm);
        }
        match answer["body"].as_str() {
            Some(body) if http => serde_json::from_str(body).unwrap_or_default(),
            _ => answer,
        }
    }

    /// Returns the calls of a request to a function that has handled one before.
    async fn calls(&self, name: &str, runtime: &mut Runtime, event: &Bytes) -> Vec<Call> {
        runtime.invoke(event).await;
        self.aws.start_counting();
        let again = runtime.invoke(event).await.1;
        assert!(succeeded(&again), "{name} with recorded responses: {}", String::from_utf8_lossy(&again));
        self.aws.take_calls()
    }

    async fn measure(&self, name: &str, http: bool, calls: Vec<Call>, (event, response): (&Bytes, &Bytes)) -> Warm {
        let kinds: &[bool] = if puts_items(&calls) { &[false, true] } else { &[false] };
        let (mut times, mut minimal_times) = (Vec::new(), vec![Vec::new(); kinds.len()]);
        for _ in 0..PROCESSES {
            let (process, mut runtime) = self.functions.ready(name, self.aws).await;
            process.pin_to_last_core();
            round_micros(&process, &mut runtime, event).await;
            let mut minimal = Vec::new();
            for items in kinds {
                minimal.push(self.minimal(name, (http, *items), &calls, (event, response)).await);
            }
            for _ in 0..ROUNDS {
                times.push(round_micros(&process, &mut runtime, event).await);
                for ((process, runtime, _), minimal_times) in minimal.iter_mut().zip(&mut minimal_times) {
                    minimal_times.push(round_micros(process, runtime, event).await);
                }
            }
            self.aws.assert_no_unknown_calls();
        }
        let ratio = |minimal_times: &Vec<f64>| {
            spread(times.iter().zip(minimal_times).map(|(times, minimal_times)| times / minimal_times).collect())
        };
        Warm {
            name: name.to_owned(),
            ratio: ratio(&minimal_times[0]),
            item_ratio: minimal_times.get(1).map(ratio),
            cpu: spread(times),
            minimal: spread(minimal_times.swap_remove(0)),
            calls: calls.into_iter().map(|(operation, _)| operation).collect(),
        }
    }

    /// Starts and warms up a minimal handler that makes these calls. Its script lives as long as
    /// the returned file.
    async fn minimal(
        &self,
        name: &str,
        (http, items): (bool, bool),
        calls: &[Call],
        (event, response): (&Bytes, &Bytes),
    ) -> (Process, Runtime, tempfile::NamedTempFile) {
        let script = tempfile::NamedTempFile::new().expect("a temporary file");
        let texts: Vec<(&str, &str)> = calls
            .iter()
            .map(|(operation, body)| (operation.as_str(), std::str::from_utf8(body).unwrap_or("{}")))
            .collect();
        let answer = String::from_utf8_lossy(response);
        let written = json!({ "http": http, "items": items, "calls": texts, "answer": answer }).to_string();
        std::fs::write(script.path(), written).expect("a temporary file");
        let mut functions = self.functions.clone();
        functions.settings.push(("MINIMAL".into(), script.path().display().to_string()));
        let binary = if name == "errors_record" { "minimal_with_mimalloc" } else { "minimal" };
        let (process, mut runtime) = functions.ready(binary, self.aws).await;
        self.aws.start_counting();
        runtime.invoke(event).await;
        let operations = |calls: &[Call]| {
            let mut names: Vec<String> = calls.iter().map(|(operation, _)| operation.clone()).collect();
            names.sort();
            names
        };
        assert_eq!(
            operations(&self.aws.take_calls()),
            operations(calls),
            "the minimal handler makes the calls of {name}"
        );
        process.pin_to_last_core();
        round_micros(&process, &mut runtime, event).await;
        (process, runtime, script)
    }

    /// Returns the event file of an endpoint, with this environment, path parameters and body.
    pub fn event(&self, function: &str, parameters: &[(&str, &str)], body: Option<Value>) -> Value {
        let mut event = event(function);
        event["requestContext"]["authorizer"]["lambda"]["environment"] = json!(self.environment);
        for (name, value) in parameters {
            event["pathParameters"][*name] = json!(value);
        }
        if let Some(body) = body {
            event["body"] = json!(body.to_string());
        }
        event
    }

    /// Sends the event file of an endpoint, with these path parameters and this body.
    pub async fn call(&mut self, function: &str, parameters: &[(&str, &str)], body: Option<Value>) -> Value {
        let event = self.event(function, parameters, body);
        self.step(function, &event).await
    }

    /// Sends the event file of an endpoint like [`Self::call`], as a user.
    async fn call_as(&mut self, user: &str, function: &str, parameters: &[(&str, &str)], body: Option<Value>) -> Value {
        let mut event = self.event(function, parameters, body);
        event["requestContext"]["authorizer"]["lambda"]["userId"] = json!(user);
        self.step(function, &event).await
    }

    /// Creates an environment, a user and a workflow. Returns the workflow's id.
    pub async fn create_workflow(&mut self) -> String {
        self.create_environment().await;
        let user = string_member(&self.call("users_create", &[], None).await, "userId");
        let body = json!({ "userId": user, "name": "Orders" });
        string_member(&self.call("workflows_create", &[], Some(body)).await, "workflowId")
    }

    /// Returns the stream records of the newest hundred errors of a workflow.
    pub async fn stream_records(&mut self, workflow: &str) -> Vec<Value> {
        let mut list = self.event("errors_list", &[("workflowId", workflow)], None);
        list["rawQueryString"] = json!("limit=100");
        list["queryStringParameters"] = json!({ "limit": "100" });
        let listed = self.unmeasured("errors_list", &list).await;
        let listed = listed["errors"].as_array().expect("errors");
        listed.iter().map(|error| stream_record(&self.environment, error)).collect()
    }

    /// Runs a step without measuring it, because it only prepares another one.
    async fn unmeasured(&mut self, name: &str, event: &Value) -> Value {
        let measuring = std::mem::replace(&mut self.measuring, false);
        let answer = self.step(name, event).await;
        self.measuring = measuring;
        answer
    }

    /// Creates the environment for the following requests.
    pub async fn create_environment(&mut self) {
        let made = self.step("environments_create", &event("environments_create")).await;
        self.environment = string_member(&made, "environmentId");
    }

    /// Runs the functions behind HTTP, and those for operators.
    pub async fn run_all(&mut self, bus: &str) {
        self.create_environment().await;
        let environment = self.environment.clone();
        let payload = json!({ "environmentId": environment, "name": "bench", "scopes": ["manage"] });
        let made = self.step("keys_create", &payload).await;
        let (key, key_id) = (string_member(&made, "key"), string_member(&made, "keyId"));
        self.step("keys_list", &json!({ "environmentId": environment })).await;
        self.call("environments_get", &[], None).await;
        self.call("environments_patch", &[], None).await;
        let mut authorized = event("authorizer");
        authorized["identitySource"] = json!([format!("Bearer {key}")]);
        // The first use of a key on a day is recorded with a write.
        self.unmeasured("authorizer", &authorized).await;
        self.step("authorizer", &authorized).await;

        let user = string_member(&self.call("users_create", &[], None).await, "userId");
        let of_user = [("user", user.as_str())];
        self.call("users_get", &of_user, None).await;
        self.call("users_update", &of_user, Some(json!({ "fullName": "Joe" }))).await;
        self.call("users_batch", &[], None).await;
        self.call("users_list", &[], None).await;
        self.call("users_status", &of_user, None).await;
        let mut enable = self.event("users_status", &of_user, None);
        enable["requestContext"]["routeKey"] = json!("POST /users/{user}/enable");
        self.unmeasured("users_status", &enable).await;
        self.call("users_token", &of_user, None).await;
        self.call("jwks", &[], None).await;
        self.call("openapi", &[], None).await;
        self.call("console", &[], None).await;
        self.call("modal", &[], None).await;
        self.call("sdk", &[], None).await;

        let credential = string_member(&self.call("credentials_create", &of_user, None).await, "credentialId");
        let of_credential = [("user", user.as_str()), ("credentialId", credential.as_str())];
        self.call("credentials_list", &of_user, None).await;
        self.call("credentials_get", &of_credential, None).await;
        self.call("credentials_reveal", &of_credential, None).await;
        self.call("credentials_replace", &of_credential, None).await;
        self.call("credentials_status", &of_credential, None).await;
        self.call("credentials_delete", &of_credential, None).await;

        let body = json!({ "userId": user, "name": "Orders" });
        let workflow = string_member(&self.call("workflows_create", &[], Some(body)).await, "workflowId");
        let of_workflow = [("workflowId", workflow.as_str())];
        self.call("workflows_list", &[], None).await;
        self.call("workflows_get", &of_workflow, None).await;
        self.call("workflows_update", &of_workflow, None).await;
        let body = json!({ "userId": user, "workflowId": workflow });
        self.call("workflows_activate", &[], Some(body)).await;
        self.call("workflows_deactivate_all", &of_user, None).await;
        self.call_as(&user, "session", &[], None).await;
        self.call("integrations_put", &[], None).await;
        self.call("integrations_get", &[], None).await;
        self.call_as(&user, "integrations_list", &[], None).await;
        let data = json!({ "shop": "https://acme.example", "token": "shpat_1" });
        let body = json!({ "credentials": { "shopify": { "data": data } }, "settings": { "region": "eu" } });
        self.call_as(&user, "installations_put", &of_user, Some(body)).await;
        self.call("installations_get", &of_user, None).await;
        self.call("installations_list", &of_user, None).await;
        self.call("installations_list_all", &[], None).await;
        let link = string_member(&self.call("integrations_install_url", &of_user, None).await, "url");
        let (_, ticket) = link.split_once("#ticket=").expect("a ticket in the fragment");
        self.call("tickets", &[], Some(json!({ "ticket": ticket }))).await;
        self.call_as(&user, "installations_delete", &of_user, None).await;
        self.call("integrations_delete", &[], None).await;

        let errors: Vec<Value> = (0..100).map(|n| example_error(&format!("Error: status code 403 ({n})"))).collect();
        let recorded = self.call("errors_record", &of_workflow, Some(json!({ "errors": errors }))).await;
        assert_eq!(recorded["ids"].as_array().map(Vec::len), Some(100), "{recorded}");
        self.call("errors_list", &of_workflow, None).await;
        self.call("errors_logs", &[], None).await;
        self.call("errors_groups", &[], None).await;

        let made = self.call("destinations_create", &[], Some(bus_settings(bus))).await;
        let destination = string_member(&made, "destinationId");
        let of_destination = [("destinationId", destination.as_str())];
        // Select an error whose delivery is stored together with 99 others.
        let records = self.stream_records(&workflow).await;
        assert_eq!(records.len(), 100);
        let error = string_member(&records[0]["dynamodb"]["Keys"]["sk"], "S");
        self.unmeasured("forward_errors", &json!({ "Records": records })).await;
        let shown = self.call("errors_get", &[("errorId", &error)], None).await;
        assert_eq!(shown["deliveries"][0]["status"], "delivered", "{shown}");
        let listed = self.call("events_list", &[], None).await;
        let event = string_member(&listed["data"][0], "_id");
        self.call("events_get", &[("eventId", &event)], None).await;
        self.call("destinations_list", &[], None).await;
        self.call("destinations_get", &of_destination, None).await;
        self.call("destinations_patch", &of_destination, Some(json!({ "filter": { "blockType": ["shopify"] } }))).await;
        self.call("destinations_test", &of_destination, None).await;
        self.call("destinations_deliveries", &of_destination, None).await;
        let replay = string_member(&self.call("destinations_replay", &of_destination, None).await, "replayId");
        self.call("replays_get", &[("replayId", &replay)], None).await;
        self.call("replays_list", &of_destination, None).await;
        self.call("replays_cancel", &[("replayId", &replay)], None).await;
        let webhook = json!({ "type": "webhook", "url": "https://example.com/errors" });
        let create = self.event("destinations_create", &[], Some(webhook));
        let webhook = string_member(&self.unmeasured("destinations_create", &create).await, "destinationId");
        self.call("destinations_rotate_secret", &[("destinationId", &webhook)], None).await;
        self.call("destinations_delete", &of_destination, None).await;
        self.call("workflows_delete", &of_workflow, None).await;
        self.call("users_erase_logs", &of_user, None).await;
        self.call("users_delete", &of_user, None).await;
        self.step("keys_revoke", &json!({ "environmentId": environment, "keyId": key_id })).await;
    }
}

/// Returns the stream record of a listed error.
fn stream_record(environment: &str, error: &Value) -> Value {
    let mut record = event("forward_errors")["Records"][0].clone();
    let pk = json!({ "S": format!("env#{environment}#workflow#{}", string_member(error, "workflowId")) });
    let image = &mut record["dynamodb"]["NewImage"];
    for (name, value) in error.as_object().into_iter().flatten().filter(|(_, value)| value.is_string()) {
        image[name] = json!({ "S": value });
    }
    let sk = image["_id"].take();
    image.as_object_mut().expect("an image").remove("_id");
    image["pk"] = pk.clone();
    image["sk"] = sk.clone();
    image["errorId"] = sk.clone();
    image["environmentId"] = json!({ "S": environment });
    record["dynamodb"]["Keys"] = json!({ "pk": pk, "sk": sk });
    record
}

/// Returns whether all batches and transactions only put items, and there is at least one.
fn puts_items(calls: &[Call]) -> bool {
    let mut writes = calls.iter().filter_map(|(operation, body)| {
        let body: Value = serde_json::from_slice(body).ok()?;
        match operation.as_str() {
            "BatchWriteItem" => {
                let tables = body["RequestItems"].as_object()?.values();
                Some(
                    tables
                        .flat_map(|requests| requests.as_array())
                        .flatten()
                        .all(|request| request["PutRequest"].is_object()),
                )
            }
            "TransactWriteItems" => {
                Some(body["TransactItems"].as_array()?.iter().all(|action| action["Put"].is_object()))
            }
            _ => None,
        }
    });
    writes.next().is_some_and(|first| first && writes.all(|other| other))
}

/// Measures the microseconds of an ES256 signature, including parsing of the key.
pub async fn signature(functions: &Functions, aws: &Aws) -> Spread {
    // Same length as the signed part of a user token.
    let message = "x".repeat(500);
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let nanoseconds = functions.run("bare_loop", aws, &["signatures", "2000", &message, ""]).await;
        times.push(nanoseconds.parse::<f64>().expect("a number") / 1e3);
    }
    spread(times)
}

/// Returns a string member of a response.
pub fn string_member(answer: &Value, member: &str) -> String {
    answer[member].as_str().unwrap_or_else(|| panic!("no {member} in {answer}")).to_owned()
}

/// Returns the processor time of a request in microseconds.
async fn round_micros(process: &Process, runtime: &mut Runtime, event: &Bytes) -> f64 {
    process.processor_time_of(runtime, event, REQUESTS).await.as_secs_f64() * 1e6 / REQUESTS as f64
}
