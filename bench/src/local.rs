//! The stack in the local AWS: the time from the record of an error to its arrival, alone and beside destinations that
//! stall.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Instant,
};

use futures_util::future::join_all;
use tests::{
    Environment, Tenon, eventually,
    receiver::{Receiver, Reply},
};

use crate::figures::{Spread, spread};

/// The destinations of an environment (a limit of the product).
const OF_ENVIRONMENT: usize = 20;
/// How often an error is recorded in each environment.
const ROUNDS: usize = 20;

/// How long errors take to the destinations that take them.
#[derive(Debug)]
pub struct Arrival {
    /// Of how many destinations.
    pub destinations: usize,
    /// So many of them stall.
    pub stalled: usize,
    /// The milliseconds from the answer to the record until a healthy destination has the error.
    pub time: Spread,
    /// Of a hundred such times, five are longer.
    pub slow: f64,
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
type Times = Arc<Mutex<HashMap<String, Instant>>>;

/// An environment with its workflow, and when each of its healthy destinations got which error.
struct Customer {
    acme: Environment,
    workflow: String,
    healthy: Vec<Times>,
}

impl Customer {
    async fn new() -> Self {
        let acme = Tenon::deployed().await.environment().await;
        let user = acme.user("joe@acme.example").await;
        let workflow = acme.workflow(&user, "Orders").await;
        Self { acme, workflow, healthy: Vec::new() }
    }

    /// Records an error and waits until all healthy destinations have it. Answers with their milliseconds.
    async fn record(&self) -> Vec<f64> {
        let id = self.acme.record(&self.workflow, "status code 403").await;
        let recorded = Instant::now();
        let arrived = |times: &Times| times.lock().expect("nobody panics with it").get(&id).copied();
        eventually("the error has arrived", async || {
            let times: Option<Vec<Instant>> = self.healthy.iter().map(arrived).collect();
            times.map(|times| {
                times.iter().map(|at| at.saturating_duration_since(recorded).as_secs_f64() * 1e3).collect()
            })
        })
        .await
    }
}

async fn arrival(destinations: usize, stalled: usize) -> Arrival {
    let (mut customers, mut stalling): (Vec<Customer>, _) = (Vec::new(), Vec::new());
    for n in 0..destinations {
        if n % OF_ENVIRONMENT == 0 {
            customers.push(Customer::new().await);
        }
        let customer = customers.last_mut().expect("there is one");
        let times = Times::default();
        // Spread evenly: the n-th stalls where the part of those that do rises to a whole number.
        let stalls = (n + 1) * stalled / destinations > n * stalled / destinations;
        let noting = times.clone();
        let receiver = Receiver::that(move |received| {
            noting.lock().expect("nobody panics with it").insert(received.id(), Instant::now());
            if stalls { Reply::Stall } else { Reply::Status(200, "") }
        });
        let receiver = receiver.await;
        customer.acme.webhook(&receiver.url).await;
        if stalls { stalling.push(receiver) } else { customer.healthy.push(times) }
    }
    // What starts functions is not what is measured.
    join_all(customers.iter().map(Customer::record)).await;
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        times.extend(join_all(customers.iter().map(Customer::record)).await.into_iter().flatten());
    }
    for receiver in &stalling {
        receiver.let_go();
    }
    times.sort_by(f64::total_cmp);
    let slow = times[times.len() * 95 / 100];
    Arrival { destinations, stalled, time: spread(times), slow }
}
