//! Webhooks through the deployed template, against an endpoint on loopback.

use std::{
    collections::{BTreeSet, HashMap},
    process::Stdio,
    sync::atomic::Ordering,
};

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use tenon::{
    delivery::queues::{FirstAttempts, MAX_ERRORS},
    domain::{delivery::Route, error_log::ErrorLog, timestamp::Timestamp},
};
use tests::{
    Tenon,
    delivery_harness::{DeliveryHarness, ids},
    eventually, example_error, keys, python, setting,
    table_items::load,
    webhook_receiver::{Received, Receiver, Reply}};
use tokio::io::AsyncWriteExt;

/// Returns whether the reference library of Standard Webhooks accepts a request's signature.
async fn verifies(secret: &str, request: &Received) -> bool {
    let mut python =
        python("verify_webhook.py").stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let input = json!({ "secret": secret, "body": request.body, "headers": request.headers }).to_string();
    python.stdin.take().unwrap().write_all(input.as_bytes()).await.unwrap();
    python.wait().await.unwrap().success()
}

#[tokio::test]
async fn an_error_is_posted_and_its_signature_verifies_with_the_reference_library() {
    let acme = Tenon::deployed().await.environment().await;
    let workflow = acme.create_workflow(&acme.create_user("joe@acme.example").await, "Orders").await;
    let receiver = Receiver::new().await;
    let (webhook, secret) = acme.create_webhook(&receiver.url).await;
    let id = acme.record_error(&workflow, "a text with “quotes” and\nlines").await;

    let request = receiver.wait_for_requests(1).await.remove(0);
    assert!(verifies(&secret, &request).await, "{request:?}");
    let mut other = request.clone();
    other.body = other.body.replace("quotes", "marks");
    assert!(!verifies(&secret, &other).await);

    assert_eq!(request.line, "POST /errors HTTP/1.1");
    let shown = acme.backend.get(&format!("/workflows/{workflow}/errors")).await.is(200).body["errors"][0].clone();
    assert_eq!(serde_json::from_str::<Value>(&request.body).unwrap(), shown, "one and the same object everywhere");
    let header = |name: &str| request.headers[name].as_str();
    assert_eq!(header("webhook-id"), id);
    assert_eq!(header("content-type"), "application/json");
    for (name, member) in [
        ("x-tenon-workflow-id", "workflowId"),
        ("x-tenon-user-id", "userId"),
        ("x-tenon-block-type", "blockType"),
        ("x-tenon-execution-id", "executionId"),
    ] {
        assert_eq!(header(name), shown[member], "{name}");
    }
    assert!(!request.headers.contains_key("x-tenon-test"));
    eventually("the success is told of", async || {
        let health = acme.get_destination(&webhook).await["health"].clone();
        (health["lastSuccessAt"].is_string() && health["circuit"] == "closed").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_webhooks_secret_is_shown_once_and_the_one_before_signs_beside_a_new_one() {
    let acme = Tenon::deployed().await.environment().await;
    let workflow = acme.create_workflow(&acme.create_user("joe@acme.example").await, "Orders").await;
    let receiver = Receiver::new().await;
    let created = acme
        .backend
        .post("/destinations", json!({ "type": "webhook", "url": receiver.url, "description": "Ours" }))
        .await
        .is(201);
    assert_eq!(created.header("cache-control"), "no-store");
    let (webhook, first) = (created.text("destinationId"), created.text("secret"));
    let path = format!("/destinations/{webhook}");
    let shown = acme.backend.get(&path).await.is(200).body;
    assert!(!shown.to_string().contains("whsec_"), "{shown}");
    assert_eq!((&shown["url"], &shown["description"]), (&json!(receiver.url), &json!("Ours")));
    assert_eq!(shown["verified"], false);

    let rotated = acme.backend.post(&format!("{path}/rotate-secret"), json!({})).await.is(200);
    assert_eq!(rotated.header("cache-control"), "no-store");
    let second = rotated.text("secret");
    assert_ne!(first, second);
    acme.record_error(&workflow, "Error").await;
    let request = receiver.wait_for_requests(1).await.remove(0);
    assert!(verifies(&second, &request).await && verifies(&first, &request).await, "{request:?}");

    // One that was rotated twice by mistake still has the secret that its owner knows.
    let third = acme.backend.post(&format!("{path}/rotate-secret"), json!({})).await.is(200).text("secret");
    acme.record_error(&workflow, "Error").await;
    let request = receiver.wait_for_requests(2).await.remove(1);
    assert!(verifies(&third, &request).await && verifies(&second, &request).await && verifies(&first, &request).await);

    let table = acme.tenon.items("DirectoryTable", &keys::destinations(&acme.id)).await;
    let all = format!("{table:?}");
    for secret in [&first, &second, &third] {
        assert!(!all.contains(secret.as_str()));
    }
}

#[tokio::test]
async fn a_test_event_tells_itself_and_proves_the_webhook() {
    let acme = Tenon::deployed().await.environment().await;
    let receiver = Receiver::with_behavior(|_| Reply::Status(500, "")).await;
    let (webhook, secret) = acme.create_webhook(&receiver.url).await;
    let path = format!("/destinations/{webhook}/test");
    let tested = acme.backend.post(&path, json!({})).await.is(200).body;
    assert_eq!(tested["delivered"], false);
    assert_eq!((&tested["attempt"]["status"], &tested["attempt"]["response"]), (&json!(500), &json!("said")));

    receiver.set_behavior(|_| Reply::Status(204, ""));
    let tested = acme.backend.post(&path, json!({})).await.is(200).body;
    assert_eq!(tested["delivered"], true, "{tested}");
    let request = receiver.received().remove(1);
    assert_eq!(request.headers["x-tenon-test"], "true");
    assert!(request.body.contains("Tenon test event"));
    assert!(verifies(&secret, &request).await);
    assert_eq!(acme.get_destination(&webhook).await["verified"], true);
}

#[tokio::test]
async fn where_a_webhook_may_go_is_checked_when_it_is_saved() {
    let acme = Tenon::deployed().await.environment().await;
    for url in [
        "http://example.com/",
        "http://10.0.0.1/",
        "https://example.com:8443/",
        "https://169.254.169.254/latest/meta-data",
        "https://2130706433/",
        "https://[::1]/",
        "https://user:password@example.com/",
        "example.com",
    ] {
        let refused = acme.backend.post("/destinations", json!({ "type": "webhook", "url": url })).await;
        refused.is_problem(422, "validation").names(&["/url"]);
    }
    let (webhook, _) = acme.create_webhook("https://example.com/errors").await;
    let path = format!("/destinations/{webhook}");
    let refused = acme.backend.patch(&path, json!({ "url": "https://127.0.0.1/" })).await;
    refused.is_problem(422, "validation").names(&["/url"]);
    let refused = acme.backend.patch(&path, json!({ "region": "us-east-1" })).await;
    refused.is_problem(422, "validation").names(&["/region"]);
    assert_eq!(acme.get_destination(&webhook).await["url"], "https://example.com/errors");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let acme = Tenon::deployed().await.environment().await;
    let workflow = acme.create_workflow(&acme.create_user("joe@acme.example").await, "Orders").await;
    let elsewhere = Receiver::new().await;
    let headers: &'static str = format!("location: {}\r\n", elsewhere.url).leak();
    let receiver = Receiver::with_behavior(move |_| Reply::Status(307, headers)).await;
    let (webhook, _) = acme.create_webhook(&receiver.url).await;
    acme.record_error(&workflow, "Error").await;
    let waiting = eventually("the delivery waits", async || {
        acme.deliveries(&webhook, "pending").await.into_iter().find(|one| one["attempts"][0]["status"] == 307)
    })
    .await;
    assert!(waiting["nextAttemptAt"].is_string());
    assert!(elsewhere.received().is_empty());
}

#[tokio::test]
async fn what_failed_is_tried_again_after_five_seconds_and_all_attempts_are_told_of() {
    let acme = Tenon::deployed().await.environment().await;
    let workflow = acme.create_workflow(&acme.create_user("joe@acme.example").await, "Orders").await;
    let receiver = Receiver::with_behavior(|_| Reply::Status(500, "")).await;
    let (webhook, _) = acme.create_webhook(&receiver.url).await;
    let id = acme.record_error(&workflow, "Error").await;
    receiver.wait_for_requests(1).await;
    receiver.set_behavior(|_| Reply::Status(200, ""));

    let told =
        eventually("the second attempt succeeds", async || acme.deliveries(&webhook, "delivered").await.pop()).await;
    assert_eq!(told["errorId"], id);
    assert_eq!(told["nextAttemptAt"], Value::Null);
    let attempts = told["attempts"].as_array().unwrap();
    let statuses: Vec<_> = attempts.iter().map(|attempt| attempt["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [500, 200]);
    let at = |index: usize| -> Timestamp { attempts[index]["at"].as_str().unwrap().parse().unwrap() };
    assert!(at(1).milliseconds() - at(0).milliseconds() >= 5000);
    assert!(acme.pending_items(&webhook).await.is_empty());
    let health = eventually("the drain has ended", async || {
        Some(acme.get_destination(&webhook).await["health"].clone()).filter(|health| health["pending"] == 0)
    })
    .await;
    assert!(health["lastFailureAt"].is_string() && health["lastSuccessAt"].is_string(), "{health}");
}

#[tokio::test]
async fn retry_after_is_honoured_for_the_whole_destination() {
    let acme = Tenon::deployed().await.environment().await;
    let workflow = acme.create_workflow(&acme.create_user("joe@acme.example").await, "Orders").await;
    let receiver = Receiver::with_behavior(|_| Reply::Status(503, "retry-after: 8\r\n")).await;
    let (webhook, _) = acme.create_webhook(&receiver.url).await;
    acme.record_error(&workflow, "asks for patience").await;
    let first = receiver.wait_for_requests(1).await;
    eventually("the failure is noted", async || {
        acme.get_destination(&webhook).await["health"]["lastFailureAt"].is_string().then_some(())
    })
    .await;
    receiver.set_behavior(|_| Reply::Status(200, ""));
    acme.record_error(&workflow, "waits too").await;

    let all = receiver.wait_for_requests(3).await;
    let at = |request: &Received| request.headers["webhook-timestamp"].parse::<i64>().unwrap();
    for later in &all[1..] {
        assert!(at(later) - at(&first[0]) >= 8, "{all:?}");
    }
    assert_eq!(receiver.ids().len(), 2);
}

#[tokio::test]
async fn an_endpoint_that_is_gone_is_switched_off_with_the_reason_and_comes_back_by_the_toggle() {
    let acme = Tenon::deployed().await.environment().await;
    let workflow = acme.create_workflow(&acme.create_user("joe@acme.example").await, "Orders").await;
    let receiver = Receiver::with_behavior(|_| Reply::Status(410, "")).await;
    let (webhook, _) = acme.create_webhook(&receiver.url).await;
    let control = acme.control_webhook().await;
    let gone = acme.record_error(&workflow, "Error").await;
    let off = eventually("it is switched off", async || {
        Some(acme.get_destination(&webhook).await).filter(|shown| shown["enabled"] == false)
    })
    .await;
    assert!(off["disabledReason"].as_str().unwrap().contains("410"), "{off}");
    assert_eq!(acme.deliveries(&webhook, "failed").await[0]["errorId"], gone);

    let while_off = acme.record_error(&workflow, "while it is off").await;
    control.wait_for_requests(2).await;
    receiver.set_behavior(|_| Reply::Status(200, ""));
    let on = acme.backend.patch(&format!("/destinations/{webhook}"), json!({ "enabled": true })).await.is(200).body;
    assert_eq!((&on["disabledReason"], &on["health"]["circuit"]), (&Value::Null, &json!("closed")));
    let after = acme.record_error(&workflow, "Error").await;
    receiver.wait_for_requests(2).await;
    assert!(receiver.ids().contains(&after) && !receiver.ids().contains(&while_off));
}

#[tokio::test]
async fn the_toggle_stops_deliveries_that_wait_and_they_can_be_replayed() {
    let acme = Tenon::deployed().await.environment().await;
    let workflow = acme.create_workflow(&acme.create_user("joe@acme.example").await, "Orders").await;
    let receiver = Receiver::with_behavior(|_| Reply::Status(500, "")).await;
    let (webhook, _) = acme.create_webhook(&receiver.url).await;
    let path = format!("/destinations/{webhook}");
    let id = acme.record_error(&workflow, "Error").await;
    receiver.wait_for_requests(1).await;
    eventually("it waits", async || acme.deliveries(&webhook, "pending").await.pop()).await;
    acme.backend.patch(&path, json!({ "enabled": false })).await.is(200);
    receiver.set_behavior(|_| Reply::Status(200, ""));
    let cancelled = eventually("it is cancelled", async || acme.deliveries(&webhook, "cancelled").await.pop()).await;
    assert_eq!((&cancelled["errorId"], &cancelled["nextAttemptAt"]), (&json!(id), &Value::Null));
    assert_eq!(receiver.received().len(), 1);
    acme.backend
        .post(&format!("{path}/replay"), json!({ "errorIds": [id] }))
        .await
        .is_problem(409, "destination-disabled");

    acme.backend.patch(&path, json!({ "enabled": true })).await.is(200);
    acme.backend.post(&format!("{path}/replay"), json!({ "errorIds": [id] })).await.is(202);
    assert_eq!(receiver.wait_for_requests(2).await[1].id(), id);
}

#[tokio::test]
async fn errors_are_replayed_by_time_by_their_ids_and_where_they_have_failed() {
    let acme = Tenon::deployed().await.environment().await;
    let user = acme.create_user("joe@acme.example").await;
    let (orders, stock) = (acme.create_workflow(&user, "Orders").await, acme.create_workflow(&user, "Stock").await);
    // Of another time, recorded before there is the destination.
    let control = acme.control_webhook().await;
    let mut errors: Vec<Value> = Vec::new();
    for minute in 0..30 {
        let mut error = example_error(&format!("error {minute}"));
        error["createdAt"] = json!(format!("2026-11-20T05:{minute:02}:00Z"));
        errors.push(error);
    }
    let recorded = acme.engine.post(&format!("/workflows/{orders}/errors"), json!({ "errors": errors })).await.is(202);
    let ids: Vec<String> = serde_json::from_value(recorded.body["ids"].clone()).unwrap();
    let mut other = example_error("of another workflow");
    other["createdAt"] = json!("2026-11-20T05:15:00Z");
    acme.engine.post(&format!("/workflows/{stock}/errors"), other).await.is(202);
    control.wait_for_requests(31).await;
    let receiver = Receiver::new().await;
    let (webhook, _) = acme.create_webhook(&receiver.url).await;
    let path = format!("/destinations/{webhook}");
    acme.backend.patch(&path, json!({ "filter": { "workflowId": [orders] } })).await.is(200);
    let replay = async |which: Value| {
        let id = acme.backend.post(&format!("{path}/replay"), which).await.is(202).text("replayId");
        eventually("the replay is done", async || {
            let shown = acme.backend.get(&format!("/replays/{id}")).await.is(200).body;
            let arrived = shown["delivered"].as_u64().unwrap() + shown["failed"].as_u64().unwrap();
            (shown["status"] == "done" && shown["found"] == arrived).then_some(shown)
        })
        .await
    };

    let done = replay(json!({ "since": "2026-11-20T05:10:00Z", "until": "2026-11-20T05:20:00Z" })).await;
    assert_eq!((&done["found"], &done["delivered"]), (&json!(10), &json!(10)), "{done}");
    assert_eq!(receiver.ids(), ids[10..20]);

    let done = replay(json!({ "errorIds": [ids[3], ids[10], "ffffffffffffffffffffffff"] })).await;
    assert_eq!((&done["found"], &done["delivered"]), (&json!(2), &json!(2)), "{done}");
    assert_eq!(receiver.received().len(), 12);
    // What arrived twice arrived under one id.
    assert_eq!(receiver.ids().len(), 11);

    receiver.set_behavior(|_| Reply::Status(410, ""));
    let failed = replay(json!({ "errorIds": [ids[0]] })).await;
    assert_eq!(failed["failed"], 1, "{failed}");
    receiver.set_behavior(|_| Reply::Status(200, ""));
    acme.backend.patch(&path, json!({ "enabled": true })).await.is(200);
    let done = replay(json!({ "failed": true })).await;
    assert_eq!((&done["found"], &done["delivered"]), (&json!(1), &json!(1)), "{done}");
    assert_eq!(receiver.received().last().unwrap().id(), ids[0]);

    for which in
        [json!({}), json!({ "failed": true, "errorIds": [ids[0]] }), json!({ "until": "2026-11-20T05:20:00Z" })]
    {
        acme.backend.post(&format!("{path}/replay"), which).await.is_problem(422, "validation");
    }
}

#[tokio::test]
async fn a_cancelled_replay_sends_nothing_that_still_waits() {
    let acme = Tenon::deployed().await.environment().await;
    let workflow = acme.create_workflow(&acme.create_user("joe@acme.example").await, "Orders").await;
    let errors: Vec<Value> = (0..20).map(|n| example_error(&n.to_string())).collect();
    let control = acme.control_webhook().await;
    let recorded =
        acme.engine.post(&format!("/workflows/{workflow}/errors"), json!({ "errors": errors })).await.is(202);
    control.wait_for_requests(20).await;
    let receiver = Receiver::with_behavior(|_| Reply::Status(429, "retry-after: 3600\r\n")).await;
    let (webhook, _) = acme.create_webhook(&receiver.url).await;
    let path = format!("/destinations/{webhook}/replay");
    let replay = acme.backend.post(&path, json!({ "errorIds": recorded.body["ids"] })).await.is(202).text("replayId");
    receiver.wait_for_requests(20).await;
    let cancelled = acme.backend.delete(&format!("/replays/{replay}")).await.is(200);
    assert_eq!(cancelled.body["status"], "cancelled");
    receiver.set_behavior(|_| Reply::Status(200, ""));
    let before = receiver.received().len();
    eventually("all that waited is cancelled", async || {
        acme.fast_forward(&webhook).await;
        (acme.deliveries(&webhook, "cancelled").await.len() == 20).then_some(())
    })
    .await;
    assert_eq!(receiver.received().len(), before);
}

#[tokio::test]
async fn nothing_of_a_destination_can_be_reached_from_another_environment() {
    let tenon = Tenon::deployed().await;
    let (acme, other) = (tenon.environment().await, tenon.environment().await);
    let workflow = acme.create_workflow(&acme.create_user("joe@acme.example").await, "Orders").await;
    let id = acme.record_error(&workflow, "Error").await;
    let receiver = Receiver::new().await;
    let (webhook, _) = other.create_webhook(&receiver.url).await;
    // An error of another environment is not found by its id.
    let path = format!("/destinations/{webhook}/replay");
    let replay = other.backend.post(&path, json!({ "errorIds": [id] })).await.is(202).text("replayId");
    let done = eventually("the replay is done", async || {
        let shown = other.backend.get(&format!("/replays/{replay}")).await.is(200).body;
        (shown["status"] == "done").then_some(shown)
    })
    .await;
    assert_eq!(done["found"], 0);
    acme.backend.get(&format!("/replays/{replay}")).await.is_problem(404, "not-found");
    acme.backend.delete(&format!("/replays/{replay}")).await.is_problem(404, "not-found");
    assert!(receiver.received().is_empty());
}

#[tokio::test]
async fn an_error_that_waits_and_is_replayed_twice_arrives_and_blocks_nothing() {
    let acme = Tenon::deployed().await.environment().await;
    let workflow = acme.create_workflow(&acme.create_user("joe@acme.example").await, "Orders").await;
    let receiver = Receiver::with_behavior(|_| Reply::Status(500, "")).await;
    let (webhook, _) = acme.create_webhook(&receiver.url).await;
    let id = acme.record_error(&workflow, "Error").await;
    eventually("it waits", async || acme.deliveries(&webhook, "pending").await.pop()).await;
    let path = format!("/destinations/{webhook}/replay");
    for _ in 0..2 {
        acme.backend.post(&path, json!({ "errorIds": [id, id] })).await.is(202);
    }
    eventually("they have failed too", async || (receiver.received().len() >= 2).then_some(())).await;
    receiver.set_behavior(|_| Reply::Status(200, ""));
    eventually("nothing waits any more", async || {
        acme.fast_forward(&webhook).await;
        (acme.pending_items(&webhook).await.is_empty()
            && acme.get_destination(&webhook).await["health"]["pending"] == 0)
            .then_some(())
    })
    .await;
    assert_eq!(acme.deliveries(&webhook, "delivered").await[0]["errorId"], id);
}

#[tokio::test]
async fn the_same_id_on_two_workflows_is_two_errors_that_both_arrive() {
    let acme = Tenon::deployed().await.environment().await;
    let user = acme.create_user("joe@acme.example").await;
    let receiver = Receiver::with_behavior(|_| Reply::Status(500, "")).await;
    let (webhook, _) = acme.create_webhook(&receiver.url).await;
    for name in ["Orders", "Stock"] {
        let workflow = acme.create_workflow(&user, name).await;
        let mut error = example_error(name);
        error["_id"] = json!("6155ac246093840013297377");
        acme.engine.post(&format!("/workflows/{workflow}/errors"), error).await.is(202);
    }
    eventually("both wait", async || (acme.deliveries(&webhook, "pending").await.len() == 2).then_some(())).await;
    receiver.set_behavior(|_| Reply::Status(200, ""));
    acme.fast_forward(&webhook).await;
    eventually("both have arrived", async || (acme.deliveries(&webhook, "delivered").await.len() == 2).then_some(()))
        .await;
    let all = format!("{:?}", receiver.received().iter().map(|request| &request.body).collect::<Vec<_>>());
    assert!(all.contains("Orders") && all.contains("Stock"), "{all}");
}

#[tokio::test]
async fn a_success_does_not_end_the_time_for_which_a_destination_asked() {
    let receiver = Receiver::with_behavior(|request| match request.body.contains("error 0") {
        true => Reply::Status(429, "retry-after: 3600\r\n"),
        false => Reply::Status(200, ""),
    })
    .await;
    let harness = DeliveryHarness::new().await;
    let (route, errors) = (harness.create_webhook(&receiver.url).await, harness.record_errors(3).await);
    // Both at once: one is taken, and one answered with a time.
    assert_eq!(harness.first_attempts.send(&first_attempts(route, &errors[..2])).await, [0; 0]);
    let health = harness.health(route).await;
    assert!(health.last_success_at.is_some() && health.holds_back(Timestamp::now()), "{health:?}");
    assert_eq!(harness.first_attempts.send(&first_attempts(route, &errors[2..])).await, [0; 0]);
    assert_eq!(receiver.received().len(), 2, "the third has to wait");
    assert_eq!(harness.count_delivery_items(route, &errors[2..]).await, 2, "told of, and waiting");
}

#[tokio::test]
async fn a_webhooks_messages_are_sent_together_and_cost_four_aws_calls_for_a_hundred_errors() {
    let (harness, receiver) = (DeliveryHarness::new().await, Receiver::new().await);
    let (route, errors) = (harness.create_webhook(&receiver.url).await, harness.record_errors(100).await);
    // The first time a secret is opened, KMS is asked, and a success is noted once a minute.
    assert_eq!(harness.first_attempts.send(&first_attempts(route, &errors[..1])).await, [0; 0]);
    let before = harness.calls.load(Ordering::SeqCst);
    assert_eq!(harness.first_attempts.send(&first_attempts(route, &errors)).await, [0; 0]);
    let calls = harness.calls.load(Ordering::SeqCst) - before;
    assert_eq!(calls, 4, "two reads of the destination, one of the errors, one note of all deliveries");
    let arrived: BTreeSet<String> = receiver.ids().into_iter().collect();
    assert_eq!(arrived, ids(&errors).into_iter().collect());
    assert_eq!(harness.count_delivery_items(route, &errors).await, 100);
}

#[tokio::test]
async fn an_error_that_cannot_be_read_holds_up_only_its_own_message() {
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
    assert_eq!(harness.first_attempts.send(&first_attempts(route, &errors)).await, [1]);
    let arrived: BTreeSet<String> = receiver.ids().into_iter().collect();
    let readable = errors[..10].iter().chain(&errors[20..]);
    assert_eq!(arrived, readable.map(|error| error.error_id.to_string()).collect());
}

/// The messages by which errors are handed on.
fn first_attempts(route: Route, errors: &[ErrorLog]) -> Vec<FirstAttempts> {
    let message = |errors: &[ErrorLog]| FirstAttempts::FirstAttemptsV1 {
        environment_id: route.environment,
        destination_id: route.destination,
        errors: errors.iter().map(ErrorLog::key).collect(),
    };
    errors.chunks(MAX_ERRORS).map(message).collect()
}
