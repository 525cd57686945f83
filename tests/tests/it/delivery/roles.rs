//! Roles of EventBridge destinations: the requests to STS.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_eventbridge::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_http_client::test_util::infallible_client_fn;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tenon::{
    delivery::{
        eventbridge::{
            EventBridgeSender, FIRST_ATTEMPT_TIMEOUT,
            check::{Checked, check_role},
        },
        senders::Sender,
    },
    domain::{
        delivery::{Failure, Outcome, Route},
        destination::{Destination, Target},
        error_log::ErrorLog,
        event_bus::{BusAccess, EventBridge},
        id::{DestinationId, EnvironmentId},
        record::Record,
        role::ExternalId,
        timestamp::Timestamp,
    },
    vault::Vault,
};
use tokio::net::TcpListener;

/// Requests in order: the host, and the parameters of STS or none.
type Requests = Arc<Mutex<Vec<(String, Vec<(String, String)>)>>>;

/// Returns a configuration in which every role can be assumed, and the requests. `put` is the
/// response to `PutEvents`.
fn scripted(
    region: &str,
    lifetime_secs: u64,
    put: impl Fn() -> (u16, Value) + Send + Sync + 'static,
) -> (SdkConfig, Requests) {
    answering(region, move || (200, session(lifetime_secs)), put)
}

/// Returns a configuration with these responses of STS and EventBridge, and the requests.
fn answering(
    region: &str,
    sts: impl Fn() -> (u16, String) + Send + Sync + 'static,
    put: impl Fn() -> (u16, Value) + Send + Sync + 'static,
) -> (SdkConfig, Requests) {
    let requests = Requests::default();
    let seen = requests.clone();
    let client = infallible_client_fn(move |request| {
        let host = request.uri().host().unwrap_or_default().to_owned();
        let is_sts = host.starts_with("sts.");
        let body = request.body().bytes().unwrap_or_default();
        let parameters = if is_sts { form(body) } else { Vec::new() };
        seen.lock().unwrap().push((host, parameters));
        let (status, body) = if is_sts { sts() } else { (put().0, put().1.to_string()) };
        http::Response::builder().status(status).body(body).unwrap()
    });
    let own = Credentials::new("AKIAIOSFODNN7EXAMPLE", "secret", None, None, "tests");
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(client)
        .region(Region::new(region.to_owned()))
        .credentials_provider(SharedCredentialsProvider::new(own))
        .build();
    (config, requests)
}

fn form(body: &[u8]) -> Vec<(String, String)> {
    let url = reqwest::Url::parse(&format!("http://x/?{}", String::from_utf8_lossy(body))).unwrap();
    url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}

/// Returns the response of STS with credentials that expire after a time.
fn session(lifetime_secs: u64) -> String {
    let expiration = Timestamp::now() + std::time::Duration::from_secs(lifetime_secs);
    format!(
        r#"<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
        <AccessKeyId>ASIAIOSFODNN7EXAMPLE</AccessKeyId><SecretAccessKey>secret</SecretAccessKey>
        <SessionToken>token</SessionToken><Expiration>{expiration}</Expiration>
        </Credentials></AssumeRoleResult></AssumeRoleResponse>"#
    )
}

fn accepted() -> (u16, Value) {
    (200, json!({ "FailedEntryCount": 0, "Entries": [{ "EventId": "1" }] }))
}

fn destination(bus: &str) -> (Route, Destination) {
    let route = Route { environment: EnvironmentId::new(), destination: DestinationId::new() };
    let bus = EventBridge {
        region: "eu-west-1".parse().unwrap(),
        event_bus_name: bus.parse().unwrap(),
        access: BusAccess::Role { role_arn: "arn:aws:iam::222222222222:role/tenon".parse().unwrap() },
    };
    (route, tests::delivery_harness::destination(route, Target::EventBridge(bus)))
}

/// Sends an error. Returns its outcome and the hosts that were called.
async fn send(
    sender: &EventBridgeSender,
    requests: &Requests,
    route: Route,
    destination: &Destination,
) -> (Outcome, Vec<String>) {
    let record = Record::from(ErrorLog::for_test(route.environment, Timestamp::now()));
    let outcome = sender.send(route, destination, &[&record]).await.pop().unwrap();
    let hosts = std::mem::take(&mut *requests.lock().unwrap()).into_iter().map(|(host, _)| host);
    (outcome, hosts.collect())
}

fn sender(config: &SdkConfig) -> EventBridgeSender {
    EventBridgeSender::new(config, Vault::new(config, "alias/x"), FIRST_ATTEMPT_TIMEOUT)
}

const STS: &str = "sts.eu-central-1.amazonaws.com";
const EVENTS: &str = "events.eu-west-1.amazonaws.com";

#[tokio::test]
async fn roles_are_assumed_at_the_regional_endpoint() {
    for (region, host) in [
        ("eu-central-1", STS),
        ("us-east-1", "sts.us-east-1.amazonaws.com"),
        ("cn-north-1", "sts.cn-north-1.amazonaws.com.cn"),
    ] {
        let (config, requests) = scripted(region, 900, accepted);
        let (route, destination) = destination("errors");
        let (_, hosts) = send(&sender(&config), &requests, route, &destination).await;
        assert_eq!(hosts, [host, EVENTS]);
    }
}

#[tokio::test]
async fn a_role_is_assumed_for_one_bus_with_the_external_id_of_the_destination() {
    let (config, requests) = scripted("eu-central-1", 900, accepted);
    let (route, destination) = destination("errors");
    let record = Record::from(ErrorLog::for_test(route.environment, Timestamp::now()));
    sender(&config).send(route, &destination, &[&record]).await;
    let parameters = requests.lock().unwrap()[0].1.clone();
    let parameter = |name: &str| parameters.iter().find(|(other, _)| other == name).unwrap().1.clone();
    assert_eq!(parameter("RoleArn"), "arn:aws:iam::222222222222:role/tenon");
    assert_eq!(parameter("ExternalId"), ExternalId::of(route).as_str());
    assert_eq!(parameter("DurationSeconds"), "900");
    assert_eq!(parameter("RoleSessionName"), format!("tenon-{}-{}", route.environment, route.destination));
    let policy: Value = serde_json::from_str(&parameter("Policy")).unwrap();
    assert_eq!(
        policy["Statement"],
        json!([{ "Effect": "Allow", "Action": ["events:PutEvents", "events:DescribeEventBus"],
            "Resource": "arn:aws:events:eu-west-1:222222222222:event-bus/errors" }])
    );
}

#[tokio::test]
async fn credentials_of_a_role_are_used_until_five_minutes_before_they_expire() {
    for (lifetime, second) in [(310, vec![EVENTS]), (290, vec![STS, EVENTS])] {
        let (config, requests) = scripted("eu-central-1", lifetime, accepted);
        let (sender, (route, destination)) = (sender(&config), destination("errors"));
        assert_eq!(send(&sender, &requests, route, &destination).await.1, [STS, EVENTS]);
        assert_eq!(send(&sender, &requests, route, &destination).await.1, second, "{lifetime} s");
    }
}

#[tokio::test]
async fn credentials_of_a_role_are_forgotten_when_the_destination_changes() {
    let (config, requests) = scripted("eu-central-1", 900, accepted);
    let (sender, (route, before)) = (sender(&config), destination("errors"));
    send(&sender, &requests, route, &before).await;
    let (_, changed) = destination("others");
    assert_eq!(send(&sender, &requests, route, &changed).await.1, [STS, EVENTS]);
    assert_eq!(send(&sender, &requests, route, &changed).await.1, [EVENTS]);
    // Another destination has credentials of its own.
    let (other, same) = destination("others");
    assert_eq!(send(&sender, &requests, other, &same).await.1, [STS, EVENTS]);
}

#[tokio::test]
async fn credentials_of_a_role_are_forgotten_when_the_bus_refuses_them() {
    let refused = || (400, json!({ "__type": "AccessDeniedException", "message": "no" }));
    let (config, requests) = scripted("eu-central-1", 900, refused);
    let (sender, (route, destination)) = (sender(&config), destination("errors"));
    for _ in 0..2 {
        let (outcome, hosts) = send(&sender, &requests, route, &destination).await;
        assert!(matches!(outcome, Outcome::Failed(..)), "{outcome:?}");
        assert_eq!(hosts, [STS, EVENTS]);
    }
}

/// Returns the response of STS with an error.
fn sts_error(status: u16, code: &str) -> (u16, String) {
    let message = "User: arn:aws:sts::111111111111:assumed-role/tenon-DrainRole/tenon-drain is not authorized";
    (status, format!("<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"))
}

#[tokio::test]
async fn errors_of_sts_are_retried_and_never_blamed_on_the_wrong_side() {
    for (status, code, failure) in [
        (403, "AccessDenied", Some(Failure::Refused)),
        (403, "RegionDisabledException", Some(Failure::Refused)),
        (400, "MalformedPolicyDocument", Some(Failure::Refused)),
        (400, "RequestTimeout", Some(Failure::Unreachable)),
        (503, "ServiceUnavailable", Some(Failure::Unreachable)),
        (500, "AccessDenied", Some(Failure::Unreachable)),
        // Neither the limits of STS nor the credentials of the function are a matter of the
        // customer.
        (400, "Throttling", None),
        (429, "TooManyRequestsException", None),
        (403, "ExpiredToken", None),
        (403, "InvalidClientTokenId", None),
    ] {
        let (config, requests) = answering("eu-central-1", move || sts_error(status, code), accepted);
        let (route, destination) = destination("errors");
        let (outcome, hosts) = send(&sender(&config), &requests, route, &destination).await;
        assert_eq!(hosts, [STS], "{code}");
        match (outcome, failure) {
            (Outcome::Failed(attempt, found), Some(failure)) => {
                assert_eq!((attempt.status, found), (Some(status), failure), "{code}");
                assert!(
                    code != "AccessDenied" || status != 403 || !attempt.response.contains("DrainRole"),
                    "{attempt:?}"
                );
            }
            (Outcome::Skipped, None) => {}
            other => panic!("{code}: {other:?}"),
        }

        // A check refuses what the customer can change; everything else is worth a retry.
        let Target::EventBridge(bus) = &destination.target else { panic!("not a bus") };
        let BusAccess::Role { role_arn } = &bus.access else { panic!("not a role") };
        let checked = check_role(&config, route, bus, role_arn).await;
        let refused = matches!(checked, Ok(Checked { result: Err(_), .. }));
        assert_eq!(
            (refused, checked.is_err()),
            match failure {
                Some(Failure::Refused) => (true, false),
                _ => (false, true),
            },
            "{code}: {checked:?}"
        );
    }
}

#[tokio::test]
async fn calls_on_connections_that_aws_had_closed_are_repeated_at_once() {
    let (listener, requests) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), Arc::new(AtomicUsize::new(0)));
    let (config, _) = scripted("eu-central-1", 900, accepted);
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let client = aws_smithy_http_client::Builder::new().build_http();
    let config = config.into_builder().http_client(client).endpoint_url(endpoint).build();
    let seen = requests.clone();
    // The first connection breaks with its first request, each other one with its second.
    tokio::spawn(async move {
        let mut is_broken = true;
        while let Ok((stream, _)) = listener.accept().await {
            let (answered, seen) = (AtomicBool::new(is_broken), seen.clone());
            is_broken = false;
            let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                seen.fetch_add(1, Ordering::SeqCst);
                let is_answered = answered.swap(true, Ordering::SeqCst);
                let (status, body) = match request.headers().contains_key("x-amz-target") {
                    true => (accepted().0, accepted().1.to_string()),
                    false => (200, session(900)),
                };
                let response = http::Response::builder().status(status).body(body).unwrap();
                async move { if is_answered { Err("broken") } else { Ok(response) } }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    let (sender, (route, destination)) = (sender(&config), destination("errors"));
    let record = Record::from(ErrorLog::for_test(route.environment, Timestamp::now()));
    let outcome = sender.send(route, &destination, &[&record]).await.pop().unwrap();
    assert!(matches!(outcome, Outcome::Delivered(_)), "{outcome:?}");
    assert_eq!(requests.load(Ordering::SeqCst), 4, "STS and EventBridge are called twice each");
}
