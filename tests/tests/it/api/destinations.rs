//! Destinations.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tests::{Bus, Tenon, bus_settings, eventually, keys, setting, webhook_receiver::Receiver};

#[tokio::test]
async fn destination_shows_settings_iam_policy_and_retry_policy() {
    let acme = Tenon::deployed().await.environment().await;
    let created = acme.backend.post("/destinations", bus_settings("tenon-test-errors")).await.is(201);
    let path = created.location("/destinations");
    assert_eq!(path, format!("/destinations/{}", created.text("destinationId")));
    let shown = acme.backend.get(&path).await.is(200).body;
    assert_eq!(shown, created.body);
    assert_eq!(shown["type"], "eventbridge");
    assert_eq!(shown["enabled"], true);
    assert_eq!(shown["disabledReason"], Value::Null);
    assert_eq!(shown["filter"], json!({}));
    assert_eq!(shown["verified"], false);
    let statement = &shown["policy"]["Statement"][0];
    assert_eq!(statement["Action"], json!(["events:PutEvents", "events:DescribeEventBus"]));
    assert_eq!(
        statement["Resource"],
        format!("arn:aws:events:{}:*:event-bus/tenon-test-errors", setting("AWS_REGION"))
    );
    assert_eq!(shown["retryPolicy"], json!(tenon::domain::delivery::RETRY_SCHEDULE_SECS));
}

#[tokio::test]
async fn region_and_bus_cannot_change_the_aws_host() {
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
async fn invalid_settings_are_all_named_without_secrets() {
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
        "/credentials/accessKeyId",
        "/credentials/secretAccessKey",
        "/enabled",
        "/filter/workflowId/0",
    ]);
}

#[tokio::test]
async fn unknown_users_and_forbidden_targets_are_named_together() {
    let acme = Tenon::deployed().await.environment().await;
    let filter = json!({ "userId": ["nobody", "nobody@example.com"] });
    let unknown = ["/filter/userId/0", "/filter/userId/1"];
    let url = "https://hooks.example.com:22/errors";
    let webhook = json!({ "type": "webhook", "url": url, "filter": filter });
    let refused = acme.backend.post("/destinations", webhook).await.is_problem(422, "validation");
    refused.names(&[unknown[0], unknown[1], "/url"]);

    let role = "arn:aws-cn:iam::222222222222:role/tenon";
    let bus = json!({
        "type": "eventbridge", "region": "eu-west-1", "eventBusName": "errors", "credentials": { "roleArn": role },
    });
    let mut elsewhere = bus.clone();
    elsewhere["filter"] = filter.clone();
    let refused = acme.backend.post("/destinations", elsewhere).await.is_problem(422, "validation");
    refused.names(&[unknown[0], unknown[1], "/credentials/roleArn"]);

    let webhook = json!({ "type": "webhook", "url": "https://hooks.example.com/errors" });
    let webhook = acme.backend.post("/destinations", webhook).await.is(201).location("/destinations");
    let changes = json!({ "url": url, "filter": filter, "region": "eu-west-1" });
    let refused = acme.backend.patch(&webhook, changes).await.is_problem(422, "validation");
    refused.names(&["/region", unknown[0], unknown[1], "/url"]);

    let mut possible = bus;
    possible["credentials"]["roleArn"] = json!("arn:aws:iam::222222222222:role/tenon");
    let bus = acme.backend.post("/destinations", possible).await.is(201).location("/destinations");
    let moved = "arn:aws:events:eu-central-1:222222222222:event-bus/errors";
    let changes = json!({ "eventBusName": moved, "credentials": { "roleArn": role }, "filter": filter });
    let refused = acme.backend.patch(&bus, changes).await.is_problem(422, "validation");
    refused.names(&[unknown[0], unknown[1], "/eventBusName", "/credentials/roleArn"]);
}

#[tokio::test]
async fn bus_without_access_names_roles_and_keys() {
    let acme = Tenon::deployed().await.environment().await;
    let mut settings = bus_settings("tenon-test-errors");
    settings["credentials"] = json!({});
    let refused = acme.backend.post("/destinations", settings).await.is_problem(422, "validation");
    let refused = refused.names(&["/credentials"]);
    assert!(refused.text("message").contains("`roleArn`, or `accessKeyId` and `secretAccessKey`"), "{refused:?}");
}

#[tokio::test]
async fn concurrent_changes_of_a_bus_that_is_not_checked_all_take_effect() {
    let acme = Tenon::deployed().await.environment().await;
    let mut settings = bus_settings("errors");
    settings["enabled"] = json!(false);
    settings["credentials"] = json!({ "roleArn": "arn:aws:iam::222222222222:role/tenon" });
    let created = acme.backend.post("/destinations", settings).await.is(201);
    let path = format!("/destinations/{}", created.text("destinationId"));
    for round in 0..4 {
        let (bus, name) = (json!(format!("errors-{round}")), json!(format!("Round {round}")));
        let (moved, renamed) = tokio::join!(
            acme.backend.patch(&path, json!({ "eventBusName": bus })),
            acme.backend.patch(&path, json!({ "name": name })),
        );
        for answer in [moved, renamed] {
            answer.is(200);
        }
        let shown = acme.backend.get(&path).await.is(200).body;
        assert_eq!((&shown["eventBusName"], &shown["name"]), (&bus, &name));
    }
}

#[tokio::test]
async fn limit_of_20_destinations_holds_under_concurrent_creation() {
    let acme = Tenon::deployed().await.environment().await;
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..25 {
        let backend = acme.backend.clone();
        running.spawn(async move {
            loop {
                // Concurrent creations may conflict with 503, which asks the caller to retry.
                let answer = backend.post("/destinations", bus_settings("tenon-test-errors")).await;
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
async fn filter_limits_destination_and_null_clears_it() {
    let acme = Tenon::deployed().await.environment().await;
    let user = acme.create_user("joe@acme.example").await;
    let (orders, stock) = (acme.create_workflow(&user, "Orders").await, acme.create_workflow(&user, "Stock").await);
    let bus = Bus::new().await;
    let mut settings = bus_settings(&bus.name);
    settings["filter"] = json!({ "workflowId": [orders] });
    let destination = acme.backend.post("/destinations", settings).await.is(201).text("destinationId");

    acme.record_error(&stock, "excluded").await;
    acme.record_error(&orders, "included").await;
    assert_eq!(bus.wait_for_errors(1).await[0]["detail"]["error"], "included");

    let path = format!("/destinations/{destination}");
    for list in ["workflowId", "userId", "blockType", "integrationId"] {
        let empty = acme.backend.patch(&path, json!({ "filter": { list: [] } })).await;
        assert_eq!(empty.is_problem(422, "validation").body["errors"][0]["pointer"], format!("/filter/{list}"));
    }
    // Everything that is wrong is named.
    let wrong = json!({ "url": "https://acme.example", "filter": { "userId": ["nobody"] } });
    let wrong = acme.backend.patch(&path, wrong).await.is_problem(422, "validation");
    let pointers = wrong.body["errors"].as_array().unwrap().iter().map(|error| error["pointer"].as_str().unwrap());
    assert_eq!(pointers.collect::<Vec<_>>(), ["/url", "/filter/userId/0"]);
    let long = |length: usize| vec!["é".repeat(length); 100];
    let too_long = acme.backend.patch(&path, json!({ "filter": { "blockType": long(100) } })).await;
    too_long.is_problem(422, "validation").names(&["/filter"]);
    acme.backend.patch(&path, json!({ "filter": { "blockType": long(75) } })).await.is(200);
    let patched = acme.backend.patch(&path, json!({ "filter": null })).await.is(200);
    assert_eq!(patched.body["filter"], json!({}));
    acme.record_error(&stock, "without filter").await;
    // A bus may confirm an error too late, which is then sent again.
    let mut error = json!("included");
    while error == "included" {
        error = bus.wait_for_errors(1).await[0]["detail"]["error"].clone();
    }
    assert_eq!(error, "without filter");
}

#[tokio::test]
async fn changed_bus_is_used_from_the_next_error() {
    let acme = Tenon::deployed().await.environment().await;
    let workflow = acme.create_workflow(&acme.create_user("joe@acme.example").await, "Orders").await;
    let bus = Bus::new().await;
    let destination = acme.create_bus_destination(&bus.name).await;
    acme.revoke_bus_permission(&destination).await;
    let first = acme.record_error(&workflow, "to a rejecting bus").await;
    let pending = eventually("the rejected error is pending", async || {
        Some(acme.pending_items(&destination).await).filter(|pending| !pending.is_empty())
    })
    .await;
    assert_eq!(pending[0]["errorId"].as_s().unwrap(), &first);

    let patch = json!({ "eventBusName": bus.name, "credentials": bus_settings("x")["credentials"] });
    acme.backend.patch(&format!("/destinations/{destination}"), patch).await.is(200);
    acme.record_error(&workflow, "to the right bus").await;
    // The rejected error is sent to the new bus by its next retry, possibly first and more than
    // once.
    let mut arrived = BTreeSet::new();
    while arrived.len() < 2 {
        arrived.extend(bus.wait_for_errors(1).await.iter().map(|event| event["detail"]["error"].to_string()));
    }
    assert_eq!(arrived, BTreeSet::from(["\"to a rejecting bus\"", "\"to the right bus\""].map(str::to_owned)));
}

/// Returns settings with the credentials of the customer's root, which may call `DescribeEventBus`.
fn as_root(bus: &str) -> Value {
    let mut settings = bus_settings(bus);
    settings["credentials"] = json!({
        "accessKeyId": setting("TENON_CUSTOMER_ACCOUNT"),
        "secretAccessKey": setting("AWS_SECRET_ACCESS_KEY"),
    });
    settings
}

#[tokio::test]
async fn saving_verifies_the_bus_if_permissions_allow() {
    let acme = Tenon::deployed().await.environment().await;
    let bus = Bus::new().await;
    let proven = acme.backend.post("/destinations", as_root(&bus.name)).await.is(201);
    assert_eq!(proven.body["verified"], true, "{proven:?}");
    let event = bus.wait_for("Workflow Error Test", 1).await.remove(0);
    assert_eq!(event["source"], "tenon.errors");
    assert_eq!(event["detail"]["error"], "Tenon test event");

    // Without permission for `DescribeEventBus` the bus cannot be verified, and the reason is
    // shown.
    let unproven = acme.backend.post("/destinations", bus_settings(&bus.name)).await.is(201);
    assert_eq!(unproven.body["verified"], false, "{unproven:?}");
    assert!(unproven.text("verification").contains("events:DescribeEventBus"), "{unproven:?}");

    // Nor does a delivery verify it: AWS also accepts events for a bus that does not exist.
    let workflow = acme.create_workflow(&acme.create_user("joe@acme.example").await, "Orders").await;
    acme.record_error(&workflow, "Error").await;
    let destination = unproven.text("destinationId");
    let delivered = eventually("the delivery succeeds", async || {
        let shown = acme.get_destination(&destination).await;
        shown["health"]["lastSuccessAt"].is_string().then_some(shown)
    })
    .await;
    assert_eq!(delivered["verified"], false, "{delivered}");
}

#[tokio::test]
async fn settings_that_aws_rejects_are_not_saved() {
    let acme = Tenon::deployed().await.environment().await;
    let with = |member: &str, value: Value| {
        let mut settings = bus_settings("tenon-test-errors");
        settings["credentials"][member] = value;
        settings
    };
    for (settings, pointer, code) in [
        (as_root("tenon-test-missing"), "/eventBusName", "ResourceNotFoundException"),
        (bus_settings("somebody-elses"), "/credentials", "AccessDenied"),
        (with("secretAccessKey", json!("wrong")), "/credentials/secretAccessKey", "Signature"),
        (with("accessKeyId", json!("AKIAIOSFODNN7EXAMPLE")), "/credentials/accessKeyId", ""),
    ] {
        let refused = acme.backend.post("/destinations", settings).await.is_problem(422, "connection-refused");
        assert!(refused.text("detail").contains(code), "{refused:?}");
        refused.names(&[pointer]);
    }
    let list = acme.backend.get("/destinations").await.is(200);
    assert_eq!(list.body, json!({ "data": [] }));

    let destination = acme.create_bus_destination("tenon-test-errors").await;
    let path = format!("/destinations/{destination}");
    acme.backend.patch(&path, json!({ "eventBusName": "somebody-elses" })).await.is_problem(422, "connection-refused");
    let shown = acme.backend.get(&path).await.is(200);
    assert_eq!(shown.body["eventBusName"], "tenon-test-errors", "a rejected change is not saved");
}

#[tokio::test]
async fn test_event_returns_the_response_of_the_bus() {
    let acme = Tenon::deployed().await.environment().await;
    let bus = Bus::new().await;
    let destination = acme.create_bus_destination(&bus.name).await;
    let path = format!("/destinations/{destination}/test");
    let tested = acme.backend.post(&path, json!({})).await.is(200);
    assert_eq!((&tested.body["delivered"], &tested.body["attempt"]["status"]), (&json!(true), &json!(200)));
    // One event from saving, and one from this test.
    bus.wait_for("Workflow Error Test", 2).await;

    acme.revoke_bus_permission(&destination).await;
    let tested = acme.backend.post(&path, json!({})).await.is(200);
    assert_eq!(tested.body["delivered"], false);
    assert!(tested.body["attempt"]["response"].as_str().unwrap().contains("AccessDenied"), "{tested:?}");
}

#[tokio::test]
async fn destinations_are_paged_and_deleted_with_credentials() {
    let acme = Tenon::deployed().await.environment().await;
    let mut made = Vec::new();
    for _ in 0..3 {
        made.push(acme.create_bus_destination("tenon-test-errors").await);
    }
    made.sort_by(|a, b| b.cmp(a));
    let first = acme.backend.get("/destinations?limit=2").await.is(200);
    let rest = acme.backend.get(&format!("/destinations?limit=2&cursor={}", first.text("cursor"))).await.is(200);
    assert_eq!(rest.body["cursor"], Value::Null);
    let ids = |answer: &tests::Answer| -> Vec<String> {
        let data = answer.body["data"].as_array().unwrap();
        data.iter().map(|destination| destination["destinationId"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!([ids(&first), ids(&rest)].concat(), made);

    let path = format!("/destinations/{}", made[0]);
    assert_eq!(acme.backend.delete(&path).await.is(200).body, json!({ "success": true }));
    acme.backend.delete(&path).await.is_problem(404, "not-found");
    acme.backend.get(&path).await.is_problem(404, "not-found");
    let items = acme.tenon.items("DirectoryTable", &keys::destinations(&acme.id)).await;
    assert!(!items.iter().any(|item| item["sk"].as_s().unwrap().contains(&made[0])), "nothing of it is stored");
    let count = items.iter().find(|item| item["sk"].as_s().unwrap() == "count").unwrap();
    assert_eq!(count["destinations"].as_n().unwrap(), "2");
}

#[tokio::test]
async fn patch_without_a_change_writes_nothing() {
    let acme = Tenon::deployed().await.environment().await;
    let receiver = Receiver::new().await;
    let (webhook, _) = acme.create_webhook(&receiver.url).await;
    let path = format!("/destinations/{webhook}");
    let before = acme.backend.patch(&path, json!({ "name": "On-call" })).await.is(200).body;
    let same = json!({ "name": "On-call", "url": receiver.url, "description": null, "filter": {} });
    assert_eq!(acme.backend.patch(&path, same).await.is(200).body, before);
    // Null clears nothing in a bus, which has no description.
    let bus = acme.create_bus_destination(&Bus::new().await.name).await;
    acme.backend.patch(&format!("/destinations/{bus}"), json!({ "description": null, "url": null })).await.is(200);
    let after = acme.backend.patch(&path, json!({ "name": null })).await.is(200).body;
    assert_ne!((&after["name"], &after["updatedAt"]), (&before["name"], &before["updatedAt"]));
}
