//! Users: creation, status and deletion.

use serde_json::{Value, json};
use tests::{Tenon, eventually, keys, send};

#[tokio::test]
async fn username_is_derived_from_email() {
    let acme = Tenon::deployed().await.environment().await;
    let body = json!({ "email": "joe.smoe@acme.example", "fullName": "Joe Smoe", "metadata": { "plan": "pro" } });
    let created = acme.backend.post("/users", body).await.is(201);

    let id = created.text("userId");
    assert_eq!(created.location("/users"), format!("/users/{id}"));
    assert!(created.text("username").starts_with("joe.smoe-"), "{created:?}");
    assert_eq!(created.body["fullName"], "Joe Smoe");
    assert_eq!(created.body["metadata"], json!({ "plan": "pro" }));
    assert_eq!(created.body["status"], "active");
    for reference in [id, created.text("username"), "JOE.SMOE@acme.example".to_owned()] {
        let found = acme.backend.get(&format!("/users/{reference}")).await.is(200);
        assert_eq!(found.body, created.body, "{reference}");
        assert!(found.header("etag").starts_with('"'));
    }
}

#[tokio::test]
async fn taken_email_is_rejected_and_nothing_changes() {
    let acme = Tenon::deployed().await.environment().await;
    let joe = acme.create_user("joe@acme.example").await;

    let refused = acme.backend.post("/users", json!({ "email": "JOE@acme.example", "username": "jim" })).await;

    refused.is_problem(409, "user-exists").names(&["/email"]);
    acme.backend.get("/users/jim").await.is_problem(404, "not-found");
    assert_eq!(acme.backend.get("/users/joe@acme.example").await.is(200).text("userId"), joe);
}

#[tokio::test]
async fn all_invalid_fields_are_named() {
    let acme = Tenon::deployed().await.environment().await;
    let body = json!({ "email": "joe", "username": "a b", "fullName": 7, "metadata": { "x": 1 } });
    let refused = acme.backend.post("/users", body).await;
    refused.is_problem(422, "validation").names(&["/email", "/username", "/fullName", "/metadata/x"]);
    let empty = acme.backend.post("/users", json!({})).await;
    empty.is_problem(422, "validation").names(&["/email"]);
    let list = acme.backend.post("/users", json!([])).await;
    list.is_problem(422, "validation").names(&[""]);
}

#[tokio::test]
async fn malformed_and_invalid_bodies_return_different_problems() {
    let acme = Tenon::deployed().await.environment().await;
    let post = |media_type: &str, body: &str| {
        send(acme.backend.request("POST", "/users").header("content-type", media_type).body(body.to_owned()))
    };
    post("application/json", "{").await.is_problem(400, "malformed-json");
    post("application/json", "\u{feff}{}").await.is_problem(400, "malformed-json");
    post("text/plain", "{}").await.is_problem(415, "unsupported-media-type");
    let long = json!({ "fullName": "x".repeat(1024 * 1024) }).to_string();
    post("application/json", &long).await.is_problem(413, "too-large");
    let deep = "[".repeat(100_000);
    post("application/json", &deep).await.is_problem(400, "malformed-json");
    send(acme.backend.request("POST", "/users")).await.is_problem(422, "validation");
}

#[tokio::test]
async fn disabled_user_keeps_data_and_workflows_become_inactive() {
    let acme = Tenon::deployed().await.environment().await;
    let user = acme.create_user("joe@acme.example").await;
    let workflow = acme.create_workflow(&user, "Orders").await;
    for reference in [&user, "joe@acme.example"] {
        let disabled = acme.backend.post(&format!("/users/{reference}/disable"), json!({})).await.is(200);
        assert_eq!(disabled.body["status"], "disabled", "a repeated call changes nothing");
    }
    assert_eq!(acme.backend.get(&format!("/users/{user}")).await.is(200).body["status"], "disabled");
    acme.backend.get(&format!("/users/{user}/token")).await.is_problem(403, "user-disabled");
    let second = json!({ "userId": user, "name": "Stock" });
    assert_eq!(acme.backend.post("/workflows", second).await.is(201).body["active"], false);
    acme.record_error(&workflow, "errors are still recorded").await;

    acme.enable_user(&user).await;
    let session = tests::Api::new(acme.user_token(&user).await).get("/session").await.is(200);
    let workflows = session.body["workflows"].as_array().unwrap();
    assert!(workflows.len() == 2 && workflows.iter().all(|workflow| workflow["active"] == true), "{session:?}");
    acme.backend.post("/users/nobody/disable", json!({})).await.is_problem(404, "not-found");
    acme.backend.post(&format!("/users/{}/disable", "0".repeat(24)), json!({})).await.is_problem(404, "not-found");
}

#[tokio::test]
async fn deleted_user_is_gone_immediately_and_its_data_soon_after() {
    let acme = Tenon::deployed().await.environment().await;
    let user = acme.create_user("joe@acme.example").await;
    let credential = acme.create_credential(&user, json!({ "token": "shpat_6f1c2b9a7d3e4f50" })).await;
    let mut workflows = Vec::new();
    for n in 0..60 {
        workflows.push(acme.create_workflow(&user, &format!("Workflow {n}")).await);
    }
    let error = acme.record_error(&workflows[0], "Error").await;
    let deleted = acme.backend.delete("/users/joe@acme.example").await.is(200);
    assert_eq!((&deleted.body["success"], &deleted.body["deletion"]["status"]), (&json!(true), &json!("running")));

    for path in [
        format!("/users/{user}"),
        "/users/joe@acme.example".into(),
        format!("/users/{user}/credentials/{credential}"),
        format!("/workflows/{}", workflows[0]),
        format!("/workflows?userId={user}"),
    ] {
        acme.backend.get(&path).await.is_problem(404, "not-found");
    }
    acme.backend.delete(&format!("/users/{user}")).await.is_problem(404, "not-found");
    // Its names are available immediately.
    acme.create_user("joe@acme.example").await;

    let pk = keys::user(&acme.id, &user);
    eventually("everything is deleted", async || {
        let jobs = acme.tenon.items("DirectoryTable", &keys::deletions(&acme.id)).await;
        (acme.tenon.items("DirectoryTable", &pk).await.is_empty() && jobs.is_empty()).then_some(())
    })
    .await;
    for workflow in &workflows {
        let pk = keys::workflow(&acme.id, workflow);
        assert!(acme.tenon.items("DirectoryTable", &pk).await.is_empty());
    }
    // Its errors are kept until they expire.
    let kept = acme.tenon.items("ErrorsTable", &keys::workflow(&acme.id, &workflows[0])).await;
    assert_eq!(kept[0]["errorId"].as_s().unwrap(), &error);
}

#[tokio::test]
async fn all_metadata_can_be_exchanged_in_one_request() {
    let acme = Tenon::deployed().await.environment().await;
    let pairs = |prefix: &str, value: Value| {
        let pairs = (0..50).map(|number| (format!("{prefix}{number}"), value.clone()));
        pairs.collect::<serde_json::Map<String, Value>>()
    };
    let body = json!({ "email": "joe@acme.example", "metadata": pairs("old", json!("x")) });
    let user = acme.backend.post("/users", body).await.is(201).text("userId");
    let path = format!("/users/{user}");
    let mut change = pairs("new", json!("y"));
    let refused = acme.backend.patch(&path, json!({ "metadata": change })).await;
    refused.is_problem(422, "validation").names(&["/metadata"]);
    change.append(&mut pairs("old", Value::Null));
    let changed = acme.backend.patch(&path, json!({ "metadata": change })).await.is(200);
    assert_eq!(changed.body["metadata"], json!(pairs("new", json!("y"))));
}
