//! Authentication, permissions, and the isolation of environments and users.

use std::process::Stdio;

use serde_json::{Value, json};
use tests::{Api, Tenon, bus_settings, example_error, python, send, setting};
use tokio::io::AsyncWriteExt;

#[tokio::test]
async fn only_public_documents_are_served_without_valid_credentials() {
    let acme = Tenon::deployed().await.environment().await;
    let user = acme.create_user("joe@acme.example").await;
    let path = format!("/users/{user}");
    Api::anonymous().get(&path).await.is(401);
    let key = acme.tenon.key(&acme.id, "manage").await;
    let typo = format!("{}{}", &key[..key.len() - 1], if key.ends_with('0') { '1' } else { '0' });
    let unknown = tenon::domain::api_key::ApiKey::generate(tenon::domain::environment::Kind::Test);
    for credential in ["x", "tn_live_", &typo, unknown.expose(), "a.b.c", ""] {
        let answer = Api::new(credential).get(&path).await.is(403);
        assert_eq!(answer.body["message"], "Forbidden", "{credential}");
    }
    Api::anonymous().get("/openapi.json").await.is(200);
    Api::anonymous().get("/.well-known/jwks.json").await.is(200);
}

#[tokio::test]
async fn jwks_is_cacheable_for_five_minutes_and_has_an_etag() {
    let set = Api::anonymous().get("/.well-known/jwks.json").await.is(200);
    assert_eq!(set.header("cache-control"), "public, max-age=300");
    let again = Api::anonymous().request("GET", "/.well-known/jwks.json").header("if-none-match", set.header("etag"));
    send(again).await.is(304);
    let other = Api::anonymous().request("GET", "/.well-known/jwks.json").header("if-none-match", "\"other\"");
    send(other).await.is(200);
}

#[tokio::test]
async fn authorization_scheme_is_case_insensitive() {
    let acme = Tenon::deployed().await.environment().await;
    let user = acme.create_user("joe@acme.example").await;
    let key = acme.tenon.key(&acme.id, "manage").await;
    for scheme in ["bearer", "BEARER"] {
        let request = Api::anonymous().request("GET", &format!("/users/{user}"));
        send(request.header("authorization", format!("{scheme} {key}"))).await.is(200);
    }
}

#[tokio::test]
async fn api_key_cannot_access_another_environment() {
    let tenon = Tenon::deployed().await;
    let (acme, other) = (tenon.environment().await, tenon.environment().await);
    let user = acme.create_user("joe@acme.example").await;
    let workflow = acme.create_workflow(&user, "Orders").await;
    acme.record_error(&workflow, "Error").await;
    let settings = bus_settings("tenon-test-bus");
    let destination = acme.backend.post("/destinations", settings).await.is(201).text("destinationId");

    let stranger = &other.backend;
    for path in [
        format!("/users/{user}"),
        "/users/joe@acme.example".to_owned(),
        format!("/users/{user}/token"),
        format!("/workflows/{workflow}/errors"),
        format!("/destinations/{destination}"),
    ] {
        stranger.get(&path).await.is_problem(404, "not-found");
        acme.backend.get(&path).await.is(200);
    }
    let stolen = json!({ "userId": user, "name": "Stolen" });
    stranger.post("/workflows", stolen).await.is_problem(404, "not-found");
    stranger
        .patch(&format!("/destinations/{destination}"), json!({ "enabled": false }))
        .await
        .is_problem(404, "not-found");
    let errors = format!("/workflows/{workflow}/errors");
    other.engine.post(&errors, example_error("forged")).await.is_problem(404, "not-found");

    assert_eq!(acme.error_texts(&workflow).await, ["Error"]);
    let shown = acme.backend.get(&format!("/destinations/{destination}")).await.is(200);
    assert_eq!(shown.body["enabled"], true);
    // Names are unique per environment only.
    other.create_user("joe@acme.example").await;
}

#[tokio::test]
async fn engine_key_can_only_record_errors() {
    let acme = Tenon::deployed().await.environment().await;
    let user = acme.create_user("joe@acme.example").await;
    let workflow = acme.create_workflow(&user, "Orders").await;
    acme.record_error(&workflow, "Error").await;
    acme.engine.get(&format!("/users/{user}")).await.is_problem(403, "forbidden");
    acme.engine.get(&format!("/users/{user}/token")).await.is_problem(403, "forbidden");
    acme.engine.get(&format!("/workflows/{workflow}/errors")).await.is_problem(403, "forbidden");
    acme.engine.post("/users", json!({ "email": "jim@acme.example" })).await.is_problem(403, "forbidden");
    acme.engine.post("/workflows", json!({ "userId": user, "name": "x" })).await.is_problem(403, "forbidden");
    acme.engine.post("/destinations", bus_settings("x")).await.is_problem(403, "forbidden");
}

#[tokio::test]
async fn user_token_reads_only_its_own_user() {
    let acme = Tenon::deployed().await.environment().await;
    let (joe, jim) = (acme.create_user("joe@acme.example").await, acme.create_user("jim@acme.example").await);
    let (joes, jims) = (acme.create_workflow(&joe, "Orders").await, acme.create_workflow(&jim, "Orders").await);
    acme.record_error(&joes, "Joe's error").await;
    let token = Api::new(acme.user_token(&joe).await);

    assert_eq!(token.get(&format!("/users/{joe}")).await.is(200).text("email"), "joe@acme.example");
    token.get("/users/joe@acme.example").await.is(200);
    let errors = token.get(&format!("/workflows/{joes}/errors")).await.is(200);
    assert_eq!(errors.body["errors"][0]["error"], "Joe's error");

    for path in [format!("/users/{jim}"), "/users/jim@acme.example".to_owned(), format!("/workflows/{jims}/errors")] {
        token.get(&path).await.is_problem(404, "not-found");
    }
    token.get(&format!("/users/{joe}/token")).await.is_problem(403, "forbidden");
    token.post("/users", json!({ "email": "x@acme.example" })).await.is_problem(403, "forbidden");
    token.post(&format!("/workflows/{joes}/errors"), example_error("forged")).await.is_problem(403, "forbidden");
    token.post("/destinations", bus_settings("x")).await.is_problem(403, "forbidden");
}

#[tokio::test]
async fn pyjwt_verifies_user_token_with_published_keys() {
    let acme = Tenon::deployed().await.environment().await;
    let user = acme.create_user("joe@acme.example").await;
    let answer = acme.backend.post(&format!("/users/{user}/token"), json!({ "ttlSeconds": 60 })).await.is(200);
    assert_eq!(answer.header("cache-control"), "no-store");

    let claims = verify_with_pyjwt(&answer.text("token")).await;

    assert_eq!(claims["payload"]["sub"], user);
    assert_eq!(claims["payload"]["env"], acme.id);
    assert_eq!(claims["payload"]["exp"].as_i64().unwrap() - claims["payload"]["iat"].as_i64().unwrap(), 60);
    assert_eq!(claims["header"]["typ"], "tenon-user+jwt");
    assert_eq!(claims["header"]["alg"], "ES256");
}

#[tokio::test]
async fn token_lifetime_is_the_requested_one_up_to_30_minutes() {
    let acme = Tenon::deployed().await.environment().await;
    let path = format!("/users/{}/token", acme.create_user("joe@acme.example").await);
    let seconds = async |path: &str| {
        let claims = verify_with_pyjwt(&acme.backend.get(path).await.is(200).text("token")).await;
        claims["payload"]["exp"].as_i64().unwrap() - claims["payload"]["iat"].as_i64().unwrap()
    };
    assert_eq!(seconds(&path).await, 1800);
    assert_eq!(seconds(&format!("{path}?ttlSeconds=90")).await, 90);
    for refused in ["59", "1801", "-1", "x", ""] {
        let answer = acme.backend.get(&format!("{path}?ttlSeconds={refused}")).await;
        answer.is_problem(422, "validation").names(&["/ttlSeconds"]);
    }
}

/// Verifies a token with PyJWT, which gets only the URL of the published key set. Returns its
/// header and claims.
async fn verify_with_pyjwt(token: &str) -> Value {
    let mut python = python("verify_user_token.py")
        .arg(format!("{}/.well-known/jwks.json", setting("TENON_URL")))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    python.stdin.take().unwrap().write_all(token.as_bytes()).await.unwrap();
    let output = python.wait_with_output().await.unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
async fn admin_functions_name_invalid_input_fields() {
    let tenon = Tenon::deployed().await;
    let refused = tenon.invoke("EnvironmentsCreate", json!({ "kind": "prod" })).await.unwrap_err();
    assert_eq!(refused["errorType"], "validation");
    assert_eq!(refused["errorMessage"], "/name is required; /kind must be `live` or `test`");
    let nowhere = json!({ "environmentId": "0".repeat(24), "name": "x", "scopes": ["manage"] });
    assert_eq!(tenon.invoke("KeysCreate", nowhere).await.unwrap_err()["errorType"], "not-found");
    let none = json!({ "environmentId": "0".repeat(24), "name": "x", "scopes": [] });
    assert_eq!(tenon.invoke("KeysCreate", none).await.unwrap_err()["errorMessage"], "/scopes must not be empty");
}
