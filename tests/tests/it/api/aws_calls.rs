//! AWS calls of the endpoints and of the authorizer, as the documentation of each file states them.

use std::collections::{BTreeMap, BTreeSet};

use aws_config::SdkConfig;
use axum::handler::Handler;
use functions::{
    admin::{environments_create, keys_create},
    api::{credentials, destinations, environments, errors, replays, session, users, workflows},
    authorizer::Authorizer,
};
use futures_util::future::LocalBoxFuture;
use http::StatusCode;
use serde_json::{Value, json};
use tenon::{
    delivery::{drain::Drains, first_attempts::FirstAttemptSender, forward::Forwarder, replay::Replayer, sweep::Sweep},
    start::{FromAws, connect},
    store::{deletions::Deletions, erasures::Erasures, users::Users},
};
use tests::{Calls, aws, bus_settings, event, example_error, scripted, setting};

use super::handlers::{answer, event_of};

/// Request to an endpoint with the AWS calls that it makes.
struct Row {
    /// Name of the function's binary and event file.
    function: &'static str,
    /// Changes to the event file.
    event: fn(&World, &mut Value),
    /// Expected status.
    status: u16,
    /// Expected AWS calls in order, with the number of repetitions: `8*Query GetItem`.
    calls: &'static str,
    /// Assertions on the body, and ids for later rows.
    body: fn(&mut World, &Value),
}

/// Ids that the rows share.
#[derive(Default)]
struct World {
    environment: String,
    user: String,
    credential: String,
    workflow: String,
    error: String,
    destination: String,
    webhook: String,
    replay: String,
}

const UNCHANGED: fn(&World, &mut Value) = |_, _| {};
const ANY_BODY: fn(&mut World, &Value) = |_, _| {};

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("not a string: {value}")).to_owned()
}

fn set_parameter(event: &mut Value, name: &str, value: &str) {
    event["pathParameters"][name] = json!(value);
}

fn set_body(event: &mut Value, body: &Value) {
    event["body"] = json!(body.to_string());
}

fn set_credential(world: &World, event: &mut Value) {
    set_parameter(event, "user", &world.user);
    set_parameter(event, "credentialId", &world.credential);
}

fn set_status(world: &World, event: &mut Value, route: &str) {
    set_parameter(event, "user", &world.user);
    event["requestContext"]["routeKey"] = json!(format!("POST /users/{{user}}/{route}"));
}

#[rustfmt::skip]
const ROWS: &[Row] = &[
    Row { function: "environments_get", event: UNCHANGED, status: 200, calls: "GetItem",
        body: |world, shown| {
            assert_eq!(*shown, json!({ "environmentId": world.environment, "name": "acme", "kind": "test" }));
        } },
    Row { function: "users_create", event: UNCHANGED, status: 201, calls: "TransactWriteItems",
        body: |world, user| world.user = text(&user["userId"]) },
    Row { function: "users_get", event: |world, event| set_parameter(event, "user", &world.user),
        status: 200, calls: "GetItem", body: ANY_BODY },
    Row { function: "users_get", event: |_, event| set_parameter(event, "user", "joe.smoe@acme.example"),
        status: 200, calls: "2*GetItem", body: ANY_BODY },
    Row { function: "users_update",
        event: |world, event| {
            set_parameter(event, "user", &world.user);
            set_body(event, &json!({ "fullName": "Joe" }));
        },
        status: 200, calls: "GetItem TransactWriteItems", body: ANY_BODY },
    Row { function: "users_update",
        event: |_, event| {
            set_parameter(event, "user", "joe.smoe@acme.example");
            set_body(event, &json!({ "metadata": { "a": "1" } }));
        },
        status: 200, calls: "2*GetItem TransactWriteItems", body: ANY_BODY },
    Row { function: "users_update",
        event: |world, event| {
            set_parameter(event, "user", &world.user);
            set_body(event, &json!({}));
        },
        status: 200, calls: "GetItem", body: ANY_BODY },
    Row { function: "users_list", event: UNCHANGED, status: 200, calls: "4*Query", body: ANY_BODY },
    Row { function: "users_batch",
        event: |_, event| {
            let users: Vec<Value> = (0..1000).map(|n| json!({ "email": format!("{n}@acme.example") })).collect();
            set_body(event, &json!({ "users": users }));
        },
        status: 200, calls: "31*TransactWriteItems",
        body: |_, batch| assert_eq!(batch["invalidUsers"], json!([])) },
    Row { function: "credentials_create", event: |world, event| set_parameter(event, "user", &world.user),
        status: 201, calls: "GetItem GenerateDataKey TransactWriteItems",
        body: |world, credential| world.credential = text(&credential["credentialId"]) },
    Row { function: "credentials_reveal", event: set_credential, status: 200, calls: "2*GetItem Decrypt",
        body: |_, revealed| assert_eq!(revealed["data"]["token"], "shpat_example") },
    Row { function: "credentials_list", event: |world, event| set_parameter(event, "user", &world.user),
        status: 200, calls: "GetItem Query", body: ANY_BODY },
    Row { function: "credentials_get", event: set_credential, status: 200, calls: "2*GetItem", body: ANY_BODY },
    Row { function: "credentials_delete", event: set_credential, status: 200, calls: "GetItem DeleteItem",
        body: ANY_BODY },
    Row { function: "users_token", event: |world, event| set_parameter(event, "user", &world.user),
        status: 200, calls: "GetItem", body: ANY_BODY },
    Row { function: "users_status", event: |world, event| set_status(world, event, "disable"),
        status: 200, calls: "UpdateItem", body: |_, user| assert_eq!(user["status"], "disabled") },
    Row { function: "users_status", event: |world, event| set_status(world, event, "disable"),
        status: 200, calls: "UpdateItem", body: |_, user| assert_eq!(user["status"], "disabled") },
    Row { function: "users_status", event: |world, event| set_status(world, event, "enable"),
        status: 200, calls: "UpdateItem", body: |_, user| assert_eq!(user["status"], "active") },
    Row { function: "users_status", event: |world, event| set_status(world, event, "enable"),
        status: 200, calls: "UpdateItem", body: |_, user| assert_eq!(user["status"], "active") },
    Row { function: "workflows_create",
        event: |world, event| set_body(event, &json!({ "userId": world.user, "name": "Orders" })),
        status: 201, calls: "GetItem TransactWriteItems",
        body: |world, workflow| world.workflow = text(&workflow["workflowId"]) },
    Row { function: "workflows_list", event: UNCHANGED,
        status: 200, calls: "2*GetItem Query BatchGetItem", body: ANY_BODY },
    Row { function: "workflows_get", event: |world, event| set_parameter(event, "workflowId", &world.workflow),
        status: 200, calls: "2*GetItem", body: ANY_BODY },
    Row { function: "workflows_activate",
        event: |world, event| set_body(event, &json!({ "userId": world.user, "workflowId": world.workflow })),
        status: 200, calls: "GetItem UpdateItem", body: ANY_BODY },
    Row { function: "workflows_activate",
        event: |world, event| set_body(event, &json!({ "userId": world.user, "workflowName": "Orders" })),
        status: 200, calls: "2*GetItem UpdateItem", body: ANY_BODY },
    Row { function: "workflows_deactivate_all", event: |world, event| set_parameter(event, "user", &world.user),
        status: 200, calls: "GetItem Query UpdateItem", body: ANY_BODY },
    Row { function: "session",
        event: |world, event| event["requestContext"]["authorizer"]["lambda"]["userId"] = json!(world.user),
        status: 200, calls: "BatchGetItem GetItem 2*Query",
        body: |_, session| assert_eq!(session["workflows"].as_array().unwrap().len(), 1) },
    Row { function: "errors_record",
        event: |world, event| {
            set_parameter(event, "workflowId", &world.workflow);
            set_body(event, &example_error("one"));
        },
        status: 202, calls: "2*GetItem BatchWriteItem", body: ANY_BODY },
    Row { function: "errors_record",
        event: |world, event| {
            let mut error = example_error("with an id");
            error["_id"] = json!("6155ac246093840013297377");
            set_parameter(event, "workflowId", &world.workflow);
            set_body(event, &error);
        },
        status: 202, calls: "2*GetItem BatchGetItem BatchWriteItem", body: ANY_BODY },
    Row { function: "errors_record",
        event: |world, event| {
            set_parameter(event, "workflowId", &world.workflow);
            set_body(event, &json!({ "errors": vec![example_error("many"); 100] }));
        },
        status: 202, calls: "2*GetItem 4*BatchWriteItem", body: ANY_BODY },
    Row { function: "errors_list", event: |world, event| set_parameter(event, "workflowId", &world.workflow),
        status: 200, calls: "2*GetItem Query", body: ANY_BODY },
    Row { function: "errors_logs", event: |_, event| event["rawQueryString"] = json!(""),
        status: 200, calls: "8*Query BatchGetItem", body: assert_full_page },
    Row { function: "errors_logs",
        event: |world, event| event["rawQueryString"] = json!(format!("userId={}", world.user)),
        status: 200, calls: "Query BatchGetItem", body: assert_full_page },
    Row { function: "errors_logs",
        event: |_, event| event["rawQueryString"] = json!("userId=joe.smoe@acme.example"),
        status: 200, calls: "GetItem Query BatchGetItem", body: assert_full_page },
    Row { function: "errors_logs",
        event: |world, event| event["rawQueryString"] = json!(format!("workflowId={}", world.workflow)),
        status: 200, calls: "Query", body: assert_full_page },
    Row { function: "errors_groups", event: UNCHANGED, status: 200, calls: "8*Query BatchGetItem",
        body: |world, groups| {
            assert_eq!(groups["complete"], true);
            world.error = text(&groups["groups"][0]["example"]["_id"]);
        } },
    Row { function: "destinations_create",
        event: |_, event| set_body(event, &bus_settings("tenon-test-errors")),
        status: 201, calls: "DescribeEventBus PutEvents GenerateDataKey TransactWriteItems",
        body: |world, destination| world.destination = text(&destination["destinationId"]) },
    Row { function: "errors_get", event: |world, event| set_parameter(event, "errorId", &world.error),
        status: 200, calls: "3*Query 2*BatchGetItem Query",
        body: |_, error| assert_eq!(error["deliveries"], json!([])) },
    Row { function: "destinations_create",
        event: |_, event| set_body(event, &json!({ "type": "webhook", "url": "https://example.com/errors" })),
        status: 201, calls: "GenerateDataKey TransactWriteItems",
        body: |world, webhook| world.webhook = text(&webhook["destinationId"]) },
    Row { function: "destinations_rotate_secret",
        event: |world, event| set_parameter(event, "destinationId", &world.webhook),
        status: 200, calls: "2*GetItem GenerateDataKey PutItem", body: ANY_BODY },
    Row { function: "destinations_patch",
        event: |world, event| set_patch(world, event, &json!({ "filter": { "blockType": ["shopify"] } })),
        status: 200, calls: "2*GetItem PutItem", body: ANY_BODY },
    Row { function: "destinations_patch",
        event: |world, event| set_patch(world, event, &json!({ "filter": { "userId": ["joe.smoe@acme.example"] } })),
        status: 200, calls: "3*GetItem PutItem", body: ANY_BODY },
    Row { function: "destinations_patch",
        event: |world, event| set_patch(world, event, &json!({ "enabled": false })),
        status: 200, calls: "2*GetItem PutItem", body: ANY_BODY },
    Row { function: "destinations_patch",
        event: |world, event| set_patch(world, event, &json!({ "enabled": true })),
        status: 200, calls: "2*GetItem UpdateItem PutItem", body: ANY_BODY },
    Row { function: "destinations_patch",
        event: |world, event| set_patch(world, event, &json!({ "eventBusName": "tenon-test-x" })),
        status: 200, calls: "2*GetItem Decrypt DescribeEventBus PutEvents UpdateItem PutItem", body: ANY_BODY },
    Row { function: "destinations_test",
        event: |world, event| set_parameter(event, "destinationId", &world.destination),
        status: 200, calls: "GetItem Decrypt PutEvents",
        body: |_, tested| assert_eq!(tested["delivered"], true) },
    // The decrypted credentials are cached.
    Row { function: "destinations_test",
        event: |world, event| set_parameter(event, "destinationId", &world.destination),
        status: 200, calls: "GetItem PutEvents",
        body: |_, tested| assert_eq!(tested["delivered"], true) },
    Row { function: "destinations_deliveries",
        event: |world, event| set_parameter(event, "destinationId", &world.destination),
        status: 200, calls: "GetItem 8*Query",
        body: |_, page| assert_eq!(page["data"], json!([])) },
    Row { function: "destinations_replay",
        event: |world, event| set_parameter(event, "destinationId", &world.destination),
        status: 202, calls: "GetItem PutItem SendMessage",
        body: |world, replay| world.replay = text(&replay["replayId"]) },
    Row { function: "replays_get", event: |world, event| set_parameter(event, "replayId", &world.replay),
        status: 200, calls: "GetItem", body: |_, replay| assert_eq!(replay["status"], "running") },
    Row { function: "replays_cancel", event: |world, event| set_parameter(event, "replayId", &world.replay),
        status: 200, calls: "UpdateItem", body: |_, replay| assert_eq!(replay["status"], "cancelled") },
    Row { function: "destinations_get",
        event: |world, event| set_parameter(event, "destinationId", &world.destination),
        status: 200, calls: "2*GetItem", body: ANY_BODY },
    Row { function: "destinations_list", event: UNCHANGED, status: 200, calls: "Query", body: ANY_BODY },
    Row { function: "destinations_delete",
        event: |world, event| set_parameter(event, "destinationId", &world.destination),
        status: 200, calls: "TransactWriteItems", body: ANY_BODY },
    Row { function: "workflows_delete", event: |world, event| set_parameter(event, "workflowId", &world.workflow),
        status: 200, calls: "2*GetItem TransactWriteItems", body: ANY_BODY },
    Row { function: "users_erase_logs", event: |world, event| set_parameter(event, "user", &world.user),
        status: 202, calls: "PutItem", body: |_, erased| assert_eq!(erased["success"], true) },
    Row { function: "users_erase_logs",
        event: |_, event| set_parameter(event, "user", "joe.smoe@acme.example"),
        status: 202, calls: "GetItem PutItem", body: |_, erased| assert_eq!(erased["success"], true) },
    Row { function: "users_delete", event: |world, event| set_parameter(event, "user", &world.user),
        status: 200, calls: "GetItem TransactWriteItems", body: ANY_BODY },
];

fn set_patch(world: &World, event: &mut Value, body: &Value) {
    set_parameter(event, "destinationId", &world.destination);
    set_body(event, body);
}

fn assert_full_page(_: &mut World, page: &Value) {
    assert_eq!(page["errors"].as_array().unwrap().len(), 50);
}

/// Expands `2*GetItem Query` to `GetItem GetItem Query`.
fn expand(calls: &str) -> Vec<String> {
    let expand = |call: &str| match call.split_once('*') {
        Some((count, operation)) => vec![operation.to_owned(); count.parse().unwrap()],
        None => vec![call.to_owned()],
    };
    calls.split_whitespace().flat_map(expand).collect()
}

/// Handler with its state.
type Endpoint = Box<dyn Fn(Value) -> LocalBoxFuture<'static, (StatusCode, Value)>>;

fn endpoint<H, T, S>(handler: H, state: S) -> Endpoint
where
    H: Handler<T, S>,
    T: 'static,
    S: Clone + Send + Sync + 'static,
{
    Box::new(move |event| {
        let (handler, state) = (handler.clone(), state.clone());
        Box::pin(async move { answer(handler, &state, &event).await })
    })
}

/// Starts a function and returns its handler with its state.
async fn started<H, T, S>(config: &SdkConfig, handler: H) -> Endpoint
where
    H: Handler<T, S>,
    T: 'static,
    S: FromAws + Clone + Send + Sync + 'static,
{
    endpoint(handler, connect(config, S::from_aws).await.unwrap())
}

macro_rules! endpoints {
    ($config:expr, $($name:literal => $($module:ident)::+ . $handler:ident;)*) => {
        BTreeMap::from([$(
            ($name, started($config, $($module)::+::$handler).await),
        )*])
    };
}

/// Returns the endpoints by the names of their functions, in the pairs that `functions/src/bin`
/// serves.
async fn endpoints(config: &SdkConfig, calls: &Calls) -> BTreeMap<&'static str, Endpoint> {
    calls.take();
    let token = connect(config, users::token::State::from_aws).await.unwrap();
    assert_eq!(calls.take(), ["GetItem", "Query", "Decrypt"], "the signing key is decrypted at start-up");
    let mut endpoints = endpoints! { config,
        "credentials_create" => credentials::create.create_credential;
        "credentials_delete" => credentials::delete.delete_credential;
        "credentials_get" => credentials::get.get_credential;
        "credentials_list" => credentials::list.list_credentials;
        "credentials_reveal" => credentials::reveal.reveal_credential;
        "destinations_create" => destinations::create.create_destination;
        "destinations_delete" => destinations::delete.delete_destination;
        "destinations_deliveries" => destinations::deliveries.list_deliveries;
        "destinations_get" => destinations::get.get_destination;
        "destinations_list" => destinations::list.list_destinations;
        "destinations_patch" => destinations::patch.patch_destination;
        "destinations_replay" => destinations::replay.start_replay;
        "destinations_rotate_secret" => destinations::rotate_secret.rotate_secret;
        "destinations_test" => destinations::test.test_destination;
        "environments_get" => environments::get.get_environment;
        "errors_get" => errors::get.get_error;
        "errors_groups" => errors::groups.group_errors;
        "errors_list" => errors::list.list_errors;
        "errors_logs" => errors::logs.list_logs;
        "errors_record" => errors::record.record_errors;
        "replays_cancel" => replays::cancel.cancel_replay;
        "replays_get" => replays::get.get_replay;
        "session" => session.show_session;
        "users_batch" => users::batch.create_users;
        "users_create" => users::create.create_user;
        "users_delete" => users::delete.delete_user;
        "users_erase_logs" => users::erase_logs.erase_logs;
        "users_get" => users::get.get_user;
        "users_list" => users::list.list_users;
        "users_status" => users::status.set_status;
        "users_update" => users::update.update_user;
        "workflows_activate" => workflows::activate.set_active;
        "workflows_create" => workflows::create.create_workflow;
        "workflows_deactivate_all" => workflows::deactivate_all.deactivate_workflows;
        "workflows_delete" => workflows::delete.delete_workflow;
        "workflows_get" => workflows::get.get_workflow;
        "workflows_list" => workflows::list.list_workflows;
    };
    endpoints.insert("users_token", endpoint(users::token::create_token, token));
    endpoints
}

#[tokio::test]
async fn functions_open_only_their_connections_at_start() {
    let (config, calls) = Calls::count(&scripted(|_, _| (200, json!({}))).await);
    macro_rules! assert_opens {
        ($($state:ty => $expected:literal;)*) => {$(
            connect(&config, <$state>::from_aws).await.unwrap();
            let mut made = calls.take();
            made.sort();
            assert_eq!(made, expand($expected), stringify!($state));
        )*};
    }
    assert_opens! {
        Users => "GetItem";
        users::list::State => "4*GetItem";
        users::token::State => "GetItem Query";
        workflows::State => "GetItem";
        credentials::State => "GetItem";
        credentials::StateWithVault => "DescribeKey GetItem";
        session::State => "3*GetItem";
        errors::record::State => "4*GetItem";
        errors::get::State => "3*GetItem";
        errors::groups::State => "8*GetItem";
        errors::list::State => "GetItem";
        errors::logs::State => "8*GetItem";
        destinations::State => "DescribeKey GetItem";
        destinations::patch::State => "DescribeKey GetItem";
        destinations::test::State => "DescribeKey GetItem";
        destinations::delete::State => "GetItem";
        destinations::deliveries::State => "8*GetItem";
        destinations::replay::State => "GetItem";
        functions::authorizer::Authorizer => "GetItem Query";
        functions::api::console::Console => "";
        functions::api::openapi::Document => "";
        environments_create::State => "GetItem";
        keys_create::State => "GetItem";
        functions::workers::rotate_signing_keys::State => "GetItem";
        Deletions => "GetItem";
        Erasures => "GetItem";
        Forwarder => "DescribeKey GetItem";
        FirstAttemptSender => "DescribeKey GetItem";
        Drains => "DescribeKey GetItem";
        Replayer => "GetItem";
        Sweep => "GetItem";
    }
}

/// Creates an environment and a key and asserts their AWS calls. Returns the environment's id and
/// the key.
async fn create_environment(config: &SdkConfig, calls: &Calls) -> (String, String) {
    let state = connect(config, environments_create::State::from_aws).await.unwrap();
    let payload = json!({ "name": "acme", "kind": "test" });
    let create = || environments_create::create_environment(state.clone(), payload.clone());
    // The first environment of a stack creates the first signing key.
    create().await.unwrap();
    calls.take();
    let created = serde_json::to_value(create().await.unwrap()).unwrap();
    assert_eq!(calls.take(), ["Query", "PutItem"]);
    let environment = text(&created["environmentId"]);

    let state = connect(config, keys_create::State::from_aws).await.unwrap();
    calls.take();
    let payload = json!({ "environmentId": environment, "name": "x", "scopes": ["manage"] });
    let created = serde_json::to_value(keys_create::create_key(state, payload).await.unwrap()).unwrap();
    assert_eq!(calls.take(), ["GetItem", "TransactWriteItems"]);
    (environment, text(&created["key"]))
}

#[tokio::test]
async fn endpoints_make_only_their_documented_aws_calls() {
    let (config, calls) = Calls::count(&aws(&setting("AWS_ACCESS_KEY_ID")).await);
    let (environment, _) = create_environment(&config, &calls).await;
    let mut world = World { environment, ..World::default() };
    let endpoints = endpoints(&config, &calls).await;
    for row in ROWS {
        let mut event = event_of(row.function, &world.environment, None, None);
        (row.event)(&world, &mut event);
        calls.take();
        let (status, body) = endpoints[row.function](event).await;
        let mut made = calls.take();
        // The calls of a session are concurrent.
        if row.function == "session" {
            made.sort();
        }
        assert_eq!(status, row.status, "{}: {body}", row.function);
        assert_eq!(made, expand(row.calls), "{}: {body}", row.function);
        (row.body)(&mut world, &body);
    }
}

#[test]
fn every_endpoint_has_an_aws_calls_row() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../functions/src/bin");
    let mut served = BTreeSet::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let source = std::fs::read_to_string(&path).unwrap();
        if source.contains("http::serve(") {
            served.insert(path.file_stem().unwrap().to_str().unwrap().to_owned());
        }
    }
    let rows: BTreeSet<String> = ROWS.iter().map(|row| row.function.to_owned()).collect();
    assert_eq!(served, rows, "add a row with the AWS calls of each new endpoint");
}

#[tokio::test]
async fn authorizer_makes_only_its_documented_aws_calls() {
    let (config, calls) = Calls::count(&aws(&setting("AWS_ACCESS_KEY_ID")).await);
    let (environment, key) = create_environment(&config, &calls).await;
    let state = connect(&config, Users::from_aws).await.unwrap();
    let (_, user) =
        answer(users::create::create_user, &state, &event_of("users_create", &environment, None, None)).await;
    let user = text(&user["userId"]);
    let of_user = Some(("user", user.as_str()));
    let state = connect(&config, users::token::State::from_aws).await.unwrap();
    let (_, token) =
        answer(users::token::create_token, &state, &event_of("users_token", &environment, of_user, None)).await;

    calls.take();
    let state = connect(&config, Authorizer::from_aws).await.unwrap();
    assert_eq!(calls.take(), ["GetItem", "Query"], "the public keys are read at start-up");
    let authorize = async |credential: &str| {
        let mut request = event("authorizer");
        request["identitySource"] = json!([format!("Bearer {credential}")]);
        let request = serde_json::from_value(request).unwrap();
        serde_json::to_value(functions::authorizer::authorize(state.clone(), request).await.unwrap()).unwrap()
    };
    let token = text(&token["token"]);
    assert_eq!(authorize(&token).await["context"]["userId"], json!(user));
    assert_eq!(calls.take(), ["GetItem"]);
    // A token from before its user was disabled stays invalid after the user is enabled again.
    let users = connect(&config, Users::from_aws).await.unwrap();
    for route in ["disable", "disable", "enable", "enable"] {
        let mut event = event_of("users_status", &environment, of_user, None);
        event["requestContext"]["routeKey"] = json!(format!("POST /users/{{user}}/{route}"));
        let (status, changed) = answer(users::status::set_status, &users, &event).await;
        assert_eq!(status, StatusCode::OK, "{changed}");
        assert_eq!(authorize(&token).await["isAuthorized"], false, "{route}");
    }
    calls.take();
    for expected in [vec!["GetItem", "UpdateItem"], vec!["GetItem"]] {
        assert_eq!(authorize(&key).await["isAuthorized"], true);
        assert_eq!(calls.take(), expected, "the first use of a day is recorded");
    }
    let typo = format!("{}{}", &key[..key.len() - 1], if key.ends_with('0') { '1' } else { '0' });
    authorize(&typo).await;
    assert!(calls.take().is_empty(), "a typo is rejected without a read");
}
