//! Throughput of recording and forwarding, in errors per second of processor time. Compares the
//! functions with bare loops, which only send, and with minimal handwritten functions.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{Router, body::Bytes};
use serde_json::{Value, json};
use tests::{bus_settings, event, example_error};
use tokio::net::TcpListener;

use crate::{
    aws::{Aws, Call},
    figures::{Spread, spread},
    process::{Functions, Process},
    requests::{PROCESSES, Scenario, string_member},
    runtime::Runtime,
};

/// Number of rounds in which the processes of a function and of its baselines take turns. Each
/// sends [`BATCHES`] batches in a round.
const ROUNDS: usize = 5;
const BATCHES: usize = 30;
/// Number of errors in a batch.
const ERRORS: usize = 100;
/// Number of errors in a webhook message.
const ERRORS_OF_A_MESSAGE: usize = 10;

/// Throughput of a forwarding function.
#[derive(Debug)]
pub struct Forwarding {
    /// Function name.
    pub name: &'static str,
    /// Errors per invocation.
    pub errors: usize,
    /// Errors per second of processor time.
    pub rate: Spread,
    /// Baselines: name, errors per second, and ratio of the function's rate to that of the
    /// baseline.
    pub comparison: Vec<(String, Spread, Spread)>,
    /// Processor time of an invocation in microseconds.
    pub cpu: Spread,
    /// AWS calls of an invocation.
    pub calls: Vec<String>,
}

/// Throughput of `errors_record`.
#[derive(Debug)]
pub struct Recording {
    /// Errors per request.
    pub errors: usize,
    /// Errors per second of processor time.
    pub rate: Spread,
}

/// Measures recording with requests of different sizes.
pub async fn recording(functions: &Functions, aws: &Aws) -> Vec<Recording> {
    let mut scenario = Scenario::new(functions, aws, false);
    let workflow = scenario.create_workflow().await;
    let mut recording = Vec::new();
    for errors in [1, 10, 100] {
        let body = json!({ "errors": vec![example_error("Error: status code 403"); errors] });
        let event = scenario.event("errors_record", &[("workflowId", &workflow)], Some(body));
        aws.record();
        let (process, mut runtime) = functions.ready("errors_record", aws).await;
        let event = Bytes::from(event.to_string());
        runtime.invoke(&event).await;
        aws.replay();
        process.pin_to_last_core();
        let mut rates = Vec::new();
        for _ in 0..=ROUNDS {
            let sent = (BATCHES * errors) as f64;
            rates.push(sent / process.processor_time_of(&mut runtime, &event, BATCHES).await.as_secs_f64());
        }
        // The first round warms up.
        rates.remove(0);
        recording.push(Recording { errors, rate: spread(rates) });
    }
    recording
}

/// Measures forwarding to a bus and to a webhook on loopback, with a whole batch and with a single
/// message.
pub async fn forwarding(functions: &Functions, aws: &Aws, bus: &str) -> Vec<Forwarding> {
    let mut scenario = Scenario::new(functions, aws, false);
    let workflow = scenario.create_workflow().await;
    let errors: Vec<Value> = (0..ERRORS).map(|n| example_error(&format!("Error: status code 403 ({n})"))).collect();
    let body = json!({ "errors": errors });
    let recorded = scenario.call("errors_record", &[("workflowId", &workflow)], Some(body)).await;
    let ids: Vec<String> = serde_json::from_value(recorded["ids"].clone()).expect("ids");

    scenario.call("destinations_create", &[], Some(bus_settings(bus))).await;
    let records = scenario.stream_records(&workflow).await;
    let to_bus = json!({ "Records": records });
    let detail = document(&records);
    let comparison = Comparison {
        bare: ["events", detail.as_str(), ""],
        minimal: "minimal_forwarder",
        setting: ("BUS", bus),
        received: None,
    };
    aws.record();
    let events = measure(functions, aws, ("forward_errors", ERRORS), &to_bus, &comparison).await;

    let receiver = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let url = format!("http://{}/errors", receiver.local_addr().expect("an address"));
    let received = Arc::new(AtomicUsize::new(0));
    let counted = received.clone();
    let router = Router::new().fallback(async move || {
        counted.fetch_add(1, Ordering::Relaxed);
        "taken"
    });
    tokio::spawn(async move { axum::serve(receiver, router).await });
    let webhook = json!({ "type": "webhook", "url": url });
    let destination = string_member(&scenario.call("destinations_create", &[], Some(webhook)).await, "destinationId");
    let records: Vec<Value> = ids.iter().map(|id| json!({ "workflowId": workflow, "errorId": id })).collect();
    let mut to_webhook = event("deliver_webhooks");
    let messages = records.chunks(ERRORS_OF_A_MESSAGE).map(|records| {
        let mut message = to_webhook["Records"][0].clone();
        let body = json!({ "message": "FirstAttemptsV1", "environmentId": scenario.environment,
            "destinationId": destination, "records": records });
        message["body"] = json!(body.to_string());
        message
    });
    let messages: Value = messages.collect();
    to_webhook["Records"] = messages;
    let comparison = Comparison {
        bare: ["posts", detail.as_str(), &url],
        minimal: "minimal_sender",
        setting: ("URL", url.as_str()),
        received: Some(&received),
    };
    aws.record();
    let posts = measure(functions, aws, ("deliver_webhooks", ERRORS), &to_webhook, &comparison).await;
    let alone = json!({ "Records": [to_webhook["Records"][0]] });
    // The write of the last success, once a minute, may occur now although it was recorded before.
    aws.record_more();
    let alone = measure(functions, aws, ("deliver_webhooks", ERRORS_OF_A_MESSAGE), &alone, &comparison).await;
    vec![events, posts, alone]
}

/// Baselines of a function.
struct Comparison<'a> {
    /// Arguments of the bare loop, except for the number of iterations.
    bare: [&'a str; 3],
    /// Minimal function that sends the same errors and records no results.
    minimal: &'static str,
    /// Environment variable of the minimal function.
    setting: (&'static str, &'a str),
    /// Number of errors that the webhook receiver accepted. `None` for a bus, to which errors are
    /// put ten at a time.
    received: Option<&'a AtomicUsize>,
}

impl Comparison<'_> {
    /// Invokes a function `times` times and returns the errors per second of processor time. Panics
    /// unless all errors were sent.
    async fn rate(
        &self,
        aws: &Aws,
        (process, runtime): (&Process, &mut Runtime),
        event: &Bytes,
        (times, errors): (usize, usize),
    ) -> f64 {
        let before = self.received.map(|received| received.load(Ordering::Relaxed));
        let busy = process.processor_time_of(runtime, event, times).await;
        let sent = times * errors;
        if let Some(before) = before {
            let received = self.received.map_or(0, |received| received.load(Ordering::Relaxed)) - before;
            assert_eq!(received, sent, "errors that the receiver accepted");
        }
        aws.assert_no_unknown_calls();
        sent as f64 / busy.as_secs_f64()
    }

    /// Panics unless the calls of an invocation put all of its errors on a bus, if the target is a
    /// bus.
    fn assert_put(&self, calls: &[Call], errors: usize) {
        let puts = calls.iter().filter(|(operation, _)| operation == "PutEvents").count();
        assert_eq!(puts, if self.received.is_none() { errors / 10 } else { 0 }, "{}", self.minimal);
    }
}

async fn measure(
    functions: &Functions,
    aws: &Aws,
    (name, errors): (&'static str, usize),
    event: &Value,
    comparison: &Comparison<'_>,
) -> Forwarding {
    let event = Bytes::from(event.to_string());
    let (process, mut runtime) = functions.ready(name, aws).await;
    let answer = runtime.invoke(&event).await.1;
    assert_eq!(answer, r#"{"batchItemFailures":[]}"#, "{name}");
    aws.replay();
    runtime.invoke(&event).await;
    aws.start_counting();
    runtime.invoke(&event).await;
    let calls = aws.take_calls();
    comparison.assert_put(&calls, errors);
    let calls = calls.into_iter().map(|(operation, _)| operation).collect();
    drop(process);
    let mut configured = functions.clone();
    configured.settings.push((comparison.setting.0.into(), comparison.setting.1.into()));
    let (minimal, mut minimal_runtime) = configured.ready(comparison.minimal, aws).await;
    // It reads other items than the function.
    aws.record_more();
    minimal_runtime.invoke(&event).await;
    aws.replay();
    aws.start_counting();
    minimal_runtime.invoke(&event).await;
    comparison.assert_put(&aws.take_calls(), errors);
    drop(minimal);
    let (mut ours, mut bare, mut minimal_rates) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..PROCESSES {
        let (process, mut runtime) = functions.ready(name, aws).await;
        let (minimal, mut minimal_runtime) = configured.ready(comparison.minimal, aws).await;
        process.pin_to_last_core();
        minimal.pin_to_last_core();
        // The first round warms up.
        for round in 0..=ROUNDS {
            let rate = comparison.rate(aws, (&process, &mut runtime), &event, (BATCHES, errors)).await;
            let minimal_rate = comparison.rate(aws, (&minimal, &mut minimal_runtime), &event, (BATCHES, errors)).await;
            if round > 0 {
                ours.push(rate);
                minimal_rates.push(minimal_rate);
                bare.push(bare_loop(functions, aws, &comparison.bare).await);
            }
        }
    }
    let ratio = |baseline: &[f64]| spread(ours.iter().zip(baseline).map(|(ours, baseline)| ours / baseline).collect());
    let comparison = vec![
        ("bare loop".to_owned(), spread(bare.clone()), ratio(&bare)),
        (format!("`{}`", comparison.minimal), spread(minimal_rates.clone()), ratio(&minimal_rates)),
    ];
    let cpu = spread(ours.iter().map(|rate| errors as f64 * 1e6 / rate).collect());
    Forwarding { name, errors, rate: spread(ours), comparison, cpu, calls }
}

/// Returns the errors per second of processor time that a bare loop sends.
async fn bare_loop(functions: &Functions, aws: &Aws, [kind, body, url]: &[&str; 3]) -> f64 {
    let (count, errors) = if *kind == "events" { ("300", 10.0) } else { ("3000", 1.0) };
    let nanoseconds: f64 = functions.run("bare_loop", aws, &[kind, count, body, url]).await.parse().expect("a number");
    errors * 1e9 / nanoseconds
}

/// Returns the document that is sent for an error.
fn document(records: &[Value]) -> String {
    let image = records[0]["dynamodb"]["NewImage"].as_object().expect("an image");
    let internal = ["pk", "sk", "type", "expiresAt", "environmentId", "fingerprint"];
    let members = image.iter().filter(|(name, _)| !internal.contains(&name.as_str()));
    members.map(|(name, value)| (name.clone(), value["S"].clone())).collect::<Value>().to_string()
}
