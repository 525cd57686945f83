//! Handlers called with Lambda events.

use axum::{handler::Handler, response::Response};
use functions::api::{errors, users};
use http::StatusCode;
use serde_json::{Value, json};
use tenon::{
    http::{Endpoint, service},
    start::{FromAws, connect},
    store::users::Users,
};
use tests::{aws, event, faulty_aws::answering, scripted, setting, table_items::load_workflows};
use tower::ServiceExt;

/// Calls a handler with an event. Returns its status and body.
pub(crate) async fn answer<H, T, S>(handler: H, state: &S, event: &Value) -> (StatusCode, Value)
where
    H: Handler<T, S>,
    T: 'static,
    S: Clone + Send + Sync + 'static,
{
    let response = response(handler, state, event).await;
    let (parts, body) = response.into_parts();
    // The local AWS returns the first value of a repeated header only.
    assert_eq!(parts.headers.keys_len(), parts.headers.len(), "a header is repeated: {:?}", parts.headers);
    let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    (parts.status, serde_json::from_slice(&bytes).unwrap())
}

/// Calls a handler with an event. Returns its response.
async fn response<H, T, S>(handler: H, state: &S, event: &Value) -> Response
where
    H: Handler<T, S>,
    T: 'static,
    S: Clone + Send + Sync + 'static,
{
    let request = lambda_http::request::from_reader(event.to_string().as_bytes()).unwrap();
    service(handler, state.clone()).oneshot(request).await.unwrap()
}

/// Returns the event file of a function with another environment, path parameter and body.
pub(super) fn event_of(
    function: &str,
    environment: &str,
    parameter: Option<(&str, &str)>,
    body: Option<Value>,
) -> Value {
    let mut event = event(function);
    event["requestContext"]["authorizer"]["lambda"]["environment"] = json!(environment);
    if let Some((name, value)) = parameter {
        event["pathParameters"][name] = json!(value);
    }
    if let Some(body) = body {
        event["body"] = json!(body.to_string());
    }
    event
}

#[tokio::test]
async fn base_path_does_not_affect_routing() {
    let config = aws(&setting("AWS_ACCESS_KEY_ID")).await;
    let state = connect(&config, Users::from_aws).await.unwrap();
    let environment = tenon::domain::id::EnvironmentId::new().to_string();
    let mut event = event_of("users_create", &environment, None, None);
    event["rawPath"] = json!("/2024-03/users");
    event["requestContext"]["http"]["path"] = json!("/2024-03/users");
    let (status, user) = answer(Endpoint(users::create::create_user), &state, &event).await;
    assert_eq!(status, StatusCode::CREATED, "{user}");

    // The event contains the decoded parameter. Its encoding in the path is irrelevant.
    let mut event = event_of("users_get", &environment, Some(("user", "joe.smoe@acme.example")), None);
    event["rawPath"] = json!("/2024-03/users/joe.smoe%40acme.example");
    let state = connect(&config, Users::from_aws).await.unwrap();
    let (status, found) = answer(Endpoint(users::get::get_user), &state, &event).await;
    assert_eq!((status, &found["userId"]), (StatusCode::OK, &user["userId"]));
}

#[tokio::test]
async fn missing_authorizer_context_and_expired_token_return_401() {
    let state = connect(&aws(&setting("AWS_ACCESS_KEY_ID")).await, Users::from_aws).await.unwrap();
    let mut event = event("users_get");
    let user = event["pathParameters"]["user"].clone();
    let environment = event["requestContext"]["authorizer"]["lambda"]["environment"].clone();
    let now = tenon::domain::timestamp::Timestamp::now().seconds();
    let holder = |exp: i64| json!({ "lambda": { "principal": "user", "environment": environment, "userId": user, "exp": exp.to_string() } });
    for (authorizer, status) in [
        (Value::Null, StatusCode::UNAUTHORIZED),
        (json!({ "lambda": {} }), StatusCode::UNAUTHORIZED),
        (json!({ "lambda": { "principal": "key", "environment": "x", "scopes": "manage" } }), StatusCode::UNAUTHORIZED),
        (holder(now), StatusCode::UNAUTHORIZED),
        (holder(now + 60), StatusCode::NOT_FOUND),
    ] {
        event["requestContext"]["authorizer"] = authorizer;
        assert_eq!(answer(Endpoint(users::get::get_user), &state, &event).await.0, status, "{event}");
    }
}

#[tokio::test]
async fn throttling_returns_503_and_access_denial_returns_500() {
    for (code, status) in [("ThrottlingException", 503), ("AccessDeniedException", 500)] {
        let config =
            scripted(move |_, _| (400, json!({ "__type": code, "message": "of table tenon-Directory" }))).await;
        let state = connect(&config, Users::from_aws).await.unwrap();
        let response = response(Endpoint(users::get::get_user), &state, &event("users_get")).await;
        assert_eq!(response.status(), status);
        assert_eq!(response.headers().contains_key("retry-after"), status == 503);
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        assert!(!String::from_utf8_lossy(&body).contains("tenon-Directory"));
    }
}

#[tokio::test]
async fn errors_that_dynamodb_does_not_store_are_named_for_another_try() {
    let aws = aws(&setting("AWS_ACCESS_KEY_ID")).await;
    let environment = tenon::domain::id::EnvironmentId::new();
    let workflows = load_workflows(&aws, environment, 1).await;
    // Not written by this name, and as if the others were.
    let config = answering(&aws, |operation, body| {
        let puts = body["RequestItems"].as_object().filter(|_| operation == "BatchWriteItem")?;
        let left = |put: &&Value| put["PutRequest"]["Item"]["error"]["S"] == "lost";
        let left = puts.iter().map(|(table, puts)| {
            let puts: Vec<&Value> = puts.as_array().unwrap().iter().filter(left).collect();
            (table.clone(), json!(puts))
        });
        Some((200, json!({ "UnprocessedItems": left.collect::<serde_json::Map<_, _>>() })))
    });
    let state = connect(&config, errors::record::State::from_aws).await.unwrap();
    let error = |text: &str, id: Option<&str>| json!({ "executionId": "e", "blockId": "b", "blockType": "shopify", "error": text, "_id": id });
    let id = tenon::domain::id::ErrorId::new().to_string();
    // The second one repeats the first one, and is not written again.
    let errors = [("kept", Some(&*id)), ("kept", Some(&id)), ("lost", None), ("kept", None), ("lost", None)];
    let body = json!({ "errors": errors.map(|(text, id)| error(text, id)) });
    let workflow = workflows[0].to_string();
    let environment = environment.to_string();
    let event = event_of("errors_record", &environment, Some(("workflowId", &workflow)), Some(body));

    let refused = response(Endpoint(errors::record::record_errors), &state, &event).await;
    assert_eq!(
        (refused.status(), &refused.headers()["retry-after"]),
        (StatusCode::SERVICE_UNAVAILABLE, &"1".parse().unwrap())
    );
    let (status, problem) = answer(Endpoint(errors::record::record_errors), &state, &event).await;
    assert_eq!((status, &problem["type"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("urn:tenon:problem:not-recorded")));
    let pointers = problem["errors"].as_array().unwrap().iter().map(|error| error["pointer"].as_str().unwrap());
    assert_eq!(pointers.collect::<Vec<_>>(), ["/errors/2", "/errors/4"]);
}

#[tokio::test]
async fn users_that_dynamodb_does_not_store_are_named_for_another_try() {
    let config = answering(&aws(&setting("AWS_ACCESS_KEY_ID")).await, |operation, body| {
        let is_lost = operation == "TransactWriteItems" && body.to_string().contains("lost");
        is_lost.then(|| (400, json!({ "__type": "ThrottlingException", "message": "Rate exceeded" })))
    });
    let state = connect(&config, Users::from_aws).await.unwrap();
    // A transaction creates 25 users. The second one has the lost user, and one that shares its
    // fate.
    let mut names: Vec<String> = (0..25).map(|n| format!("user-{n}")).collect();
    names.extend(["user-0", "lost", "kim"].map(str::to_owned));
    let users: Vec<Value> = names.iter().map(|name| json!({ "username": name })).collect();
    let environment = tenon::domain::id::EnvironmentId::new().to_string();
    let event = event_of("users_batch", &environment, None, Some(json!({ "users": users })));

    let (status, problem) = answer(Endpoint(users::batch::create_users), &state, &event).await;
    assert_eq!((status, &problem["type"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("urn:tenon:problem:not-created")));
    let pointers = problem["errors"].as_array().unwrap().iter().map(|error| error["pointer"].as_str().unwrap());
    assert_eq!(pointers.collect::<Vec<_>>(), ["/users/26", "/users/27"]);
}
