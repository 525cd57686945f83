//! Handlers called with Lambda events: their responses and their AWS calls.

use axum::{handler::Handler, response::Response};
use functions::{
    admin::{environments_create, keys_create},
    api::{credentials, destinations, environments, errors, replays, session, users, workflows},
    authorizer,
};
use http::StatusCode;
use serde_json::{Value, json};
use tenon::http::service;
use tests::{Calls, aws, bus_settings, event, example_error, scripted, setting};
use tower::ServiceExt;

/// Calls a handler with an event. Returns its status and body.
async fn answer<H, T, S>(handler: H, state: &S, event: &Value) -> (StatusCode, Value)
where
    H: Handler<T, S>,
    T: 'static,
    S: Clone + Send + Sync + 'static,
{
    let response = response(handler, state, event).await;
    let (parts, body) = response.into_parts();
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
fn event_of(function: &str, environment: &str, parameter: Option<(&str, &str)>, body: Option<Value>) -> Value {
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
async fn endpoints_make_only_their_documented_aws_calls() {
    let (config, calls) = Calls::count(&aws(&setting("AWS_ACCESS_KEY_ID")).await);

    let state = environments_create::state(&config).await.unwrap();
    let payload = json!({ "name": "acme", "kind": "test" });
    let make = || environments_create::create_environment(state.clone(), payload.clone());
    make().await.unwrap();
    calls.take();
    let made = serde_json::to_value(make().await.unwrap()).unwrap();
    assert_eq!(calls.take(), ["Query", "PutItem"]);
    let environment = made["environmentId"].as_str().unwrap();

    let state = keys_create::state(&config).await.unwrap();
    calls.take();
    let payload = json!({ "environmentId": environment, "name": "x", "scopes": ["manage"] });
    let made = serde_json::to_value(keys_create::create_key(state, payload).await.unwrap()).unwrap();
    let key = made["key"].as_str().unwrap();
    assert_eq!(calls.take(), ["GetItem", "TransactWriteItems"]);

    let state = environments::get::state(&config).await.unwrap();
    calls.take();
    let event = event_of("environments_get", environment, None, None);
    let (status, shown) = answer(environments::get::get_environment, &state, &event).await;
    assert_eq!(
        (status, &shown),
        (StatusCode::OK, &json!({ "environmentId": environment, "name": "acme", "kind": "test" }))
    );
    assert_eq!(calls.take(), ["GetItem"]);

    let state = users::create::state(&config).await.unwrap();
    calls.take();
    let event = event_of("users_create", environment, None, None);
    let (status, user) = answer(users::create::create_user, &state, &event).await;
    assert_eq!((status, calls.take()), (StatusCode::CREATED, vec!["TransactWriteItems".to_owned()]), "{user}");
    let user = user["userId"].as_str().unwrap();

    for (reference, expected) in [(user, vec!["GetItem"]), ("joe.smoe@acme.example", vec!["GetItem", "GetItem"])] {
        let event = event_of("users_get", environment, Some(("user", reference)), None);
        let (status, _) = answer(users::get::get_user, &state, &event).await;
        assert_eq!((status, calls.take()), (StatusCode::OK, expected.into_iter().map(str::to_owned).collect()));
    }

    let state = users::update::state(&config).await.unwrap();
    calls.take();
    for (reference, body, expected) in [
        (user, json!({ "fullName": "Joe" }), vec!["GetItem", "TransactWriteItems"]),
        (
            "joe.smoe@acme.example",
            json!({ "metadata": { "a": "1" } }),
            vec!["GetItem", "GetItem", "TransactWriteItems"],
        ),
        (user, json!({}), vec!["GetItem"]),
    ] {
        let event = event_of("users_update", environment, Some(("user", reference)), Some(body));
        let (status, changed) = answer(users::update::update_user, &state, &event).await;
        assert_eq!(
            (status, calls.take()),
            (StatusCode::OK, expected.into_iter().map(str::to_owned).collect()),
            "{changed}"
        );
    }
    let event = event_of("users_list", environment, None, None);
    let (status, _) = answer(users::list::list_users, &state, &event).await;
    assert_eq!((status, calls.take()), (StatusCode::OK, vec!["Query".to_owned(); 4]));
    let thousand: Vec<Value> = (0..1000).map(|n| json!({ "email": format!("{n}@acme.example") })).collect();
    let event = event_of("users_batch", environment, None, Some(json!({ "users": thousand })));
    let (status, batch) = answer(users::batch::create_users, &state, &event).await;
    assert_eq!((status, &batch["invalidUsers"]), (StatusCode::OK, &json!([])));
    assert_eq!(calls.take(), ["TransactWriteItems"; 31]);

    let state = credentials::create::state(&config).await.unwrap();
    calls.take();
    let of_user = Some(("user", user));
    let event = event_of("credentials_create", environment, of_user, None);
    let (status, credential) = answer(credentials::create::create_credential, &state, &event).await;
    assert_eq!(status, StatusCode::CREATED, "{credential}");
    assert_eq!(calls.take(), ["GetItem", "GenerateDataKey", "TransactWriteItems"]);
    let state = credentials::reveal::state(&config).await.unwrap();
    calls.take();
    let mut event = event_of("credentials_reveal", environment, of_user, None);
    event["pathParameters"]["credentialId"] = credential["credentialId"].clone();
    let (status, revealed) = answer(credentials::reveal::reveal_credential, &state, &event).await;
    assert_eq!((status, &revealed["data"]["token"]), (StatusCode::OK, &json!("shpat_example")));
    assert_eq!(calls.take(), ["GetItem", "GetItem", "Decrypt"]);
    let state = credentials::state(&config).await.unwrap();
    calls.take();
    let event = event_of("credentials_list", environment, of_user, None);
    let (status, _) = answer(credentials::list::list_credentials, &state, &event).await;
    assert_eq!((status, calls.take().join(" ")), (StatusCode::OK, "GetItem Query".to_owned()));
    for (method, expected) in [("get", "GetItem GetItem"), ("delete", "GetItem DeleteItem")] {
        let mut event = event_of(&format!("credentials_{method}"), environment, of_user, None);
        event["pathParameters"]["credentialId"] = credential["credentialId"].clone();
        let (status, _) = match method {
            "get" => answer(credentials::get::get_credential, &state, &event).await,
            _ => answer(credentials::delete::delete_credential, &state, &event).await,
        };
        assert_eq!((status, calls.take().join(" ")), (StatusCode::OK, expected.to_owned()));
    }

    let state = users::token::state(&config).await.unwrap();
    assert_eq!(calls.take(), ["GetItem", "Query", "Decrypt"], "the signing key is decrypted at start-up");
    let event = event_of("users_token", environment, Some(("user", user)), None);
    let (status, token) = answer(users::token::create_token, &state, &event).await;
    assert_eq!((status, calls.take()), (StatusCode::OK, vec!["GetItem".to_owned()]), "{token}");

    let state = authorizer::state(&config).await.unwrap();
    assert_eq!(calls.take(), ["GetItem", "Query"], "the public keys are read at start-up");
    let mut request = tests::event("authorizer");
    request["identitySource"] = json!([format!("Bearer {}", token["token"].as_str().unwrap())]);
    let verdict = authorizer::authorize(state.clone(), serde_json::from_value(request.clone()).unwrap()).await.unwrap();
    assert_eq!(serde_json::to_value(verdict).unwrap()["context"]["userId"], user);
    assert_eq!(calls.take(), ["GetItem"]);
    // A token from before its user was disabled stays invalid after the user is enabled again.
    let users = users::status::state(&config).await.unwrap();
    calls.take();
    for route in ["disable", "disable", "enable", "enable"] {
        let mut event = event_of("users_status", environment, Some(("user", user)), None);
        event["requestContext"]["routeKey"] = json!(format!("POST /users/{{user}}/{route}"));
        let (status, changed) = answer(users::status::set_status, &users, &event).await;
        let expected = if route == "disable" { "disabled" } else { "active" };
        assert_eq!((status, &changed["status"]), (StatusCode::OK, &json!(expected)), "{changed}");
        assert_eq!(calls.take(), ["UpdateItem"]);
        let verdict =
            authorizer::authorize(state.clone(), serde_json::from_value(request.clone()).unwrap()).await.unwrap();
        assert_eq!(serde_json::to_value(verdict).unwrap()["isAuthorized"], false, "{route}");
        calls.take();
    }
    calls.take();
    request["identitySource"] = json!([format!("Bearer {key}")]);
    for expected in [vec!["GetItem", "UpdateItem"], vec!["GetItem"]] {
        let verdict =
            authorizer::authorize(state.clone(), serde_json::from_value(request.clone()).unwrap()).await.unwrap();
        assert_eq!(serde_json::to_value(verdict).unwrap()["isAuthorized"], true);
        assert_eq!(calls.take(), expected, "the first use of a day is recorded");
    }
    let typo = format!("{}{}", &key[..key.len() - 1], if key.ends_with('0') { '1' } else { '0' });
    request["identitySource"] = json!([format!("Bearer {typo}")]);
    authorizer::authorize(state, serde_json::from_value(request).unwrap()).await.unwrap();
    assert!(calls.take().is_empty(), "a typo is rejected without a read");

    let state = workflows::create::state(&config).await.unwrap();
    calls.take();
    let event = event_of("workflows_create", environment, None, Some(json!({ "userId": user, "name": "Orders" })));
    let (status, workflow) = answer(workflows::create::create_workflow, &state, &event).await;
    assert_eq!(status, StatusCode::CREATED, "{workflow}");
    assert_eq!(calls.take(), ["GetItem", "TransactWriteItems"]);
    let workflow_id = workflow["workflowId"].as_str().unwrap();
    let workflow = Some(("workflowId", workflow_id));
    let event = event_of("workflows_list", environment, None, None);
    let (status, _) = answer(workflows::list::list_workflows, &state, &event).await;
    assert_eq!((status, calls.take().join(" ")), (StatusCode::OK, "GetItem GetItem Query BatchGetItem".to_owned()));
    let event = event_of("workflows_get", environment, workflow, None);
    let (status, _) = answer(workflows::get::get_workflow, &state, &event).await;
    assert_eq!((status, calls.take().join(" ")), (StatusCode::OK, "GetItem GetItem".to_owned()));
    for (body, expected) in [
        (json!({ "userId": user, "workflowId": workflow_id }), "GetItem UpdateItem"),
        (json!({ "userId": user, "workflowName": "Orders" }), "GetItem GetItem UpdateItem"),
    ] {
        let event = event_of("workflows_activate", environment, None, Some(body));
        let (status, _) = answer(workflows::activate::set_active, &state, &event).await;
        assert_eq!((status, calls.take().join(" ")), (StatusCode::OK, expected.to_owned()));
    }
    let event = event_of("workflows_deactivate_all", environment, Some(("user", user)), None);
    let (status, _) = answer(workflows::deactivate_all::deactivate_workflows, &state, &event).await;
    assert_eq!((status, calls.take().join(" ")), (StatusCode::OK, "GetItem Query UpdateItem".to_owned()));

    let state = session::state(&config).await.unwrap();
    calls.take();
    let mut event = event_of("session", environment, None, None);
    event["requestContext"]["authorizer"]["lambda"]["userId"] = json!(user);
    let (status, session) = answer(session::show_session, &state, &event).await;
    assert_eq!((status, session["workflows"].as_array().unwrap().len()), (StatusCode::OK, 1));
    let mut made = calls.take();
    made.sort();
    assert_eq!(made, ["BatchGetItem", "GetItem", "Query", "Query"]);

    let state = errors::record::state(&config).await.unwrap();
    calls.take();
    let mut given = example_error("given");
    given["_id"] = json!("6155ac246093840013297377");
    for (body, expected) in [
        (example_error("one"), vec!["GetItem", "GetItem", "BatchWriteItem"]),
        (given, vec!["GetItem", "GetItem", "BatchGetItem", "BatchWriteItem"]),
        (
            json!({ "errors": vec![example_error("many"); 100] }),
            vec!["GetItem", "GetItem", "BatchWriteItem", "BatchWriteItem", "BatchWriteItem", "BatchWriteItem"],
        ),
    ] {
        let event = event_of("errors_record", environment, workflow, Some(body));
        let (status, recorded) = answer(errors::record::record_errors, &state, &event).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{recorded}");
        assert_eq!(calls.take(), expected);
    }

    let state = errors::list::state(&config).await.unwrap();
    calls.take();
    let event = event_of("errors_list", environment, workflow, None);
    let page = response(errors::list::list_errors, &state, &event).await;
    assert_eq!((page.status(), calls.take().join(" ")), (StatusCode::OK, "GetItem GetItem Query".to_owned()));

    let state = errors::logs::state(&config).await.unwrap();
    calls.take();
    let whose = [
        (String::new(), [vec!["Query"; 8], vec!["BatchGetItem"]].concat()),
        (format!("userId={user}"), vec!["Query", "BatchGetItem"]),
        ("userId=joe.smoe@acme.example".into(), vec!["GetItem", "Query", "BatchGetItem"]),
        (format!("workflowId={workflow_id}"), vec!["Query"]),
    ];
    for (query, expected) in whose {
        let mut event = event_of("errors_logs", environment, None, None);
        event["rawQueryString"] = json!(query);
        let (status, page) = answer(errors::logs::list_logs, &state, &event).await;
        assert_eq!((status, page["errors"].as_array().unwrap().len()), (StatusCode::OK, 50), "{page}");
        assert_eq!(calls.take(), expected);
    }
    let state = errors::groups::state(&config).await.unwrap();
    calls.take();
    let event = event_of("errors_groups", environment, None, None);
    let (status, groups) = answer(errors::groups::group_errors, &state, &event).await;
    assert_eq!((status, &groups["complete"]), (StatusCode::OK, &json!(true)), "{groups}");
    assert_eq!(calls.take(), [vec!["Query"; 8], vec!["BatchGetItem"]].concat());
    let example = groups["groups"][0]["example"]["_id"].as_str().unwrap();

    let state = destinations::create::state(&config).await.unwrap();
    calls.take();
    let event = event_of("destinations_create", environment, None, Some(bus_settings("tenon-test-errors")));
    let (status, destination) = answer(destinations::create::create_destination, &state, &event).await;
    assert_eq!(status, StatusCode::CREATED, "{destination}");
    assert_eq!(calls.take(), ["DescribeEventBus", "PutEvents", "GenerateDataKey", "TransactWriteItems"]);
    let destination = Some(("destinationId", destination["destinationId"].as_str().unwrap()));

    let state_of_errors = errors::get::state(&config).await.unwrap();
    calls.take();
    let event = event_of("errors_get", environment, Some(("errorId", example)), None);
    let (status, shown) = answer(errors::get::get_error, &state_of_errors, &event).await;
    assert_eq!((status, &shown["deliveries"]), (StatusCode::OK, &json!([])), "{shown}");
    assert_eq!(calls.take(), ["Query", "Query", "Query", "BatchGetItem", "BatchGetItem", "Query"]);

    let webhook = json!({ "type": "webhook", "url": "https://example.com/errors" });
    let event = event_of("destinations_create", environment, None, Some(webhook));
    let (status, webhook) = answer(destinations::create::create_destination, &state, &event).await;
    assert_eq!(status, StatusCode::CREATED, "{webhook}");
    assert_eq!(calls.take(), ["GenerateDataKey", "TransactWriteItems"]);
    let webhook = Some(("destinationId", webhook["destinationId"].as_str().unwrap()));
    let event = event_of("destinations_rotate_secret", environment, webhook, None);
    let (status, rotated) = answer(destinations::rotate_secret::rotate_secret, &state, &event).await;
    assert_eq!(status, StatusCode::OK, "{rotated}");
    assert_eq!(calls.take(), ["GetItem", "GetItem", "GenerateDataKey", "PutItem"]);

    let state = destinations::patch::state(&config).await.unwrap();
    calls.take();
    for (body, expected) in [
        (json!({ "filter": { "blockType": ["shopify"] } }), vec!["GetItem", "GetItem", "PutItem"]),
        (
            json!({ "filter": { "userId": ["joe.smoe@acme.example"] } }),
            vec!["GetItem", "GetItem", "GetItem", "PutItem"],
        ),
        (json!({ "enabled": false }), vec!["GetItem", "GetItem", "PutItem"]),
        (json!({ "enabled": true }), vec!["GetItem", "GetItem", "UpdateItem", "PutItem"]),
        (
            json!({ "eventBusName": "tenon-test-x" }),
            vec!["GetItem", "GetItem", "Decrypt", "DescribeEventBus", "PutEvents", "UpdateItem", "PutItem"],
        ),
    ] {
        let event = event_of("destinations_patch", environment, destination, Some(body));
        let (status, patched) = answer(destinations::patch::patch_destination, &state, &event).await;
        assert_eq!(status, StatusCode::OK, "{patched}");
        assert_eq!(calls.take(), expected, "{patched}");
    }

    let state = destinations::test::state(&config).await.unwrap();
    calls.take();
    let event = event_of("destinations_test", environment, destination, None);
    for expected in [vec!["GetItem", "Decrypt", "PutEvents"], vec!["GetItem", "PutEvents"]] {
        let (status, tested) = answer(destinations::test::test_destination, &state, &event).await;
        assert_eq!((status, &tested["delivered"]), (StatusCode::OK, &json!(true)));
        assert_eq!(calls.take(), expected);
    }

    let state = destinations::deliveries::state(&config).await.unwrap();
    calls.take();
    let event = event_of("destinations_deliveries", environment, destination, None);
    let (status, page) = answer(destinations::deliveries::list_deliveries, &state, &event).await;
    assert_eq!((status, &page["data"]), (StatusCode::OK, &json!([])));
    assert_eq!(calls.take(), [vec!["GetItem"], vec!["Query"; 8]].concat());

    let state = destinations::replay::state(&config).await.unwrap();
    calls.take();
    let event = event_of("destinations_replay", environment, destination, None);
    let (status, replay) = answer(destinations::replay::start_replay, &state, &event).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{replay}");
    assert_eq!(calls.take(), ["GetItem", "PutItem", "SendMessage"]);
    let replay = Some(("replayId", replay["replayId"].as_str().unwrap()));
    let state = replays::state(&config).await.unwrap();
    calls.take();
    let event = event_of("replays_get", environment, replay, None);
    let (status, shown) = answer(replays::get::get_replay, &state, &event).await;
    assert_eq!((status, &shown["status"]), (StatusCode::OK, &json!("running")));
    assert_eq!(calls.take(), ["GetItem"]);
    let event = event_of("replays_cancel", environment, replay, None);
    let (status, shown) = answer(replays::cancel::cancel_replay, &state, &event).await;
    assert_eq!((status, &shown["status"]), (StatusCode::OK, &json!("cancelled")));
    assert_eq!(calls.take(), ["UpdateItem"]);

    let state = destinations::get::state(&config).await.unwrap();
    calls.take();
    let event = event_of("destinations_get", environment, destination, None);
    let (status, _) = answer(destinations::get::get_destination, &state, &event).await;
    assert_eq!((status, calls.take().join(" ")), (StatusCode::OK, "GetItem GetItem".to_owned()));
    let event = event_of("destinations_list", environment, None, None);
    let (status, _) = answer(destinations::list::list_destinations, &state, &event).await;
    assert_eq!((status, calls.take().join(" ")), (StatusCode::OK, "Query".to_owned()));
    let state = destinations::delete::state(&config).await.unwrap();
    calls.take();
    let event = event_of("destinations_delete", environment, destination, None);
    let (status, _) = answer(destinations::delete::delete_destination, &state, &event).await;
    assert_eq!((status, calls.take().join(" ")), (StatusCode::OK, "TransactWriteItems".to_owned()));

    let state = workflows::state(&config).await.unwrap();
    calls.take();
    let event = event_of("workflows_delete", environment, workflow, None);
    let (status, _) = answer(workflows::delete::delete_workflow, &state, &event).await;
    assert_eq!((status, calls.take().join(" ")), (StatusCode::OK, "GetItem GetItem TransactWriteItems".to_owned()));
    let state = users::delete::state(&config).await.unwrap();
    calls.take();
    for (reference, expected) in [(user, vec!["PutItem"]), ("joe.smoe@acme.example", vec!["GetItem", "PutItem"])] {
        let event = event_of("users_erase_logs", environment, Some(("user", reference)), None);
        let (status, erased) = answer(users::erase_logs::erase_logs, &state, &event).await;
        assert_eq!((status, &erased["success"]), (StatusCode::ACCEPTED, &json!(true)));
        assert_eq!(calls.take(), expected);
    }
    let event = event_of("users_delete", environment, Some(("user", user)), None);
    let (status, _) = answer(users::delete::delete_user, &state, &event).await;
    assert_eq!((status, calls.take().join(" ")), (StatusCode::OK, "GetItem TransactWriteItems".to_owned()));
}

#[tokio::test]
async fn base_path_does_not_affect_routing() {
    let state = users::create::state(&aws(&setting("AWS_ACCESS_KEY_ID")).await).await.unwrap();
    let environment = tenon::domain::id::EnvironmentId::new().to_string();
    let mut event = event_of("users_create", &environment, None, None);
    event["rawPath"] = json!("/2024-03/users");
    event["requestContext"]["http"]["path"] = json!("/2024-03/users");
    let (status, user) = answer(users::create::create_user, &state, &event).await;
    assert_eq!(status, StatusCode::CREATED, "{user}");

    // The event contains the decoded parameter. Its encoding in the path is irrelevant.
    let mut event = event_of("users_get", &environment, Some(("user", "joe.smoe@acme.example")), None);
    event["rawPath"] = json!("/2024-03/users/joe.smoe%40acme.example");
    let (status, found) = answer(users::get::get_user, &state, &event).await;
    assert_eq!((status, &found["userId"]), (StatusCode::OK, &user["userId"]));
}

#[tokio::test]
async fn missing_authorizer_context_and_expired_token_return_401() {
    let state = users::get::state(&aws(&setting("AWS_ACCESS_KEY_ID")).await).await.unwrap();
    let mut event = event("users_get");
    let user = event["pathParameters"]["user"].clone();
    let environment = event["requestContext"]["authorizer"]["lambda"]["environment"].clone();
    let now = tenon::domain::timestamp::Timestamp::now().seconds();
    let holder =
        |exp: i64| json!({ "lambda": { "principal": "user", "environment": environment, "userId": user, "exp": exp } });
    for (authorizer, status) in [
        (Value::Null, StatusCode::UNAUTHORIZED),
        (json!({ "lambda": {} }), StatusCode::UNAUTHORIZED),
        (json!({ "lambda": { "principal": "key", "environment": "x", "scopes": "manage" } }), StatusCode::UNAUTHORIZED),
        (holder(now), StatusCode::UNAUTHORIZED),
        (holder(now + 60), StatusCode::NOT_FOUND),
    ] {
        event["requestContext"]["authorizer"] = authorizer;
        assert_eq!(answer(users::get::get_user, &state, &event).await.0, status, "{event}");
    }
}

#[tokio::test]
async fn throttling_returns_503_and_access_denial_returns_500() {
    for (code, status) in [("ThrottlingException", 503), ("AccessDeniedException", 500)] {
        let config =
            scripted(move |_, _| (400, json!({ "__type": code, "message": "of table tenon-Directory" }))).await;
        let state = users::get::state(&config).await.unwrap();
        let response = response(users::get::get_user, &state, &event("users_get")).await;
        assert_eq!(response.status(), status);
        assert_eq!(response.headers().contains_key("retry-after"), status == 503);
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        assert!(!String::from_utf8_lossy(&body).contains("tenon-Directory"));
    }
}
