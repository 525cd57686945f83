//! AWS calls of the endpoints and of the authorizer, as the documentation of each file states them.

use std::collections::BTreeSet;

use aws_config::SdkConfig;
use functions::{
    admin::{environments_create, keys_create},
    api::{credentials, destinations, errors, events, records, replays, session, users, workflows},
    authorizer::Authorizer,
};
use http::StatusCode;
use serde_json::json;
use tenon::{
    delivery::{drain::Drains, first_attempts::FirstAttemptSender, forward::Forwarder, replay::Replayer, sweep::Sweep},
    http::Endpoint,
    start::{FromAws, connect},
    store::{erasures::Erasures, users::Users},
};
use tests::{Calls, aws, bus_settings, event, faulty_aws::losing_first_responses, scripted, setting};

use super::handlers::{answer, event_of};
use crate::endpoints::{AWS_CALLS, World, handlers, text};

/// Expands `2*GetItem Query` to `GetItem GetItem Query`.
fn expand(calls: &str) -> Vec<String> {
    let expand = |call: &str| match call.split_once('*') {
        Some((count, operation)) => vec![operation.to_owned(); count.parse().unwrap()],
        None => vec![call.to_owned()],
    };
    calls.split_whitespace().flat_map(expand).collect()
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
        users::ChangeState => "GetItem";
        workflows::Stores => "GetItem";
        workflows::ChangeState => "GetItem";
        credentials::Stores => "GetItem";
        credentials::ChangeState => "GetItem";
        credentials::RevealState => "DescribeKey GetItem";
        credentials::ChangeStateWithVault => "DescribeKey GetItem";
        session::State => "5*GetItem";
        errors::record::State => "4*GetItem";
        records::RecordState => "3*GetItem";
        events::list::State => "8*GetItem";
        errors::groups::State => "8*GetItem";
        errors::list::State => "GetItem";
        errors::logs::State => "8*GetItem";
        destinations::State => "DescribeKey GetItem";
        destinations::patch::State => "DescribeKey GetItem";
        destinations::test::State => "DescribeKey GetItem";
        destinations::delete::State => "GetItem";
        destinations::deliveries::State => "8*GetItem";
        destinations::replay::State => "GetItem";
        replays::list::State => "GetItem";
        functions::authorizer::Authorizer => "GetItem Query";
        functions::api::console::State => "";
        functions::api::modal::State => "";
        functions::api::modal::sdk::State => "";
        functions::api::openapi::Document => "";
        environments_create::State => "GetItem";
        keys_create::State => "GetItem";
        functions::workers::signing_keys_rotate::State => "GetItem";
        functions::workers::user_jobs::State => "GetItem";
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
    let mut world = World { environment, bus: bus_settings("tenon-test-errors"), ..World::default() };
    let handlers = handlers(&config).await;
    for row in AWS_CALLS {
        let event = (row.request)(&world).event(&world);
        calls.take();
        let (status, body) = handlers[row.function](event).await;
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

#[tokio::test]
async fn lost_response_to_a_write_changes_no_answer() {
    let (config, calls) = Calls::count(&aws(&setting("AWS_ACCESS_KEY_ID")).await);
    let (environment, _) = create_environment(&config, &calls).await;
    let mut world = World { environment, bus: bus_settings("tenon-test-errors"), ..World::default() };
    let handlers = handlers(&losing_first_responses(&config)).await;
    let mut wrong = Vec::new();
    for row in AWS_CALLS {
        let (status, body) = handlers[row.function]((row.request)(&world).event(&world)).await;
        if status != row.status {
            wrong.push(format!("{}: {status} {body}", row.function));
        }
        (row.body)(&mut world, &body);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");

    let (environment, _) = create_environment(&config, &calls).await;
    let body = json!({ "modal": { "lang": "fr" } });
    let mut event = event_of("environments_patch", &environment, None, Some(body));
    event["headers"]["if-match"] = json!("\"1\"");
    let (status, body) = handlers["environments_patch"](event.clone()).await;
    assert_eq!((status.as_u16(), &body["modal"]["lang"]), (200, &json!("fr")), "{body}");
    event["body"] = json!({ "modal": { "lang": "ja" } }).to_string().into();
    assert_eq!(handlers["environments_patch"](event).await.0, 412);
}

#[test]
fn every_endpoint_has_an_aws_calls_row() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../functions/src/bin");
    let mut served = BTreeSet::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let source = std::fs::read_to_string(&path).unwrap();
        if source.contains("serve(functions::api::") || source.contains("Public::Tickets") {
            served.insert(path.file_stem().unwrap().to_str().unwrap().to_owned());
        }
    }
    let rows: BTreeSet<String> = AWS_CALLS.iter().map(|row| row.function.to_owned()).collect();
    assert_eq!(served, rows, "add a row with the AWS calls of each new endpoint");
}

#[tokio::test]
async fn authorizer_makes_only_its_documented_aws_calls() {
    let (config, calls) = Calls::count(&aws(&setting("AWS_ACCESS_KEY_ID")).await);
    let (environment, key) = create_environment(&config, &calls).await;
    let state = connect(&config, Users::from_aws).await.unwrap();
    let (_, user) =
        answer(Endpoint(users::create::create_user), &state, &event_of("users_create", &environment, None, None)).await;
    let user = text(&user["userId"]);
    let of_user = Some(("user", user.as_str()));
    calls.take();
    let state = connect(&config, users::token::State::from_aws).await.unwrap();
    assert_eq!(calls.take(), ["GetItem", "Query", "Decrypt"], "the signing key is decrypted at start-up");
    let (_, token) =
        answer(Endpoint(users::token::create_token), &state, &event_of("users_token", &environment, of_user, None))
            .await;

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
    let users = connect(&config, users::ChangeState::from_aws).await.unwrap();
    for route in ["disable", "disable", "enable", "enable"] {
        let mut event = event_of("users_status", &environment, of_user, None);
        event["requestContext"]["routeKey"] = json!(format!("POST /users/{{user}}/{route}"));
        let (status, changed) = answer(Endpoint(users::status::set_status), &users, &event).await;
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
