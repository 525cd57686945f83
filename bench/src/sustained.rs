//! Errors at a constant rate through one process of each function that handles them, from the
//! request that records an error to its arrival at a webhook.

use std::{
    array,
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Bytes,
    extract::Path,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use serde_json::{Value, json};
use tests::{event, example_error};
use tokio::{
    net::TcpListener,
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    time::{MissedTickBehavior, interval_at, sleep},
};

use crate::{
    aws::Aws,
    memory::{Flow, Item, Memory},
    process::{Functions, Process},
    requests::{Scenario, string_member},
    runtime::{Runtime, succeeded},
};

/// Duration of a measurement.
const DURATION: Duration = Duration::from_secs(600);
/// Time after which the memory of the processes is first read.
const WARM_UP: Duration = Duration::from_secs(60);
/// Time for which errors may be on their way after the last request.
const PATIENCE: Duration = Duration::from_secs(60);
/// Number of errors in a request, and of records in an event of the stream.
const ERRORS: usize = 100;
/// Pause between looks at what is outstanding.
const PAUSE: Duration = Duration::from_millis(20);
/// Number of messages in an event of the queue.
const MESSAGES: usize = 10;
/// Errors per second, webhooks, and those of them that have failed until nothing more is sent to
/// them.
const KINDS: [(u32, usize, usize); 2] = [(5000, 1, 0), (2500, 20, 10)];
/// Functions in the order in which they handle an error.
pub const FUNCTIONS: [&str; 3] = ["errors_record", "forward_errors", "deliver_webhooks"];

/// Result of a measurement.
#[derive(Debug)]
pub struct Sustained {
    /// Number of errors per second.
    pub rate: u32,
    /// Number of webhooks. Each receives an equal part of the errors.
    pub webhooks: usize,
    /// Number of webhooks that fail.
    pub failing: usize,
    /// Recorded errors and their deliveries, with sorted lags.
    pub flow: Flow,
    /// Number of errors that neither arrived nor became pending.
    pub lost: usize,
    /// Processor time of the functions, as parts of the duration.
    pub busy: [f64; 3],
    /// Memory of the functions after a minute and at the end, in megabytes.
    pub memory: [(f64, f64); 3],
}

impl Sustained {
    /// Returns the time within which a part of the errors arrived.
    pub fn lag(&self, part: f64) -> Duration {
        let last = self.flow.lags.len().saturating_sub(1);
        self.flow.lags.get((part * last as f64).round() as usize).copied().unwrap_or_default()
    }
}

/// Measures each kind of destinations.
pub async fn sustained(functions: &Functions, aws: &Aws) -> Vec<Sustained> {
    let mut measured = Vec::new();
    for kind in KINDS {
        measured.push(measure(functions, aws, kind).await);
    }
    measured
}

async fn measure(functions: &Functions, aws: &Aws, (rate, webhooks, failing): (u32, usize, usize)) -> Sustained {
    let memory: Arc<OnceLock<Arc<Memory>>> = Arc::default();
    let address = receive(failing, memory.clone()).await;
    let mut scenario = Scenario::new(functions, aws, false);
    let workflow = scenario.create_workflow().await;
    let of_workflow = [("workflowId", workflow.as_str())];
    let mut destinations = Vec::new();
    for number in 0..webhooks {
        let url = format!("http://{address}/{number}");
        let webhook = json!({ "type": "webhook", "url": url, "filter": { "blockType": [block_type(number)] } });
        let created = scenario.call("destinations_create", &[], Some(webhook)).await;
        destinations.push(string_member(&created, "destinationId"));
    }
    let errors: Vec<Value> = (0..ERRORS).map(|number| error(number % webhooks)).collect();
    let body = json!({ "errors": errors });
    let recorded = scenario.call("errors_record", &of_workflow, Some(body.clone())).await;
    let ids: Vec<String> = serde_json::from_value(recorded["ids"].clone()).expect("ids");
    let first_attempts = |(number, destination): (usize, &String)| {
        let records = ids.iter().skip(number).step_by(webhooks);
        let records: Value = records.map(|id| json!({ "workflowId": workflow, "errorId": id })).collect();
        let environment = &scenario.environment;
        json!({ "message": "FirstAttemptsV1", "environmentId": environment, "destinationId": destination, "records": records })
            .to_string()
    };
    let mut first_attempts: Vec<String> = destinations.iter().enumerate().map(first_attempts).collect();
    let of_healthy = queue_event(first_attempts.split_off(failing));
    if failing > 0 {
        scenario.step("deliver_webhooks", &queue_event(first_attempts)).await;
    }
    let mut of_no_webhook = scenario.stream_records(&workflow).await.remove(0);
    of_no_webhook["dynamodb"]["NewImage"]["blockType"]["S"] = json!(block_type(webhooks));

    // Each function is called once with the local AWS, which records what is not in memory: the
    // reads of the workflow and the keys of the webhooks.
    let request = Bytes::from(scenario.event("errors_record", &of_workflow, Some(body)).to_string());
    aws.record();
    let (recording, mut recorder) = functions.ready("errors_record", aws).await;
    invoke(&mut recorder, &request).await;
    let (forwarding, mut forwarder) = functions.ready("forward_errors", aws).await;
    invoke(&mut forwarder, &json!({ "Records": [of_no_webhook] }).to_string().into()).await;
    let (sending, mut sender) = functions.ready("deliver_webhooks", aws).await;
    invoke(&mut sender, &of_healthy.to_string().into()).await;
    let directory = aws.recorded("Query").into_iter().flat_map(|response| {
        let mut response: Value = serde_json::from_slice(&response).unwrap_or_default();
        serde_json::from_value::<Vec<Value>>(response["Items"].take()).unwrap_or_default()
    });
    let (stream, mut recorded) = unbounded_channel();
    let (queue, mut sent) = unbounded_channel();
    let memory = memory.get_or_init(|| Arc::new(Memory::new(directory.collect(), stream, queue)));
    aws.replay();
    aws.use_memory(Some(memory.clone()));

    let processes = [recording, forwarding, sending];
    let before = processes.each_ref().map(Process::processor_time);
    let forwarding = tokio::spawn(async move {
        while let records = next(&mut recorded, ERRORS).await
            && !records.is_empty()
        {
            invoke(&mut forwarder, &stream_event(&records)).await;
        }
    });
    let sending = tokio::spawn(async move {
        while let messages = next(&mut sent, MESSAGES).await
            && !messages.is_empty()
        {
            invoke(&mut sender, &queue_event(messages).to_string().into()).await;
        }
    });
    let start = Instant::now();
    let mut requests = interval_at(start.into(), Duration::from_secs(1) * ERRORS as u32 / rate);
    requests.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut warm = None;
    while start.elapsed() < DURATION {
        // The scheduled time, so that a request that waits for others counts from then on.
        memory.start_request(requests.tick().await.into());
        invoke(&mut recorder, &request).await;
        assert!(!forwarding.is_finished() && !sending.is_finished(), "a function failed");
        if start.elapsed() > WARM_UP {
            warm.get_or_insert_with(|| processes.each_ref().map(Process::memory));
        }
    }
    let last = Instant::now();
    while memory.outstanding() > 0 && last.elapsed() < PATIENCE {
        sleep(PAUSE).await;
        assert!(!forwarding.is_finished() && !sending.is_finished(), "a function failed");
    }
    let (duration, used) = (start.elapsed(), processes.each_ref().map(Process::processor_time));
    let at_end = processes.each_ref().map(Process::memory);
    forwarding.abort();
    sending.abort();
    aws.use_memory(None);
    aws.assert_no_unknown_calls();
    let (warm, mut flow) = (warm.unwrap_or_default(), memory.flow());
    flow.lags.sort();
    Sustained {
        rate,
        webhooks,
        failing,
        flow,
        lost: memory.outstanding(),
        busy: array::from_fn(|index| (used[index] - before[index]).as_secs_f64() / duration.as_secs_f64()),
        memory: array::from_fn(|index| (warm[index], at_end[index])),
    }
}

/// Starts a receiver of all webhooks, of which the first ones fail. Returns its address.
async fn receive(failing: usize, memory: Arc<OnceLock<Arc<Memory>>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = listener.local_addr().expect("an address");
    let arrived = async move |Path(number): Path<usize>, headers: HeaderMap| {
        if number < failing {
            return StatusCode::SERVICE_UNAVAILABLE;
        }
        if let (Some(memory), Some(id)) = (memory.get(), headers.get("webhook-id")) {
            memory.arrived(id.to_str().unwrap_or_default());
        }
        StatusCode::OK
    };
    let router = Router::new().route("/{number}", post(arrived));
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

fn block_type(number: usize) -> String {
    format!("block-{number}")
}

fn error(number: usize) -> Value {
    let mut error = example_error("Error: Request failed with status code 403");
    error["blockType"] = json!(block_type(number));
    error
}

/// Invokes a function. Panics if it fails.
async fn invoke(runtime: &mut Runtime, event: &Bytes) {
    let response = runtime.invoke(event).await.1;
    assert!(succeeded(&response), "{}", String::from_utf8_lossy(&response));
}

/// Waits for something to process, and takes at most `limit`.
async fn next<T>(waiting: &mut UnboundedReceiver<T>, limit: usize) -> Vec<T> {
    let mut taken = Vec::with_capacity(limit);
    waiting.recv_many(&mut taken, limit).await;
    taken
}

/// Returns the event of messages in the queue of first attempts.
fn queue_event(bodies: Vec<String>) -> Value {
    let message = &event("deliver_webhooks")["Records"][0];
    let records = bodies.into_iter().map(|body| {
        let mut message = message.clone();
        message["body"] = json!(body);
        message
    });
    json!({ "Records": records.collect::<Value>() })
}

/// Returns the event of errors that were recorded.
fn stream_event(errors: &[Item]) -> Bytes {
    let records = errors.iter().map(|error| {
        format!(
            r#"{{"eventID":"1","eventName":"INSERT","eventSource":"aws:dynamodb","awsRegion":"us-east-1","dynamodb":{{"NewImage":{error},"SequenceNumber":"1","StreamViewType":"NEW_IMAGE"}}}}"#
        )
    });
    format!(r#"{{"Records":[{}]}}"#, records.collect::<Vec<_>>().join(",")).into()
}
