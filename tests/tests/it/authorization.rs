//! Authorization of every operation of the OpenAPI document for every kind of caller.

use std::collections::BTreeSet;

use serde_json::json;
use tests::{Api, Environment, Tenon, bus_settings, send};

use crate::endpoints::{ACCESS, Access, World};

/// Kind of caller: its name, its client and its expected status of a row with this route.
type Caller = (&'static str, Api, fn(&Access, &str) -> u16);

/// Route of an endpoint that only tokens of the mode `install` and above may call, although it is
/// no GET.
const INSTALL: &str = "PUT /users/{user}/installations/{integrationId}";
/// Routes that issue tokens, which a reader may not call, although they are read with GET.
const ISSUING: [&str; 2] = ["GET /users/{user}/token", "GET /users/{user}/integrations/{integrationId}/install-url"];

/// Public operations.
const PUBLIC: [(&str, &str); 7] = [
    ("GET", "/.well-known/jwks.json"),
    ("GET", "/openapi.json"),
    ("GET", "/console"),
    ("GET", "/modal"),
    ("GET", "/tenon.js"),
    ("GET", "/tenon.global.js"),
    ("POST", "/tickets"),
];

#[tokio::test]
async fn every_operation_returns_the_expected_status_to_each_caller() {
    let tenon = Tenon::deployed().await;
    let (acme, other) = (tenon.environment().await, tenon.environment().await);
    let (user, another) = (acme.create_user("joe@acme.example").await, acme.create_user("jim@acme.example").await);
    let destination = acme.create_bus_destination("tenon-test-errors").await;
    let replay = format!("/destinations/{destination}/replay");
    let workflow = acme.create_workflow(&user, "Orders").await;
    let workflow_created = acme.backend.get("/events?type=workflow.created").await.is(200).body["data"][0].clone();
    let world = World {
        event: workflow_created["_id"].as_str().unwrap().to_owned(),
        error: acme.record_error(&workflow, "Error").await,
        workflow,
        replay: acme.backend.post(&replay, json!({ "failed": true })).await.is(202).text("replayId"),
        credential: acme.create_credential(&user, json!({ "token": "shpat_1" })).await,
        destination,
        user: user.clone(),
        bus: bus_settings("tenon-test-errors"),
        ..World::default()
    };
    let stranger = other.create_user("joe@acme.example").await;
    let disabled = acme.create_user("gone@acme.example").await;
    let callers: Vec<Caller> = vec![
        ("no credential", Api::anonymous(), |_, _| 401),
        ("a malformed key", Api::new("tn_test_nonsense"), |_, _| 403),
        ("a malformed token", Api::new("e30.e30.e30"), |_, _| 403),
        ("a revoked key", Api::new(revoked_key(&acme).await), |_, _| 403),
        ("a disabled user's token", Api::new(token_of_disabled(&acme, &disabled).await), |_, _| 403),
        ("another environment's key", other.backend.clone(), |row, _| row.other),
        ("the engine's key", acme.engine.clone(), |row, _| row.engine),
        ("a token that may only read", token(&acme, &user, json!({ "mode": "read" })).await, |row, route| {
            if route.starts_with("GET ") { row.user } else { 403 }
        }),
        (
            "a token for another integration",
            token(&acme, &user, json!({ "integrations": ["other"] })).await,
            |row, _| row.limited(),
        ),
        ("a token that may install", token(&acme, &user, json!({ "mode": "install" })).await, |row, route| {
            if route.starts_with("GET ") || route == INSTALL { row.user } else { 403 }
        }),
        ("the user's token", Api::new(acme.user_token(&user).await), |row, route| match (row.user, route) {
            // The token that may install has installed it already.
            (201, INSTALL) => 200,
            (status, _) => status,
        }),
        ("another user's token", Api::new(acme.user_token(&another).await), |row, _| row.another_user),
        ("the token of another environment's user", Api::new(other.user_token(&stranger).await), |row, _| {
            row.another_user
        }),
        ("the back end's key", acme.backend.clone(), |row, _| row.backend),
        ("a reader's key", Api::new(acme.tenon.key(&acme.id, "read").await), |row, route| {
            if route.starts_with("GET ") && !ISSUING.contains(&route) { row.backend } else { 403 }
        }),
    ];

    let mut wrong = Vec::new();
    for row in ACCESS {
        for (caller, api, expected) in &callers {
            let request = (row.request)(&world);
            let (method, path) = (request.method, request.path(&world));
            let sent = api.request(method, &path);
            let answer = send(match &request.body {
                Some(body) => sent.json(body),
                None => sent,
            })
            .await;
            if answer.status != expected(row, &format!("{method} {}", request.path)) {
                wrong.push(format!("{method} {path} by {caller}: {} {}", answer.status, answer.body));
            }
        }
    }
    for (method, path) in PUBLIC {
        for (caller, api, _) in &callers {
            let answer = send(api.request(method, path)).await;
            // A ticket is required, and nothing else.
            if answer.status != if method == "GET" { 200 } else { 422 } {
                wrong.push(format!("{path} by {caller}: {}", answer.status));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_documented_operation_has_an_authorization_row() {
    let document = functions::api::openapi::document();
    let mut operations = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        operations.extend(methods.as_object().unwrap().keys().map(|method| (method.to_uppercase(), path.clone())));
    }
    let world = World::default();
    let rows = ACCESS.iter().map(|row| (row.request)(&world)).map(|request| (request.method, request.path));
    let rows = rows.chain(PUBLIC);
    let rows: BTreeSet<_> = rows.map(|(method, path)| (method.to_owned(), path.to_owned())).collect();
    assert_eq!(operations, rows, "add a row with the expected statuses for each new operation");
}

/// Returns a client with a token of a user that has these options.
async fn token(acme: &Environment, user: &str, options: serde_json::Value) -> Api {
    Api::new(acme.backend.post(&format!("/users/{user}/token"), options).await.is(200).text("token"))
}

/// Returns a key that was revoked before its first use.
async fn revoked_key(acme: &Environment) -> String {
    let payload = json!({ "environmentId": acme.id, "name": "revoked", "scopes": ["manage"] });
    let made = acme.tenon.invoke("KeysCreate", payload).await.unwrap();
    let revoke = json!({ "environmentId": acme.id, "keyId": made["keyId"] });
    acme.tenon.invoke("KeysRevoke", revoke).await.unwrap();
    made["key"].as_str().unwrap().to_owned()
}

/// Disables a user. Returns a token issued just before.
async fn token_of_disabled(acme: &Environment, user: &str) -> String {
    let token = acme.user_token(user).await;
    acme.disable_user(user).await;
    token
}
