//! Workflows of users.

use aws_sdk_dynamodb::Client;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tests::{Tenon, keys, send, setting};

#[tokio::test]
async fn workflow_name_is_unique_per_user() {
    let acme = Tenon::deployed().await.environment().await;
    let (joe, jim) = (acme.create_user("joe@acme.example").await, acme.create_user("jim@acme.example").await);
    let body = json!({ "userId": "joe@acme.example", "name": "Orders", "integrationId": "shopify" });
    let created = acme.backend.post("/workflows", body.clone()).await.is(201);
    assert_eq!(created.body["userId"], joe);
    assert_eq!(created.body["active"], true);
    assert_eq!(created.body["integrationId"], "shopify");
    assert_eq!(created.body["credentialIds"], json!([]));

    acme.backend.post("/workflows", body).await.is_problem(409, "workflow-exists").names(&["/name"]);
    acme.create_workflow(&jim, "Orders").await;
    let nobody = json!({ "userId": "0".repeat(24), "name": "Orders" });
    acme.backend.post("/workflows", nobody).await.is_problem(404, "not-found");
    let invalid = json!({ "name": "" });
    acme.backend.post("/workflows", invalid).await.is_problem(422, "validation").names(&["/userId", "/name"]);
}

#[tokio::test]
async fn damaged_workflow_hides_no_other_one() {
    let acme = Tenon::deployed().await.environment().await;
    let user = acme.create_user("joe@acme.example").await;
    let (_, kept) = (acme.create_workflow(&user, "Damaged").await, acme.create_workflow(&user, "Kept").await);
    let update = Client::new(&acme.tenon.aws).update_item().table_name(setting("TENON_STACK_DirectoryTable"));
    let update = update.update_expression("REMOVE workflowId");
    let update = update.key("pk", keys::attribute(keys::user(&acme.id, &user)));
    update.key("sk", keys::attribute(keys::workflow_name("Damaged"))).send().await.unwrap();
    let list = acme.backend.get(&format!("/workflows?userId={user}")).await.is(200).body;
    assert_eq!((list["data"].as_array().unwrap().len(), &list["data"][0]["workflowId"]), (1, &json!(kept)));
}

#[tokio::test]
async fn workflows_are_listed_activated_and_deleted() {
    let acme = Tenon::deployed().await.environment().await;
    let user = acme.create_user("joe@acme.example").await;
    let mut made = Vec::new();
    for name in ["Orders", "Stock", "Returns"] {
        made.push(acme.create_workflow(&user, name).await);
    }
    made.sort_by(|a, b| b.cmp(a));
    let first = acme.backend.get("/workflows?userId=joe@acme.example&limit=2").await.is(200);
    let path = format!("/workflows?userId=joe@acme.example&limit=2&cursor={}", first.text("cursor"));
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
    acme.backend
        .put("/workflows/activate", json!({}))
        .await
        .is_problem(422, "validation")
        .names(&["/userId", "/workflowId"]);
    acme.backend
        .put("/workflows/activate", json!({ "userId": "a/b" }))
        .await
        .is_problem(422, "validation")
        .names(&["/userId", "/workflowId"]);
    // A user token does not need `userId`.
    let joe = tests::Api::new(acme.user_token(&user).await);
    joe.put("/workflows/deactivate", json!({ "workflowId": made[0] })).await.is(200);
    joe.put("/workflows/activate", json!({})).await.is_problem(422, "validation").names(&["/workflowId"]);
    assert_eq!(joe.get("/workflows").await.is(200).body["data"].as_array().unwrap().len(), 3);

    let all = acme.backend.put(&format!("/users/{user}/deactivate-workflows"), json!({})).await.is(200);
    assert_eq!(all.body, json!({ "message": "Success" }));
    let shown = acme.backend.get(&format!("/workflows?userId={user}")).await.is(200).body;
    assert!(shown["data"].as_array().unwrap().iter().all(|one| one["active"] == false), "{shown}");

    // An active workflow is shown as inactive while its user is disabled.
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
    acme.disable_user(&user).await;
    assert_eq!(acme.backend.get(&format!("/workflows/{orders}")).await.is(200).body["active"], false);
    acme.enable_user(&user).await;
    assert_eq!(acme.backend.get(&format!("/workflows/{orders}")).await.is(200).body["active"], true);

    acme.backend.delete(&format!("/workflows/{orders}?userId=nobody")).await.is_problem(404, "not-found");
    assert_eq!(acme.backend.delete(&format!("/workflows/{orders}?userId={user}")).await.is(200).body["success"], true);
    acme.backend.get(&format!("/workflows/{orders}")).await.is_problem(404, "not-found");
    acme.create_workflow(&user, "Orders").await;
}

#[tokio::test]
async fn workflow_is_changed_in_place() {
    let acme = Tenon::deployed().await.environment().await;
    let user = acme.create_user("joe@acme.example").await;
    let credential = acme.create_credential(&user, json!({})).await;
    let (orders, stock) = (acme.create_workflow(&user, "Orders").await, acme.create_workflow(&user, "Stock").await);
    let path = format!("/workflows/{orders}");
    let created = acme.engine.get(&path).await.is(200);
    assert_eq!((&created.body["settings"], &created.body["key"]), (&json!({}), &Value::Null));

    let change = json!({ "name": "Returns", "credentialIds": [credential, credential], "active": false,
        "settings": { "rate": 0.1, "shop": { "id": 7 } } });
    let changed = acme.backend.patch(&path, change).await.is(200);
    let shown = &changed.body;
    assert_eq!(shown["name"], "Returns");
    assert_eq!(shown["credentialIds"], json!([credential]));
    assert_eq!(shown["settings"], json!({ "rate": 0.1, "shop": { "id": 7 } }));
    assert_eq!(shown["active"], false);
    assert!(shown["revision"].as_u64() > created.body["revision"].as_u64());
    let read = acme.engine.get(&path).await.is(200);
    assert_eq!((&read.body, read.header("etag")), (shown, changed.header("etag")));
    // The former name is free, and the new one is taken.
    acme.create_workflow(&user, "Orders").await;
    let taken = json!({ "name": "Returns" });
    acme.backend
        .patch(&format!("/workflows/{stock}"), taken.clone())
        .await
        .is_problem(409, "workflow-exists")
        .names(&["/name"]);
    let by_name = json!({ "userId": user, "workflowName": "Returns" });
    assert_eq!(acme.backend.put("/workflows/activate", by_name).await.is(200).body["workflowId"], json!(orders));

    // Settings are replaced, and members that are null or absent stay.
    let replaced = acme.backend.patch(&path, json!({ "settings": { "a": null }, "name": null })).await.is(200);
    assert_eq!(replaced.body["settings"], json!({ "a": null }));
    assert_eq!((&replaced.body["name"], &replaced.body["active"]), (&json!("Returns"), &json!(true)));
    let unchanged = acme.backend.patch(&path, json!({ "active": true })).await.is(200);
    assert_eq!(unchanged.body, replaced.body, "a change to the same values changes nothing");
    let stale = acme.backend.request("PATCH", &path).header("if-match", created.header("etag"));
    send(stale.json(&json!({ "active": false }))).await.is_problem(412, "precondition-failed");

    let other = acme.create_user("jim@acme.example").await;
    let foreign = acme.create_credential(&other, json!({})).await;
    let unknown = acme.backend.patch(&path, json!({ "credentialIds": [foreign, credential] })).await;
    unknown.is_problem(422, "validation").names(&["/credentialIds"]);
    let wrong = json!({ "settings": { "long": "x".repeat(8192) }, "active": "no", "userId": user });
    acme.backend.patch(&path, wrong).await.is_problem(422, "validation").names(&["/settings", "/active", "/userId"]);
}

#[tokio::test]
async fn all_workflows_of_the_environment_are_listed_with_the_state_of_their_owners() {
    let tenon = Tenon::deployed().await;
    let (acme, other) = (tenon.environment().await, tenon.environment().await);
    let (joe, jim) = (acme.create_user("joe@acme.example").await, acme.create_user("jim@acme.example").await);
    let mut made = Vec::new();
    for (user, name) in [(&joe, "A"), (&jim, "A"), (&joe, "B"), (&jim, "B"), (&joe, "C")] {
        made.push(acme.create_workflow(user, name).await);
    }
    other.create_workflow(&other.create_user("joe@acme.example").await, "Other").await;
    acme.backend.post(&format!("/users/{jim}/disable"), json!({})).await.is(200);
    let (mut seen, mut path) = (Vec::new(), "/workflows?limit=2".to_owned());
    loop {
        let page = acme.engine.get(&path).await.is(200).body;
        for workflow in page["data"].as_array().unwrap() {
            assert_eq!(workflow["active"], json!(workflow["userId"] == json!(joe)), "{workflow}");
            seen.push(workflow["workflowId"].as_str().unwrap().to_owned());
        }
        let Some(cursor) = page["cursor"].as_str() else { break };
        path = format!("/workflows?limit=2&cursor={cursor}");
    }
    made.sort_by(|a, b| b.cmp(a));
    assert_eq!(seen, made);
    // Those of a deleted user are gone immediately.
    acme.backend.delete(&format!("/users/{jim}")).await.is(200);
    let left = acme.engine.get("/workflows").await.is(200).body;
    assert_eq!(left["data"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn unknown_credentials_are_refused_before_a_taken_name() {
    let acme = Tenon::deployed().await.environment().await;
    let user = acme.create_user("joe@acme.example").await;
    acme.create_workflow(&user, "Orders").await;
    let stock = acme.create_workflow(&user, "Stock").await;
    let change = json!({ "name": "Orders", "credentialIds": ["0".repeat(24)] });
    let mut creation = change.clone();
    creation["userId"] = json!(user);
    acme.backend.post("/workflows", creation).await.is_problem(422, "validation").names(&["/credentialIds"]);
    let path = format!("/workflows/{stock}");
    acme.backend.patch(&path, change).await.is_problem(422, "validation").names(&["/credentialIds"]);
    acme.backend.patch(&path, json!({ "name": "Orders" })).await.is_problem(409, "workflow-exists");
}

#[tokio::test]
async fn all_of_more_workflows_than_one_transaction_holds_are_deactivated() {
    let acme = Tenon::deployed().await.environment().await;
    let user = acme.create_user("joe@acme.example").await;
    let names: Vec<String> = (0..60).map(|number| format!("Orders {number}")).collect();
    join_all(names.iter().map(|name| acme.create_workflow(&user, name))).await;
    acme.backend.put(&format!("/users/{user}/deactivate-workflows"), json!({})).await.is(200);
    let shown = acme.backend.get(&format!("/workflows?userId={user}&limit=100")).await.is(200).body;
    let active: Vec<bool> = shown["data"].as_array().unwrap().iter().map(|one| one["active"] == true).collect();
    assert_eq!(active, [false; 60]);
}

#[tokio::test]
async fn user_of_another_name_does_not_exist_for_a_user_token() {
    let acme = Tenon::deployed().await.environment().await;
    let [joe, jim] = [acme.create_user("joe@acme.example").await, acme.create_user("jim@acme.example").await];
    let workflow = acme.create_workflow(&joe, "Orders").await;
    acme.create_workflow(&jim, "Orders").await;
    let token = tests::Api::new(acme.user_token(&joe).await);
    for other in [jim.as_str(), "jim@acme.example", "nobody"] {
        for path in ["/workflows".to_owned(), format!("/workflows/{workflow}"), format!("/workflows/{workflow}/errors")]
        {
            token.get(&format!("{path}?userId={other}")).await.is_problem(404, "not-found");
        }
        for path in [format!("/workflows/{workflow}"), format!("/workflows/{workflow}/errors")] {
            acme.backend.get(&format!("{path}?userId={other}")).await.is_problem(404, "not-found");
        }
    }
    for own in [joe.as_str(), "JOE@acme.example"] {
        token.get(&format!("/workflows?userId={own}")).await.is(200);
        token.get(&format!("/workflows/{workflow}?userId={own}")).await.is(200);
    }
}
