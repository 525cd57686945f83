//! Arrival times of the stack in the local AWS: from the request that records an error to its
//! arrival at a bus or webhook, with and without stalled destinations.

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

/// Maximum number of destinations per environment, a limit of the product.
const DESTINATIONS_PER_ENVIRONMENT: usize = 20;
/// Number of errors recorded in each environment.
pub const ROUNDS: usize = 20;
/// Interval between two rounds.
///
/// A stalled request is held for 15 seconds. With one round per second, 49 stalled webhooks would
/// cause 49 failure records per second, more than the local AWS can handle: calls time out and are
/// retried, and the measurement would show its queue only.
const ROUND_INTERVAL: Duration = Duration::from_secs(2);

/// Time until errors arrive at healthy webhooks.
#[derive(Debug)]
pub struct Arrival {
    /// Number of destinations.
    pub destinations: usize,
    /// Number of stalled destinations.
    pub stalled: usize,
    /// Milliseconds from the request that records an error until a healthy destination receives it.
    pub time: Spread,
    /// Maximum in milliseconds.
    pub slowest: f64,
    /// Maximum time of a read from the local AWS during the measurement, in milliseconds.
    pub slowest_read: f64,
}

/// Time until errors arrive on a bus.
#[derive(Debug)]
pub struct OnBus {
    /// Function that puts them on the bus.
    pub by: &'static str,
    /// Milliseconds from the request that records an error until the bus forwards it.
    pub time: Spread,
}

/// Measures arrivals on a bus of the customer, and then those of the minimal forwarder, which reads
/// the same stream and uses a bus of the product's account.
pub async fn buses(functions: &Functions, bus: &Bus) -> Vec<OnBus> {
    let customer = Customer::new().await;
    let destination = customer.acme.create_bus_destination(&bus.name).await;
    let ours = customer.arrivals_on(bus).await;
    let minimal = Bus::in_account(&setting("AWS_ACCESS_KEY_ID")).await;
    let binary = functions.folder.join("minimal_forwarder");
    replace_forwarder(&["begin", &binary.display().to_string(), &minimal.name]).await;
    let theirs = customer.arrivals_on(&minimal).await;
    replace_forwarder(&["end"]).await;
    // Wait for the backlog, so that it does not affect the next measurement.
    let (id, _) = customer.record_error().await;
    arrival_on(bus, &id).await;
    customer.delete(&destination).await;
    vec![OnBus { by: "`forward_errors`", time: ours }, OnBus { by: "minimal forwarder", time: theirs }]
}

/// Repeats a request while the local AWS is overloaded.
async fn retry_while_busy(what: &str, request: impl AsyncFn() -> Answer) -> Answer {
    eventually(what, async || {
        let answer = request().await;
        if answer.status >= 500 {
            eprintln!("{what}: the local AWS is overloaded: {}", answer.status);
            return None;
        }
        Some(answer)
    })
    .await
}

/// Replaces `forward_errors` on the stream with the minimal forwarder, or restores it.
async fn replace_forwarder(arguments: &[&str]) {
    let mut command = tokio::process::Command::new(setting("TENON_PYTHON"));
    let done = command.arg(format!("{}/local/minimal.py", setting("TENON_ROOT"))).args(arguments).status().await;
    assert!(done.is_ok_and(|status| status.success()), "the minimal forwarder: {arguments:?}");
}

/// Returns the time at which a bus forwarded an error, in milliseconds since 1970.
async fn arrival_on(bus: &Bus, id: &str) -> f64 {
    eventually("the error is on the bus", async || {
        let arrived = bus.poll_with_times().await;
        let (at, _) = arrived.into_iter().find(|(_, event)| event["detail"].to_string().contains(id))?;
        Some(at as f64)
    })
    .await
}

/// Measures arrivals at one webhook, and at fifty of which none, 25 or 49 stall.
pub async fn arrivals() -> Vec<Arrival> {
    let mut arrivals = Vec::new();
    for (destinations, stalled) in [(1, 0), (50, 0), (50, 25), (50, 49)] {
        arrivals.push(arrival(destinations, stalled).await);
    }
    arrivals
}

/// Arrival time of each error at a destination.
type Times = Arc<Mutex<HashMap<String, SystemTime>>>;

/// Environment with a workflow, and the arrival times at each of its healthy destinations.
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

    /// Deletes a destination. Retries while the local AWS is overloaded.
    async fn delete(&self, destination: &str) {
        let path = format!("/destinations/{destination}");
        let answer = retry_while_busy("a destination is deleted", async || self.acme.backend.delete(&path).await).await;
        assert!(matches!(answer.status, 200 | 404), "{answer:?}");
    }

    /// Records errors sequentially and returns the milliseconds until each is on a bus.
    async fn arrivals_on(&self, bus: &Bus) -> Spread {
        let mut times = Vec::new();
        for round in 0..=ROUNDS {
            let (id, requested_at) = self.record_error().await;
            let requested_at = requested_at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64() * 1e3;
            let arrived = arrival_on(bus, &id).await;
            // The first round, which starts functions, is not measured.
            if round > 0 {
                times.push(arrived - requested_at);
            }
        }
        spread(times)
    }

    /// Records an error, waits until all healthy destinations have received it, and returns the
    /// milliseconds of each.
    async fn record(&self) -> Vec<f64> {
        let (id, requested_at) = self.record_error().await;
        let arrived = |times: &Times| times.lock().expect("the lock is not poisoned").get(&id).copied();
        let since = |at: SystemTime| at.duration_since(requested_at).unwrap_or_default().as_secs_f64() * 1e3;
        eventually("the error has arrived", async || {
            let times: Option<Vec<SystemTime>> = self.healthy.iter().map(arrived).collect();
            times.map(|times| times.into_iter().map(since).collect())
        })
        .await
    }

    /// Records an error. Retries while the local AWS is overloaded. Returns the error's id and the
    /// time of the first request.
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
        let customer = customers.last_mut().expect("a customer exists");
        let times = Times::default();
        // Stalled webhooks are spread evenly among all.
        let stalls = (n + 1) * stalled / destinations > n * stalled / destinations;
        let recorded = times.clone();
        let receiver = Receiver::with_behavior(move |received| {
            recorded.lock().expect("the lock is not poisoned").insert(received.id(), SystemTime::now());
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
    // The first round, which starts functions, is not measured.
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
    // Deleting the destinations removes their backlog, so that it does not affect the next
    // measurement.
    for customer in &customers {
        for destination in &customer.destinations {
            customer.delete(destination).await;
        }
    }
    Arrival { destinations, stalled, slowest: largest(&times), time: spread(times), slowest_read: largest(&reads) }
}

/// Repeatedly reads a missing item and records the milliseconds of each read.
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
            eprintln!("a read from the local AWS failed: {error:?}");
        }
        sleep(Duration::from_millis(100)).await;
    }
}
