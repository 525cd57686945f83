//! End to end through the deployed template: an error recorded by an engine arrives on the
//! customer's EventBridge bus.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use tenon::domain::timestamp::Timestamp;
use tests::{Bus, Tenon, bus_settings, eventually, example_error, keys, setting, table_items::contains};

#[tokio::test]
async fn recorded_error_arrives_on_the_customers_bus() {
    let acme = Tenon::deployed().await.environment().await;
    let user = acme.create_user("joe.smoe@acme.example").await;
    let workflow = acme.create_workflow(&user, "Orders").await;
    let bus = Bus::new().await;
    acme.create_bus_destination(&bus.name).await;

    let mut recorded = example_error("Error: Request failed with status code 403");
    recorded["createdAt"] = json!(Timestamp::now() - Duration::from_secs(60 * 60));
    let id = acme.engine.post(&format!("/workflows/{workflow}/errors"), recorded).await.is(202);
    let id = id.body["ids"][0].clone();
    let event = bus.wait_for_errors(1).await.remove(0);

    assert_eq!(event["source"], "tenon.errors");
    assert_eq!(event["detail-type"], "Workflow Error");
    let error = &event["detail"];
    assert_eq!(error["_id"], id);
    assert_eq!(error["userId"], user);
    assert_eq!(error["workflowId"], workflow);
    assert_eq!(error["executionId"], "6155ac246093840013297377");
    assert_eq!(error["blockId"], "edb4e8e8-1e0e-4fac-84fd-9f9d4855ce93");
    assert_eq!(error["blockType"], "alloy.shopify");
    assert_eq!(error["error"], "Error: Request failed with status code 403");
    assert_eq!(error["__v"], 0);
    // To the second, as EventBridge stores it.
    let seconds = |time: &Value| time.as_str().unwrap().parse::<Timestamp>().unwrap().milliseconds() / 1000;
    assert_eq!(seconds(&event["time"]), seconds(&error["createdAt"]));
    let listed = acme.backend.get(&format!("/workflows/{workflow}/errors")).await.is(200).body;
    assert_eq!(listed["errors"], json!([error]), "the API and the bus show the same object");
}

#[tokio::test]
async fn disabled_destination_receives_nothing_and_errors_are_kept() {
    let acme = Tenon::deployed().await.environment().await;
    let workflow = acme.create_workflow(&acme.create_user("joe@acme.example").await, "Orders").await;
    let (toggled, control) = (Bus::new().await, Bus::new().await);
    let destination = acme.create_bus_destination(&toggled.name).await;
    acme.create_bus_destination(&control.name).await;

    let path = format!("/destinations/{destination}");
    let off = acme.backend.patch(&path, json!({ "enabled": false })).await.is(200);
    assert_eq!(off.body["enabled"], false);
    acme.record_error(&workflow, "while disabled").await;
    // The error arrived at the other destination, so the forwarder has read the enabled
    // destinations.
    control.wait_for_errors(1).await;
    acme.backend.patch(&path, json!({ "enabled": true })).await.is(200);
    acme.record_error(&workflow, "after it was enabled again").await;

    let events = toggled.wait_for_errors(1).await;
    assert_eq!(events[0]["detail"]["error"], "after it was enabled again");
    assert_eq!(acme.error_texts(&workflow).await.len(), 2);
}

#[tokio::test]
async fn rejecting_bus_delays_no_one_and_loses_nothing() {
    let acme = Tenon::deployed().await.environment().await;
    let workflow = acme.create_workflow(&acme.create_user("joe@acme.example").await, "Orders").await;
    let healthy = Bus::new().await;
    acme.create_bus_destination(&healthy.name).await;
    let refusing = acme.create_bus_destination("tenon-test-refusing").await;
    acme.revoke_bus_permission(&refusing).await;

    let errors: Vec<_> = (0..25).map(|n| example_error(&format!("error {n}"))).collect();
    let path = format!("/workflows/{workflow}/errors");
    let recorded = acme.engine.post(&path, json!({ "errors": errors })).await.is(202);

    let mut arrived: Vec<String> = healthy
        .wait_for_errors(25)
        .await
        .iter()
        .map(|event| event["detail"]["_id"].as_str().unwrap().to_owned())
        .collect();
    let mut ids: Vec<String> = serde_json::from_value(recorded.body["ids"].clone()).unwrap();
    let pending = eventually("the refused errors are pending deliveries", async || {
        Some(acme.pending_items(&refusing).await).filter(|pending| pending.len() >= 25)
    })
    .await;
    let text = |value: &AttributeValue| value.as_s().unwrap().clone();
    let mut waiting: Vec<String> = pending.iter().map(|item| text(&item["errorId"])).collect();
    arrived.sort();
    ids.sort();
    waiting.sort();
    assert_eq!(arrived, ids);
    assert_eq!(waiting, ids);
    // If the stream delivers the errors in several batches, those after the fifth failure have no
    // first attempt. A busy bus may not answer an attempt, which has no status then.
    let answers = eventually("the bus has answered", async || {
        let deliveries = acme.deliveries(&refusing, "pending").await;
        let attempts = deliveries.iter().flat_map(|delivery| delivery["attempts"].as_array().unwrap().clone());
        Some(attempts.filter(|attempt| !attempt["status"].is_null()).collect::<Vec<_>>()).filter(|all| !all.is_empty())
    })
    .await;
    assert!(
        answers.iter().all(|attempt| attempt["response"].as_str().unwrap().contains("AccessDenied")),
        "{answers:?}"
    );
}

#[tokio::test]
async fn destination_credentials_are_encrypted_and_masked() {
    let acme = Tenon::deployed().await.environment().await;
    let (key_id, secret) = (setting("TENON_CUSTOMER_KEY_ID"), setting("TENON_CUSTOMER_SECRET"));
    let created = acme.backend.post("/destinations", bus_settings("tenon-test-bus")).await.is(201);
    let path = format!("/destinations/{}", created.text("destinationId"));
    let patched = acme.backend.patch(&path, json!({ "credentials": bus_settings("x")["credentials"] })).await.is(200);
    let shown = acme.backend.get(&path).await.is(200);

    let masked = format!("{}…{}", &key_id[..4], &key_id[key_id.len() - 4..]);
    for answer in [&created, &patched, &shown] {
        let credentials = &answer.body["credentials"];
        assert_eq!(
            *credentials,
            json!({ "accessKeyId": masked, "externalId": credentials["externalId"] }),
            "{answer:?}"
        );
        let all = answer.body.to_string();
        assert!(!all.contains(&key_id) && !all.contains(&secret), "{all}");
    }
    let items = acme.tenon.items("DirectoryTable", &keys::destinations(&acme.id)).await;
    for item in &items {
        assert!(!contains(item, &key_id) && !contains(item, &secret), "{item:?}");
    }
}
