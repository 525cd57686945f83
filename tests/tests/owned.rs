//! What belongs to users, and what becomes of it: credentials, workflows, and the deletion of a user.

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use tests::{Tenon, eventually, setting};

const SECRET: &str = "shpat_6f1c2b9a7d3e4f50";

#[tokio::test]
async fn a_credentials_data_are_shown_to_the_engine_alone_and_stored_nowhere_in_the_clear() {
    let acme = Tenon::deployed().await.environment().await;
    let user = acme.user("joe@acme.example").await;
    let body = json!({ "type": "shopify", "name": "Shop", "data": { "token": SECRET, "shop": { "id": 7 } } });
    let created = acme.backend.post("/users/joe@acme.example/credentials", body).await.is(201);
    let id = created.text("credentialId");
    assert_eq!(created.header("location"), format!("users/{user}/credentials/{id}"));
    let path = format!("/users/{user}/credentials/{id}");
    let shown = acme.backend.get(&path).await.is(200);
    let list = acme.backend.get("/users/joe@acme.example/credentials").await.is(200);
    let alias = acme.backend.get(&format!("/credentials/users/{user}")).await.is(200);
    assert_eq!(list.body, json!({ "data": [shown.body] }));
    assert_eq!(alias.body, list.body);
    for answer in [&created, &shown, &list] {
        assert!(!answer.body.to_string().contains(SECRET) && answer.body["data"]["token"] == Value::Null, "{answer:?}");
    }
    let revealed = acme.engine.post(&format!("{path}/reveal"), json!({})).await.is(200);
    assert_eq!(revealed.header("cache-control"), "no-store");
    assert_eq!(revealed.body, json!({ "data": { "token": SECRET, "shop": { "id": 7 } } }));

    let items = acme.tenon.items("DirectoryTable", &format!("env#{}#user#{user}", acme.id)).await;
    assert!(items.len() >= 2);
    for item in &items {
        let mut bytes = Vec::new();
        flatten(&AttributeValue::M(item.clone()), &mut bytes);
        assert!(!bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes()), "{item:?}");
    }
    assert_eq!(acme.backend.delete(&path).await.is(200).body, json!({ "success": true }));
    acme.backend.get(&path).await.is_problem(404, "not-found");
    acme.engine.post(&format!("{path}/reveal"), json!({})).await.is_problem(404, "not-found");
}

#[tokio::test]
async fn every_reveal_is_logged_with_who_and_what_and_without_the_data() {
    let acme = Tenon::deployed().await.environment().await;
    let user = acme.user("joe@acme.example").await;
    let credential = acme.credential(&user, json!({ "token": SECRET })).await;
    acme.engine.post(&format!("/users/{user}/credentials/{credential}/reveal"), json!({})).await.is(200);
    let line = eventually("it is logged", async || {
        let lines = acme.tenon.logs(&credential).await;
        lines.lines().find(|line| line.contains("a credential is revealed")).map(str::to_owned)
    })
    .await;
    assert!(
        line.contains(&acme.id) && line.contains(&user) && line.contains("WARN") && !line.contains(SECRET),
        "{line}"
    );
}

#[tokio::test]
async fn a_ciphertext_that_is_moved_to_another_credential_does_not_decrypt() {
    let acme = Tenon::deployed().await.environment().await;
    let user = acme.user("joe@acme.example").await;
    let (one, other) =
        (acme.credential(&user, json!({ "a": 1 })).await, acme.credential(&user, json!({ "b": 2 })).await);
    let dynamodb = aws_sdk_dynamodb::Client::new(&acme.tenon.aws);
    let pk = format!("env#{}#user#{user}", acme.id);
    let items = acme.tenon.items("DirectoryTable", &pk).await;
    let of = |id: &str| items.iter().find(|item| item["sk"].as_s().unwrap() == &format!("credential#{id}")).unwrap();
    let mut moved = of(&other).clone();
    moved.insert("data".into(), of(&one)["data"].clone());
    let table = setting("TENON_STACK_DirectoryTable");
    dynamodb.put_item().table_name(table).set_item(Some(moved)).send().await.unwrap();
    let reveal = async |id: &str| acme.engine.post(&format!("/users/{user}/credentials/{id}/reveal"), json!({})).await;
    reveal(&other).await.is_problem(500, "internal");
    reveal(&one).await.is(200);
}

fn flatten(value: &AttributeValue, bytes: &mut Vec<u8>) {
    match value {
        AttributeValue::S(text) | AttributeValue::N(text) => bytes.extend(text.as_bytes()),
        AttributeValue::B(blob) => bytes.extend(blob.as_ref()),
        AttributeValue::L(list) => list.iter().for_each(|value| flatten(value, bytes)),
        AttributeValue::M(members) => members.values().for_each(|value| flatten(value, bytes)),
        _ => {}
    }
}

#[tokio::test]
async fn every_invalid_field_of_a_credential_is_named_and_nothing_of_it_is_repeated() {
    let acme = Tenon::deployed().await.environment().await;
    let user = acme.user("joe@acme.example").await;
    let path = format!("/users/{user}/credentials");
    let body = json!({ "type": "", "data": SECRET });
    let refused = acme.backend.post(&path, body).await.is_problem(422, "validation");
    assert!(!refused.body.to_string().contains(SECRET));
    refused.names(&["/type", "/name", "/data"]);
    let long = json!({ "type": "x", "name": "x", "data": { "long": "x".repeat(16 * 1024) } });
    acme.backend.post(&path, long).await.is_problem(422, "validation").names(&["/data"]);
}

#[tokio::test]
async fn workflows_are_listed_switched_and_removed_and_their_names_are_free_again() {
    let acme = Tenon::deployed().await.environment().await;
    let user = acme.user("joe@acme.example").await;
    let mut made = Vec::new();
    for name in ["Orders", "Stock", "Returns"] {
        made.push(acme.workflow(&user, name).await);
    }
    made.sort_by(|a, b| b.cmp(a));
    let first = acme.backend.get("/workflows?userId=joe@acme.example&limit=2").await.is(200);
    let path = format!("/workflows?userId={user}&limit=2&cursor={}", first.text("cursor"));
    let rest = acme.engine.get(&path).await.is(200).body;
    assert_eq!(rest["cursor"], Value::Null);
    let ids = |page: &Value| -> Vec<String> {
        page["data"].as_array().unwrap().iter().map(|one| one["workflowId"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!([ids(&first.body), ids(&rest)].concat(), made);

    let by_name = json!({ "userId": "joe@acme.example", "workflowName": "Orders" });
    for (verb, active) in [("deactivate", false), ("deactivate", false), ("activate", true)] {
        let shown = acme.backend.put(&format!("/workflows/{verb}"), by_name.clone()).await.is(200).body;
        assert_eq!((&shown["active"], &shown["name"]), (&json!(active), &json!("Orders")));
    }
    let nobody = json!({ "userId": user, "workflowName": "Nothing" });
    acme.backend.put("/workflows/activate", nobody).await.is_problem(404, "not-found");
    acme.backend
        .put("/workflows/activate", json!({ "userId": user }))
        .await
        .is_problem(422, "validation")
        .names(&["/workflowId"]);
    // A user's own, without saying whose.
    let joe = tests::Api::new(acme.token(&user).await);
    joe.put("/workflows/deactivate", json!({ "workflowId": made[0] })).await.is(200);
    assert_eq!(joe.get("/workflows").await.is(200).body["data"].as_array().unwrap().len(), 3);

    let all = acme.backend.put(&format!("/users/{user}/deactivate-workflows"), json!({})).await.is(200);
    assert_eq!(all.body, json!({ "message": "Success" }));
    let shown = acme.backend.get(&format!("/workflows?userId={user}")).await.is(200).body;
    assert!(shown["data"].as_array().unwrap().iter().all(|one| one["active"] == false), "{shown}");

    // While its user is disabled an active workflow reads as inactive.
    acme.backend.put("/workflows/activate", by_name).await.is(200);
    let orders = acme.backend.get(&format!("/workflows?userId={user}")).await.is(200).body["data"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["name"] == "Orders")
        .unwrap()["workflowId"]
        .as_str()
        .unwrap()
        .to_owned();
    acme.disable(&user).await;
    assert_eq!(acme.backend.get(&format!("/workflows/{orders}")).await.is(200).body["active"], false);
    acme.enable(&user).await;
    assert_eq!(acme.backend.get(&format!("/workflows/{orders}")).await.is(200).body["active"], true);

    acme.backend.delete(&format!("/workflows/{orders}?userId=nobody")).await.is_problem(404, "not-found");
    assert_eq!(acme.backend.delete(&format!("/workflows/{orders}?userId={user}")).await.is(200).body["success"], true);
    acme.backend.get(&format!("/workflows/{orders}")).await.is_problem(404, "not-found");
    acme.workflow(&user, "Orders").await;
}

#[tokio::test]
async fn a_deleted_user_and_all_that_it_owned_are_gone_at_once_and_removed_behind_it() {
    let acme = Tenon::deployed().await.environment().await;
    let user = acme.user("joe@acme.example").await;
    let credential = acme.credential(&user, json!({ "token": SECRET })).await;
    let mut workflows = Vec::new();
    for n in 0..60 {
        workflows.push(acme.workflow(&user, &format!("Workflow {n}")).await);
    }
    let error = acme.record(&workflows[0], "Error").await;
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
    // Its names are free at once.
    acme.user("joe@acme.example").await;

    let pk = format!("env#{}#user#{user}", acme.id);
    eventually("nothing of it is left", async || {
        let jobs = acme.tenon.items("DirectoryTable", &format!("env#{}#deletions", acme.id)).await;
        (acme.tenon.items("DirectoryTable", &pk).await.is_empty() && jobs.is_empty()).then_some(())
    })
    .await;
    for workflow in &workflows {
        let pk = format!("env#{}#workflow#{workflow}", acme.id);
        assert!(acme.tenon.items("DirectoryTable", &pk).await.is_empty());
    }
    // Its errors stay until their time is over.
    let kept = acme.tenon.items("ErrorsTable", &format!("env#{}#workflow#{}", acme.id, workflows[0])).await;
    assert_eq!(kept[0]["errorId"].as_s().unwrap(), &error);
}
