//! Start-up time of functions: from the start of the process to its first request for work, and to
//! its first response.

use std::time::Duration;

use axum::body::Bytes;

use crate::{
    aws::Aws,
    figures::{Spread, spread},
    process::Functions,
    requests::{Scenario, string_member},
    runtime::{Runtime, succeeded},
};

/// Number of starts of each function.
const STARTS: usize = 41;

/// Functions to start: the smallest one, and one of each kind.
const KINDS: [(&str, &str); 11] = [
    ("hello", "Lambda's library only"),
    ("by_hand", "DynamoDB client with an open connection"),
    ("by_hand_forwarder", "clients of DynamoDB, KMS and SQS, two open connections"),
    ("openapi", "endpoint without AWS"),
    ("users_get", "endpoint with DynamoDB"),
    ("errors_record", "endpoint with DynamoDB"),
    ("authorizer", "authorizer"),
    ("credentials_create", "endpoint with DynamoDB and KMS"),
    ("destinations_create", "endpoint with DynamoDB, KMS and EventBridge"),
    ("forward_errors", "forwarder: stream to buses and SQS"),
    ("deliver_webhooks", "sender: SQS to webhooks"),
];

/// Start-up time of a function.
#[derive(Debug)]
pub struct Start {
    /// Name and description.
    pub kind: (&'static str, &'static str),
    /// Milliseconds until it requests work.
    pub time: Spread,
    /// Ratio to the smallest function, per round.
    pub ratio: Spread,
}

/// Measures start-up. Functions take turns, so that other load on the machine affects all of them.
pub async fn starts(functions: &Functions, aws: &Aws) -> Vec<Start> {
    let mut times: Vec<Vec<f64>> = KINDS.iter().map(|_| Vec::new()).collect();
    let mut functions = functions.clone();
    // Makes `by_hand` open its connection at start-up. The other functions ignore it.
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

/// Time of the first request of a process that is limited to one eighth of a core after it
/// requested work, about as with 256 MB of memory.
#[derive(Debug)]
pub struct First {
    /// Function name.
    pub name: &'static str,
    /// Milliseconds from event to response.
    pub time: Spread,
}

/// One eighth of Lambda's period of 20 ms.
const EIGHTH: Duration = Duration::from_micros(2_500);

/// Measures first requests with TLS connections to an AWS on loopback.
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
