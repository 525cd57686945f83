//! Replays of recorded errors.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tenon::domain::timestamp::Timestamp;
use tests::{
    Answer, Environment, Tenon, eventually, example_error,
    webhook_receiver::{Receiver, Reply},
};

/// Returns the replay when its status is `done`.
async fn wait_until_done(environment: &Environment, replay: &str) -> Value {
    eventually("the replay is done", async || {
        let shown = environment.backend.get(&format!("/replays/{replay}")).await.is(200).body;
        (shown["status"] == "done").then_some(shown)
    })
    .await
}

/// Disables a destination, and waits until its pending deliveries are cancelled.
async fn cancel(environment: &Environment, destination: &str, count: usize) {
    environment.backend.patch(&format!("/destinations/{destination}"), json!({ "enabled": false })).await.is(200);
    eventually("the deliveries are cancelled", async || {
        environment.wake_drain(destination).await;
        (environment.deliveries(destination, "cancelled").await.len() == count).then_some(())
    })
    .await;
}

#[tokio::test]
async fn errors_are_replayed_by_time_id_and_failure() {
    let acme = Tenon::deployed().await.environment().await;
    let user = acme.create_user("joe@acme.example").await;
    let (orders, stock) = (acme.create_workflow(&user, "Orders").await, acme.create_workflow(&user, "Stock").await);
    // These errors are recorded before the destination exists.
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
    // The error that arrived twice has one id.
    assert_eq!(receiver.ids().len(), 11);

    receiver.set_behavior(|_| Reply::Status(410, ""));
    let failed = replay(json!({ "errorIds": [ids[0]] })).await;
    assert_eq!(failed["failed"], 1, "{failed}");
    receiver.set_behavior(|_| Reply::Status(200, ""));
    eventually("the webhook is disabled", async || {
        (acme.get_destination(&webhook).await["enabled"] == false).then_some(())
    })
    .await;
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
async fn cancelled_replay_sends_no_pending_delivery() {
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
    acme.wait_for_retry_after(&webhook).await;
    let cancelled = acme.backend.delete(&format!("/replays/{replay}")).await.is(200);
    assert_eq!(cancelled.body["status"], "cancelled");
    receiver.set_behavior(|_| Reply::Status(200, ""));
    let before = receiver.received().len();
    eventually("all pending deliveries are cancelled", async || {
        acme.fast_forward(&webhook).await;
        (acme.deliveries(&webhook, "cancelled").await.len() == 20).then_some(())
    })
    .await;
    assert_eq!(receiver.received().len(), before);
}

#[tokio::test]
async fn delivery_that_a_cancelled_replay_did_not_attempt_is_as_before() {
    let acme = Tenon::deployed().await.environment().await;
    let workflow = acme.create_workflow(&acme.create_user("joe@acme.example").await, "Orders").await;
    let receiver = Receiver::with_behavior(|_| Reply::Status(200, "")).await;
    let (webhook, _) = acme.create_webhook(&receiver.url).await;
    let path = format!("/destinations/{webhook}");
    let first = acme.record_error(&workflow, "delivered at the first attempt").await;
    receiver.wait_for_requests(1).await;
    receiver.set_behavior(|_| Reply::Status(500, ""));
    let second = acme.record_error(&workflow, "delivered at the second attempt").await;
    receiver.wait_for_requests(2).await;
    receiver.set_behavior(|_| Reply::Status(200, ""));
    eventually("the second attempt succeeds", async || {
        acme.fast_forward(&webhook).await;
        (acme.deliveries(&webhook, "delivered").await.len() == 1).then_some(())
    })
    .await;
    // The webhook asks for a pause, so that the replay attempts nothing.
    receiver.set_behavior(|_| Reply::Status(429, "retry-after: 3600\r\n"));
    let third = acme.record_error(&workflow, "pending").await;
    acme.wait_for_retry_after(&webhook).await;
    let selected = json!({ "errorIds": [first, second, third] });
    let replay = acme.backend.post(&format!("{path}/replay"), selected).await.is(202).text("replayId");
    eventually("the replay has queued all", async || {
        (acme.deliveries(&webhook, "pending").await.len() == 3).then_some(())
    })
    .await;
    acme.backend.delete(&format!("/replays/{replay}")).await.is(200);
    receiver.set_behavior(|_| Reply::Status(200, ""));
    let before = receiver.received().len();
    acme.backend.patch(&path, json!({ "enabled": false })).await.is(200);
    eventually("nothing is pending", async || acme.deliveries(&webhook, "pending").await.is_empty().then_some(()))
        .await;
    let ids = |list: Vec<Value>| -> Vec<Value> { list.iter().map(|one| one["errorId"].clone()).collect() };
    assert_eq!(ids(acme.deliveries(&webhook, "delivered").await), [json!(second)]);
    assert_eq!(ids(acme.deliveries(&webhook, "cancelled").await), [json!(third)]);
    let shown = acme.backend.get(&format!("/errors/{first}")).await.is(200).body;
    assert_eq!(shown["deliveries"][0]["status"], "delivered", "{shown}");
    assert_eq!(receiver.received().len(), before);
}

#[tokio::test]
async fn range_of_a_replay_is_validated() {
    let acme = Tenon::deployed().await.environment().await;
    let (webhook, _) = acme.create_webhook("http://127.0.0.1:9/").await;
    let path = format!("/destinations/{webhook}/replay");
    let start = |body| acme.backend.post(&path, body);
    let (earlier, later, future) = ("2026-11-20T00:00:00Z", "2026-11-21T00:00:00Z", "9999-01-01T00:00:00Z");
    let invalid = async |body, members: &[&str]| {
        start(body).await.is_problem(422, "validation").names(members);
    };
    invalid(json!({ "since": later, "until": earlier }), &["/until"]).await;
    invalid(json!({ "since": later, "until": earlier, "failed": "yes" }), &["/failed", "/until"]).await;
    invalid(json!({ "since": future }), &["/since"]).await;
    invalid(json!({ "until": later }), &["/since"]).await;
    for nothing_or_two in [json!({}), json!({ "failed": false }), json!({ "since": earlier, "pending": true })] {
        invalid(nothing_or_two, &[""]).await;
    }
    invalid(json!({ "errorIds": ["x"], "failed": true }), &["/errorIds/0", ""]).await;
    start(json!({ "since": earlier, "until": later })).await.is(202);
}

#[tokio::test]
async fn replay_that_is_done_cannot_be_cancelled() {
    let acme = Tenon::deployed().await.environment().await;
    let workflow = acme.create_workflow(&acme.create_user("joe@acme.example").await, "Orders").await;
    let id = acme.record_error(&workflow, "Error").await;
    let receiver = Receiver::with_behavior(|_| Reply::Status(500, "")).await;
    let (webhook, _) = acme.create_webhook(&receiver.url).await;
    let path = format!("/destinations/{webhook}/replay");
    let replay = acme.backend.post(&path, json!({ "errorIds": [id] })).await.is(202).text("replayId");
    let path = format!("/replays/{replay}");
    receiver.wait_for_requests(1).await;
    // Its delivery is pending, so it is not done.
    assert_eq!(acme.backend.get(&path).await.is(200).body["status"], "running");

    receiver.set_behavior(|_| Reply::Status(200, ""));
    let done = eventually("the replay is done", async || {
        acme.fast_forward(&webhook).await;
        let shown = acme.backend.get(&path).await.is(200).body;
        (shown["status"] == "done").then_some(shown)
    })
    .await;

    assert_eq!((&done["found"], &done["delivered"], &done["failed"]), (&json!(1), &json!(1), &json!(0)), "{done}");
    assert_eq!(acme.backend.delete(&path).await.is(200).body, done);
    assert_eq!(acme.backend.get(&path).await.is(200).body, done);
}

#[tokio::test]
async fn cancelled_deliveries_are_replayed() {
    let acme = Tenon::deployed().await.environment().await;
    let workflow = acme.create_workflow(&acme.create_user("joe@acme.example").await, "Orders").await;
    let receiver = Receiver::with_behavior(|_| Reply::Status(500, "")).await;
    let (webhook, _) = acme.create_webhook(&receiver.url).await;
    let path = format!("/destinations/{webhook}");
    for number in 0..3 {
        acme.record_error(&workflow, &number.to_string()).await;
    }
    eventually("the deliveries are pending", async || {
        (acme.deliveries(&webhook, "pending").await.len() == 3).then_some(())
    })
    .await;
    cancel(&acme, &webhook, 3).await;
    receiver.set_behavior(|_| Reply::Status(200, ""));
    acme.backend.patch(&path, json!({ "enabled": true })).await.is(200);

    for (which, found) in [
        (json!({ "failed": true }), 0),
        (json!({ "failed": true, "cancelled": true }), 3),
        (json!({ "cancelled": true }), 0),
    ] {
        let replay = acme.backend.post(&format!("{path}/replay"), which).await.is(202).text("replayId");
        let done = wait_until_done(&acme, &replay).await;
        assert_eq!((&done["found"], &done["delivered"]), (&json!(found), &json!(found)), "{done}");
    }
}

#[tokio::test]
async fn same_error_id_in_two_workflows_is_replayed_once_for_each() {
    let acme = Tenon::deployed().await.environment().await;
    let user = acme.create_user("joe@acme.example").await;
    let receiver = Receiver::with_behavior(|_| Reply::Status(500, "")).await;
    let (webhook, _) = acme.create_webhook(&receiver.url).await;
    let path = format!("/destinations/{webhook}");
    acme.fail_with_equal_ids(&user, &webhook).await;
    cancel(&acme, &webhook, 2).await;
    receiver.set_behavior(|_| Reply::Status(200, ""));
    acme.backend.patch(&path, json!({ "enabled": true })).await.is(200);
    let replay =
        acme.backend.post(&format!("{path}/replay"), json!({ "cancelled": true })).await.is(202).text("replayId");
    let done = wait_until_done(&acme, &replay).await;
    assert_eq!((&done["found"], &done["delivered"]), (&json!(2), &json!(2)), "{done}");
}

#[tokio::test]
async fn replay_attempts_pending_deliveries_before_they_are_due() {
    let acme = Tenon::deployed().await.environment().await;
    let workflow = acme.create_workflow(&acme.create_user("joe@acme.example").await, "Orders").await;
    let receiver = Receiver::with_behavior(|_| Reply::Status(500, "")).await;
    let (webhook, _) = acme.create_webhook(&receiver.url).await;
    let path = format!("/destinations/{webhook}");
    // Too few for an open circuit, which would be probed soon. The third attempts are due after
    // five minutes.
    for number in 0..2 {
        acme.record_error(&workflow, &number.to_string()).await;
    }
    let failing = eventually("each error was attempted twice", async || {
        let pending = acme.deliveries(&webhook, "pending").await;
        let attempts: usize = pending.iter().map(|delivery| delivery["attempts"].as_array().unwrap().len()).sum();
        if attempts == 4 { Some(acme.backend.get(&path).await.is(200).body) } else { None }
    })
    .await;
    let since: Timestamp = failing["health"]["failingSince"].as_str().unwrap().parse().unwrap();
    assert!(since <= Timestamp::now(), "{failing}");
    assert_eq!(failing["health"]["lastFailure"]["status"], 500);

    receiver.set_behavior(|_| Reply::Status(200, ""));
    let replay =
        acme.backend.post(&format!("{path}/replay"), json!({ "pending": true })).await.is(202).text("replayId");
    let done = wait_until_done(&acme, &replay).await;
    assert_eq!((&done["found"], &done["delivered"]), (&json!(2), &json!(2)), "{done}");
    assert!(acme.deliveries(&webhook, "pending").await.is_empty(), "{done}");
    // The drain counts what is left when it ends.
    eventually("the destination is healthy", async || {
        let shown = acme.backend.get(&path).await.is(200).body;
        let members = ["failingSince", "lastFailure"].map(|member| shown["health"][member].is_null());
        (shown["health"]["status"] == "healthy" && members == [true, true]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn destination_that_recovers_or_is_enabled_again_receives_what_waits_for_a_late_attempt() {
    let acme = Tenon::deployed().await.environment().await;
    let workflow = acme.create_workflow(&acme.create_user("joe@acme.example").await, "Orders").await;
    let receiver = Receiver::with_behavior(|_| Reply::Status(500, "")).await;
    let (webhook, _) = acme.create_webhook(&receiver.url).await;
    for is_enabled_again in [true, false] {
        receiver.set_behavior(|_| Reply::Status(500, ""));
        for number in 0..3 {
            acme.record_error(&workflow, &number.to_string()).await;
        }
        // The third attempts are due after five minutes.
        eventually("each error was attempted twice", async || {
            let pending = acme.deliveries(&webhook, "pending").await;
            let attempts = |delivery: &Value| delivery["attempts"].as_array().unwrap().len();
            (pending.len() == 3 && pending.iter().all(|delivery| attempts(delivery) == 2)).then_some(())
        })
        .await;
        receiver.set_behavior(|_| Reply::Status(200, ""));
        if is_enabled_again {
            acme.backend.patch(&format!("/destinations/{webhook}"), json!({ "enabled": true })).await.is(200);
        } else {
            acme.record_error(&workflow, "after the outage").await;
        }
        eventually("nothing is pending", async || acme.deliveries(&webhook, "pending").await.is_empty().then_some(()))
            .await;
    }
}

#[tokio::test]
async fn replay_keeps_earlier_attempts() {
    let acme = Tenon::deployed().await.environment().await;
    let workflow = acme.create_workflow(&acme.create_user("joe@acme.example").await, "Orders").await;
    let receiver = Receiver::with_behavior(|_| Reply::Status(500, "")).await;
    let (webhook, _) = acme.create_webhook(&receiver.url).await;
    let id = acme.record_error(&workflow, "Error").await;
    eventually("the delivery is pending", async || acme.deliveries(&webhook, "pending").await.pop()).await;
    receiver.set_behavior(|_| Reply::Status(200, ""));
    let path = format!("/destinations/{webhook}/replay");
    for sent in 1..=2 {
        acme.backend.post(&path, json!({ "errorIds": [id] })).await.is(202);
        let delivery = eventually("the error is delivered again", async || {
            acme.fast_forward(&webhook).await;
            let delivery = acme.deliveries(&webhook, "delivered").await.pop()?;
            (delivery["attempts"].as_array().unwrap().len() > sent).then_some(delivery)
        })
        .await;
        assert_eq!(delivery["attempts"][0]["status"], 500, "{delivery}");
    }
}

#[tokio::test]
async fn overlapping_replays_count_each_error_once() {
    let acme = Tenon::deployed().await.environment().await;
    let workflow = acme.create_workflow(&acme.create_user("joe@acme.example").await, "Orders").await;
    let errors: Vec<Value> = (0..20).map(|n| example_error(&n.to_string())).collect();
    let recorded =
        acme.engine.post(&format!("/workflows/{workflow}/errors"), json!({ "errors": errors })).await.is(202);
    let ids: Vec<String> = serde_json::from_value(recorded.body["ids"].clone()).unwrap();
    let receiver = Receiver::with_behavior(|_| Reply::Status(500, "")).await;
    let (webhook, _) = acme.create_webhook(&receiver.url).await;
    let path = format!("/destinations/{webhook}/replay");
    let start =
        async |ids: &[String]| acme.backend.post(&path, json!({ "errorIds": ids })).await.is(202).text("replayId");
    let (first, second, third) = tokio::join!(start(&ids[..15]), start(&ids[5..]), start(&ids));
    receiver.wait_for_requests(1).await;
    receiver.set_behavior(|_| Reply::Status(200, ""));

    for (replay, found) in [(first, 15), (second, 15), (third, 20)] {
        let done = eventually("the replay is done", async || {
            acme.fast_forward(&webhook).await;
            let shown = acme.backend.get(&format!("/replays/{replay}")).await.is(200).body;
            (shown["status"] == "done").then_some(shown)
        })
        .await;
        assert_eq!((&done["found"], &done["delivered"]), (&json!(found), &json!(found)), "{done}");
    }
    assert!(acme.pending_items(&webhook).await.is_empty());
}

#[tokio::test]
async fn replays_of_a_destination_are_listed_with_their_requests() {
    let acme = Tenon::deployed().await.environment().await;
    let receiver = Receiver::new().await;
    let (webhook, _) = acme.create_webhook(&receiver.url).await;
    let (another, _) = acme.create_webhook(&receiver.url).await;
    let start = async |webhook: &str, request: Value| {
        acme.backend.post(&format!("/destinations/{webhook}/replay"), request).await.is(202).text("replayId")
    };
    let mut started = BTreeMap::new();
    for request in [
        json!({ "since": "2026-11-20T05:10:00.000Z", "until": "2026-11-20T05:20:00.000Z" }),
        json!({ "errorIds": ["6155ac246093840013297377"] }),
        json!({ "failed": true, "cancelled": true }),
    ] {
        started.insert(start(&webhook, request.clone()).await, request);
    }
    let elsewhere = start(&another, json!({ "failed": true })).await;

    let path = format!("/destinations/{webhook}/replays");
    let first = acme.backend.get(&format!("{path}?limit=2")).await.is(200);
    let cursor = first.text("cursor");
    let second = acme.backend.get(&format!("{path}?limit=2&cursor={cursor}")).await.is(200);
    assert!(second.body["cursor"].is_null(), "{second:?}");
    let data = |page: &Answer| page.body["data"].as_array().unwrap().clone();
    let listed = [data(&first), data(&second)].concat();
    assert_eq!(listed.len(), 3, "{listed:?}");
    let requests =
        listed.iter().map(|replay| (replay["replayId"].as_str().unwrap().to_owned(), replay["request"].clone()));
    assert_eq!(requests.collect::<BTreeMap<_, _>>(), started);
    assert!(listed.iter().all(|replay| replay["destinationId"] == webhook.as_str()), "{listed:?}");
    assert_eq!(
        acme.backend.get(&format!("/destinations/{another}/replays")).await.is(200).body["data"][0]["replayId"],
        elsewhere
    );

    // A cursor belongs to the list of one destination.
    let foreign = format!("/destinations/{another}/replays?cursor={cursor}");
    acme.backend.get(&foreign).await.is_problem(400, "invalid-cursor");
    acme.backend.get(&format!("/destinations/{}/replays", "0".repeat(24))).await.is_problem(404, "not-found");
}

#[tokio::test]
async fn replay_cannot_access_another_environment() {
    let tenon = Tenon::deployed().await;
    let (acme, other) = (tenon.environment().await, tenon.environment().await);
    let workflow = acme.create_workflow(&acme.create_user("joe@acme.example").await, "Orders").await;
    let id = acme.record_error(&workflow, "Error").await;
    let receiver = Receiver::new().await;
    let (webhook, _) = other.create_webhook(&receiver.url).await;
    // Error ids of another environment are not found.
    let path = format!("/destinations/{webhook}/replay");
    let replay = other.backend.post(&path, json!({ "errorIds": [id] })).await.is(202).text("replayId");
    let done = wait_until_done(&other, &replay).await;
    assert_eq!(done["found"], 0);
    acme.backend.get(&format!("/replays/{replay}")).await.is_problem(404, "not-found");
    acme.backend.delete(&format!("/replays/{replay}")).await.is_problem(404, "not-found");
    assert!(receiver.received().is_empty());
}

#[tokio::test]
async fn pending_error_replayed_twice_arrives_and_blocks_nothing() {
    let acme = Tenon::deployed().await.environment().await;
    let workflow = acme.create_workflow(&acme.create_user("joe@acme.example").await, "Orders").await;
    let receiver = Receiver::with_behavior(|_| Reply::Status(500, "")).await;
    let (webhook, _) = acme.create_webhook(&receiver.url).await;
    let id = acme.record_error(&workflow, "Error").await;
    eventually("the delivery is pending", async || acme.deliveries(&webhook, "pending").await.pop()).await;
    let path = format!("/destinations/{webhook}/replay");
    let mut replays = Vec::new();
    for _ in 0..2 {
        replays.push(acme.backend.post(&path, json!({ "errorIds": [id, id] })).await.is(202).text("replayId"));
    }
    eventually("the replays have failed, too", async || (receiver.received().len() >= 2).then_some(())).await;
    receiver.set_behavior(|_| Reply::Status(200, ""));
    eventually("no delivery is pending", async || {
        acme.fast_forward(&webhook).await;
        for replay in &replays {
            if acme.backend.get(&format!("/replays/{replay}")).await.is(200).body["status"] != "done" {
                return None;
            }
        }
        (acme.pending_items(&webhook).await.is_empty()
            && acme.get_destination(&webhook).await["health"]["pending"] == 0)
            .then_some(())
    })
    .await;
    assert_eq!(acme.deliveries(&webhook, "delivered").await[0]["errorId"], id);
}
