//! Session of a user token.

use serde_json::json;
use tests::Tenon;

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
    let names: Vec<_> = session.body["workflows"].as_array().unwrap().iter().map(|w| w["name"].clone()).collect();
    assert_eq!(names, ["Orders", "Stock"]);
    let shown = acme.backend.get(&format!("/users/{joe}/credentials/{credential}")).await.is(200).body;
    assert_eq!(session.body["credentials"], json!([shown]));
    assert!(!session.body.to_string().contains("only the engine"));
}
