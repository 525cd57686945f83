//! A long backlog of one destination, and what others see of it.

use std::sync::atomic::Ordering;

use tenon::domain::health::Circuit;
use tests::{
    eventually,
    inside::{Inside, ids},
    receiver::{Receiver, Reply},
};

#[tokio::test]
async fn two_hundred_thousand_deliveries_that_wait_for_a_dead_destination_do_not_slow_anothers_retries() {
    let inside = Inside::new().await;
    // Nobody listens there.
    let dead = inside.webhook("http://127.0.0.1:9/errors").await;
    let receiver = Receiver::that(|_| Reply::Status(500, "")).await;
    let healthy = inside.webhook(&receiver.url).await;
    let errors = inside.record(20).await;
    inside.pile_up(dead, &errors, 200_000).await;

    let working = inside.work();
    inside.forward(&errors).await;
    eventually("the first attempts have failed", async || (inside.health(healthy).await.pending == 20).then_some(()))
        .await;
    inside.stop();
    working.await.unwrap();

    // What a drain of the dead one costs does not depend on how much waits there.
    inside.calls.store(0, Ordering::SeqCst);
    assert!(inside.drain(dead).await);
    let calls = inside.calls.load(Ordering::SeqCst);
    assert!(calls <= 60, "{calls} calls");
    let health = inside.health(dead).await;
    assert_eq!(health.circuit(), Circuit::Open);
    assert!(health.pending >= 200_000, "{health:?}");

    receiver.behave(|_| Reply::Status(200, ""));
    inside.hurry(healthy).await;
    assert_eq!(receiver.ids(), ids(&errors), "all of the retries were made in one run");
    assert_eq!(inside.health(healthy).await.pending, 0);
}
