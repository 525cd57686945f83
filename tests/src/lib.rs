//! Support library of the integration tests and the benchmark: a deployed stack, its environments,
//! and the customer's own AWS account.
//!
//! `make test` deploys the template and passes its addresses in the environment. What travels over
//! the wire is not read with the product's types: the tests read what a client would read.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a helper that panics fails the test that calls it"
)]

pub mod api;
pub mod aws;
pub mod bus;
pub mod capacity;
pub mod crash;
pub mod delivery_harness;
pub mod events;
pub mod faulty_aws;
mod intercepted;
pub mod keys;
pub mod processes;
pub mod random;
pub mod stack;
pub mod table_items;
pub mod webhook_receiver;

use std::{
    future::Future,
    time::{Duration, Instant},
};

use serde_json::Value;

pub use crate::{
    api::{Answer, Api, bus_settings, example_error, send},
    aws::{Calls, aws, invoke, scripted},
    bus::Bus,
    random::Random,
    stack::{Environment, Tenon},
};

/// Returns an environment variable set by `make test`.
pub fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run the tests with `make test`"))
}

/// Polls until `poll` returns a value. Panics after three minutes, which a busy machine may need.
pub async fn eventually<T, F: Future<Output = Option<T>>>(condition: &str, poll: impl FnMut() -> F) -> T {
    within(Duration::from_secs(180), condition, poll).await
}

/// Polls until `poll` returns a value. Panics after `limit`.
pub async fn within<T, F: Future<Output = Option<T>>>(
    limit: Duration,
    condition: &str,
    mut poll: impl FnMut() -> F,
) -> T {
    let started = Instant::now();
    // A pause is at most a quarter of the time that has passed, so that it delays little.
    let mut pause = Duration::from_millis(20);
    while started.elapsed() < limit {
        if let Some(found) = poll().await {
            return found;
        }
        tokio::time::sleep(pause).await;
        pause = (started.elapsed() / 4).clamp(pause, Duration::from_secs(1));
    }
    panic!("not within {} seconds: {condition}", limit.as_secs())
}

/// Returns an unused port on loopback. It is not one that the system gives to outgoing connections,
/// which could take it before it is listened on.
pub fn free_port() -> u16 {
    let is_free = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok();
    std::iter::repeat_with(|| rand::random_range(20_000..32_768)).find(is_free).unwrap()
}

/// Returns the event file of a function.
pub fn event(function: &str) -> Value {
    let path = format!("{}/tests/events/{function}.json", setting("TENON_ROOT"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Returns a command that runs a script of `tests/python`.
pub fn python(script: &str) -> tokio::process::Command {
    let mut command = tokio::process::Command::new(setting("TENON_PYTHON"));
    command
        .arg(format!("{}/tests/python/{script}", setting("TENON_ROOT")))
        .env("AWS_DEFAULT_REGION", setting("AWS_REGION"));
    command
}
