//! Processor time of the functions in the local AWS: errors are recorded by concurrent clients and
//! delivered to a webhook.
//!
//! The other measurements replay responses without delay, so that a process is never idle. Here it
//! waits for each response, as on Lambda, and finds the caches of its processor cold afterwards.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::{StreamExt, stream};
use serde_json::json;
use tests::{
    Environment, Tenon, eventually, example_error,
    webhook_receiver::{Receiver, Reply},
};

use crate::{
    figures::{Spread, spread},
    process::times_of_function,
};

/// Functions that record and deliver an error, without the name of the stack.
const FUNCTIONS: [&str; 3] = ["errors-record", "forward-errors", "deliver-webhooks"];
/// Number of measured rounds of each kind of load. One more comes before them.
const ROUNDS: usize = 5;
/// Kinds of load: errors per request, concurrent clients, and requests per round. A single client
/// sends its next request when the errors of the previous one have arrived, so that each invocation
/// has the errors of one request.
const KINDS: [(usize, usize, usize); 4] = [(1, 16, 800), (1, 1, 100), (10, 16, 160), (100, 16, 48)];

/// Cost of errors that are recorded and delivered.
#[derive(Debug)]
pub struct Load {
    /// Errors per request.
    pub errors: usize,
    /// Concurrent clients.
    pub clients: usize,
    /// Processor time per error of `errors_record`, `forward_errors` and `deliver_webhooks`, in
    /// microseconds.
    pub functions: [Spread; 3],
    /// Processor time of all of them per error, in microseconds.
    pub total: Spread,
}

/// Measures each kind of load.
pub async fn loads() -> Vec<Load> {
    let acme = Tenon::deployed().await.environment().await;
    let user = acme.create_user("joe@acme.example").await;
    let path = format!("/workflows/{}/errors", acme.create_workflow(&user, "Orders").await);
    let arrived: Arc<Mutex<HashSet<String>>> = Arc::default();
    let recorded = arrived.clone();
    let receiver = Receiver::with_behavior(move |received| {
        recorded.lock().expect("the lock is not poisoned").insert(received.id());
        Reply::Status(200, "")
    });
    acme.create_webhook(&receiver.await.url).await;

    let mut loads = Vec::new();
    for (errors, clients, requests) in KINDS {
        let (mut functions, mut totals): ([Vec<f64>; 3], Vec<f64>) = Default::default();
        for round in 0..=ROUNDS {
            // The first round starts the processes.
            let before = if round == 0 { Default::default() } else { processor_times() };
            let mut ids = HashSet::new();
            let turns = if clients == 1 { requests } else { 1 };
            for _ in 0..turns {
                let recorded = record(&acme, &path, (errors, clients, requests / turns)).await;
                eventually("all errors have arrived", async || {
                    recorded.is_subset(&arrived.lock().expect("the lock is not poisoned")).then_some(())
                })
                .await;
                ids.extend(recorded);
            }
            if round == 0 {
                continue;
            }
            let mut total = 0.0;
            for ((times, before), after) in functions.iter_mut().zip(&before).zip(&processor_times()) {
                let time = used(before, after).as_secs_f64() * 1e6 / ids.len() as f64;
                times.push(time);
                total += time;
            }
            totals.push(total);
        }
        let load = Load { errors, clients, functions: functions.map(spread), total: spread(totals) };
        eprintln!("{load:?}");
        loads.push(load);
    }
    loads
}

/// Records errors with concurrent clients. Returns their ids.
async fn record(acme: &Environment, path: &str, (errors, clients, requests): (usize, usize, usize)) -> HashSet<String> {
    let error = example_error("Error: Request failed with status code 403");
    let body = if errors == 1 { error } else { json!({ "errors": vec![error; errors] }) };
    let answers = stream::iter(0..requests).map(|_| acme.engine.post(path, body.clone())).buffer_unordered(clients);
    let answers: Vec<_> = answers.collect().await;
    let ids = answers.into_iter().flat_map(|answer| {
        serde_json::from_value::<Vec<String>>(answer.is(202).body["ids"].take()).expect("a list of ids")
    });
    ids.collect()
}

/// Returns the processor time of each process of each function.
fn processor_times() -> [BTreeMap<u32, Duration>; 3] {
    FUNCTIONS.map(times_of_function)
}

/// Returns the processor time that processes have used in between. Those that have ended were idle:
/// the local AWS ends them after some minutes.
fn used(before: &BTreeMap<u32, Duration>, after: &BTreeMap<u32, Duration>) -> Duration {
    after.iter().map(|(process, time)| time.saturating_sub(before.get(process).copied().unwrap_or_default())).sum()
}
