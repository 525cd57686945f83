//! Destinations through the deployed template.

use serde_json::{Value, json};
use tests::{Bus, Tenon, bus_settings, setting};

#[tokio::test]
async fn a_destination_shows_its_settings_its_policy_and_the_retry_policy_that_the_code_runs() {
    let acme = Tenon::deployed().await.environment().await;
    let created = acme.backend.post("/destinations", bus_settings("errors")).await.is(201);
    let path = format!("/destinations/{}", created.text("destinationId"));
    assert_eq!(created.header("location"), &path[1..]);
    let shown = acme.backend.get(&path).await.is(200).body;
    assert_eq!(shown, created.body);
    assert_eq!(shown["type"], "eventbridge");
    assert_eq!(shown["enabled"], true);
    assert_eq!(shown["disabledReason"], Value::Null);
    assert_eq!(shown["filter"], json!({}));
    assert_eq!(shown["verified"], false);
    let statement = &shown["policy"]["Statement"][0];
    assert_eq!(statement["Action"], json!(["events:PutEvents", "events:DescribeEventBus"]));
    assert_eq!(statement["Resource"], format!("arn:aws:events:{}:*:event-bus/errors", setting("AWS_REGION")));
    assert_eq!(shown["retryPolicy"], json!(tenon::domain::delivery::RETRY_POLICY));
}

#[tokio::test]
async fn neither_region_nor_bus_can_change_the_host_that_is_called() {
    let acme = Tenon::deployed().await.environment().await;
    for (region, bus) in [
        ("us-east-1.evil.example", "errors"),
        ("us-east-1/", "errors"),
        ("us-east-1", "https://evil.example"),
        ("us-east-1", "arn:aws:events:eu-west-1:222222222222:event-bus/errors"),
    ] {
        let mut settings = bus_settings(bus);
        settings["region"] = json!(region);
        acme.backend.post("/destinations", settings).await.is_problem(422, "validation");
    }
}

#[tokio::test]
async fn every_invalid_setting_is_named_and_no_secret_is_repeated() {
    let acme = Tenon::deployed().await.environment().await;
    let settings = json!({
        "type": "pigeon", "region": "mars", "enabled": "yes", "filter": { "workflowId": ["x"] },
        "credentials": { "accessKeyId": "short", "secretAccessKey": "a secret with spaces" },
    });
    let refused = acme.backend.post("/destinations", settings).await.is_problem(422, "validation");
    assert!(!refused.body.to_string().contains("a secret with"), "{refused:?}");
    refused.names(&[
        "/type",
        "/region",
        "/eventBusName",
        "/credentials/accessKeyId",
        "/credentials/secretAccessKey",
        "/enabled",
        "/filter/workflowId/0",
    ]);
}

#[tokio::test]
async fn an_environment_has_at_most_twenty_destinations_also_when_they_are_created_at_once() {
    let acme = Tenon::deployed().await.environment().await;
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..25 {
        let backend = acme.backend.clone();
        running.spawn(async move {
            loop {
                // Creations at once may get in each other's way, and are then to be tried again.
                let answer = backend.post("/destinations", bus_settings("errors")).await;
                if answer.status != 503 {
                    return answer.status;
                }
            }
        });
    }
    let statuses = running.join_all().await;
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 20, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 409).count(), 5, "{statuses:?}");
}

#[tokio::test]
async fn a_filter_limits_a_destination_and_null_takes_the_limits_away() {
    let acme = Tenon::deployed().await.environment().await;
    let user = acme.user("joe@acme.example").await;
    let (orders, stock) = (acme.workflow(&user, "Orders").await, acme.workflow(&user, "Stock").await);
    let bus = Bus::new().await;
    let mut settings = bus_settings(&bus.name);
    settings["filter"] = json!({ "workflowId": [orders] });
    let destination = acme.backend.post("/destinations", settings).await.is(201).text("destinationId");

    acme.record(&stock, "left out").await;
    acme.record(&orders, "wanted").await;
    assert_eq!(bus.receive(1).await[0]["detail"]["error"], "wanted");

    let patched = acme.backend.patch(&format!("/destinations/{destination}"), json!({ "filter": null })).await.is(200);
    assert_eq!(patched.body["filter"], json!({}));
    acme.record(&stock, "no limits").await;
    let rest = bus.receive(1).await;
    assert_eq!(rest[0]["detail"]["error"], "no limits");
}

#[tokio::test]
async fn replaced_keys_are_used_from_the_next_error_on() {
    let acme = Tenon::deployed().await.environment().await;
    let workflow = acme.workflow(&acme.user("joe@acme.example").await, "Orders").await;
    let bus = Bus::new().await;
    let mut wrong = bus_settings(&bus.name);
    wrong["credentials"]["secretAccessKey"] = json!("wrong");
    let destination = acme.backend.post("/destinations", wrong).await.is(201).text("destinationId");
    let first = acme.record(&workflow, "with the wrong secret").await;
    let pending = tests::eventually("the refused error is pending", async || {
        Some(acme.pending(&destination).await).filter(|pending| !pending.is_empty())
    })
    .await;
    assert_eq!(pending[0]["errorId"].as_s().unwrap(), &first);

    let credentials = json!({ "credentials": bus_settings("x")["credentials"] });
    acme.backend.patch(&format!("/destinations/{destination}"), credentials).await.is(200);
    acme.record(&workflow, "with the right secret").await;
    assert_eq!(bus.receive(1).await[0]["detail"]["error"], "with the right secret");
}
