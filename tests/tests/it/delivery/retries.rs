//! Retries of failed webhook deliveries.

use serde_json::{Value, json};
use tenon::domain::timestamp::Timestamp;
use tests::{
    Tenon, eventually, keys, setting,
    webhook_receiver::{Received, Receiver, Reply},
};

#[tokio::test]
async fn failed_delivery_is_retried_after_five_seconds() {
    let acme = Tenon::deployed().await.environment().await;
    let workflow = acme.create_workflow(&acme.create_user("joe@acme.example").await, "Orders").await;
    let receiver = Receiver::with_behavior(|_| Reply::Status(500, "")).await;
    let (webhook, _) = acme.create_webhook(&receiver.url).await;
    let id = acme.record_error(&workflow, "Error").await;
    receiver.wait_for_requests(1).await;
    receiver.set_behavior(|_| Reply::Status(200, ""));

    let delivered =
        eventually("the second attempt succeeds", async || acme.deliveries(&webhook, "delivered").await.pop()).await;
    assert_eq!(delivered["errorId"], id);
    assert_eq!(delivered["nextAttemptAt"], Value::Null);
    let attempts = delivered["attempts"].as_array().unwrap();
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
async fn response_within_15_seconds_counts_however_long_its_body_is() {
    let acme = Tenon::deployed().await.environment().await;
    let workflow = acme.create_workflow(&acme.create_user("joe@acme.example").await, "Orders").await;
    let silent = Receiver::with_behavior(|_| Reply::Stall).await;
    let endless = Receiver::with_behavior(|_| Reply::Endless).await;
    let (failing, _) = acme.create_webhook(&silent.url).await;
    let (working, _) = acme.create_webhook(&endless.url).await;
    let id = acme.record_error(&workflow, "Error").await;
    let deliveries = eventually("both were attempted", async || {
        let shown = acme.backend.get(&format!("/errors/{id}")).await.is(200).body;
        Some(shown["deliveries"].as_array().unwrap().clone()).filter(|deliveries| deliveries.len() == 2)
    })
    .await;
    let of = |destination: &str| deliveries.iter().find(|one| one["destinationId"] == destination).unwrap();
    let attempt = &of(&failing)["attempts"][0];
    assert_eq!((&attempt["status"], &attempt["response"]), (&Value::Null, &json!("no response within 15 seconds")));
    assert_eq!((&of(&working)["status"], &of(&working)["attempts"][0]["status"]), (&json!("delivered"), &json!(200)));
}

#[tokio::test]
async fn health_shows_the_retry_and_a_delivery_verifies_the_webhook() {
    let acme = Tenon::deployed().await.environment().await;
    let workflow = acme.create_workflow(&acme.create_user("joe@acme.example").await, "Orders").await;
    let receiver = Receiver::with_behavior(|_| Reply::Status(500, "")).await;
    let (webhook, _) = acme.create_webhook(&receiver.url).await;
    acme.record_error(&workflow, "Error").await;
    let retrying = eventually("the retry is scheduled", async || {
        let shown = acme.get_destination(&webhook).await;
        let health = &shown["health"];
        (health["status"] == "retrying" && health["nextAttemptAt"].is_string()).then_some(shown)
    })
    .await;
    assert_eq!((&retrying["health"]["pending"], &retrying["verified"]), (&json!(1), &json!(false)), "{retrying}");

    receiver.set_behavior(|_| Reply::Status(200, ""));
    let healthy = eventually("the retry succeeds", async || {
        acme.fast_forward(&webhook).await;
        Some(acme.get_destination(&webhook).await).filter(|shown| shown["health"]["status"] == "healthy")
    })
    .await;
    assert_eq!((&healthy["health"]["pending"], &healthy["health"]["nextAttemptAt"]), (&json!(0), &Value::Null));
    assert_eq!(healthy["verified"], true, "{healthy}");
    assert!(healthy["verification"].as_str().unwrap().starts_with("a delivery was accepted at "), "{healthy}");
}

#[tokio::test]
async fn retry_after_applies_to_the_whole_destination() {
    let acme = Tenon::deployed().await.environment().await;
    let workflow = acme.create_workflow(&acme.create_user("joe@acme.example").await, "Orders").await;
    let receiver = Receiver::with_behavior(|_| Reply::Status(503, "retry-after: 8\r\n")).await;
    let (webhook, _) = acme.create_webhook(&receiver.url).await;
    acme.record_error(&workflow, "rate limited").await;
    let first = receiver.wait_for_requests(1).await;
    acme.wait_for_retry_after(&webhook).await;
    receiver.set_behavior(|_| Reply::Status(200, ""));
    acme.record_error(&workflow, "deferred").await;

    let all = receiver.wait_for_requests(3).await;
    let at = |request: &Received| request.headers["webhook-timestamp"].parse::<i64>().unwrap();
    for later in &all[1..] {
        assert!(at(later) - at(&first[0]) >= 8, "{all:?}");
    }
    assert_eq!(receiver.ids().len(), 2);
}

#[tokio::test]
async fn gone_endpoint_is_disabled_with_a_reason() {
    let acme = Tenon::deployed().await.environment().await;
    let workflow = acme.create_workflow(&acme.create_user("joe@acme.example").await, "Orders").await;
    let receiver = Receiver::with_behavior(|_| Reply::Status(410, "")).await;
    let (webhook, _) = acme.create_webhook(&receiver.url).await;
    let control = acme.control_webhook().await;
    let gone = acme.record_error(&workflow, "Error").await;
    let off = eventually("the destination is disabled", async || {
        Some(acme.get_destination(&webhook).await).filter(|shown| shown["enabled"] == false)
    })
    .await;
    assert!(off["disabledReason"].as_str().unwrap().contains("410"), "{off}");
    let again = acme.backend.patch(&format!("/destinations/{webhook}"), json!({ "enabled": false })).await.is(200).body;
    assert_eq!(again["disabledReason"], off["disabledReason"]);
    assert_eq!(acme.deliveries(&webhook, "failed").await[0]["errorId"], gone);

    let while_off = acme.record_error(&workflow, "while it is off").await;
    control.wait_for_requests(2).await;
    receiver.set_behavior(|_| Reply::Status(200, ""));
    let on = acme.backend.patch(&format!("/destinations/{webhook}"), json!({ "enabled": true })).await.is(200).body;
    assert_eq!((&on["disabledReason"], &on["health"]["circuit"]), (&Value::Null, &json!("closed")));
    let after = acme.record_error(&workflow, "Error").await;
    receiver.wait_for_requests(2).await;
    let received: Vec<String> = receiver.received().iter().map(Received::id).collect();
    assert!(received.contains(&after) && !received.contains(&while_off));
}

#[tokio::test]
async fn delivery_of_an_error_that_no_longer_exists_ends() {
    let acme = Tenon::deployed().await.environment().await;
    let workflow = acme.create_workflow(&acme.create_user("joe@acme.example").await, "Orders").await;
    let receiver = Receiver::with_behavior(|_| Reply::Status(429, "retry-after: 3600\r\n")).await;
    let (webhook, _) = acme.create_webhook(&receiver.url).await;
    acme.record_error(&workflow, "Error").await;
    eventually("the delivery is pending", async || acme.deliveries(&webhook, "pending").await.pop()).await;
    let [error] = &acme.tenon.items("ErrorsTable", &keys::workflow(&acme.id, &workflow)).await[..] else {
        panic!("one error")
    };
    aws_sdk_dynamodb::Client::new(&acme.tenon.aws)
        .delete_item()
        .table_name(setting("TENON_STACK_ErrorsTable"))
        .key("pk", error["pk"].clone())
        .key("sk", error["sk"].clone())
        .send()
        .await
        .unwrap();
    eventually("the delivery has ended", async || {
        acme.fast_forward(&webhook).await;
        acme.pending_items(&webhook).await.is_empty().then_some(())
    })
    .await;
    assert!(acme.deliveries(&webhook, "pending").await.is_empty());
    assert_eq!(receiver.received().len(), 1);
}

#[tokio::test]
async fn disabling_cancels_pending_deliveries() {
    let acme = Tenon::deployed().await.environment().await;
    let workflow = acme.create_workflow(&acme.create_user("joe@acme.example").await, "Orders").await;
    let receiver = Receiver::with_behavior(|_| Reply::Status(429, "retry-after: 3600\r\n")).await;
    let (webhook, _) = acme.create_webhook(&receiver.url).await;
    let path = format!("/destinations/{webhook}");
    let id = acme.record_error(&workflow, "Error").await;
    receiver.wait_for_requests(1).await;
    eventually("the delivery is pending", async || acme.deliveries(&webhook, "pending").await.pop()).await;
    acme.backend.patch(&path, json!({ "enabled": false })).await.is(200);
    receiver.set_behavior(|_| Reply::Status(200, ""));
    let cancelled =
        eventually("the delivery is cancelled", async || acme.deliveries(&webhook, "cancelled").await.pop()).await;
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
async fn same_error_id_in_two_workflows_is_delivered_twice() {
    let acme = Tenon::deployed().await.environment().await;
    let user = acme.create_user("joe@acme.example").await;
    let receiver = Receiver::with_behavior(|_| Reply::Status(500, "")).await;
    let (webhook, _) = acme.create_webhook(&receiver.url).await;
    acme.fail_with_equal_ids(&user, &webhook).await;
    receiver.set_behavior(|_| Reply::Status(200, ""));
    eventually("both have arrived", async || {
        acme.fast_forward(&webhook).await;
        (acme.deliveries(&webhook, "delivered").await.len() == 2).then_some(())
    })
    .await;
    let all = format!("{:?}", receiver.received().iter().map(|request| &request.body).collect::<Vec<_>>());
    assert!(all.contains("Orders") && all.contains("Stock"), "{all}");
}
