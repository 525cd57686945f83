//! Revocation: revoked, disabled, deleted and expired callers stop within a minute, despite the
//! authorizer cache of API Gateway.

use std::time::Duration;

use serde_json::json;
use tenon::domain::timestamp::Timestamp;
use tests::{Api, Tenon, within};

/// Waits until a caller is rejected.
async fn wait_for_rejection(who: &str, api: &Api, path: &str) {
    let rejected = async || [401, 403].contains(&api.get(path).await.status).then_some(());
    within(Duration::from_secs(60), who, rejected).await;
}

#[tokio::test]
async fn revoked_key_stops_within_60_seconds() {
    let acme = Tenon::deployed().await.environment().await;
    let user = acme.create_user("joe@acme.example").await;
    let path = format!("/users/{user}");
    let made = json!({ "environmentId": acme.id, "name": "leaked", "scopes": ["manage"] });
    let created = Timestamp::now();
    let made = acme.tenon.invoke("KeysCreate", made).await.unwrap();
    let leaked = Api::new(made["key"].as_str().unwrap());
    leaked.get(&path).await.is(200);

    let revoke = json!({ "environmentId": acme.id, "keyId": made["keyId"] });
    let revoked = acme.tenon.invoke("KeysRevoke", revoke.clone()).await.unwrap();
    assert!(revoked["revokedAt"].is_string(), "{revoked}");
    assert_eq!(acme.tenon.invoke("KeysRevoke", revoke).await.unwrap(), revoked, "a second revocation changes nothing");
    wait_for_rejection("the revoked key", &leaked, &path).await;
    acme.backend.get(&path).await.is(200);

    let listed = acme.tenon.invoke("KeysList", json!({ "environmentId": acme.id })).await.unwrap();
    let listed = listed["keys"].as_array().unwrap();
    assert_eq!(listed.len(), 3);
    let record = listed.iter().find(|key| key["keyId"] == made["keyId"]).unwrap();
    assert_eq!(record["name"], "leaked");
    assert_eq!(record["scopes"], json!(["manage"]));
    assert_eq!(record["revokedAt"], revoked["revokedAt"]);
    assert_eq!(record["prefix"].as_str().unwrap(), &made["key"].as_str().unwrap()[..12]);
    // Midnight may have passed since.
    let days = [created, Timestamp::now()].map(|at| at.day());
    assert!(days.iter().any(|day| record["lastUsedOn"] == day.as_str()), "{record}");
    assert!(!listed.iter().any(|key| key.to_string().contains(made["key"].as_str().unwrap())));
}

#[tokio::test]
async fn key_of_another_environment_cannot_be_revoked() {
    let tenon = Tenon::deployed().await;
    let (acme, other) = (tenon.environment().await, tenon.environment().await);
    let made = json!({ "environmentId": acme.id, "name": "x", "scopes": ["manage"] });
    let made = tenon.invoke("KeysCreate", made).await.unwrap();
    let crossed = json!({ "environmentId": other.id, "keyId": made["keyId"] });
    assert_eq!(tenon.invoke("KeysRevoke", crossed).await.unwrap_err()["errorType"], "not-found");
}

#[tokio::test]
async fn token_of_disabled_user_stops_within_60_seconds() {
    let acme = Tenon::deployed().await.environment().await;
    let user = acme.create_user("joe@acme.example").await;
    let before = Api::new(acme.user_token(&user).await);
    before.get("/session").await.is(200);

    acme.disable_user(&user).await;
    acme.backend.get(&format!("/users/{user}/token")).await.is_problem(403, "user-disabled");
    wait_for_rejection("the disabled user's token", &before, "/session").await;

    acme.enable_user(&user).await;
    Api::new(acme.user_token(&user).await).get("/session").await.is(200);
}

#[tokio::test]
async fn token_of_deleted_user_stops_within_60_seconds() {
    let acme = Tenon::deployed().await.environment().await;
    let user = acme.create_user("joe@acme.example").await;
    let token = Api::new(acme.user_token(&user).await);
    token.get("/session").await.is(200);
    acme.delete_user(&user).await;
    token.get("/session").await.is_problem(404, "not-found");
    wait_for_rejection("the deleted user's token", &token, "/session").await;
}

#[tokio::test]
async fn expired_token_is_rejected_despite_the_authorizer_cache() {
    let acme = Tenon::deployed().await.environment().await;
    let user = acme.create_user("joe@acme.example").await;
    let made = acme.backend.get(&format!("/users/{user}/token?ttlSeconds=60")).await.is(200);
    let token = Api::new(made.text("token"));
    let expires_at: Timestamp = made.text("expiresAt").parse().unwrap();
    let sleep_until = async |moment: Timestamp| {
        let wait = moment.milliseconds() - Timestamp::now().milliseconds();
        tokio::time::sleep(Duration::from_millis(u64::try_from(wait).unwrap_or(0))).await;
    };
    // This request caches an authorizer response beyond the token's expiry.
    sleep_until(expires_at - Duration::from_secs(15)).await;
    token.get("/session").await.is(200);
    sleep_until(expires_at).await;
    token.get("/session").await.is_problem(401, "unauthorized");
}
