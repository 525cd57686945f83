//! Backlogs: isolation of destinations from a long backlog of another one, and of pending
//! deliveries from unreadable items; calls of AWS that fail while deliveries become pending or are
//! drained.

use std::{collections::BTreeSet, sync::atomic::Ordering};

use serde_json::json;
use tenon::{
    delivery::drain::Drains,
    domain::{delivery::Route, event_bus::AwsCredentials, health::Circuit},
    start::{FromAws, connect},
    store::Table,
};
use tests::{
    delivery_harness::{DeliveryHarness, ids, stream_event},
    eventually,
    faulty_aws::failing,
    keys, setting,
    table_items::{Item, load, query},
    webhook_receiver::{Receiver, Reply},
};

/// Stores a bus with keys that AWS refuses.
async fn create_refusing_bus(harness: &DeliveryHarness) -> Route {
    let credentials = AwsCredentials {
        access_key_id: "AKIAIOSFODNN7EXAMPLE".parse().unwrap(),
        secret_access_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned().into(),
        session_token: None,
    };
    harness.create_bus("errors", &credentials).await
}

#[tokio::test]
async fn backlog_of_5000_does_not_delay_other_destinations() {
    let harness = DeliveryHarness::new().await;
    // Nothing listens on this port.
    let dead = harness.create_webhook("http://127.0.0.1:9/errors").await;
    let receiver = Receiver::with_behavior(|_| Reply::Status(500, "")).await;
    let healthy = harness.create_webhook(&receiver.url).await;
    let errors = harness.record_errors(20).await;
    harness.seed_backlog(dead, &errors, 5000).await;

    let working = harness.start_workers();
    harness.forward(&errors).await;
    eventually("the first attempts have failed", async || (harness.health(healthy).await.pending == 20).then_some(()))
        .await;
    harness.stop();
    working.await.unwrap();

    // The cost of a drain does not depend on the size of the backlog.
    harness.calls.store(0, Ordering::SeqCst);
    assert!(harness.drain(dead).await);
    let calls = harness.calls.load(Ordering::SeqCst);
    assert!(calls <= 60, "{calls} calls");
    let health = harness.health(dead).await;
    assert_eq!(health.circuit(), Circuit::Open);
    assert!(health.pending >= 5000, "{health:?}");

    receiver.set_behavior(|_| Reply::Status(200, ""));
    harness.fast_forward(healthy).await;
    assert_eq!(receiver.ids(), ids(&errors), "one drain run makes all retries");
    assert_eq!(harness.health(healthy).await.pending, 0);
}

#[tokio::test]
async fn record_that_is_twice_in_a_batch_of_the_stream_becomes_one_pending_delivery() {
    let harness = DeliveryHarness::new().await;
    let bus = create_refusing_bus(&harness).await;
    let errors = harness.record_errors(2).await;
    // One was erased and recorded again before the stream was read.
    harness.forward(&[errors[0].clone(), errors[1].clone(), errors[0].clone()]).await;
    assert_eq!(harness.health(bus).await.pending, 2);
    assert_eq!(harness.count_delivery_items(bus, &errors).await, 4, "two deliveries, both pending");
}

#[tokio::test]
async fn unreadable_items_fail_alone_in_the_drain() {
    let (harness, receiver) = (DeliveryHarness::new().await, Receiver::new().await);
    let (route, errors) = (harness.create_webhook(&receiver.url).await, harness.record_errors(5).await);
    harness.seed_backlog(route, &errors, 5).await;
    let Route { environment, destination } = route;
    let items = async |partition: fn(String, String, u32) -> String| {
        let mut items: Vec<Item> = Vec::new();
        for shard in 0..keys::DELIVERY_SHARDS {
            let pk = partition(environment.to_string(), destination.to_string(), shard);
            items.extend(query(&harness.aws, &setting("ERRORS_TABLE"), &pk).await);
        }
        items
    };
    let of = |item: &Item, number: usize| *item["errorId"].as_s().unwrap() == errors[number].error_id.to_string();
    let mut pending = items(keys::pending_deliveries).await.into_iter().find(|item| of(item, 0)).unwrap();
    pending.remove("attempts");
    let error = [
        ("pk", keys::workflow(environment, errors[1].workflow_id)),
        ("sk", errors[1].error_id.to_string()),
        ("type", "error".into()),
    ];
    let error: Item = error.map(|(name, text)| (name.to_owned(), keys::attribute(text))).into();
    load(&harness.aws, &setting("ERRORS_TABLE"), vec![pending, error]).await;

    assert!(harness.drain(route).await);

    assert_eq!(receiver.ids(), ids(&errors[2..]));
    assert_eq!(items(keys::pending_deliveries).await, []);
    let attempts = items(keys::delivery_attempts).await;
    let failed = attempts.iter().filter(|item| item["status"].as_s().unwrap() == "failed");
    let failed: BTreeSet<String> = failed.map(|item| item["errorId"].as_s().unwrap().clone()).collect();
    assert_eq!(failed, ids(&errors[..2]).into_iter().collect());
    assert_eq!(harness.health(route).await.pending, 0);
}

#[tokio::test]
async fn bus_results_that_cannot_be_stored_are_queued() {
    let harness = DeliveryHarness::new().await;
    let bus = create_refusing_bus(&harness).await;
    let errors = harness.record_errors(12).await;
    let (config, fails) = failing(&harness.aws, "BatchWriteItem");
    let mut forwarder = harness.forwarder.clone();
    forwarder.recorder.pending.table = Table::new(&config, setting("ERRORS_TABLE"));

    let event = stream_event(&errors, 0).to_string();
    let answer = serde_json::to_value(forwarder.forward(&event).await.unwrap()).unwrap();
    assert_eq!(answer, json!({ "batchItemFailures": [] }));
    assert_eq!(harness.count_delivery_items(bus, &errors).await, 0);

    fails.store(false, Ordering::SeqCst);
    let working = harness.start_workers();
    eventually("the deliveries are pending", async || (harness.health(bus).await.pending == 12).then_some(())).await;
    harness.stop();
    working.await.unwrap();
}

#[tokio::test]
async fn wake_up_that_could_not_be_sent_is_forgotten() {
    let harness = DeliveryHarness::new().await;
    let receiver = Receiver::with_behavior(|_| Reply::Status(500, "")).await;
    let route = harness.create_webhook(&receiver.url).await;
    let errors = harness.record_errors(1).await;
    harness.seed_backlog(route, &errors, 1).await;
    let (config, _) = failing(&harness.aws, "SendMessage");
    let drains = connect(&config, Drains::from_aws).await.unwrap();
    drains.run(route).await.unwrap_err();
    let health = harness.health(route).await;
    assert_eq!((health.pending, health.wake_at), (1, None));
}
