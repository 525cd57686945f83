//! Authorization of every operation of the OpenAPI document for every kind of caller. A new
//! operation needs a row here.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tests::{Answer, Api, Environment, Tenon, bus_settings, example_error, send};
use utoipa::OpenApi;

/// Operation with the expected status for each kind of caller.
struct Row {
    method: &'static str,
    /// Path template of the document.
    path: &'static str,
    body: fn(&World) -> Value,
    /// Back-end key of another environment.
    other: u16,
    engine: u16,
    backend: u16,
    /// Token of the user named by the path or body.
    user: u16,
    /// Token of another user of the environment.
    another_user: u16,
}

/// Kind of caller: its name, its client and its expected status of a row.
type Caller = (&'static str, Api, fn(&Row) -> u16);

/// Ids of the resources in the paths and bodies.
struct World {
    user: String,
    error: String,
    workflow: String,
    destination: String,
    replay: String,
    credential: String,
}

const NO_BODY: fn(&World) -> Value = |_| Value::Null;

fn unique(prefix: &str) -> String {
    format!("{prefix}-{}", tenon::domain::id::UserId::new())
}

#[rustfmt::skip]
const ROWS: &[Row] = &[
    Row { method: "post", path: "/users", body: |_| json!({ "username": unique("user") }),
        other: 201, engine: 403, backend: 201, user: 403, another_user: 403 },
    Row { method: "get", path: "/users/{user}", body: NO_BODY,
        other: 404, engine: 403, backend: 200, user: 200, another_user: 404 },
    Row { method: "get", path: "/users/{user}/token", body: NO_BODY,
        other: 404, engine: 403, backend: 200, user: 403, another_user: 403 },
    Row { method: "post", path: "/users/{user}/token", body: NO_BODY,
        other: 404, engine: 403, backend: 200, user: 403, another_user: 403 },
    Row { method: "post", path: "/workflows", body: |world| json!({ "userId": world.user, "name": unique("workflow") }),
        other: 404, engine: 403, backend: 201, user: 403, another_user: 403 },
    Row { method: "post", path: "/workflows/{workflowId}/errors", body: |_| example_error("Error"),
        other: 404, engine: 202, backend: 202, user: 403, another_user: 403 },
    Row { method: "get", path: "/workflows/{workflowId}/errors", body: NO_BODY,
        other: 404, engine: 403, backend: 200, user: 200, another_user: 404 },
    Row { method: "post", path: "/destinations", body: |_| bus_settings("tenon-test-errors"),
        other: 201, engine: 403, backend: 201, user: 403, another_user: 403 },
    Row { method: "get", path: "/destinations/{destinationId}", body: NO_BODY,
        other: 404, engine: 403, backend: 200, user: 403, another_user: 403 },
    Row { method: "patch", path: "/destinations/{destinationId}", body: |_| json!({ "enabled": false }),
        other: 404, engine: 403, backend: 200, user: 403, another_user: 403 },
    Row { method: "get", path: "/destinations", body: NO_BODY,
        other: 200, engine: 403, backend: 200, user: 403, another_user: 403 },
    Row { method: "post", path: "/destinations/{destinationId}/test", body: NO_BODY,
        other: 404, engine: 403, backend: 200, user: 403, another_user: 403 },
    Row { method: "get", path: "/destinations/{destinationId}/deliveries", body: NO_BODY,
        other: 404, engine: 403, backend: 200, user: 403, another_user: 403 },
    Row { method: "post", path: "/destinations/{destinationId}/rotate-secret", body: NO_BODY,
        other: 404, engine: 403, backend: 409, user: 403, another_user: 403 },
    Row { method: "patch", path: "/destinations/{destinationId}", body: |_| json!({ "enabled": true }),
        other: 404, engine: 403, backend: 200, user: 403, another_user: 403 },
    Row { method: "post", path: "/destinations/{destinationId}/replay", body: |_| json!({ "failed": true }),
        other: 404, engine: 403, backend: 202, user: 403, another_user: 403 },
    Row { method: "get", path: "/replays/{replayId}", body: NO_BODY,
        other: 404, engine: 403, backend: 200, user: 403, another_user: 403 },
    Row { method: "delete", path: "/replays/{replayId}", body: NO_BODY,
        other: 404, engine: 403, backend: 200, user: 403, another_user: 403 },
    // The back end is the last caller.
    Row { method: "delete", path: "/destinations/{destinationId}", body: NO_BODY,
        other: 404, engine: 403, backend: 200, user: 403, another_user: 403 },
    Row { method: "post", path: "/users/batch", body: |_| json!([{ "username": unique("user") }]),
        other: 200, engine: 403, backend: 200, user: 403, another_user: 403 },
    Row { method: "get", path: "/users", body: NO_BODY,
        other: 200, engine: 403, backend: 200, user: 403, another_user: 403 },
    Row { method: "put", path: "/users/{user}", body: |_| json!({}),
        other: 404, engine: 403, backend: 200, user: 403, another_user: 403 },
    Row { method: "patch", path: "/users/{user}", body: |_| json!({}),
        other: 404, engine: 403, backend: 200, user: 403, another_user: 403 },
    Row { method: "post", path: "/users/{user}/credentials",
        body: |_| json!({ "type": "shopify", "name": "Shop", "data": {} }),
        other: 404, engine: 403, backend: 201, user: 403, another_user: 403 },
    Row { method: "get", path: "/users/{user}/credentials", body: NO_BODY,
        other: 404, engine: 403, backend: 200, user: 200, another_user: 404 },
    Row { method: "get", path: "/credentials/users/{user}", body: NO_BODY,
        other: 404, engine: 403, backend: 200, user: 200, another_user: 404 },
    Row { method: "get", path: "/users/{user}/credentials/{credentialId}", body: NO_BODY,
        other: 404, engine: 403, backend: 200, user: 200, another_user: 404 },
    Row { method: "post", path: "/users/{user}/credentials/{credentialId}/reveal", body: NO_BODY,
        other: 403, engine: 200, backend: 403, user: 403, another_user: 403 },
    // The user deletes it before the back end calls.
    Row { method: "delete", path: "/users/{user}/credentials/{credentialId}", body: NO_BODY,
        other: 404, engine: 403, backend: 404, user: 200, another_user: 404 },
    // Only a user token may omit `userId`.
    Row { method: "get", path: "/workflows", body: NO_BODY,
        other: 422, engine: 422, backend: 422, user: 200, another_user: 200 },
    Row { method: "get", path: "/workflows/{workflowId}", body: NO_BODY,
        other: 404, engine: 200, backend: 200, user: 200, another_user: 404 },
    Row { method: "put", path: "/workflows/activate",
        body: |world| json!({ "userId": world.user, "workflowId": world.workflow }),
        other: 404, engine: 403, backend: 200, user: 200, another_user: 404 },
    Row { method: "put", path: "/workflows/deactivate",
        body: |world| json!({ "userId": world.user, "workflowId": world.workflow }),
        other: 404, engine: 403, backend: 200, user: 200, another_user: 404 },
    Row { method: "put", path: "/users/{user}/deactivate-workflows", body: NO_BODY,
        other: 404, engine: 403, backend: 200, user: 403, another_user: 403 },
    Row { method: "delete", path: "/workflows/{workflowId}", body: NO_BODY,
        other: 404, engine: 403, backend: 200, user: 403, another_user: 403 },
    Row { method: "get", path: "/logs", body: NO_BODY,
        other: 200, engine: 403, backend: 200, user: 403, another_user: 403 },
    Row { method: "get", path: "/errors/groups", body: NO_BODY,
        other: 200, engine: 403, backend: 200, user: 403, another_user: 403 },
    Row { method: "get", path: "/errors/{errorId}", body: NO_BODY,
        other: 404, engine: 403, backend: 200, user: 403, another_user: 403 },
    Row { method: "get", path: "/environment", body: NO_BODY,
        other: 200, engine: 403, backend: 200, user: 403, another_user: 403 },
    Row { method: "get", path: "/session", body: NO_BODY,
        other: 403, engine: 403, backend: 403, user: 200, another_user: 200 },
    // Always 202: a user of another environment has no errors here.
    Row { method: "delete", path: "/users/{user}/logs", body: NO_BODY,
        other: 202, engine: 403, backend: 202, user: 403, another_user: 403 },
    // These are last: the user's token is no longer valid after them.
    Row { method: "post", path: "/users/{user}/enable", body: NO_BODY,
        other: 404, engine: 403, backend: 200, user: 403, another_user: 403 },
    Row { method: "post", path: "/users/{user}/disable", body: NO_BODY,
        other: 404, engine: 403, backend: 200, user: 403, another_user: 403 },
    Row { method: "delete", path: "/users/{user}", body: NO_BODY,
        other: 404, engine: 403, backend: 200, user: 403, another_user: 403 },
];

/// Public operations.
const PUBLIC: &[(&str, &str)] = &[("get", "/.well-known/jwks.json"), ("get", "/openapi.json"), ("get", "/console")];

#[tokio::test]
async fn every_operation_returns_the_expected_status_to_each_caller() {
    let tenon = Tenon::deployed().await;
    let (acme, other) = (tenon.environment().await, tenon.environment().await);
    let (user, another) = (acme.create_user("joe@acme.example").await, acme.create_user("jim@acme.example").await);
    let destination = acme.create_bus_destination("tenon-test-errors").await;
    let replay = format!("/destinations/{destination}/replay");
    let workflow = acme.create_workflow(&user, "Orders").await;
    let world = World {
        error: acme.record_error(&workflow, "Error").await,
        workflow,
        replay: acme.backend.post(&replay, json!({ "failed": true })).await.is(202).text("replayId"),
        credential: acme.create_credential(&user, json!({ "token": "shpat_1" })).await,
        destination,
        user: user.clone(),
    };
    let stranger = other.create_user("joe@acme.example").await;
    let disabled = acme.create_user("gone@acme.example").await;
    let callers: Vec<Caller> = vec![
        ("no credential", Api::anonymous(), |_| 401),
        ("a malformed key", Api::new("tn_test_nonsense"), |_| 403),
        ("a malformed token", Api::new("e30.e30.e30"), |_| 403),
        ("a revoked key", Api::new(revoked_key(&acme).await), |_| 403),
        ("a disabled user's token", Api::new(token_of_disabled(&acme, &disabled).await), |_| 403),
        ("another environment's key", other.backend.clone(), |row| row.other),
        ("the engine's key", acme.engine.clone(), |row| row.engine),
        ("the user's token", Api::new(acme.user_token(&user).await), |row| row.user),
        ("another user's token", Api::new(acme.user_token(&another).await), |row| row.another_user),
        ("the token of another environment's user", Api::new(other.user_token(&stranger).await), |row| {
            row.another_user
        }),
        ("the back end's key", acme.backend.clone(), |row| row.backend),
    ];

    let mut wrong = Vec::new();
    for row in ROWS {
        for (caller, api, expected) in &callers {
            let answer = call(api, row, &world).await;
            if answer.status != expected(row) {
                wrong.push(format!("{} {} by {caller}: {} {}", row.method, row.path, answer.status, answer.body));
            }
        }
    }
    for (_, path) in PUBLIC {
        for (caller, api, _) in &callers {
            let answer = api.get(path).await;
            if answer.status != 200 {
                wrong.push(format!("{path} by {caller}: {}", answer.status));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_documented_operation_has_an_authorization_row() {
    let document = serde_json::to_value(functions::api::openapi::Api::openapi()).unwrap();
    let mut operations = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        operations.extend(methods.as_object().unwrap().keys().map(|method| (method.clone(), path.clone())));
    }
    let rows = ROWS.iter().map(|row| (row.method, row.path)).chain(PUBLIC.iter().copied());
    let rows: BTreeSet<_> = rows.map(|(method, path)| (method.to_owned(), path.to_owned())).collect();
    assert_eq!(operations, rows, "add a row with the expected statuses for each new operation");
}

async fn call(api: &Api, row: &Row, world: &World) -> Answer {
    let path = row.path.replace("{user}", &world.user);
    let path = path.replace("{workflowId}", &world.workflow).replace("{destinationId}", &world.destination);
    let path = path
        .replace("{replayId}", &world.replay)
        .replace("{errorId}", &world.error)
        .replace("{credentialId}", &world.credential);
    let request = api.request(&row.method.to_uppercase(), &path);
    match (row.body)(world) {
        Value::Null => send(request).await,
        body => send(request.json(&body)).await,
    }
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
