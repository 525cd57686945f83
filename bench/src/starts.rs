//! How long a function takes from the start of its process until it asks for work, and until its first answer.

use std::time::Duration;

use axum::body::Bytes;

use crate::{
    aws::Aws,
    figures::{Spread, spread},
    process::Functions,
    requests::{Scenario, string_member},
    runtime::{Runtime, succeeded},
};

/// How often each is started.
const STARTS: usize = 41;

/// What is started: the smallest function, and one of each kind.
const KINDS: [(&str, &str); 11] = [
    ("hello", "nothing but Lambda's library"),
    ("by_hand", "a client of DynamoDB, its connection opened"),
    ("by_hand_forwarder", "clients of DynamoDB, KMS and SQS, two connections opened"),
    ("openapi", "an endpoint without AWS"),
    ("users_get", "an endpoint with DynamoDB"),
    ("errors_record", "an endpoint with DynamoDB"),
    ("authorizer", "the authorizer"),
    ("credentials_create", "an endpoint with DynamoDB and KMS"),
    ("destinations_create", "an endpoint with DynamoDB, KMS and EventBridge"),
    ("forward_errors", "from the stream to buses and SQS"),
    ("deliver_webhooks", "from SQS to webhooks"),
];

/// The start of a function.
#[derive(Debug)]
pub struct Start {
    /// Its name and kind.
    pub kind: (&'static str, &'static str),
    /// Milliseconds until it asks for work.
    pub time: Spread,
    /// How many times that of the smallest function, round by round.
    pub ratio: Spread,
}

/// Starts all kinds by turns, so that what else the machine does meets all of them.
pub async fn starts(functions: &Functions, aws: &Aws) -> Vec<Start> {
    let mut times: Vec<Vec<f64>> = KINDS.iter().map(|_| Vec::new()).collect();
    let mut functions = functions.clone();
    // By which `by_hand` opens its connection at start-up; the others do not know it.
    functions.settings.push(("OPEN".into(), "1".into()));
    for _ in 0..STARTS {
        for ((name, _), times) in KINDS.iter().zip(&mut times) {
            let mut runtime = Runtime::new().await.expect("a port is free");
            let process = functions.start(name, &runtime, &aws.url);
            times.push((runtime.wait_for_next().await - process.started).as_secs_f64() * 1e3);
        }
    }
    let hello = times[0].clone();
    let kinds = KINDS.into_iter().zip(times);
    kinds
        .map(|(kind, times)| {
            let ratios = times.iter().zip(&hello).map(|(time, hello)| time / hello).collect();
            Start { kind, time: spread(times), ratio: spread(ratios) }
        })
        .collect()
}

/// The first request of a process that may run for an eighth of the time since it asked for work, about as with 256 MB of
/// memory.
#[derive(Debug)]
pub struct First {
    /// The function.
    pub name: &'static str,
    /// Milliseconds from event to answer.
    pub time: Spread,
}

/// An eighth of the time.
const EIGHTH: Duration = Duration::from_micros(2_500);

/// Over TLS to an AWS on loopback.
pub async fn first_requests(functions: &Functions, aws: &Aws) -> Vec<First> {
    let names = ["hello", "users_get", "by_hand"];
    let mut times: Vec<Vec<f64>> = names.iter().map(|_| Vec::new()).collect();
    let mut scenario = Scenario::new(functions, aws, false);
    scenario.create_environment().await;
    let user = string_member(&scenario.call("users_create", &[], None).await, "userId");
    scenario.call("users_get", &[("user", &user)], None).await;
    let event = Bytes::from(scenario.event("users_get", &[("user", &user)], None).to_string());
    aws.replay();
    for _ in 0..STARTS {
        for (name, times) in names.iter().zip(&mut times) {
            let mut runtime = Runtime::new().await.expect("a port is free");
            let process = functions.start(name, &runtime, &aws.tls_url);
            runtime.wait_for_next().await;
            let throttled = process.throttle(EIGHTH);
            let (time, response) = runtime.invoke(&event).await;
            drop(throttled);
            assert!(succeeded(&response), "{name}: {}", String::from_utf8_lossy(&response));
            times.push(time.as_secs_f64() * 1e3);
        }
    }
    names.into_iter().zip(times).map(|(name, times)| First { name, time: spread(times) }).collect()
}
