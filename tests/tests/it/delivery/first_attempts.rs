//! First attempts of webhook deliveries, from queue messages.

use std::{
    collections::{BTreeSet, HashMap},
    sync::atomic::Ordering,
};

use aws_sdk_dynamodb::types::AttributeValue;
use tenon::{
    delivery::queues::{FirstAttempts, MAX_RECORDS_PER_MESSAGE},
    domain::{
        delivery::{DeliveryStatus, Route},
        error_log::ErrorLog,
        timestamp::Timestamp,
    },
    store::{PageRequest, Table, health::HealthStore},
};
use tests::{
    crash::Crash,
    delivery_harness::{DeliveryHarness, ids},
    keys, setting,
    table_items::load,
    webhook_receiver::{Receiver, Reply},
};

#[tokio::test]
async fn success_does_not_end_a_retry_after_period() {
    let receiver = Receiver::with_behavior(|request| match request.body.contains("error 0") {
        true => Reply::Status(429, "retry-after: 3600\r\n"),
        false => Reply::Status(200, ""),
    })
    .await;
    let harness = DeliveryHarness::new().await;
    let (route, errors) = (harness.create_webhook(&receiver.url).await, harness.record_errors(3).await);
    // Concurrent attempts: one succeeds, and one returns Retry-After.
    assert_eq!(harness.first_attempts.send(&messages(route, &errors[..2])).await, [0; 0]);
    let health = harness.health(route).await;
    assert!(health.last_success_at.is_some() && health.defers_first_attempts(Timestamp::now()), "{health:?}");
    assert_eq!(harness.first_attempts.send(&messages(route, &errors[2..])).await, [0; 0]);
    assert_eq!(receiver.received().len(), 2, "the third error is deferred");
    assert_eq!(harness.count_delivery_items(route, &errors[2..]).await, 2, "one delivered and one pending");
}

#[tokio::test]
async fn request_on_a_connection_that_the_endpoint_had_closed_is_sent_again_on_a_new_one() {
    let (harness, receiver) = (DeliveryHarness::new().await, Receiver::new().await);
    let (route, errors) = (harness.create_webhook(&receiver.url).await, harness.record_errors(12).await);
    // Concurrent requests leave several open connections.
    assert_eq!(harness.first_attempts.send(&messages(route, &errors[..10])).await, [0; 0]);
    let open = receiver.received().iter().map(|request| request.connection).max().unwrap();
    receiver.set_behavior(move |request| match request.connection <= open {
        true => Reply::Close,
        false => Reply::Status(200, ""),
    });
    assert_eq!(harness.first_attempts.send(&messages(route, &errors[10..11])).await, [0; 0]);
    assert_eq!(receiver.received().len(), 12);
    assert_eq!(harness.count_delivery_items(route, &errors[..11]).await, 11);
    let health = harness.health(route).await;
    assert_eq!((health.consecutive_failures, health.pending), (0, 0), "{health:?}");

    // An endpoint that breaks every connection has one attempt on a new one.
    receiver.set_behavior(|_| Reply::Close);
    assert_eq!(harness.first_attempts.send(&messages(route, &errors[11..])).await, [0; 0]);
    assert_eq!(receiver.received().len(), 14, "one request on an open connection, and one on a new one");
    assert_eq!(harness.health(route).await.consecutive_failures, 1);
}

#[tokio::test]
async fn response_that_is_not_valid_http_is_a_failed_attempt_with_a_reason() {
    let (harness, receiver) = (DeliveryHarness::new().await, Receiver::new().await);
    let (route, errors) = (harness.create_webhook(&receiver.url).await, harness.record_errors(2).await);
    assert_eq!(harness.first_attempts.send(&messages(route, &errors[..1])).await, [0; 0]);
    receiver.set_behavior(|_| Reply::Status(200, "content-length: -1\r\n"));
    assert_eq!(harness.first_attempts.send(&messages(route, &errors[1..])).await, [0; 0]);
    assert_eq!(receiver.received().len(), 2, "the endpoint has answered: the request is not sent again");
    let failure = harness.health(route).await.last_failure.unwrap();
    assert_eq!(failure.response, "the response is not valid HTTP, or has too many headers");
}

#[tokio::test]
async fn first_attempts_read_and_write_in_few_aws_calls() {
    let (harness, receiver) = (DeliveryHarness::new().await, Receiver::new().await);
    let (route, errors) = (harness.create_webhook(&receiver.url).await, harness.record_errors(100).await);
    // The first attempt decrypts the secret with KMS and records the success, which happens once a
    // minute.
    assert_eq!(harness.first_attempts.send(&messages(route, &errors[..1])).await, [0; 0]);
    let calls = async |errors: &[ErrorLog]| {
        let before = harness.calls.load(Ordering::SeqCst);
        assert_eq!(harness.first_attempts.send(&messages(route, errors)).await, [0; 0]);
        harness.calls.load(Ordering::SeqCst) - before
    };
    assert_eq!(
        calls(&errors[..98]).await,
        2,
        "one read of the destination and the errors, one write of all deliveries"
    );
    assert_eq!(calls(&errors).await, 3, "a read has at most 100 items");
    let arrived: BTreeSet<String> = receiver.ids().into_iter().collect();
    assert_eq!(arrived, ids(&errors).into_iter().collect());
    assert_eq!(harness.count_delivery_items(route, &errors).await, 100);
}

#[tokio::test]
async fn unreadable_error_fails_alone() {
    let (harness, receiver) = (DeliveryHarness::new().await, Receiver::new().await);
    let (route, errors) = (harness.create_webhook(&receiver.url).await, harness.record_errors(30).await);
    let broken = [
        ("pk", keys::workflow(route.environment, errors[15].workflow_id)),
        ("sk", errors[15].error_id.to_string()),
        ("type", "error".into()),
    ];
    let mut broken: HashMap<String, AttributeValue> =
        broken.map(|(name, text)| (name.to_owned(), AttributeValue::S(text))).into();
    broken.insert("expiresAt".into(), AttributeValue::N("4000000000".into()));
    load(&harness.aws, &setting("ERRORS_TABLE"), vec![broken]).await;
    assert_eq!(harness.first_attempts.send(&messages(route, &errors)).await, [0; 0]);
    let arrived: BTreeSet<String> = receiver.ids().into_iter().collect();
    let readable = errors[..15].iter().chain(&errors[16..]);
    assert_eq!(arrived, readable.map(|error| error.error_id.to_string()).collect());
    let deliveries = &harness.first_attempts.recorder.deliveries;
    let failed = deliveries.list(route, Some(DeliveryStatus::Failed), PageRequest::first(10)).await.unwrap().items;
    assert_eq!(failed.iter().map(|delivery| delivery.record).collect::<Vec<_>>(), [errors[15].key().record_id()]);
}

#[tokio::test]
async fn delivery_that_became_pending_before_a_crash_is_found_by_the_sweep() {
    let receiver = Receiver::with_behavior(|_| Reply::Status(500, "")).await;
    let harness = DeliveryHarness::new().await;
    let (mortal, crash) = Crash::wrap(&harness.aws);
    let mut dying = harness.first_attempts.clone();
    dying.recorder.health_store = HealthStore(Table::new(&mortal, setting("DIRECTORY_TABLE")));
    // Before each write of the health, the last of which does not exist.
    for call in 0..3 {
        let (route, errors) = (harness.create_webhook(&receiver.url).await, harness.record_errors(1).await);
        let messages = messages(route, &errors);
        receiver.set_behavior(|_| Reply::Status(500, ""));
        let crashed = crash.at(call, false, dying.send(&messages)).await.is_none();
        assert_eq!(crashed, call < 2, "{call}");
        // The repeated message succeeds, and needs no drain.
        receiver.set_behavior(|_| Reply::Status(200, ""));
        assert_eq!(harness.first_attempts.send(&messages).await, [0; 0]);

        let deliveries = &harness.first_attempts.recorder.deliveries;
        let pending =
            async || deliveries.list(route, Some(DeliveryStatus::Pending), PageRequest::first(10)).await.unwrap().items;
        let found = HealthStore(harness.directory.clone()).list_backlogged(20_000).await.unwrap();
        let is_found = found.iter().any(|destination| destination.route() == route);
        assert!(is_found || pending().await.is_empty(), "{call}");
        harness.fast_forward(route).await;
        harness.drain(route).await;
        assert!(pending().await.is_empty(), "{call}");
    }
}

/// Returns the queue messages for the first attempts of these errors.
fn messages(route: Route, errors: &[ErrorLog]) -> Vec<FirstAttempts> {
    let message = |errors: &[ErrorLog]| FirstAttempts::FirstAttemptsV1 {
        environment_id: route.environment,
        destination_id: route.destination,
        records: errors.iter().map(|error| error.key()).collect(),
    };
    errors.chunks(MAX_RECORDS_PER_MESSAGE).map(message).collect()
}
