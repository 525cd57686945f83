//! Isolation of destinations from a long backlog of another one.

use std::sync::atomic::Ordering;

use tenon::domain::health::Circuit;
use tests::{
    delivery_harness::{DeliveryHarness, ids},
    eventually,
    webhook_receiver::{Receiver, Reply},
};

#[tokio::test]
async fn backlog_of_200000_does_not_delay_other_destinations() {
    let harness = DeliveryHarness::new().await;
    // Nothing listens on this port.
    let dead = harness.create_webhook("http://127.0.0.1:9/errors").await;
    let receiver = Receiver::with_behavior(|_| Reply::Status(500, "")).await;
    let healthy = harness.create_webhook(&receiver.url).await;
    let errors = harness.record_errors(20).await;
    harness.seed_backlog(dead, &errors, 200_000).await;

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
    assert!(health.pending >= 200_000, "{health:?}");

    receiver.set_behavior(|_| Reply::Status(200, ""));
    harness.fast_forward(healthy).await;
    assert_eq!(receiver.ids(), ids(&errors), "one drain run makes all retries");
    assert_eq!(harness.health(healthy).await.pending, 0);
}
