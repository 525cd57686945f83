//! Failures of receivers, processes and AWS. After the faults end, every error has arrived at every
//! destination at least once.

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, resume_unwind},
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use aws_sdk_sqs::types::QueueAttributeName;
use futures_util::FutureExt;
use serde_json::{Value, json};
use tests::{
    Environment, Tenon,
    delivery_harness::{DeliveryHarness, ids},
    eventually, example_error, processes, setting,
    webhook_receiver::{Receiver, Reply},
};

/// Time after which a stalled request is given up.
const STALLED_FOR: Duration = Duration::from_secs(15);

/// Returns the failing behaviors of receivers.
fn failing() -> Vec<(&'static str, Reply)> {
    vec![
        ("answers 500", Reply::Status(500, "")),
        ("answers 429", Reply::Status(429, "")),
        ("answers 503 with Retry-After", Reply::Status(503, "retry-after: 30\r\n")),
        ("redirects", Reply::Status(302, "location: http://127.0.0.1/\r\n")),
        ("breaks off", Reply::Truncate),
        ("stalls", Reply::Stall),
        ("sends an endless body", Reply::Endless),
    ]
}

/// Kills the processes of a function of this stack, as if its machine had failed. Returns their
/// number.
fn kill(function: &str) -> usize {
    let is_killed = |process: &u32| {
        // Slim systems have no program `kill`, but every shell has the command.
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &format!("kill -9 {process}")]).status().unwrap().success()
    };
    processes::of_function(function).into_iter().filter(is_killed).count()
}

/// Records errors while function processes are killed. Returns the ids of the errors.
async fn record_while_processes_die(acme: &Environment, workflow: &str) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    let mut killed = 0;
    for round in 0..10 {
        let errors: Vec<Value> = (0..10).map(|n| example_error(&format!("error {round} {n}"))).collect();
        let path = format!("/workflows/{workflow}/errors");
        let recorded = acme.engine.post(&path, json!({ "errors": errors })).await.is(202);
        ids.extend(serde_json::from_value::<Vec<String>>(recorded.body["ids"].clone()).unwrap());
        // At a random moment of the processing.
        tokio::time::sleep(Duration::from_millis(rand::random_range(20..600))).await;
        for function in ["forward-errors", "deliver-webhooks", "drain"] {
            killed += kill(function);
        }
    }
    assert!(killed > 0, "processes were killed");
    ids
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn errors_arrive_after_receiver_failures_and_process_crashes() {
    let acme = Tenon::deployed().await.environment().await;
    // Messages of a killed process become visible again after the visibility timeout, which is
    // shortened here.
    let queues = ["TENON_STACK_Webhooks", "TENON_STACK_Drains"].map(setting);
    let mut deployed = Vec::new();
    for queue in &queues {
        deployed.push(replace_visibility_timeout(&acme, queue, "20").await);
    }
    let finished = AssertUnwindSafe(record_and_deliver_while_processes_die(&acme)).catch_unwind().await;
    for (queue, seconds) in queues.iter().zip(&deployed) {
        replace_visibility_timeout(&acme, queue, seconds).await;
    }
    finished.unwrap_or_else(|panic| resume_unwind(panic));
}

/// Sets the visibility timeout of a queue, in seconds. Returns the previous one.
#[cfg(target_os = "linux")]
async fn replace_visibility_timeout(acme: &Environment, queue: &str, seconds: &str) -> String {
    let sqs = aws_sdk_sqs::Client::new(&acme.tenon.aws);
    let name = QueueAttributeName::VisibilityTimeout;
    let found = sqs.get_queue_attributes().queue_url(queue).attribute_names(name.clone()).send().await.unwrap();
    sqs.set_queue_attributes().queue_url(queue).attributes(name.clone(), seconds).send().await.unwrap();
    found.attributes.unwrap().remove(&name).unwrap()
}

#[cfg(target_os = "linux")]
async fn record_and_deliver_while_processes_die(acme: &Environment) {
    let workflow = acme.create_workflow(&acme.create_user("joe@acme.example").await, "Orders").await;
    let mut receivers = vec![("is healthy", acme.control_webhook().await, None)];
    for (behavior, reply) in failing() {
        let receiver = Receiver::with_behavior(move |_| reply.clone()).await;
        let (webhook, _) = acme.create_webhook(&receiver.url).await;
        receivers.push((behavior, receiver, Some(webhook)));
    }
    // One endpoint refuses connections, and one returns 410.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (refusing, _) = acme.create_webhook(&format!("http://{address}/errors")).await;
    let gone = Receiver::with_behavior(|_| Reply::Status(410, "")).await;
    let (switched_off, _) = acme.create_webhook(&gone.url).await;

    let mut recorded = vec![acme.record_error(&workflow, "before processes die").await];
    for (_, receiver, _) in &receivers {
        receiver.wait_for_requests(1).await;
    }
    gone.wait_for_requests(1).await;
    recorded.extend(record_while_processes_die(acme, &workflow).await);
    recorded.sort();

    receivers.push(("refuses connections", Receiver::at(address).await, Some(refusing)));
    // The disabled destination is enabled again and receives the missed errors by a replay.
    eventually("the destination is disabled", async || {
        (acme.get_destination(&switched_off).await["enabled"] == false).then_some(())
    })
    .await;
    gone.set_behavior(|_| Reply::Status(200, ""));
    let path = format!("/destinations/{switched_off}");
    acme.backend.patch(&path, json!({ "enabled": true })).await.is(200);
    let since = tenon::domain::timestamp::Timestamp::now() - Duration::from_secs(3600);
    acme.backend.post(&format!("{path}/replay"), json!({ "since": since })).await.is(202);
    receivers.push(("was gone", gone, Some(switched_off)));
    for (_, receiver, _) in &receivers {
        receiver.set_behavior(|_| Reply::Status(200, ""));
        receiver.release();
    }
    let mut extra = 0;
    for (behavior, receiver, webhook) in &receivers {
        eventually(&format!("all errors arrive at the receiver that {behavior}"), async || {
            if let Some(webhook) = webhook {
                acme.fast_forward(webhook).await;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
            (receiver.ids() == recorded).then_some(())
        })
        .await;
        extra += receiver.received().len() - recorded.len();
    }
    println!("{extra} extra requests, {} required", recorded.len() * receivers.len());
}

#[tokio::test]
async fn errors_arrive_after_aws_faults() {
    let harness = DeliveryHarness::new().await;
    let mut receivers = vec![("is healthy", Receiver::new().await)];
    for (behavior, reply) in failing().into_iter().filter(|(behavior, _)| *behavior != "stalls") {
        receivers.push((behavior, Receiver::with_behavior(move |_| reply.clone()).await));
    }
    let mut routes = Vec::new();
    for (_, receiver) in &receivers {
        routes.push(harness.create_webhook(&receiver.url).await);
    }
    let errors = harness.record_errors(80).await;
    harness.faults.store(15, Ordering::SeqCst);
    let working = harness.start_workers();
    harness.forward(&errors).await;
    for route in &routes {
        harness.fast_forward(*route).await;
    }

    harness.faults.store(0, Ordering::SeqCst);
    let mut extra = 0;
    for ((behavior, receiver), route) in receivers.iter().zip(&routes) {
        receiver.set_behavior(|_| Reply::Status(200, ""));
        eventually(&format!("all errors arrive at the receiver that {behavior}"), async || {
            harness.fast_forward(*route).await;
            (receiver.ids() == ids(&errors)).then_some(())
        })
        .await;
        extra += receiver.received().len() - errors.len();
    }
    harness.stop();
    working.await.unwrap();
    println!("{extra} extra requests, {} required", errors.len() * receivers.len());
}

#[tokio::test]
async fn stalled_destinations_do_not_delay_healthy_ones() {
    let tenon = Tenon::deployed().await;
    let (mut healthy, mut stalled, mut recorded) = (Vec::new(), Vec::new(), Vec::new());
    let mut environments = Vec::new();
    // Fifty destinations, half of them stalled. An environment has at most twenty.
    for size in [16, 17, 17] {
        let acme = tenon.environment().await;
        let workflow = acme.create_workflow(&acme.create_user("joe@acme.example").await, "Orders").await;
        for _ in 0..size {
            let stalls = (healthy.len() + stalled.len()) % 2 == 1;
            let receiver = Receiver::new().await;
            acme.create_webhook(&receiver.url).await;
            if stalls { stalled.push(receiver) } else { healthy.push((environments.len(), receiver)) }
        }
        // Starts the functions.
        let first = acme.record_error(&workflow, "first error").await;
        environments.push((acme, workflow, first));
    }
    assert_eq!((healthy.len(), stalled.len()), (25, 25));
    for receiver in healthy.iter().map(|(_, receiver)| receiver).chain(&stalled) {
        receiver.wait_for_requests(1).await;
    }
    for receiver in &stalled {
        receiver.set_behavior(|_| Reply::Stall);
    }
    let mut recorded_at = HashMap::new();
    for (acme, workflow, first) in &environments {
        let mut ids = vec![first.clone()];
        for n in 0..5 {
            let id = acme.record_error(workflow, &format!("error {n}")).await;
            recorded_at.insert(id.clone(), Instant::now());
            ids.push(id);
        }
        ids.sort();
        recorded.push(ids);
    }
    for (environment, receiver) in &healthy {
        eventually("all errors arrive", async || (receiver.ids() == recorded[*environment]).then_some(())).await;
        for request in receiver.received() {
            let lag = recorded_at.get(&request.id()).map(|at| request.at.duration_since(*at));
            assert!(lag.is_none_or(|lag| lag < STALLED_FOR), "{lag:?}: a healthy destination waited for a stalled one");
        }
    }
    for receiver in &stalled {
        receiver.wait_for_requests(2).await;
        receiver.release();
    }
}
