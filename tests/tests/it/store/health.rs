//! Destination health and drain leases.

use std::time::Duration;

use aws_sdk_dynamodb::{Client, types::AttributeValue};
use rand::Rng;
use tenon::{
    domain::{
        delivery::{Attempt, Route},
        health::{Circuit, Health, HealthUpdate, OutcomeCounts},
        id::{DestinationId, EnvironmentId},
        timestamp::Timestamp,
    },
    store::{
        Table,
        destinations::Destinations,
        health::{Backlog, BacklogCount, HealthStore, ReleaseOutcome, Reset},
        records::Records,
    },
};
use tests::{Random, aws, delivery_harness::DeliveryHarness, setting};

async fn table(name: &str) -> Table {
    Table::new(&aws(&setting("AWS_ACCESS_KEY_ID")).await, setting(name))
}

fn route() -> Route {
    Route { environment: EnvironmentId::new(), destination: DestinationId::new() }
}

/// Creates a webhook. Returns its route, and the stores of destinations and their health.
async fn webhook() -> (Route, Destinations, HealthStore) {
    let route = DeliveryHarness::new().await.create_webhook("http://127.0.0.1:9/").await;
    let table = table("DIRECTORY_TABLE").await;
    (route, Destinations(table.clone()), HealthStore(table))
}

#[tokio::test]
async fn stored_health_matches_the_model() {
    let health_store = HealthStore(table("DIRECTORY_TABLE").await);
    for _ in 0..20 {
        let (route, mut now) = (route(), Timestamp::now());
        let mut model = Health::default();
        for _ in 0..15 {
            now = now + Duration::from_secs(Random.random_range(0..200));
            let not_before = Random.random_bool(0.2).then(|| now + Duration::from_secs(Random.random_range(0..100)));
            let counts = match Random.random_range(0..4) {
                0 => OutcomeCounts { delivered: Random.random_range(1..5), ..OutcomeCounts::default() },
                1 => OutcomeCounts { delivered: 1, failed: 2, not_before, gone: false },
                _ => OutcomeCounts { failed: Random.random_range(0..4), not_before, ..OutcomeCounts::default() },
            };
            let pending_delta = Random.random_range(-3..6);
            let failure = Attempt { at: now, status: Some(500), latency_ms: 7, response: "down".into() };
            let last_failure = (counts.failed > 0).then_some(failure);
            let update = HealthUpdate { counts, last_failure, pending_delta, probe: Random.random_bool(0.3) };
            let before = health_store.record(route, &model, &update, now).await.unwrap();
            assert_eq!(before, model);
            model = model.apply(&update, now);
            assert_eq!(health_store.get(route).await.unwrap(), model, "{update:?}");
        }
    }
}

#[tokio::test]
async fn results_from_before_a_destination_was_changed_are_not_recorded() {
    let (route, destinations, health_store) = webhook().await;
    let now = Timestamp::now();
    let failure = Attempt { at: now, status: Some(503), latency_ms: 7, response: "down".into() };
    let counts =
        OutcomeCounts { failed: 1, not_before: Some(now + Duration::from_secs(3600)), ..OutcomeCounts::default() };
    let failed = HealthUpdate { counts, last_failure: Some(failure), pending_delta: 2, probe: true };
    let counts = OutcomeCounts { delivered: 1, ..OutcomeCounts::default() };
    let delivered = HealthUpdate { counts, ..HealthUpdate::default() };
    for reset in [Reset::Outage, Reset::Results] {
        let read = health_store.get(route).await.unwrap();
        let mut changed = destinations.get(route.environment, route.destination).await.unwrap().unwrap();
        changed.version += 1;
        destinations.update_and_reset(route, &changed, reset).await.unwrap();
        let fresh = health_store.get(route).await.unwrap();
        for late in [&failed, &delivered] {
            health_store.record(route, &read, late, now).await.unwrap();
        }
        let health = health_store.get(route).await.unwrap();
        let waiting = HealthUpdate { pending_delta: 2, ..HealthUpdate::default() };
        assert_eq!(health, fresh.apply(&waiting, now), "{reset:?}");
        assert!(!health.is_backing_off(now) && health.failing_since.is_none());
        // Results of the present destination are recorded.
        health_store.record(route, &health, &failed, now).await.unwrap();
        assert_eq!(health_store.get(route).await.unwrap(), health.apply(&failed, now), "{reset:?}");
    }
}

#[tokio::test]
async fn probe_that_fails_after_the_circuit_was_closed_delays_nothing() {
    let (route, destinations, health_store) = webhook().await;
    let now = Timestamp::now();
    let failure = Attempt { at: now, status: Some(503), latency_ms: 7, response: "down".into() };
    let failed = |failed: u32, probe: bool| HealthUpdate {
        counts: OutcomeCounts { failed, not_before: Some(now + Duration::from_secs(3600)), ..OutcomeCounts::default() },
        last_failure: Some(failure.clone()),
        pending_delta: 0,
        probe,
    };
    for probes in [0, 3] {
        health_store.record(route, &Health::default(), &failed(5, false), now).await.unwrap();
        for _ in 0..probes {
            let read = health_store.get(route).await.unwrap();
            health_store.record(route, &read, &failed(1, true), now).await.unwrap();
        }
        let read = health_store.get(route).await.unwrap();
        let mut enabled = destinations.get(route.environment, route.destination).await.unwrap().unwrap();
        enabled.version += 1;
        enabled.updated_at = now + Duration::from_secs(probes);
        destinations.update_and_reset(route, &enabled, Reset::Circuit).await.unwrap();
        health_store.record(route, &read, &failed(1, true), now).await.unwrap();
        let health = health_store.get(route).await.unwrap();
        assert!(!health.is_backing_off(now) && health.circuit() == Circuit::Closed, "{probes} probes: {health:?}");
    }
}

/// Damages a counter of the health of a destination.
async fn damage(route: Route, counter: &str) {
    let client = Client::new(&aws(&setting("AWS_ACCESS_KEY_ID")).await);
    let pk = format!("env#{}#destinations", route.environment);
    let update = client.update_item().table_name(setting("DIRECTORY_TABLE"));
    let update = update.key("pk", AttributeValue::S(pk));
    let update = update.key("sk", AttributeValue::S(format!("health#{}", route.destination)));
    let update = update.update_expression("SET #counter = :text").expression_attribute_names("#counter", counter);
    let update = update.expression_attribute_values(":text", AttributeValue::S("damaged".into()));
    update.condition_expression("attribute_exists(pk)").send().await.unwrap();
}

#[tokio::test]
async fn damaged_counter_does_not_keep_results_from_being_recorded() {
    let health_store = HealthStore(table("DIRECTORY_TABLE").await);
    let now = Timestamp::now();
    let counts = OutcomeCounts { failed: 1, ..OutcomeCounts::default() };
    let failure = Attempt { at: now, status: Some(500), latency_ms: 7, response: "down".into() };
    let failed = HealthUpdate { counts, last_failure: Some(failure), pending_delta: 2, probe: false };
    for counter in ["backlogVersion", "consecutiveFailures", "pending"] {
        let route = route();
        health_store.record(route, &Health::default(), &failed, now).await.unwrap();
        damage(route, counter).await;
        let read = health_store.get(route).await.unwrap();
        health_store.record(route, &read, &failed, now).await.unwrap();
        let health = health_store.get(route).await.unwrap();
        let expected = |name, intact| if name == counter { intact / 2 } else { intact };
        assert_eq!(
            health.consecutive_failures,
            u32::try_from(expected("consecutiveFailures", 2)).unwrap(),
            "{counter}"
        );
        assert_eq!(health.pending, expected("pending", 4), "{counter}");
        assert!(health.pending_since == Some(now) && health.failing_since == Some(now), "{counter}: {health:?}");
        damage(route, "pending").await;
        health_store.add_pending(route, 1, now).await.unwrap();
        damage(route, "backlogVersion").await;
        health_store.announce_backlog(route, now).await.unwrap();
        let health = health_store.get(route).await.unwrap();
        assert_eq!((health.pending, health.backlog_version), (1, 1), "{counter}");
    }
}

#[tokio::test]
async fn damaged_health_is_read_with_its_generation_by_everyone() {
    let (route, destinations, health_store) = webhook().await;
    let mut enabled = destinations.get(route.environment, route.destination).await.unwrap().unwrap();
    enabled.version += 1;
    destinations.update_and_reset(route, &enabled, Reset::Outage).await.unwrap();
    let generation = health_store.get(route).await.unwrap().generation;
    assert_ne!(generation, 0);
    damage(route, "consecutiveFailures").await;

    let records = Records(table("ERRORS_TABLE").await.read_only());
    let (with_records, _) = records.get_all_for(&destinations, route, &[]).await.unwrap();
    let mut listed = destinations.list_with_health(route.environment).await.unwrap();
    let read = destinations.get_with_health(route).await.unwrap();
    let all = [with_records, listed.pop(), read].map(|with_health| with_health.unwrap().1.generation);
    assert_eq!(all, [generation; 3]);
}

#[tokio::test]
async fn damaged_health_does_not_keep_a_drain_from_releasing_its_lease() {
    let health_store = HealthStore(table("DIRECTORY_TABLE").await);
    let (route, now) = (route(), Timestamp::now());
    for _ in 0..3 {
        health_store.add_pending(route, 1, now).await.unwrap();
    }
    damage(route, "consecutiveFailures").await;

    let lease = health_store.acquire_lease(route, now, now + Duration::from_secs(75)).await.unwrap().unwrap();
    let health = health_store.get(route).await.unwrap();
    let nothing = Backlog { earliest_due: None, counted: Some(BacklogCount { pending: 0, pending_since: None }) };
    let released = health_store.release(route, &lease, Some(health.backlog_version), nothing, None).await.unwrap();
    assert_eq!((released, health.backlog_version), (ReleaseOutcome::Released, 3));
}

#[tokio::test]
async fn drain_lease_is_exclusive_and_ends_only_when_all_is_seen() {
    let health_store = HealthStore(table("DIRECTORY_TABLE").await);
    let (route, now) = (route(), Timestamp::now());
    let later = |seconds: u64| now + Duration::from_secs(seconds);
    assert!(health_store.acquire_lease(route, now, later(75)).await.unwrap().is_none(), "no health is stored");
    let waits = HealthUpdate { pending_delta: 1, ..HealthUpdate::default() };
    health_store.record(route, &Health::default(), &waits, now).await.unwrap();
    let lease = health_store.acquire_lease(route, now, later(75)).await.unwrap().unwrap();
    let health = health_store.get(route).await.unwrap();
    assert!(
        health_store.acquire_lease(route, later(74), later(150)).await.unwrap().is_none(),
        "another drain holds the lease"
    );

    let empty = Backlog { earliest_due: None, counted: Some(BacklogCount { pending: 0, pending_since: None }) };
    health_store.record(route, &health, &waits, now).await.unwrap();
    let released = health_store.release(route, &lease, Some(health.backlog_version), empty, None).await.unwrap();
    assert_eq!(released, ReleaseOutcome::BacklogChanged, "a delivery became pending in the meantime");
    let backlog =
        Backlog { earliest_due: Some(later(9)), counted: Some(BacklogCount { pending: 2, pending_since: Some(now) }) };
    let released =
        health_store.release(route, &lease, Some(health.backlog_version + 1), backlog, Some(later(9))).await.unwrap();
    assert_eq!(released, ReleaseOutcome::Released);
    let health = health_store.get(route).await.unwrap();
    assert_eq!((health.pending, health.wake_at, health.leased_until), (2, Some(later(9)), None));
    let listed = async || health_store.list_backlogged(1000).await.unwrap().iter().any(|one| one.route() == route);
    assert!(listed().await);

    // A drain with an expired lease does not release the lease of its successor.
    let old = health_store.acquire_lease(route, now, later(75)).await.unwrap().unwrap();
    let new = health_store.acquire_lease(route, later(75), later(150)).await.unwrap().unwrap();
    let health = health_store.get(route).await.unwrap();
    assert_eq!(
        health_store.release(route, &old, Some(health.backlog_version), empty, None).await.unwrap(),
        ReleaseOutcome::LeaseLost
    );
    assert_eq!(health_store.release(route, &new, None, empty, None).await.unwrap(), ReleaseOutcome::Released);
    assert!(!listed().await);
    assert_eq!(health_store.get(route).await.unwrap().pending_since, None);
}
