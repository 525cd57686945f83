//! The stack in the local AWS: the time from the record of an error to its arrival, alone and beside destinations that
//! stall.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::join_all;
use serde_json::json;
use tests::{
    Answer, Bus, Environment, Tenon, eventually, example_error, setting,
    webhook_receiver::{Receiver, Reply},
};
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::{
    figures::{Spread, largest, spread},
    process::Functions,
};

/// The destinations of an environment (a limit of the product).
const DESTINATIONS_PER_ENVIRONMENT: usize = 20;
/// How often an error is recorded in each environment.
pub const ROUNDS: usize = 20;
/// How long after one another. What stalls is held for 15 seconds, so that with one a second the notes of 49 failures come
/// each second, which is more than the local AWS can take: it answers after its callers' time is over, they repeat, and all
/// that is measured is the queue before it.
const ROUND_INTERVAL: Duration = Duration::from_secs(2);

/// How long errors take to the destinations that take them.
#[derive(Debug)]
pub struct Arrival {
    /// Of how many destinations.
    pub destinations: usize,
    /// So many of them stall.
    pub stalled: usize,
    /// The milliseconds from the request that records until a healthy destination has the error.
    pub time: Spread,
    /// The longest of them.
    pub slowest: f64,
    /// The most milliseconds that the local AWS takes meanwhile to read an item.
    pub slowest_read: f64,
}

/// How long errors take to a bus.
#[derive(Debug)]
pub struct OnBus {
    /// Who puts them there.
    pub by: &'static str,
    /// The milliseconds from the request that records until the bus has handed the error on.
    pub time: Spread,
}

/// To a bus of the customer's, and by the minimal forwarder, from the same stream, to one of the product's account.
pub async fn buses(functions: &Functions, bus: &Bus) -> Vec<OnBus> {
    let customer = Customer::new().await;
    let destination = customer.acme.create_bus_destination(&bus.name).await;
    let ours = customer.arrivals_on(bus).await;
    let minimal = Bus::in_account(&setting("AWS_ACCESS_KEY_ID")).await;
    let binary = functions.folder.join("minimal_forwarder");
    replace_forwarder(&["begin", &binary.display().to_string(), &minimal.name]).await;
    let theirs = customer.arrivals_on(&minimal).await;
    replace_forwarder(&["end"]).await;
    // What has waited meanwhile is not to be in the way of what is measured next.
    let (id, _) = customer.record_error().await;
    arrival_on(bus, &id).await;
    customer.delete(&destination).await;
    vec![OnBus { by: "`forward_errors`", time: ours }, OnBus { by: "a minimal forwarder", time: theirs }]
}

/// Asks again and again, for as long as the local AWS is too busy.
async fn retry_while_busy(what: &str, request: impl AsyncFn() -> Answer) -> Answer {
    eventually(what, async || {
        let answer = request().await;
        if answer.status >= 500 {
            eprintln!("{what}: the local AWS is too busy: {}", answer.status);
            return None;
        }
        Some(answer)
    })
    .await
}

/// Puts the minimal forwarder in the place of `forward_errors` on the stream, and takes it away.
async fn replace_forwarder(arguments: &[&str]) {
    let mut command = tokio::process::Command::new(setting("TENON_PYTHON"));
    let done = command.arg(format!("{}/local/minimal.py", setting("TENON_ROOT"))).args(arguments).status().await;
    assert!(done.is_ok_and(|status| status.success()), "the minimal forwarder: {arguments:?}");
}

/// When an error was handed on by a bus, in milliseconds since 1970.
async fn arrival_on(bus: &Bus, id: &str) -> f64 {
    eventually("the error is on the bus", async || {
        let arrived = bus.poll_with_times().await;
        let (at, _) = arrived.into_iter().find(|(_, event)| event["detail"].to_string().contains(id))?;
        Some(at as f64)
    })
    .await
}

/// To one webhook, and to fifty of which none, half and all but one stall.
pub async fn arrivals() -> Vec<Arrival> {
    let mut arrivals = Vec::new();
    for (destinations, stalled) in [(1, 0), (50, 0), (50, 25), (50, 49)] {
        arrivals.push(arrival(destinations, stalled).await);
    }
    arrivals
}

/// When a destination got which error.
type Times = Arc<Mutex<HashMap<String, SystemTime>>>;

/// An environment with its workflow, and when each of its healthy destinations got which error.
struct Customer {
    acme: Environment,
    workflow: String,
    healthy: Vec<Times>,
    destinations: Vec<String>,
}

impl Customer {
    async fn new() -> Self {
        let acme = Tenon::deployed().await.environment().await;
        let user = acme.create_user("joe@acme.example").await;
        let workflow = acme.create_workflow(&user, "Orders").await;
        Self { acme, workflow, healthy: Vec::new(), destinations: Vec::new() }
    }

    /// Deletes a destination, for which the local AWS may be too busy at first.
    async fn delete(&self, destination: &str) {
        let path = format!("/destinations/{destination}");
        let answer = retry_while_busy("a destination is deleted", async || self.acme.backend.delete(&path).await).await;
        assert!(matches!(answer.status, 200 | 404), "{answer:?}");
    }

    /// Records errors, one after the other. Answers with the milliseconds until each is on a bus.
    async fn arrivals_on(&self, bus: &Bus) -> Spread {
        let mut times = Vec::new();
        for round in 0..=ROUNDS {
            let (id, requested_at) = self.record_error().await;
            let requested_at = requested_at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64() * 1e3;
            let arrived = arrival_on(bus, &id).await;
            // What starts functions is not what is measured.
            if round > 0 {
                times.push(arrived - requested_at);
            }
        }
        spread(times)
    }

    /// Records an error and waits until all healthy destinations have it. Answers with their milliseconds.
    async fn record(&self) -> Vec<f64> {
        let (id, requested_at) = self.record_error().await;
        let arrived = |times: &Times| times.lock().expect("nobody panics with it").get(&id).copied();
        let since = |at: SystemTime| at.duration_since(requested_at).unwrap_or_default().as_secs_f64() * 1e3;
        eventually("the error has arrived", async || {
            let times: Option<Vec<SystemTime>> = self.healthy.iter().map(arrived).collect();
            times.map(|times| times.into_iter().map(since).collect())
        })
        .await
    }

    /// Asks for an error to be recorded until that is done, for which the local AWS may be too busy at first. Answers with
    /// its id, and with when it was first asked for.
    async fn record_error(&self) -> (String, SystemTime) {
        let path = format!("/workflows/{}/errors", self.workflow);
        let requested_at = SystemTime::now();
        let error = example_error("status code 403");
        let answer =
            retry_while_busy("an error is recorded", async || self.acme.engine.post(&path, error.clone()).await).await;
        (answer.is(202).body["ids"][0].as_str().expect("an id").to_owned(), requested_at)
    }
}

async fn arrival(destinations: usize, stalled: usize) -> Arrival {
    let (mut customers, mut stalled_receivers): (Vec<Customer>, _) = (Vec::new(), Vec::new());
    for n in 0..destinations {
        if n % DESTINATIONS_PER_ENVIRONMENT == 0 {
            customers.push(Customer::new().await);
        }
        let customer = customers.last_mut().expect("there is one");
        let times = Times::default();
        // Spread evenly: the n-th stalls where the part of those that do rises to a whole number.
        let stalls = (n + 1) * stalled / destinations > n * stalled / destinations;
        let recorded = times.clone();
        let receiver = Receiver::with_behavior(move |received| {
            recorded.lock().expect("nobody panics with it").insert(received.id(), SystemTime::now());
            if stalls { Reply::Stall } else { Reply::Status(200, "") }
        });
        let receiver = receiver.await;
        let webhook = json!({ "type": "webhook", "url": receiver.url });
        let backend = &customer.acme.backend;
        let made =
            retry_while_busy("a webhook is made", async || backend.post("/destinations", webhook.clone()).await).await;
        customer.destinations.push(made.is(201).text("destinationId"));
        if stalls { stalled_receivers.push(receiver) } else { customer.healthy.push(times) }
    }
    // What starts functions is not what is measured.
    join_all(customers.iter().map(Customer::record)).await;
    let rounds = async {
        let (mut times, mut pace) = (Vec::new(), interval(ROUND_INTERVAL));
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for _ in 0..ROUNDS {
            pace.tick().await;
            times.extend(join_all(customers.iter().map(Customer::record)).await.into_iter().flatten());
        }
        times
    };
    let mut reads = Vec::new();
    let times = tokio::select! {
        times = rounds => times,
        never = read_repeatedly(&mut reads) => match never {},
    };
    for receiver in &stalled_receivers {
        receiver.release();
    }
    // What waits for them goes with them, and is not in the way of what is measured next.
    for customer in &customers {
        for destination in &customer.destinations {
            customer.delete(destination).await;
        }
    }
    Arrival { destinations, stalled, slowest: largest(&times), time: spread(times), slowest_read: largest(&reads) }
}

/// Reads what is not there, again and again, and notes the milliseconds of each read.
async fn read_repeatedly(times: &mut Vec<f64>) -> Infallible {
    let aws = tests::aws(&setting("AWS_ACCESS_KEY_ID")).await;
    let client = aws_sdk_dynamodb::Client::new(&aws);
    let nothing = AttributeValue::S("nothing".into());
    loop {
        let read = client.get_item().table_name(setting("DIRECTORY_TABLE"));
        let started = Instant::now();
        let answer = read.key("pk", nothing.clone()).key("sk", nothing.clone()).send().await;
        times.push(started.elapsed().as_secs_f64() * 1e3);
        if let Err(error) = answer {
            eprintln!("the local AWS does not answer a read: {error:?}");
        }
        sleep(Duration::from_millis(100)).await;
    }
}
