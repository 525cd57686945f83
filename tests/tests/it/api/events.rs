//! Events through the deployed stack: their list, their destinations and their replays.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tests::{
    Bus, Environment, Tenon, eventually,
    webhook_receiver::{Received, Receiver, Reply},
};

/// Creates a webhook that wants these events. Returns its id.
async fn create_webhook(acme: &Environment, url: &str, events: Value) -> String {
    let body = json!({ "type": "webhook", "url": url, "events": events });
    let created = acme.backend.post("/destinations", body).await.is(201);
    assert_eq!(created.body["events"], events);
    created.text("destinationId")
}

fn body(received: &Received) -> Value {
    serde_json::from_str(&received.body).unwrap()
}

/// Returns the types of received events, and `error` for errors, with their ids.
fn kinds(receiver: &Receiver) -> BTreeSet<(String, String)> {
    let kind = |received: &Received| {
        let body = body(received);
        (body["type"].as_str().unwrap_or("error").to_owned(), received.id())
    };
    receiver.received().iter().map(kind).collect()
}

fn types(receiver: &Receiver) -> Vec<String> {
    kinds(receiver).into_iter().map(|(kind, _)| kind).collect()
}

#[tokio::test]
async fn events_reach_only_the_destinations_that_want_them() {
    let acme = Tenon::deployed().await.environment().await;
    let [for_errors, for_workflows, for_one_type, filtered] =
        [Receiver::new().await, Receiver::new().await, Receiver::new().await, Receiver::new().await];
    acme.create_webhook(&for_errors.url).await;
    create_webhook(&acme, &for_workflows.url, json!(["workflow.*"])).await;
    create_webhook(&acme, &for_one_type.url, json!(["credential.created", "error"])).await;
    let body_of = json!({ "type": "webhook", "url": filtered.url, "events": ["workflow.*", "user.*", "error"],
        "filter": { "integrationId": ["shopify"], "blockType": ["none"] } });
    acme.backend.post("/destinations", body_of).await.is(201);
    let errors_of_shopify = Receiver::new().await;
    let body_of =
        json!({ "type": "webhook", "url": errors_of_shopify.url, "filter": { "integrationId": ["shopify"] } });
    let for_shopify = acme.backend.post("/destinations", body_of).await.is(201).text("destinationId");
    let bus = Bus::new().await;
    let mut on_bus = tests::bus_settings(&bus.name);
    on_bus["events"] = json!(["workflow.created"]);
    acme.backend.post("/destinations", on_bus).await.is(201);

    let user = acme.create_user("joe@acme.example").await;
    acme.create_credential(&user, json!({ "token": "shpat_1" })).await;
    let own = acme.create_workflow(&user, "Own").await;
    let of_shopify = json!({ "userId": user, "name": "Shopify orders", "integrationId": "shopify" });
    let of_shopify = acme.backend.post("/workflows", of_shopify).await.is(201).body;
    let error = acme.record_error(&own, "Error").await;
    let error_of_shopify = acme.record_error(of_shopify["workflowId"].as_str().unwrap(), "Error").await;
    acme.disable_user(&user).await;

    let has = async |receiver: &Receiver, expected: &[&str]| {
        eventually(&format!("{expected:?}"), async || (types(receiver) == expected).then_some(())).await;
    };
    has(&for_errors, &["error", "error"]).await;
    let twice = ["workflow.created", "workflow.created", "workflow.deactivated", "workflow.deactivated"];
    has(&for_workflows, &twice).await;
    has(&for_one_type, &["credential.created", "error", "error"]).await;
    // The user has no integration, and the block type applies to errors only.
    has(&filtered, &["workflow.created", "workflow.deactivated"]).await;
    let mut both = [error, error_of_shopify.clone()];
    both.sort();
    assert_eq!(for_errors.ids(), both);
    has(&errors_of_shopify, &["error"]).await;
    assert_eq!(errors_of_shopify.ids(), [error_of_shopify]);
    // A replay selects as the filter does.
    let since = json!({ "since": "2026-01-01T00:00:00Z" });
    let replay = acme.backend.post(&format!("/destinations/{for_shopify}/replay"), since).await.is(202);
    let path = format!("/replays/{}", replay.text("replayId"));
    let done = eventually("the replay is done", async || {
        Some(acme.backend.get(&path).await.is(200).body).filter(|replay| replay["status"] == "done")
    })
    .await;
    assert_eq!((&done["found"], &done["delivered"]), (&json!(1), &json!(1)));

    // A request carries the event as the API shows it.
    let received = for_workflows.received();
    let created = received.iter().find(|one| body(one)["data"] == of_shopify).unwrap();
    let shown = acme.backend.get(&format!("/events/{}", created.id())).await.is(200).body;
    let mut expected = body(created);
    expected["deliveries"] = shown["deliveries"].clone();
    assert_eq!(shown, expected);
    assert_eq!(
        (shown["userId"].as_str(), shown["workflowId"].clone()),
        (Some(user.as_str()), of_shopify["workflowId"].clone())
    );
    assert_eq!((&shown["integrationId"], &shown["type"]), (&json!("shopify"), &json!("workflow.created")));
    let headers = ["webhook-id", "x-tenon-event", "x-tenon-user-id", "x-tenon-workflow-id", "x-tenon-integration-id"];
    let values = headers.map(|name| created.headers.get(name).cloned().unwrap_or_default());
    let [id, workflow] = ["_id", "workflowId"].map(|member| shown[member].as_str().unwrap());
    assert_eq!(values, [id, "workflow.created", &user, workflow, "shopify"].map(str::to_owned));
    let credential = for_one_type.received().into_iter().find(|one| body(one)["type"].is_string()).unwrap();
    let optional = headers.map(|name| credential.headers.contains_key(name));
    assert_eq!(optional, [true, true, true, false, false], "null members have no header");

    let arrived = bus.wait_for("Workflow Created", 2).await;
    assert!(arrived.iter().all(|event| event["source"] == "tenon.events"), "{arrived:?}");
    assert!(arrived.iter().any(|event| event["detail"] == body(created)), "{arrived:?}");
    let deliveries = eventually("three deliveries are recorded", async || {
        let shown = acme.backend.get(&format!("/events/{}", created.id())).await.is(200).body;
        let deliveries = shown["deliveries"].as_array().unwrap().clone();
        (deliveries.len() == 3 && deliveries.iter().all(|one| one["status"] == "delivered")).then_some(deliveries)
    });
    for delivery in deliveries.await {
        assert_eq!(delivery["eventId"], created.id());
    }
    // Everything else has arrived meanwhile.
    assert_eq!(
        (types(&for_errors), types(&for_workflows)),
        (vec!["error".to_owned(); 2], twice.map(str::to_owned).to_vec())
    );
}

#[tokio::test]
async fn replay_of_a_range_sends_errors_and_events_once_each() {
    let acme = Tenon::deployed().await.environment().await;
    let earlier = Receiver::new().await;
    create_webhook(&acme, &earlier.url, json!(["error", "workflow.*"])).await;
    let user = acme.create_user("joe@acme.example").await;
    let workflow = acme.create_workflow(&user, "Orders").await;
    for n in 0..3 {
        acme.record_error(&workflow, &format!("error {n}")).await;
    }
    acme.backend.put("/workflows/deactivate", json!({ "userId": user, "workflowId": workflow })).await.is(200);
    // They have been forwarded before there is the destination of the replay.
    eventually("they are forwarded", async || (earlier.ids().len() == 5).then_some(())).await;
    let receiver = Receiver::new().await;
    let destination = create_webhook(&acme, &receiver.url, json!(["error", "workflow.*"])).await;
    let replay = async |selection: Value| {
        let path = format!("/destinations/{destination}/replay");
        let id = acme.backend.post(&path, selection).await.is(202).text("replayId");
        eventually("the replay is done", async || {
            let replay = acme.backend.get(&format!("/replays/{id}")).await.is(200).body;
            (replay["status"] == "done").then(|| (replay["found"].clone(), replay["delivered"].clone()))
        })
        .await
    };
    assert_eq!(replay(json!({ "since": "2026-01-01T00:00:00Z" })).await, (json!(5), json!(5)));
    assert_eq!(types(&receiver), ["error", "error", "error", "workflow.created", "workflow.deactivated"]);
    assert_eq!(receiver.received().len(), 5, "each once");

    let (_, deactivated) = kinds(&receiver).into_iter().next_back().unwrap();
    assert_eq!(replay(json!({ "eventIds": [deactivated, "0".repeat(24)] })).await, (json!(1), json!(1)));
    assert_eq!(receiver.received().len(), 6);
    // Without events, a range has errors only.
    acme.backend.patch(&format!("/destinations/{destination}"), json!({ "events": ["error"] })).await.is(200);
    assert_eq!(replay(json!({ "since": "2026-01-01T00:00:00Z" })).await, (json!(3), json!(3)));
    let path = format!("/destinations/{destination}/replay");
    let both = json!({ "errorIds": ["0".repeat(24)], "eventIds": ["0".repeat(24)] });
    acme.backend.post(&path, both).await.is_problem(422, "validation");
}

#[tokio::test]
async fn event_that_a_webhook_refuses_is_retried_and_shown_as_pending() {
    let acme = Tenon::deployed().await.environment().await;
    let receiver = Receiver::with_behavior(|_| Reply::Status(500, "")).await;
    let destination = create_webhook(&acme, &receiver.url, json!(["user.*"])).await;
    let user = acme.create_user("joe@acme.example").await;
    acme.disable_user(&user).await;
    let pending = eventually("the delivery is pending", async || {
        acme.deliveries(&destination, "pending").await.into_iter().next()
    })
    .await;
    let event = pending["eventId"].as_str().unwrap();
    assert_eq!((pending["errorId"].clone(), &pending["attempts"][0]["status"]), (Value::Null, &json!(500)));
    receiver.set_behavior(|_| Reply::Status(200, ""));
    acme.fast_forward(&destination).await;
    acme.wake_drain(&destination).await;
    eventually("the delivery succeeds", async || acme.deliveries(&destination, "delivered").await.into_iter().next())
        .await;
    assert_eq!(receiver.ids(), [event]);
}

#[tokio::test]
async fn events_are_listed_by_their_filters_in_their_environment_only() {
    let tenon = Tenon::deployed().await;
    let (acme, other) = (tenon.environment().await, tenon.environment().await);
    let (joe, jim) = (acme.create_user("joe@acme.example").await, acme.create_user("jim@acme.example").await);
    let orders = acme.create_workflow(&joe, "Orders").await;
    let of_shopify = json!({ "userId": jim, "name": "Stock", "integrationId": "shopify" });
    acme.backend.post("/workflows", of_shopify).await.is(201);
    acme.backend.put("/workflows/deactivate", json!({ "userId": joe, "workflowId": orders })).await.is(200);
    let count = async |filters: &str| {
        let page = acme.backend.get(&format!("/events?{filters}")).await.is(200).body;
        page["data"].as_array().unwrap().len()
    };
    eventually("all are listed", async || (count("").await == 3).then_some(())).await;
    for (filters, expected) in [
        ("type=workflow.created", 2),
        (&format!("userId={joe}"), 2),
        ("userId=joe@acme.example&type=workflow.created", 1),
        (&format!("workflowId={orders}"), 2),
        ("integrationId=shopify", 1),
        ("integrationId=none", 0),
        ("until=2026-01-01T00:00:00Z", 0),
        ("since=2026-01-01T00:00:00Z&skip=1&sortOrder=asc", 2),
    ] {
        assert_eq!(count(filters).await, expected, "{filters}");
    }
    // Pages are complete.
    let (mut seen, mut path) = (BTreeSet::new(), "/events?limit=1".to_owned());
    loop {
        let page = acme.backend.get(&path).await.is(200).body;
        seen.extend(page["data"].as_array().unwrap().iter().map(|event| event["_id"].to_string()));
        let Some(cursor) = page["cursor"].as_str() else { break };
        path = format!("/events?limit=1&cursor={cursor}");
    }
    assert_eq!(seen.len(), 3);

    let event = acme.backend.get("/events").await.body["data"][0]["_id"].as_str().unwrap().to_owned();
    other.backend.get(&format!("/events/{event}")).await.is_problem(404, "not-found");
    assert_eq!(other.backend.get("/events").await.is(200).body["data"], json!([]));
    assert_eq!(other.backend.get(&format!("/events?userId={joe}")).await.is(200).body["data"], json!([]));
    other.backend.get("/events?userId=joe@acme.example").await.is_problem(404, "not-found");
    let invalid = acme.backend.get("/events?type=workflow.run&sort=asc&userId=").await.is_problem(422, "validation");
    invalid.names(&["/type", "/userId", "/sort"]);
}

#[tokio::test]
async fn subscriptions_are_validated() {
    let acme = Tenon::deployed().await.environment().await;
    let webhook = |events: Value| json!({ "type": "webhook", "url": "https://example.com/x", "events": events });
    for events in [json!([]), json!(["errors"]), json!(["workflow"]), json!("error"), json!(vec!["error"; 21])] {
        let refused = acme.backend.post("/destinations", webhook(events.clone())).await.is_problem(422, "validation");
        assert!(refused.body.to_string().contains("/events"), "{events}: {refused:?}");
    }
    let created =
        acme.backend.post("/destinations", json!({ "type": "webhook", "url": "https://example.com/x" })).await;
    let path = format!("/destinations/{}", created.is(201).text("destinationId"));
    assert_eq!(acme.backend.get(&path).await.body["events"], json!(["error"]));
    let changed = acme.backend.patch(&path, json!({ "events": ["user.*", "installation.created"] })).await.is(200);
    assert_eq!(changed.body["events"], json!(["user.*", "installation.created"]));
}
