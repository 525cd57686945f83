//! The `Idempotency-Key` header: a repeated request runs once, even after a crash in between.

use std::{fmt::Display, sync::atomic::Ordering, time::Duration};

use aws_config::SdkConfig;
use aws_sdk_dynamodb::types::AttributeValue;
use axum::handler::Handler;
use base64::{Engine, prelude::BASE64_STANDARD};
use functions::{
    api::{credentials, destinations, errors, users, workflows},
    workers::user_jobs,
};
use lambda_http::RequestExt;
use serde_json::{Value, json};
use tenon::{
    domain::{
        id::{EnvironmentId, ErrorId, ObjectId, UserId},
        names::{Names, UserRef},
        request_seed::RequestSeed,
        timestamp::Timestamp,
        user::{Metadata, NewUser, User},
    },
    http::{Endpoint, EndpointArguments, Idempotent, idempotent_service},
    start::{Aws, FromAws, connect},
    store::{
        PageRequest, Table,
        credentials::Credentials,
        destinations::Destinations,
        erasures::{Erasure, Erasures},
        errors::{ErrorQuery, Errors},
        record_pages::Window,
        retention::Retention,
        user_jobs::UserJob,
        users::Users,
        workflows::Workflows,
    },
};
use tests::{
    Answer, Api, Calls, Environment, Tenon, aws,
    crash::Crash,
    event,
    events::{deletion_of, outbox},
    eventually, example_error,
    faulty_aws::failing,
    keys, send, setting,
    table_items::{Item, contains, load},
    webhook_receiver::Receiver,
};
use tower::ServiceExt;

/// Sends a POST request with an idempotency key.
async fn post(api: &Api, path: &str, key: &str, body: &Value) -> Answer {
    send(api.request("POST", path).header("idempotency-key", key).json(body)).await
}

/// Returns a path, a body and a different body for every endpoint that creates something.
async fn creations(acme: &Environment) -> Vec<(String, Value, Value)> {
    let user = acme.create_user("owner@acme.example").await;
    let workflow = acme.create_workflow(&user, "Workflow").await;
    let (destination, _) = acme.create_webhook(&Receiver::new().await.url).await;
    vec![
        ("/users".into(), json!({ "email": "joe@acme.example" }), json!({ "email": "jim@acme.example" })),
        ("/users/batch".into(), json!([{ "username": "a" }, { "email": "OWNER@acme.example" }]), json!([{}])),
        (
            format!("/users/{user}/credentials"),
            json!({ "type": "shopify", "name": "Shop", "data": { "token": "shpat_6f1c2b9a7d3e4f51" } }),
            json!({ "type": "shopify", "name": "Shop", "data": { "token": "shpat_other" } }),
        ),
        (
            "/workflows".into(),
            json!({ "userId": user, "name": "Orders" }),
            json!({ "userId": user, "name": "Customers" }),
        ),
        (format!("/workflows/{workflow}/errors"), example_error("once"), example_error("twice")),
        (
            "/destinations".into(),
            json!({ "type": "webhook", "url": "http://127.0.0.1:9/" }),
            json!({ "type": "webhook", "url": "http://127.0.0.1:10/" }),
        ),
        (
            format!("/destinations/{destination}/replay"),
            json!({ "failed": true }),
            json!({ "errorIds": ["0".repeat(24)] }),
        ),
    ]
}

#[tokio::test]
async fn repeated_key_replays_response_and_rejects_other_body() {
    let acme = Tenon::deployed().await.environment().await;
    for (path, body, other) in creations(&acme).await {
        let first = post(&acme.backend, &path, "key-1", &body).await;
        assert!((200..300).contains(&first.status), "{path}: {first:?}");
        for _ in 0..2 {
            let again = post(&acme.backend, &path, "key-1", &body).await;
            assert_eq!((again.status, &again.body), (first.status, &first.body), "{path}");
            for header in ["location", "cache-control", "content-type"] {
                assert_eq!(again.header(header), first.header(header), "{path}");
            }
        }
        post(&acme.backend, &path, "key-1", &other).await.is_problem(422, "idempotency-key-reused");
        // Another key is another request.
        let second = post(&acme.backend, &path, "key-2", &body).await;
        assert_ne!(second.body, first.body, "{path}");
    }
}

#[tokio::test]
async fn idempotency_key_is_scoped_to_api_key_and_path() {
    let acme = Tenon::deployed().await.environment().await;
    let user = acme.create_user("joe@acme.example").await;
    let workflows = [acme.create_workflow(&user, "Orders").await, acme.create_workflow(&user, "Customers").await];
    let body = example_error("once");
    let mut ids = Vec::new();
    for (api, workflow) in [(&acme.engine, 0), (&acme.backend, 0), (&acme.engine, 1), (&acme.engine, 0)] {
        let answer = post(api, &format!("/workflows/{}/errors", workflows[workflow]), "key", &body).await.is(202);
        ids.push(answer.body["ids"][0].as_str().unwrap().to_owned());
    }
    assert_eq!(ids[0], ids[3]);
    assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2], "{ids:?}");
    assert_eq!((acme.error_texts(&workflows[0]).await.len(), acme.error_texts(&workflows[1]).await.len()), (2, 1));
    for key in ["", &"k".repeat(256), "käse", "a\tb"] {
        let request = acme.backend.request("POST", "/users").header("idempotency-key", key.as_bytes());
        let refused = send(request.json(&json!({ "username": "x" }))).await;
        refused.is_problem(422, "validation").names(&["/Idempotency-Key"]);
        let request = acme.backend.request("POST", "/users").header("idempotency-key", key.as_bytes());
        let refused = send(request.json(&json!({ "email": "x" }))).await.is_problem(422, "validation");
        refused.names(&["/Idempotency-Key", "/email"]);
    }
    post(&acme.backend, "/users", &"k".repeat(255), &json!({ "username": "x" })).await.is(201);
}

#[tokio::test]
async fn concurrent_requests_with_one_key_run_once() {
    let acme = Tenon::deployed().await.environment().await;
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let api = acme.backend.clone();
        running.spawn(async move { post(&api, "/users", "key", &json!({ "email": "joe@acme.example" })).await });
    }
    let answers = running.join_all().await;
    let first = answers.iter().find(|answer| answer.status == 201).unwrap();
    for answer in &answers {
        match answer.status {
            201 => assert_eq!(answer.body, first.body),
            _ => drop(answer.clone().is_problem(409, "idempotency-key-in-progress")),
        }
    }
    let again = post(&acme.backend, "/users", "key", &json!({ "email": "joe@acme.example" })).await.is(201);
    assert_eq!(again.body, first.body);
    eventually("one user is listed", async || {
        (acme.backend.get("/users").await.is(200).body["data"].as_array().unwrap().len() == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn failed_requests_are_not_stored() {
    let acme = Tenon::deployed().await.environment().await;
    acme.create_user("joe@acme.example").await;
    post(&acme.backend, "/users", "key", &json!({ "email": "x" })).await.is_problem(422, "validation");
    post(&acme.backend, "/users", "key", &json!({ "email": "joe@acme.example" })).await.is_problem(409, "user-exists");
    post(&acme.backend, "/users", "key", &json!({ "email": "jim@acme.example" })).await.is(201);
}

#[tokio::test]
async fn stored_response_is_encrypted_and_may_exceed_an_item() {
    let acme = Tenon::deployed().await.environment().await;
    let webhook = json!({ "type": "webhook", "url": "http://127.0.0.1:9/" });
    let secret = post(&acme.backend, "/destinations", "key", &webhook).await.is(201).text("secret");
    let again = post(&acme.backend, "/destinations", "key", &webhook).await.is(201);
    assert_eq!((again.text("secret"), again.header("cache-control")), (secret.clone(), "no-store"));
    let items = stored_records(&acme).await;
    assert!(items.len() == 1 && !contains(&items[0], &secret), "{items:?}");
    assert!(format!("{items:?}").contains("sealed"), "{items:?}");

    let noise = |_| BASE64_STANDARD.encode((0..600).map(|_| rand::random()).collect::<Vec<u8>>());
    let users: Vec<Value> =
        (0..1000).map(|n| json!({ "username": format!("user-{n}"), "metadata": { "noise": noise(n) } })).collect();
    let first = post(&acme.backend, "/users/batch", "key", &json!(users)).await.is(200);
    assert!(stored_records(&acme).await.len() > 2, "the response is stored in several items");
    let again = post(&acme.backend, "/users/batch", "key", &json!(users)).await.is(200);
    assert!(first.body == again.body);
}

#[tokio::test]
async fn key_is_remembered_for_24_hours() {
    let acme = Tenon::deployed().await.environment().await;
    let before = Timestamp::now().seconds();
    post(&acme.backend, "/users", "key", &json!({ "username": "joe" })).await.is(201);
    let [record] = &stored_records(&acme).await[..] else { panic!("one record") };
    let expires_at: i64 = record["expiresAt"].as_n().unwrap().parse().unwrap();
    let remembered = before + 24 * 3600..=Timestamp::now().seconds() + 24 * 3600;
    assert!(remembered.contains(&expires_at), "{expires_at} {remembered:?}");

    post(&acme.backend, "/users", "key", &json!({ "username": "jim" })).await.is_problem(422, "idempotency-key-reused");
    // DynamoDB can delete an expired record days later.
    aws_sdk_dynamodb::Client::new(&acme.tenon.aws)
        .update_item()
        .table_name(setting("TENON_STACK_DirectoryTable"))
        .key("pk", record["pk"].clone())
        .key("sk", record["sk"].clone())
        .update_expression("SET expiresAt = :now")
        .expression_attribute_values(":now", AttributeValue::N(before.to_string()))
        .send()
        .await
        .unwrap();
    post(&acme.backend, "/users", "key", &json!({ "username": "jim" })).await.is(201);
}

#[tokio::test]
async fn repetition_after_a_failure_of_aws_creates_the_resource_once() {
    let (config, fails) = failing(&aws(&setting("AWS_ACCESS_KEY_ID")).await, "TransactWriteItems");
    let state = started::<Users>(&config).await;
    let environment = EnvironmentId::new();
    let create = || answer(users::create::create_user, &state, request("users_create", environment, |_| {}));
    for _ in 0..2 {
        let (status, failed) = create().await;
        assert!(status >= 500, "{status} {failed}");
    }
    fails.store(false, Ordering::SeqCst);
    let (status, created) = create().await;
    assert_eq!(status, 201, "{created}");
    assert_eq!(create().await, (201, created));
}

/// Returns the idempotency records of an environment.
async fn stored_records(acme: &Environment) -> Vec<Item> {
    records_of(&acme.tenon.aws, "TENON_STACK_DirectoryTable", &acme.id).await
}

/// Returns the idempotency records of an environment in a table.
async fn records_of(aws: &SdkConfig, table: &str, environment: impl Display) -> Vec<Item> {
    let mut scanned = aws_sdk_dynamodb::Client::new(aws)
        .scan()
        .table_name(setting(table))
        .filter_expression("begins_with(pk, :idempotency)")
        .expression_attribute_values(":idempotency", keys::attribute(keys::idempotency_prefix(environment)))
        .into_paginator()
        .items()
        .send();
    let mut found = Vec::new();
    while let Some(item) = scanned.next().await {
        found.push(item.unwrap());
    }
    found
}

/// Returns the request of an event file in an environment, with an expired function deadline.
fn request(function: &str, environment: EnvironmentId, change: impl Fn(&mut Value)) -> lambda_http::Request {
    let mut event = event(function);
    event["requestContext"]["authorizer"]["lambda"]["environment"] = json!(environment);
    event["headers"]["idempotency-key"] = json!("key");
    change(&mut event);
    let mut context = lambda_http::Context::default();
    context.deadline = (Timestamp::now() - Duration::from_secs(1)).milliseconds() as u64;
    lambda_http::request::from_reader(event.to_string().as_bytes()).unwrap().with_lambda_context(context)
}

/// Creates the state of a function whose responses contain no secrets.
async fn started<S: FromAws>(config: &SdkConfig) -> Idempotent<S> {
    connect(config, async |aws: &Aws| Idempotent::from_aws(aws, None).await).await.unwrap()
}

/// Calls a handler with idempotency. Returns the status and body.
async fn answer<H, T, S>(handler: H, state: &Idempotent<S>, request: lambda_http::Request) -> (u16, Value)
where
    H: Clone,
    Endpoint<H>: Handler<T, S>,
    T: EndpointArguments + 'static,
    S: Clone + Send + Sync + 'static,
{
    let response = idempotent_service(Endpoint(handler), state.clone()).oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    (parts.status.as_u16(), serde_json::from_slice(&bytes).unwrap())
}

/// Crashes a handler before and after each of its AWS calls and repeats the request. The repeated
/// request succeeds, and `made` counts the expected number of created items.
async fn assert_survives_crashes<H, T, S, R>(
    handler: H,
    state: (&Idempotent<S>, &Crash),
    prepare: impl AsyncFn(EnvironmentId) -> R,
    made: impl AsyncFn(EnvironmentId, &Value) -> usize,
    expected: usize,
) where
    H: Clone,
    Endpoint<H>: Handler<T, S>,
    T: EndpointArguments + 'static,
    S: Clone + Send + Sync + 'static,
    R: Fn() -> lambda_http::Request,
{
    let (state, crash) = state;
    for call in 0.. {
        let mut finished = 0;
        for after_call in [false, true] {
            let environment = EnvironmentId::new();
            let request = prepare(environment).await;
            if crash.at(call, after_call, answer(handler.clone(), state, request())).await.is_some() {
                finished += 1;
            }
            let (status, repeated) = answer(handler.clone(), state, request()).await;
            assert!((200..300).contains(&status), "{call} {after_call}: {repeated}");
            assert_eq!(made(environment, &repeated).await, expected, "{call} {after_call}: {repeated}");
            assert_eq!(answer(handler.clone(), state, request()).await, (status, repeated), "{call} {after_call}");
        }
        if finished == 2 {
            assert!(call >= 3, "the handler crashed {call} times");
            return;
        }
    }
}

/// Counter of stored items.
struct ItemCounter(aws_sdk_dynamodb::Client);

impl ItemCounter {
    fn new(config: &SdkConfig) -> Self {
        Self(aws_sdk_dynamodb::Client::new(config))
    }

    /// Counts the items of a partition whose sort key has a prefix.
    async fn items(&self, table: &str, pk: String, sk: &str) -> usize {
        let query =
            self.0.query().table_name(setting(table)).key_condition_expression("pk = :pk AND begins_with(sk, :sk)");
        let query = query.expression_attribute_values(":pk", AttributeValue::S(pk));
        let query = query.expression_attribute_values(":sk", AttributeValue::S(sk.to_owned()));
        query.send().await.unwrap().items.unwrap().len()
    }

    /// Counts the listed users of an environment.
    async fn users(&self, environment: EnvironmentId) -> usize {
        let mut count = 0;
        for shard in 0..keys::USER_SHARDS {
            let query = self.0.query().table_name(setting("DIRECTORY_TABLE")).index_name("listing");
            let pk = keys::attribute(keys::listed_users(environment, shard));
            let query = query.key_condition_expression("listPk = :pk").expression_attribute_values(":pk", pk);
            count += query.send().await.unwrap().items.unwrap().len();
        }
        count
    }
}

/// Creates a user and a workflow. Returns their ids.
async fn user_and_workflow(config: &SdkConfig, environment: EnvironmentId) -> (String, String) {
    let state = started::<Users>(config).await;
    let (_, user) = answer(users::create::create_user, &state, request("users_create", environment, |_| {})).await;
    let user = user["userId"].as_str().unwrap().to_owned();
    let state = started::<workflows::ChangeState>(config).await;
    let body = json!({ "userId": user, "name": "Orders" }).to_string();
    let request = request("workflows_create", environment, |event| {
        event["headers"]["idempotency-key"] = json!("preparation");
        event["body"] = json!(body);
    });
    let (_, workflow) = answer(workflows::create::create_workflow, &state, request).await;
    (user, workflow["workflowId"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn retry_after_crash_at_any_aws_call_completes_the_request() {
    let config = aws(&setting("AWS_ACCESS_KEY_ID")).await;
    let (mortal, crash) = Crash::wrap(&config);
    let counter = ItemCounter::new(&config);

    let state = started::<Users>(&mortal).await;
    assert_survives_crashes(
        users::create::create_user,
        (&state, &crash),
        async |environment| move || request("users_create", environment, |_| {}),
        async |environment, user| {
            let pk = keys::user(environment, user["userId"].as_str().unwrap());
            counter.users(environment).await + counter.items("DIRECTORY_TABLE", pk, "user").await
        },
        2,
    )
    .await;

    assert_survives_crashes(
        users::batch::create_users,
        (&state, &crash),
        async |environment| {
            let users: Vec<Value> = (0..40).map(|n| json!({ "email": format!("{n}@acme.example") })).collect();
            let body = json!(users).to_string();
            move || request("users_batch", environment, |event| event["body"] = json!(body))
        },
        async |environment, answer| {
            assert_eq!(answer["invalidUsers"], json!([]), "the retry recognizes its own users");
            counter.users(environment).await
        },
        40,
    )
    .await;

    let state = started::<credentials::ChangeStateWithVault>(&mortal).await;
    assert_survives_crashes(
        credentials::create::create_credential,
        (&state, &crash),
        async |environment| {
            let (user, _) = user_and_workflow(&config, environment).await;
            move || request("credentials_create", environment, |event| event["pathParameters"]["user"] = json!(user))
        },
        async |environment, credential| {
            let pk = keys::user(environment, credential["userId"].as_str().unwrap());
            counter.items("DIRECTORY_TABLE", pk, &keys::credential("")).await
        },
        1,
    )
    .await;

    let state = started::<workflows::ChangeState>(&mortal).await;
    assert_survives_crashes(
        workflows::create::create_workflow,
        (&state, &crash),
        async |environment| {
            let (user, _) = user_and_workflow(&config, environment).await;
            let body = json!({ "userId": user, "name": "Customers" }).to_string();
            move || request("workflows_create", environment, |event| event["body"] = json!(body))
        },
        async |environment, workflow| {
            let pk = keys::user(environment, workflow["userId"].as_str().unwrap());
            counter.items("DIRECTORY_TABLE", pk, &keys::workflow_name("")).await
        },
        2,
    )
    .await;

    let state = started::<errors::record::State>(&mortal).await;
    assert_survives_crashes(
        errors::record::record_errors,
        (&state, &crash),
        async |environment| {
            let (_, workflow) = user_and_workflow(&config, environment).await;
            let body = json!({ "errors": vec![example_error("many"); 40] }).to_string();
            move || {
                request("errors_record", environment, |event| {
                    event["pathParameters"]["workflowId"] = json!(workflow);
                    event["body"] = json!(body);
                })
            }
        },
        async |environment, recorded| {
            // Counts by environment, since the workflow is not known here.
            let mut count = 0;
            for shard in 0..keys::ERROR_SHARDS {
                let query = counter.0.query().table_name(setting("ERRORS_TABLE")).index_name("by-environment");
                let pk = keys::attribute(keys::listed_errors(environment, shard));
                let query =
                    query.key_condition_expression("environmentPk = :pk").expression_attribute_values(":pk", pk);
                let found = query.send().await.unwrap().items.unwrap();
                let ids = recorded["ids"].as_array().unwrap();
                assert!(found.iter().all(|error| ids.contains(&json!(error["sk"].as_s().unwrap()))));
                count += found.len();
            }
            count
        },
        40,
    )
    .await;

    let encrypted = async |aws: &Aws| Idempotent::<destinations::State>::from_aws(aws, Some("DESTINATIONS_KEY")).await;
    let state = connect(&mortal, encrypted).await.unwrap();
    assert_survives_crashes(
        destinations::create::create_destination,
        (&state, &crash),
        async |environment| {
            let body = json!({ "type": "webhook", "url": "https://example.com/errors" }).to_string();
            move || request("destinations_create", environment, |event| event["body"] = json!(body))
        },
        async |environment, destination| {
            assert!(destination["secret"].as_str().unwrap().starts_with("whsec_"));
            counter.items("DIRECTORY_TABLE", keys::destinations(environment), &keys::destination("")).await
        },
        1,
    )
    .await;

    let replaying = started::<destinations::replay::State>(&mortal).await;
    assert_survives_crashes(
        destinations::replay::start_replay,
        (&replaying, &crash),
        async |environment| {
            let body = json!({ "type": "webhook", "url": "https://example.com/errors" }).to_string();
            let creating = request("destinations_create", environment, |event| event["body"] = json!(body));
            let (_, destination) = answer(destinations::create::create_destination, &state, creating).await;
            let destination = destination["destinationId"].clone();
            move || {
                request("destinations_replay", environment, |event| {
                    event["pathParameters"]["destinationId"] = destination.clone();
                })
            }
        },
        async |environment, _| counter.items("DIRECTORY_TABLE", keys::replays(environment), &keys::replay("")).await,
        1,
    )
    .await;
}

#[tokio::test]
async fn idempotency_adds_two_aws_calls_and_replay_takes_one() {
    let (config, calls) = Calls::count(&aws(&setting("AWS_ACCESS_KEY_ID")).await);
    let state = started::<Users>(&config).await;
    let environment = EnvironmentId::new();
    calls.take();
    for expected in [vec!["PutItem", "TransactWriteItems", "UpdateItem"], vec!["PutItem"]] {
        let (status, _) =
            answer(users::create::create_user, &state, request("users_create", environment, |_| {})).await;
        assert_eq!((status, calls.take()), (201, expected.into_iter().map(str::to_owned).collect()));
    }
}

#[tokio::test]
async fn key_in_progress_conflicts_until_the_function_times_out() {
    let config = aws(&setting("AWS_ACCESS_KEY_ID")).await;
    let (mortal, crash) = Crash::wrap(&config);
    let state = started::<Users>(&mortal).await;
    let environment = EnvironmentId::new();
    let lasting = |seconds: u64| {
        let mut context = lambda_http::Context::default();
        context.deadline = (Timestamp::now() + Duration::from_secs(seconds)).milliseconds() as u64;
        request("users_create", environment, |_| {}).with_lambda_context(context)
    };
    assert!(crash.at(1, false, answer(users::create::create_user, &state, lasting(60))).await.is_none());
    let (status, refused) = answer(users::create::create_user, &state, lasting(60)).await;
    assert_eq!((status, &refused["type"]), (409, &json!("urn:tenon:problem:idempotency-key-in-progress")));
    // The deadline of the first one passes.
    let mut claims = records_of(&config, "DIRECTORY_TABLE", environment).await;
    for claim in &mut claims {
        let past = Timestamp::now() - Duration::from_secs(1);
        assert!(claim.insert("claimExpiresAt".into(), AttributeValue::S(past.to_string())).is_some());
    }
    load(&config, &setting("DIRECTORY_TABLE"), claims).await;
    assert_eq!(answer(users::create::create_user, &state, lasting(60)).await.0, 201);
}

#[tokio::test]
async fn repetition_never_revives_a_deleted_resource() {
    let config = aws(&setting("AWS_ACCESS_KEY_ID")).await;
    let (mortal, crash) = Crash::wrap(&config);
    let directory = || Table::new(&config, setting("DIRECTORY_TABLE"));
    let environment = EnvironmentId::new();

    // The process of each creation crashes after its transaction, before the response is stored.
    let state = started::<Users>(&mortal).await;
    let create = || answer(users::create::create_user, &state, request("users_create", environment, |_| {}));
    assert!(crash.at(1, true, create()).await.is_none());
    let (users, joe): (Users, UserRef) = (Users(directory()), "joe.smoe@acme.example".parse().unwrap());
    let gone = users.find(environment, &joe).await.unwrap().unwrap();
    let outbox = outbox(&config);
    users.delete(&gone, &deletion_of(environment, &gone), outbox.prepare(&[]).unwrap()).await.unwrap();
    let (status, repeated) = create().await;
    assert_eq!((status, &repeated["userId"]), (201, &json!(gone.user_id)), "{repeated}");
    assert!(users.get(environment, gone.user_id).await.unwrap().is_none());
    assert!(users.find(environment, &joe).await.unwrap().is_none(), "its names stay free");

    let environment = EnvironmentId::new();
    let (user, _) = user_and_workflow(&config, environment).await;
    let owner: UserId = user.parse().unwrap();
    let state = started::<workflows::ChangeState>(&mortal).await;
    let body = json!({ "userId": user, "name": "Revived" }).to_string();
    let create = || {
        let request = request("workflows_create", environment, |event| event["body"] = json!(body));
        answer(workflows::create::create_workflow, &state, request)
    };
    assert!(crash.at(2, true, create()).await.is_none());
    let workflows = Workflows(directory());
    let name = "Revived".parse().unwrap();
    let id = workflows.id_by_name(environment, owner, &name).await.unwrap().unwrap();
    let (gone, _) = workflows.find_with_owner(environment, None, id).await.unwrap().unwrap();
    assert!(workflows.delete(environment, &gone, outbox.prepare(&[]).unwrap()).await.unwrap());
    let (status, repeated) = create().await;
    assert_eq!((status, &repeated["workflowId"]), (201, &json!(id)), "{repeated}");
    assert_eq!(workflows.id_by_name(environment, owner, &name).await.unwrap(), None);
    assert!(workflows.find_with_owner(environment, None, id).await.unwrap().is_none());

    let state = started::<credentials::ChangeStateWithVault>(&mortal).await;
    let create = || {
        let request = request("credentials_create", environment, |event| event["pathParameters"]["user"] = json!(user));
        answer(credentials::create::create_credential, &state, request)
    };
    assert!(crash.at(3, true, create()).await.is_none());
    let credentials = Credentials(directory());
    let [gone] = &credentials.page(environment, owner, PageRequest::first(50)).await.unwrap().items[..] else {
        panic!("no credential")
    };
    assert!(credentials.delete(environment, gone, outbox.prepare(&[]).unwrap()).await.unwrap());
    let (status, repeated) = create().await;
    assert_eq!((status, &repeated["credentialId"]), (201, &json!(gone.credential_id)), "{repeated}");
    assert!(credentials.page(environment, owner, PageRequest::first(50)).await.unwrap().items.is_empty());

    let state = started::<destinations::State>(&mortal).await;
    let body = json!({ "type": "webhook", "url": "https://example.com/errors" }).to_string();
    let create = || {
        let request = request("destinations_create", environment, |event| event["body"] = json!(body));
        answer(destinations::create::create_destination, &state, request)
    };
    assert!(crash.at(2, true, create()).await.is_none());
    let destinations = Destinations(directory());
    let [(gone, _)] = &destinations.list_with_health(environment).await.unwrap()[..] else { panic!("no destination") };
    assert!(destinations.delete(environment, gone.destination_id, Retention::days(30)).await.unwrap());
    let (status, repeated) = create().await;
    assert_eq!((status, &repeated["type"]), (409, &json!("urn:tenon:problem:destination-deleted")), "{repeated}");
    assert!(destinations.list_with_health(environment).await.unwrap().is_empty());
}

#[tokio::test]
async fn repetition_uses_no_id_again_for_another_user_who_has_the_name_since() {
    let config = aws(&setting("AWS_ACCESS_KEY_ID")).await;
    let (mortal, crash) = Crash::wrap(&config);
    let directory = || Table::new(&config, setting("DIRECTORY_TABLE"));
    let (users, outbox) = (Users(directory()), outbox(&config));
    for is_deleted in [true, false] {
        let environment = EnvironmentId::new();
        let named = async |name: &str| {
            let (seed, names) = (RequestSeed::new(), Names::new(Some(name.parse().unwrap()), None, "").unwrap());
            let user = NewUser { names, full_name: None, metadata: Metadata::default() }.create(&seed, 0);
            users.create(environment, &user, &seed).await.unwrap();
            user
        };
        let (joe, older) = (named("joe").await, named("older").await);
        let state = started::<workflows::ChangeState>(&mortal).await;
        let create_workflow = || {
            let body = json!({ "userId": "joe", "name": "Orders" }).to_string();
            let request = request("workflows_create", environment, |event| event["body"] = json!(body));
            answer(workflows::create::create_workflow, &state, request)
        };
        let state = started::<credentials::ChangeStateWithVault>(&mortal).await;
        let create_credential = || {
            let request =
                request("credentials_create", environment, |event| event["pathParameters"]["user"] = json!("joe"));
            answer(credentials::create::create_credential, &state, request)
        };
        // Each process crashes after its transaction, before the response is stored.
        assert!(crash.at(3, true, create_workflow()).await.is_none());
        assert!(crash.at(4, true, create_credential()).await.is_none());
        let owned = async |user: UserId| {
            let workflows = Workflows(directory()).ids_by_user(environment, user).await.unwrap().items;
            let credentials = Credentials(directory()).page(environment, user, PageRequest::first(50)).await.unwrap();
            (workflows, credentials.items.into_iter().map(|one| one.credential_id).collect::<Vec<_>>())
        };
        let of_joe = owned(joe.user_id).await;
        assert_eq!((of_joe.0.len(), of_joe.1.len()), (1, 1));

        let holder = if is_deleted {
            let deletion = deletion_of(environment, &joe);
            assert!(users.delete(&joe, &deletion, outbox.prepare(&[]).unwrap()).await.unwrap());
            let worker = connect(&config, user_jobs::State::from_aws).await.unwrap();
            worker.run(&UserJob::Deletion(deletion)).await.unwrap();
            named("joe").await
        } else {
            let rename = async |user: &User, name: &str| {
                let renamed = User { username: name.parse().unwrap(), version: user.version + 1, ..user.clone() };
                users.update(environment, user, &renamed).await.unwrap();
                renamed
            };
            rename(&joe, "bob").await;
            rename(&older, "joe").await
        };
        let repeated = [create_workflow().await, create_credential().await];
        let of_holder = owned(holder.user_id).await;
        if is_deleted {
            assert!(repeated.iter().all(|(status, _)| *status == 404), "{repeated:?}");
            assert_eq!((of_holder.0.len(), of_holder.1.len()), (0, 0));
        } else {
            assert!(repeated.iter().all(|(status, body)| *status == 201 && body["userId"] == json!(holder.user_id)));
            assert_eq!(owned(joe.user_id).await, of_joe);
            assert!(of_holder.0 != of_joe.0 && of_holder.1 != of_joe.1, "they have ids of their own");
            assert_eq!((of_holder.0.len(), of_holder.1.len()), (1, 1));
        }
    }
}

#[tokio::test]
async fn repetition_never_records_erased_errors_again() {
    let config = aws(&setting("AWS_ACCESS_KEY_ID")).await;
    let (mortal, crash) = Crash::wrap(&config);
    let [directory, table] = ["DIRECTORY_TABLE", "ERRORS_TABLE"].map(|name| Table::new(&config, setting(name)));
    let environment = EnvironmentId::new();
    let (user, workflow) = user_and_workflow(&config, environment).await;
    let state = started::<errors::record::State>(&mortal).await;
    let record = || {
        let request =
            request("errors_record", environment, |event| event["pathParameters"]["workflowId"] = json!(workflow));
        answer(errors::record::record_errors, &state, request)
    };
    assert!(crash.at(3, true, record()).await.is_none());
    let errors = Errors { table: table.clone(), retention: Retention::days(30) };
    let query = ErrorQuery { window: Window { limit: 10, ..Window::default() }, ..ErrorQuery::default() };
    let recorded = async || errors.page(environment, &query).await.unwrap();
    assert_eq!(recorded().await.items.len(), 1);

    let erasure = Erasure { environment_id: environment, user_id: user.parse().unwrap(), started_at: Timestamp::now() };
    Users(directory.clone()).start_erasure(&erasure).await.unwrap();
    let erasures = Erasures { directory, errors: table };
    let complete_at = erasure.started_at + Duration::from_secs(60);
    while !erasures.run(&erasure, complete_at).await.unwrap() {}
    assert!(recorded().await.items.is_empty());
    let (status, repeated) = record().await;
    assert_eq!((status, repeated["ids"].as_array().map(Vec::len)), (202, Some(1)), "{repeated}");
    assert!(recorded().await.items.is_empty());
}

#[tokio::test]
async fn error_with_the_id_of_an_erased_one_is_not_recorded_again() {
    let config = aws(&setting("AWS_ACCESS_KEY_ID")).await;
    let [directory, table] = ["DIRECTORY_TABLE", "ERRORS_TABLE"].map(|name| Table::new(&config, setting(name)));
    let environment = EnvironmentId::new();
    let (user, workflow) = user_and_workflow(&config, environment).await;
    let state = started::<errors::record::State>(&config).await;
    let now = Timestamp::now();
    let [before, after]: [ErrorId; 2] =
        [now - Duration::from_secs(60), now + Duration::from_secs(60)].map(|at| ObjectId::at(at).into());
    let record = async |ids: &[ErrorId]| {
        let example = |id| json!({ "_id": id, "executionId": "e", "blockId": "b", "blockType": "t", "error": "x" });
        let body = json!({ "errors": ids.iter().map(example).collect::<Vec<_>>() }).to_string();
        let request = request("errors_record", environment, |event| {
            event["pathParameters"]["workflowId"] = json!(workflow);
            event["body"] = json!(body);
            event["headers"].as_object_mut().unwrap().remove("idempotency-key");
        });
        let (status, answer) = answer(errors::record::record_errors, &state, request).await;
        assert_eq!((status, &answer["ids"]), (202, &json!(ids)), "{answer}");
    };
    let errors = Errors { table: table.clone(), retention: Retention::days(30) };
    let query = ErrorQuery { window: Window { limit: 10, ..Window::default() }, ..ErrorQuery::default() };
    let recorded = async || {
        let items = errors.page(environment, &query).await.unwrap().items;
        items.iter().map(|error| error.error_id).collect::<Vec<_>>()
    };
    record(&[before]).await;
    assert_eq!(recorded().await, [before]);

    let erasure = Erasure { environment_id: environment, user_id: user.parse().unwrap(), started_at: Timestamp::now() };
    Users(directory.clone()).start_erasure(&erasure).await.unwrap();
    let erasures = Erasures { directory, errors: table };
    let complete_at = erasure.started_at + Duration::from_secs(60);
    while !erasures.run(&erasure, complete_at).await.unwrap() {}
    assert!(recorded().await.is_empty());
    record(&[before, after]).await;
    assert_eq!(recorded().await, [after]);
}

#[tokio::test]
async fn repetition_records_no_errors_of_a_deleted_workflow() {
    let config = aws(&setting("AWS_ACCESS_KEY_ID")).await;
    let (mortal, crash) = Crash::wrap(&config);
    let [directory, table] = ["DIRECTORY_TABLE", "ERRORS_TABLE"].map(|name| Table::new(&config, setting(name)));
    let environment = EnvironmentId::new();
    let (_, workflow) = user_and_workflow(&config, environment).await;
    let state = started::<errors::record::State>(&mortal).await;
    let record = || {
        let request =
            request("errors_record", environment, |event| event["pathParameters"]["workflowId"] = json!(workflow));
        answer(errors::record::record_errors, &state, request)
    };
    // After the claim and the reads, before the write.
    assert!(crash.at(3, false, record()).await.is_none());
    let workflows = Workflows(directory);
    let (gone, _) = workflows.find_with_owner(environment, None, workflow.parse().unwrap()).await.unwrap().unwrap();
    assert!(workflows.delete(environment, &gone, outbox(&config).prepare(&[]).unwrap()).await.unwrap());
    let (status, repeated) = record().await;
    assert_eq!((status, &repeated["type"]), (404, &json!("urn:tenon:problem:not-found")), "{repeated}");
    let errors = Errors { table, retention: Retention::days(30) };
    let query = ErrorQuery { window: Window { limit: 10, ..Window::default() }, ..ErrorQuery::default() };
    assert!(errors.page(environment, &query).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn caller_who_is_not_admitted_writes_no_record() {
    let acme = Tenon::deployed().await.environment().await;
    for (path, body, _) in creations(&acme).await.into_iter().filter(|(path, ..)| !path.ends_with("/errors")) {
        for key in ["key", ""] {
            post(&acme.engine, &path, key, &body).await.is_problem(403, "forbidden");
        }
    }
    assert_eq!(stored_records(&acme).await.len(), 0);
}
