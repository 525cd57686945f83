//! Webhooks: signatures, secrets, tests and URLs.

use std::process::Stdio;

use serde_json::{Value, json};
use tests::{
    Tenon, eventually, keys, python,
    table_items::contains,
    webhook_receiver::{Received, Receiver, Reply},
};
use tokio::io::AsyncWriteExt;

/// Returns whether the reference library of Standard Webhooks accepts a request's signature.
async fn verifies(secret: &str, request: &Received) -> bool {
    let mut python = python("verify_webhook.py").stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let input = json!({ "secret": secret, "body": request.body, "headers": request.headers }).to_string();
    python.stdin.take().unwrap().write_all(input.as_bytes()).await.unwrap();
    python.wait().await.unwrap().success()
}

#[tokio::test]
async fn webhook_signature_verifies_with_the_reference_library() {
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
    assert_eq!(serde_json::from_str::<Value>(&request.body).unwrap(), shown, "the same object as in the API");
    let header = |name: &str| request.headers[name].as_str();
    assert_eq!(header("webhook-id"), id);
    assert_eq!(header("content-type"), "application/json");
    assert_eq!(header("user-agent"), concat!("Tenon/", env!("CARGO_PKG_VERSION")));
    for (name, member) in [
        ("x-tenon-workflow-id", "workflowId"),
        ("x-tenon-user-id", "userId"),
        ("x-tenon-block-type", "blockType"),
        ("x-tenon-execution-id", "executionId"),
    ] {
        assert_eq!(header(name), shown[member], "{name}");
    }
    assert!(!request.headers.contains_key("x-tenon-test"));
    eventually("the success is recorded", async || {
        let health = acme.get_destination(&webhook).await["health"].clone();
        (health["lastSuccessAt"].is_string() && health["circuit"] == "closed").then_some(())
    })
    .await;
}

#[tokio::test]
async fn previous_secret_stays_valid_after_rotation() {
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

    // After a second rotation by mistake, the first secret is still valid.
    let third = acme.backend.post(&format!("{path}/rotate-secret"), json!({})).await.is(200).text("secret");
    acme.record_error(&workflow, "Error").await;
    let request = receiver.wait_for_requests(2).await.remove(1);
    assert!(verifies(&third, &request).await && verifies(&second, &request).await && verifies(&first, &request).await);

    let table = acme.tenon.items("DirectoryTable", &keys::destinations(&acme.id)).await;
    for secret in [&first, &second, &third] {
        assert!(!table.iter().any(|item| contains(item, secret)));
    }
}

#[tokio::test]
async fn test_event_is_marked_and_verifies_the_webhook() {
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

    // A success proves nothing about another URL.
    let path = format!("/destinations/{webhook}");
    let moved = json!({ "enabled": false, "url": format!("{}moved", receiver.url) });
    assert_eq!(acme.backend.patch(&path, moved).await.is(200).body["verified"], false);
    assert_eq!(acme.backend.patch(&path, json!({ "enabled": true })).await.is(200).body["verified"], false);
}

#[tokio::test]
async fn webhook_url_is_validated_when_saved() {
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
async fn redirects_are_not_followed() {
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
async fn concurrent_changes_of_a_destination_all_take_effect() {
    let acme = Tenon::deployed().await.environment().await;
    let receiver = Receiver::new().await;
    let (webhook, _) = acme.create_webhook(&receiver.url).await;
    let path = format!("/destinations/{webhook}");
    let rotate = format!("{path}/rotate-secret");
    for round in 0..4 {
        let name = json!(format!("On-call {round}"));
        let description = json!(format!("Round {round}"));
        let events = if round % 2 == 0 { json!(["error"]) } else { json!(["workflow.*"]) };
        let (renamed, described, subscribed, rotated) = tokio::join!(
            acme.backend.patch(&path, json!({ "name": name })),
            acme.backend.patch(&path, json!({ "description": description })),
            acme.backend.patch(&path, json!({ "events": events })),
            acme.backend.post(&rotate, json!({})),
        );
        for answer in [&renamed, &described, &subscribed, &rotated] {
            answer.clone().is(200);
        }
        acme.backend.post(&format!("{path}/test"), json!({})).await.is(200);
        let request = receiver.wait_for_requests(round + 1).await.remove(round);
        assert!(verifies(&rotated.text("secret"), &request).await, "round {round}");
        let shown = acme.backend.get(&path).await.is(200).body;
        assert_eq!((&shown["name"], &shown["description"]), (&name, &description));
        assert_eq!(shown["events"], events);
    }
}
