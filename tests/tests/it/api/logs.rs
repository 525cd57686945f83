//! Errors of an environment: lists, groups, single errors with their deliveries, and erasure.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};
use tenon::domain::timestamp::Timestamp;
use tests::{
    Api, Bus, Environment, Tenon, eventually, example_error, keys, setting, table_items,
    webhook_receiver::{Receiver, Reply},
};
use tokio::io::AsyncBufReadExt;

/// Returns the concatenated texts of a page of errors.
async fn texts(acme: &Environment, path: &str) -> String {
    let page = acme.backend.get(path).await.is(200).body;
    page["errors"].as_array().unwrap().iter().map(|error| error["error"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn errors_of_environment_are_listed_filtered_and_paged() {
    let tenon = Tenon::deployed().await;
    let (acme, other) = (tenon.environment().await, tenon.environment().await);
    let (joe, jim) = (acme.create_user("joe@acme.example").await, acme.create_user("jim@acme.example").await);
    let (a, b, c) = (
        acme.create_workflow(&joe, "A").await,
        acme.create_workflow(&joe, "B").await,
        acme.create_workflow(&jim, "C").await,
    );
    let error = |text: &str, hour: u8, execution: &str, block_type: &str| json!({ "error": text, "createdAt": format!("2026-11-20T{hour:02}:00:00Z"), "executionId": execution, "blockId": "b", "blockType": block_type });
    for (workflow, errors) in [
        (&a, vec![error("1", 10, "e1", "shopify"), error("4", 13, "e2", "slack")]),
        (&b, vec![error("2", 11, "e1", "slack")]),
        (&c, vec![error("3", 12, "e3", "shopify"), error("5", 14, "e3", "slack")]),
    ] {
        acme.engine.post(&format!("/workflows/{workflow}/errors"), json!({ "errors": errors })).await.is(202);
    }
    for (query, expected) in [
        (String::new(), "54321"),
        ("sortOrder=asc".into(), "12345"),
        ("sortOrder=desc&skip=2".into(), "321"),
        ("skip=1&limit=2&sortOrder=asc".into(), "23"),
        ("skip=1000".into(), ""),
        ("userId=joe@acme.example".into(), "421"),
        (format!("userId={jim}&blockType=slack"), "5"),
        (format!("workflowId={a}"), "41"),
        (format!("workflowId={a}&userId={joe}&executionId=e2"), "4"),
        (format!("workflowId={a}&userId={jim}"), ""),
        (format!("workflowId={}", "0".repeat(24)), ""),
        ("executionId=e1".into(), "21"),
        ("blockType=shopify&sortOrder=asc".into(), "13"),
        ("since=2026-11-20T11:00:00Z&until=2026-11-20T13:00:00Z".into(), "32"),
    ] {
        assert_eq!(texts(&acme, &format!("/logs?{query}")).await, expected, "{query}");
    }
    assert_eq!(other.backend.get(&format!("/logs?workflowId={a}")).await.is(200).body, json!({ "errors": [] }));
    assert_eq!(other.backend.get(&format!("/logs?userId={joe}")).await.is(200).body, json!({ "errors": [] }));
    acme.backend.get("/logs?userId=nobody").await.is_problem(404, "not-found").names(&["/userId"]);
    for list in ["/logs", &format!("/workflows/{a}/errors"), "/errors/groups", "/events"] {
        let range = |since: &str, until: &str| format!("{list}?since={since}T00:00:00Z&until={until}T00:00:00Z");
        let inverted = acme.backend.get(&range("2026-11-21", "2026-11-20")).await;
        inverted.is_problem(422, "validation").names(&["/until"]);
        acme.backend.get(&range("2026-11-20", "2026-11-20")).await.is(200);
    }
    acme.backend
        .get("/logs?skip=1001&sortOrder=up&limit=101&workflowId=x")
        .await
        .is_problem(422, "validation")
        .names(&["/workflowId", "/sortOrder", "/skip", "/limit"]);

    // A cursor continues after its page. `skip` is not applied again.
    let first = acme.backend.get("/logs?limit=2&skip=1").await.is(200).body;
    let cursor = first["cursor"].as_str().unwrap();
    assert_eq!(texts(&acme, &format!("/logs?limit=2&cursor={cursor}")).await, "21");
    let both = acme.backend.get(&format!("/logs?limit=2&skip=1&cursor={cursor}")).await;
    both.is_problem(422, "validation").names(&["/skip"]);
    acme.backend.get(&format!("/logs?sortOrder=asc&cursor={cursor}")).await.is_problem(400, "invalid-cursor");

    // The errors of a deleted user are kept.
    acme.delete_user(&jim).await;
    assert_eq!(texts(&acme, &format!("/logs?userId={jim}")).await, "53");
    acme.backend.get("/logs?userId=jim@acme.example").await.is_problem(404, "not-found");
}

#[tokio::test]
async fn groups_cover_the_last_24_hours_unless_a_range_is_given() {
    let acme = Tenon::deployed().await.environment().await;
    let workflow = acme.create_workflow(&acme.create_user("joe@acme.example").await, "Orders").await;
    let hours_ago = |hours: u64| (Timestamp::now() - Duration::from_secs(hours * 3600)).to_string();
    for hours in [23, 25] {
        let mut error = example_error(&format!("{} hours", "x".repeat(hours)));
        error["createdAt"] = json!(hours_ago(u64::try_from(hours).unwrap()));
        acme.engine.post(&format!("/workflows/{workflow}/errors"), error).await.is(202);
    }
    for (range, groups) in [(String::new(), 1), (format!("?since={}", hours_ago(48)), 2)] {
        let found = acme.backend.get(&format!("/errors/groups{range}")).await.is(200).body;
        assert_eq!(found["groups"].as_array().unwrap().len(), groups, "{found}");
    }
}

#[tokio::test]
async fn similar_errors_are_grouped() {
    let acme = Tenon::deployed().await.environment().await;
    let joe = acme.create_user("joe@acme.example").await;
    let (orders, customers) =
        (acme.create_workflow(&joe, "Orders").await, acme.create_workflow(&joe, "Customers").await);
    let path = |workflow: &str| format!("/workflows/{workflow}/errors");
    for batch in 0..3 {
        let many = (0..100).map(|n| example_error(&format!("order {n}{batch} failed with status code 403")));
        acme.engine.post(&path(&orders), json!({ "errors": many.collect::<Vec<_>>() })).await.is(202);
    }
    acme.record_error(&customers, "order 7 failed with status code 403").await;
    acme.record_error(&customers, "order 7 failed with status code 500").await;
    acme.record_error(&orders, "access denied").await;

    let answer = acme.backend.get("/errors/groups").await.is(200).body;
    let groups = answer["groups"].as_array().unwrap();
    let counts: Vec<u64> = groups.iter().map(|group| group["count"].as_u64().unwrap()).collect();
    assert_eq!((counts, &answer["complete"]), (vec![301, 1, 1], &json!(true)));
    let largest = &groups[0];
    let workflows: BTreeSet<&str> =
        largest["workflowIds"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
    assert_eq!(workflows, [orders.as_str(), customers.as_str()].into());
    assert_eq!((&largest["workflows"], &largest["users"]), (&json!(2), &json!(1)));
    assert_eq!(largest["blockType"], "alloy.shopify");
    assert!(largest["firstSeen"].as_str().unwrap() <= largest["lastSeen"].as_str().unwrap());
    let shown =
        acme.backend.get(&format!("/errors/{}", largest["example"]["_id"].as_str().unwrap())).await.is(200).body;
    assert_eq!(shown["error"], largest["example"]["error"]);
    let bars: Vec<u64> =
        answer["histogram"].as_array().unwrap().iter().map(|bar| bar["count"].as_u64().unwrap()).collect();
    assert_eq!((bars.len(), bars.iter().sum::<u64>(), bars[59]), (60, 303, 303));

    // The filters of lists select groups too, and a fingerprint selects the errors of a group.
    let count = async |api: &Api, query: &str| {
        let found = api.get(&format!("/errors/groups?{query}")).await.is(200).body;
        found["groups"].as_array().unwrap().iter().map(|group| group["count"].as_u64().unwrap()).sum::<u64>()
    };
    assert_eq!(count(&acme.backend, &format!("workflowId={customers}")).await, 2);
    assert_eq!(count(&acme.backend, "userId=joe@acme.example").await, 303);
    assert_eq!(count(&acme.backend, &format!("userId={joe}&workflowId={customers}")).await, 2);
    assert_eq!(count(&acme.backend, "blockType=slack").await, 0);
    let fingerprint = largest["fingerprint"].as_str().unwrap();
    assert_eq!(count(&acme.backend, &format!("fingerprint={fingerprint}")).await, 301);
    let listed = acme.backend.get(&format!("/workflows/{customers}/errors?fingerprint={fingerprint}")).await.is(200);
    assert_eq!(listed.body["errors"].as_array().unwrap().len(), 1);
    let listed = acme.backend.get(&format!("/logs?fingerprint={fingerprint}&limit=100")).await.is(200);
    assert_eq!(listed.body["errors"].as_array().unwrap().len(), 100);

    // A user sees the groups of its own errors.
    let jim = acme.create_user("jim@acme.example").await;
    let other = acme.create_workflow(&jim, "Orders").await;
    acme.record_error(&other, "order 8 failed with status code 403").await;
    let (joe_api, jim_api) = (Api::new(acme.user_token(&joe).await), Api::new(acme.user_token(&jim).await));
    assert_eq!((count(&joe_api, "").await, count(&jim_api, "userId=jim@acme.example").await), (303, 1));
    for user in [&joe, "joe@acme.example", "nobody"] {
        jim_api.get(&format!("/errors/groups?userId={user}")).await.is_problem(404, "not-found");
    }

    for empty in [
        "since=2025-12-31T00:00:00Z&until=2026-01-01T00:00:00Z",
        "since=9999-12-31T23:59:59Z",
        "until=-009999-01-02T00:00:00Z",
    ] {
        let none = acme.backend.get(&format!("/errors/groups?{empty}")).await.is(200).body;
        assert_eq!((&none["groups"], &none["complete"]), (&json!([]), &json!(true)), "{empty}");
        let bars = none["histogram"].as_array().unwrap();
        assert!(bars.len() == 60 && bars.iter().all(|bar| bar["count"] == 0), "{empty}");
    }
    acme.backend.get("/errors/groups?since=x").await.is_problem(422, "validation").names(&["/since"]);
}

#[tokio::test]
async fn user_groups_its_newest_1000_errors_and_a_group_names_20_workflows() {
    let acme = Tenon::deployed().await.environment().await;
    let user = acme.create_user("joe@acme.example").await;
    let create = async |n: usize| acme.create_workflow(&user, &format!("Workflow {n}")).await;
    let workflows = futures_util::future::join_all((0..21).map(create)).await;
    for workflow in &workflows {
        acme.record_error(workflow, "access denied").await;
    }
    let api = Api::new(acme.user_token(&user).await);
    let answer = api.get("/errors/groups").await.is(200).body;
    let group = &answer["groups"][0];
    assert_eq!((&group["count"], &group["workflows"]), (&json!(21), &json!(21)));
    assert_eq!(group["workflowIds"].as_array().unwrap().len(), 20);
    assert_eq!(answer["complete"], true);

    for _ in 0..10 {
        let body = json!({ "errors": vec![example_error("access denied"); 100] });
        acme.engine.post(&format!("/workflows/{}/errors", workflows[0]), body).await.is(202);
    }
    for (api, count, complete) in [(&api, 1000, false), (&acme.backend, 1021, true)] {
        let answer = api.get("/errors/groups").await.is(200).body;
        assert_eq!((&answer["groups"][0]["count"], &answer["complete"]), (&json!(count), &json!(complete)));
    }
}

#[tokio::test]
async fn error_is_shown_with_its_deliveries() {
    let acme = Tenon::deployed().await.environment().await;
    let workflow = acme.create_workflow(&acme.create_user("joe@acme.example").await, "Orders").await;
    let bus = Bus::new().await;
    let good = acme.create_bus_destination(&bus.name).await;
    let receiver = Receiver::with_behavior(|_| Reply::Status(500, "")).await;
    let (bad, _) = acme.create_webhook(&receiver.url).await;
    let error = acme.record_error(&workflow, "Error").await;

    let shown = eventually("both deliveries were attempted", async || {
        let shown = acme.backend.get(&format!("/errors/{error}")).await.is(200).body;
        let deliveries = shown["deliveries"].as_array().unwrap();
        // The bus may have answered too late at the first attempt.
        (deliveries.len() == 2 && deliveries.iter().any(|one| one["status"] == "delivered")).then_some(shown)
    })
    .await;
    let listed = acme.backend.get(&format!("/workflows/{workflow}/errors")).await.is(200).body["errors"][0].clone();
    for (member, value) in listed.as_object().unwrap() {
        assert_eq!(&shown[member], value, "the same object as in the list");
    }
    let delivery = |destination: &str| -> Value {
        let deliveries = shown["deliveries"].as_array().unwrap();
        deliveries.iter().find(|delivery| delivery["destinationId"] == destination).unwrap().clone()
    };
    assert_eq!((&delivery(&good)["status"], &delivery(&good)["errorId"]), (&json!("delivered"), &json!(error)));
    assert_eq!(delivery(&bad)["status"], "pending");
    assert_eq!(delivery(&bad)["attempts"][0]["status"], 500);
    assert!(delivery(&bad)["nextAttemptAt"].is_string());
    // Deliveries are still shown after their destination is deleted.
    for destination in [&good, &bad] {
        acme.backend.delete(&format!("/destinations/{destination}")).await.is(200);
    }
    let shown = acme.backend.get(&format!("/errors/{error}")).await.is(200).body;
    let deliveries = shown["deliveries"].as_array().unwrap().iter();
    let mut statuses: Vec<_> = deliveries.map(|delivery| (&delivery["status"], &delivery["nextAttemptAt"])).collect();
    statuses.sort_by_key(|(status, _)| status.to_string());
    assert_eq!(statuses, [(&json!("cancelled"), &Value::Null), (&json!("delivered"), &Value::Null)]);
    acme.backend.get(&format!("/errors/{}", "0".repeat(24))).await.is_problem(404, "not-found");
    acme.backend.get("/errors/nonsense").await.is_problem(404, "not-found");
}

#[tokio::test]
async fn expired_records_and_deliveries_are_not_shown_before_they_are_deleted() {
    let acme = Tenon::deployed().await.environment().await;
    let receiver = Receiver::with_behavior(|_| Reply::Status(429, "retry-after: 3600\r\n")).await;
    let settings = json!({ "type": "webhook", "url": receiver.url, "events": ["error", "workflow.*"] });
    let destination = acme.backend.post("/destinations", settings).await.is(201).text("destinationId");
    let workflow = acme.create_workflow(&acme.create_user("joe@acme.example").await, "Orders").await;
    let error = acme.record_error(&workflow, "Error").await;
    eventually("both deliveries are pending", async || {
        (acme.deliveries(&destination, "pending").await.len() == 2).then_some(())
    })
    .await;
    let event = acme.backend.get("/events?type=workflow.created").await.is(200).body["data"][0].clone();
    let event = format!("/events/{}", event["_id"].as_str().unwrap());
    let error = format!("/errors/{error}");
    for record in [&error, &event] {
        acme.backend.get(record).await.is(200);
    }

    table_items::expire(&acme.tenon.aws, &setting("TENON_STACK_ErrorsTable"), &acme.id).await;
    for record in [&error, &event] {
        acme.backend.get(record).await.is_problem(404, "not-found");
    }
    assert!(acme.deliveries(&destination, "pending").await.is_empty());
    for list in ["/events".to_owned(), format!("/destinations/{destination}/deliveries")] {
        assert_eq!(acme.backend.get(&list).await.is(200).body["data"], json!([]), "{list}");
    }
    for list in ["/logs".to_owned(), format!("/workflows/{workflow}/errors")] {
        assert_eq!(acme.backend.get(&list).await.is(200).body["errors"], json!([]), "{list}");
    }
}

#[tokio::test]
async fn erasure_deletes_only_the_errors_of_its_user() {
    let acme = Tenon::deployed().await.environment().await;
    let (joe, jim) = (acme.create_user("joe@acme.example").await, acme.create_user("jim@acme.example").await);
    let (joes, jims) = (acme.create_workflow(&joe, "Orders").await, acme.create_workflow(&jim, "Orders").await);
    let good = Receiver::new().await;
    acme.create_webhook(&good.url).await;
    let bad = Receiver::with_behavior(|_| Reply::Status(429, "retry-after: 3600\r\n")).await;
    let (bad, _) = acme.create_webhook(&bad.url).await;
    for n in 0..5 {
        acme.record_error(&joes, &format!("joe {n}")).await;
        acme.record_error(&jims, &format!("jim {n}")).await;
    }
    eventually("all deliveries to the failing webhook are pending", async || {
        (acme.pending_items(&bad).await.len() == 10).then_some(())
    })
    .await;
    eventually("all errors arrived at the healthy webhook", async || (good.ids().len() == 10).then_some(())).await;
    acme.delete_user(&joe).await;

    // The id of a deleted user is accepted.
    let answer = acme.backend.delete(&format!("/users/{joe}/logs")).await.is(202);
    assert_eq!(answer.body, json!({ "success": true }));
    for user in ["nobody", "no%20name", "@"] {
        acme.backend.delete(&format!("/users/{user}/logs")).await.is(202);
    }
    eventually("the errors are erased", async || {
        let gone = acme.backend.get(&format!("/logs?userId={joe}")).await.is(200).body == json!({ "errors": [] });
        (gone && acme.pending_items(&bad).await.len() == 5).then_some(())
    })
    .await;
    assert_eq!(acme.deliveries(&bad, "pending").await.len(), 5);
    let delivered = async |workflow: &str| {
        let items = acme.tenon.items("ErrorsTable", &keys::workflow_deliveries(&acme.id, workflow)).await;
        items.iter().map(|item| item["attempts"].as_m().unwrap().len()).sum::<usize>()
    };
    assert_eq!((delivered(&joes).await, delivered(&jims).await), (0, 5));
    assert_eq!(acme.error_texts(&jims).await.len(), 5);

    // Errors recorded after the request are kept.
    acme.backend.delete("/users/jim@acme.example/logs").await.is(202);
    eventually("the errors of the second user are erased", async || {
        acme.error_texts(&jims).await.is_empty().then_some(())
    })
    .await;
    acme.record_error(&jims, "later").await;
    acme.tenon.invoke("EraseLogs", json!({ "source": "aws.events" })).await.unwrap();
    assert_eq!(acme.error_texts(&jims).await, ["later"]);
}

#[tokio::test]
async fn tail_prints_each_record_once_without_control_characters() {
    let acme = Tenon::deployed().await.environment().await;
    let user = acme.create_user("joe@acme.example").await;
    let workflow = acme.create_workflow(&user, "Orders").await;
    acme.record_error(&workflow, "before").await;
    let mut tail = tokio::process::Command::new(setting("TENON_PYTHON"))
        .arg(format!("{}/local/tail.py", setting("TENON_ROOT")))
        .env("TENON_BACKEND_KEY", acme.backend.credential())
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = tokio::io::BufReader::new(tail.stdout.take().unwrap()).lines();
    let mut next = async || {
        let line = tokio::time::timeout(Duration::from_secs(60), lines.next_line()).await.expect("a line").unwrap();
        line.expect("it follows")
    };
    let event = next().await;
    assert!(event.contains(&user) && event.contains("workflow.created"), "{event}");
    assert!(event.contains(&format!(" workflow {workflow} by key ")), "{event}");
    assert!(next().await.ends_with("before"));
    for n in 0..3 {
        acme.record_error(&workflow, &format!("after {n}\u{1b}[2J\nand more")).await;
        let line = next().await;
        assert!(line.contains(&workflow) && line.contains("alloy.shopify"), "{line}");
        assert!(line.ends_with(&format!("after {n} [2J and more")), "{line}");
    }
    acme.backend.post(&format!("/users/{user}/disable"), json!({})).await.is(200);
    let mut events = [next().await, next().await];
    events.sort_by_key(|line| line.contains("workflow.deactivated"));
    assert!(events[0].contains("user.disabled") && events[1].contains("workflow.deactivated"), "{events:?}");
}
