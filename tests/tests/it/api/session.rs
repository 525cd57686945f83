//! Session of a user token.

use serde_json::json;
use tests::{Api, Tenon};

#[tokio::test]
async fn session_shows_only_the_users_own_data() {
    let acme = Tenon::deployed().await.environment().await;
    let (joe, jim) = (acme.create_user("joe@acme.example").await, acme.create_user("jim@acme.example").await);
    acme.create_workflow(&joe, "Stock").await;
    acme.create_workflow(&joe, "Orders").await;
    acme.create_workflow(&jim, "Jim's").await;
    let credential = acme.create_credential(&joe, json!({ "token": "only the engine may see this" })).await;

    let session = tests::Api::new(acme.user_token(&joe).await).get("/session").await.is(200);

    assert_eq!(session.header("cache-control"), "no-store");
    assert_eq!(session.body["user"]["userId"], joe);
    let shown = json!({ "name": "acme", "modal": { "origins": [], "theme": null, "lang": null } });
    assert_eq!(session.body["environment"], shown);
    let names: Vec<_> = session.body["workflows"].as_array().unwrap().iter().map(|w| w["name"].clone()).collect();
    assert_eq!(names, ["Orders", "Stock"]);
    let shown = acme.backend.get(&format!("/users/{joe}/credentials/{credential}")).await.is(200).body;
    assert_eq!(session.body["credentials"], json!([shown]));
    assert!(!session.body.to_string().contains("only the engine"));
}

#[tokio::test]
async fn session_of_a_user_with_many_items_is_truncated() {
    let acme = Tenon::deployed().await.environment().await;
    let joe = acme.create_user("joe@acme.example").await;
    let session = Api::new(acme.user_token(&joe).await);
    for number in 0..201 {
        if number == 200 {
            assert!(session.get("/session").await.is(200).body.get("truncated").is_none());
        }
        acme.create_workflow(&joe, &format!("Workflow {number:03}")).await;
    }
    let shown = session.get("/session").await.is(200).body;
    assert_eq!(shown["truncated"], true);
    let workflows = shown["workflows"].as_array().unwrap();
    assert_eq!((workflows.len(), &workflows[199]["name"]), (200, &json!("Workflow 199")));

    let jim = acme.create_user("jim@acme.example").await;
    let session = Api::new(acme.user_token(&jim).await);
    let path = format!("/users/{jim}/credentials");
    let credential = json!({ "type": "shop", "name": "Shop", "data": {} });
    let mut made = Vec::new();
    for number in 0..201 {
        if number == 200 {
            assert!(session.get("/session").await.is(200).body.get("truncated").is_none());
        }
        made.push(acme.backend.post(&path, credential.clone()).await.is(201).text("credentialId"));
    }
    let shown = session.get("/session").await.is(200).body;
    assert_eq!((&shown["truncated"], shown["credentials"].as_array().unwrap().len()), (&json!(true), 200));
    let ids: Vec<&str> =
        shown["credentials"].as_array().unwrap().iter().map(|one| one["credentialId"].as_str().unwrap()).collect();
    made.sort_unstable();
    assert!(ids.iter().eq(made.iter().skip(1).rev()), "the newest 200, the newest first");
}
