//! What happens when AWS refuses, throttles, or does only a part: against answers that a script plays at the SDK's HTTP
//! layer.

use std::sync::{Arc, Mutex};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tenon::{
    delivery::{
        books::Books,
        eventbridge::{Buses, FIRST_ATTEMPT, Refusal, check, seal_credentials},
        forward::Forwarder,
        queues::Queue,
        wake::Waker,
    },
    domain::{
        delivery::{Attempt, Failure, Outcome, Route},
        destination::{AwsCredentials, EventBridge, Verification},
        error_log::{ErrorIdentity, ErrorLog, NewError, WorkflowRef, cut},
        id::{DestinationId, EnvironmentId, UserId, WorkflowId},
        origin::Origin,
        timestamp::Timestamp,
    },
    store::{
        Table,
        deliveries::Deliveries,
        destinations::Destinations,
        errors::{Errors, Retention},
        health::Healths,
        pending::PendingDeliveries,
    },
    vault::Vault,
};
use tests::{event, scripted};

fn error(text: &str) -> ErrorLog {
    let now = Timestamp::now();
    let new = NewError {
        identity: ErrorIdentity::new(None, None, &Origin::of(now), 0).unwrap(),
        execution_id: "e".parse().unwrap(),
        block_id: "b".parse().unwrap(),
        block_type: "shopify".parse().unwrap(),
        error: text.into(),
    };
    let workflow = WorkflowRef { workflow_id: WorkflowId::new(), user_id: UserId::new(), integration_id: None };
    new.record(EnvironmentId::new(), &workflow, now)
}

/// KMS's answers, with the one data key that it knows.
fn kms(operation: &str) -> Option<(u16, Value)> {
    let (key, wrapped) = (BASE64_STANDARD.encode([7; 32]), BASE64_STANDARD.encode([9; 64]));
    match operation {
        "GenerateDataKey" => Some((200, json!({ "KeyId": "k", "Plaintext": key, "CiphertextBlob": wrapped }))),
        "Decrypt" => Some((200, json!({ "KeyId": "k", "Plaintext": key }))),
        _ => None,
    }
}

/// Sends errors to a bus whose `PutEvents` answers as scripted. Returns the outcomes and the entries of each request.
async fn send(
    errors: &[ErrorLog],
    answer: impl Fn(&[Value]) -> (u16, Value) + Send + Sync + 'static,
) -> (Vec<Outcome>, Vec<Vec<Value>>) {
    let requests: Arc<Mutex<Vec<Vec<Value>>>> = Arc::default();
    let seen = requests.clone();
    let config = scripted(move |operation, body| {
        kms(operation).unwrap_or_else(|| {
            let entries = body["Entries"].as_array().unwrap().clone();
            let answer = answer(&entries);
            seen.lock().unwrap().push(entries);
            answer
        })
    })
    .await;
    let vault = Vault::new(&config, "alias/x");
    let route = Route { environment: EnvironmentId::new(), destination: DestinationId::new() };
    let credentials = AwsCredentials {
        access_key_id: "AKIAIOSFODNN7EXAMPLE".parse().unwrap(),
        secret_access_key: "secret".parse().unwrap(),
        session_token: None,
    };
    let bus = EventBridge {
        region: "us-east-1".parse().unwrap(),
        event_bus_name: "errors".parse().unwrap(),
        masked_access_key_id: credentials.access_key_id.masked(),
        credentials: seal_credentials(&vault, route, 1, &credentials).await.unwrap(),
    };
    let errors: Vec<&ErrorLog> = errors.iter().collect();
    let outcomes = Buses::new(&config, vault, FIRST_ATTEMPT).send(route, 1, &bus, &errors).await;
    let requests = requests.lock().unwrap().clone();
    (outcomes, requests)
}

fn delivered(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Delivered(_))
}

fn failed(outcome: &Outcome) -> Option<(&Attempt, Failure)> {
    match outcome {
        Outcome::Failed(attempt, failure) => Some((attempt, *failure)),
        Outcome::Delivered(_) | Outcome::NotMade => None,
    }
}

fn taken(entries: &[Value]) -> (u16, Value) {
    let ids: Vec<Value> = entries.iter().map(|_| json!({ "EventId": "1" })).collect();
    (200, json!({ "FailedEntryCount": 0, "Entries": ids }))
}

#[tokio::test]
async fn of_a_partly_failed_request_only_the_failed_entries_count_as_failed() {
    let errors: Vec<ErrorLog> = (0..3).map(|n| error(&n.to_string())).collect();
    let refused = json!({ "ErrorCode": "ThrottlingException", "ErrorMessage": "Rate exceeded" });
    let entries = json!([{ "EventId": "1" }, refused, { "EventId": "2" }]);
    let (outcomes, _) = send(&errors, move |_| (200, json!({ "FailedEntryCount": 1, "Entries": entries }))).await;

    let said: Vec<_> = outcomes.iter().map(|o| failed(o).map(|(attempt, f)| (attempt.response.as_str(), f))).collect();
    assert_eq!(said, [None, Some(("ThrottlingException: Rate exceeded", Failure::Busy(None))), None]);
}

#[tokio::test]
async fn an_answer_that_does_not_tell_of_an_entry_does_not_count_as_delivered() {
    let errors = [error("a"), error("b")];
    let one = json!({ "FailedEntryCount": 1, "Entries": [{ "EventId": "1" }] });
    let (outcomes, _) = send(&errors, move |_| (200, one.clone())).await;
    assert!(delivered(&outcomes[0]) && failed(&outcomes[1]).is_some(), "{outcomes:?}");
}

#[tokio::test]
async fn a_refused_request_fails_each_of_its_errors_with_what_aws_said() {
    for (status, code) in
        [(400, "AccessDeniedException"), (403, "InvalidSignatureException"), (400, "ExpiredTokenException")]
    {
        let refusal = json!({ "__type": code, "message": "no" });
        let (outcomes, requests) = send(&[error("a"), error("b")], move |_| (status, refusal.clone())).await;
        assert_eq!(requests.len(), 1, "the schedule of attempts is not the SDK's");
        for outcome in outcomes {
            let (attempt, failure) = failed(&outcome).unwrap();
            assert_eq!((attempt.status, &attempt.response), (Some(status), &format!("{code}: no")));
            assert_eq!(failure, Failure::Refused);
        }
    }
}

#[tokio::test]
async fn errors_are_put_ten_at_a_time_and_never_more_than_a_megabyte() {
    let short: Vec<ErrorLog> = (0..25).map(|n| error(&n.to_string())).collect();
    let (outcomes, requests) = send(&short, taken).await;
    assert!(outcomes.len() == 25 && outcomes.iter().all(delivered));
    let mut sizes: Vec<usize> = requests.iter().map(Vec::len).collect();
    sizes.sort();
    assert_eq!(sizes, [5, 10, 10]);

    // As JSON every one of these characters is six bytes.
    let long: Vec<ErrorLog> = (0..10).map(|_| error(&cut("\u{1}".repeat(70_000)))).collect();
    let (outcomes, requests) = send(&long, taken).await;
    assert!(outcomes.len() == 10 && outcomes.iter().all(delivered));
    for entries in &requests {
        let bytes: usize = entries.iter().map(|entry| entry["Detail"].as_str().unwrap().len()).sum();
        assert!(bytes <= 1_000_000, "{bytes}");
    }
}

/// Writes errors to a table that leaves a number of items unprocessed each time. Returns what was not written, and the
/// error ids of each request.
async fn record(
    errors: &[ErrorLog],
    leaves: impl Fn(usize) -> usize + Send + Sync + 'static,
) -> (Vec<usize>, Vec<usize>) {
    let sizes: Arc<Mutex<Vec<usize>>> = Arc::default();
    let seen = sizes.clone();
    let config = scripted(move |_, body| {
        let requests = body["RequestItems"]["errors"].as_array().unwrap();
        seen.lock().unwrap().push(requests.len());
        match leaves(requests.len()) {
            0 => (200, json!({ "UnprocessedItems": {} })),
            left => (200, json!({ "UnprocessedItems": { "errors": requests[..left] } })),
        }
    })
    .await;
    let store = Errors { table: Table::new(&config, "errors"), retention: Retention::days(30) };
    let unwritten = store.record(errors).await.unwrap();
    let sizes = sizes.lock().unwrap().clone();
    (unwritten, sizes)
}

#[tokio::test]
async fn items_that_dynamodb_leaves_unprocessed_are_sent_again_and_no_others() {
    let errors: Vec<ErrorLog> = (0..10).map(|n| error(&n.to_string())).collect();
    let (unwritten, sizes) = record(&errors, |sent| sent / 3).await;
    assert_eq!((unwritten, sizes), (vec![], vec![10, 3, 1]));
}

#[tokio::test]
async fn what_dynamodb_never_takes_is_named() {
    let errors: Vec<ErrorLog> = (0..10).map(|n| error(&n.to_string())).collect();
    let (unwritten, _) = record(&errors, |sent| sent.min(2)).await;
    assert_eq!(unwritten, [0, 1]);
}

/// Forwards records of several environments where DynamoDB answers as scripted. Returns the handler's answer.
async fn forward(event: Value, answer: impl Fn(&str, &Value) -> (u16, Value) + Send + Sync + 'static) -> Value {
    let config = scripted(move |operation, body| answer(operation, &body)).await;
    let table = |name: &str| Table::new(&config, name);
    let queue = |name: &str| Queue::new(&config, format!("https://sqs.us-east-1.amazonaws.com/1/{name}"));
    let forwarder = Forwarder {
        books: Books {
            destinations: Destinations(table("directory")),
            healths: Healths(table("directory")),
            deliveries: Deliveries { table: table("errors"), retention: Retention::days(30) },
            pending: PendingDeliveries { table: table("errors"), retention: Retention::days(30) },
            waker: Waker { healths: Healths(table("directory")), queue: queue("drains") },
        },
        buses: Buses::new(&config, Vault::new(&config, "alias/x"), FIRST_ATTEMPT),
        webhooks: queue("webhooks"),
        failures: queue("failures"),
    };
    let event = serde_json::from_value(event).unwrap();
    serde_json::to_value(forwarder.forward(event).await).unwrap()
}

/// A stream record of an environment, with a sequence number.
fn record_of(environment: EnvironmentId, sequence_number: &str) -> Value {
    let mut record = event("forward_errors")["Records"][0].clone();
    record["dynamodb"]["NewImage"]["environmentId"] = json!({ "S": environment });
    record["dynamodb"]["SequenceNumber"] = json!(sequence_number);
    record
}

#[tokio::test]
async fn the_lowest_sequence_number_that_could_be_neither_sent_nor_noted_is_answered() {
    let (fine, broken) = (EnvironmentId::new(), EnvironmentId::new());
    let records = [record_of(fine, "98"), record_of(broken, "100"), record_of(broken, "99"), record_of(fine, "101")];
    let answer = forward(json!({ "Records": records }), move |_, body| {
        let pk = body["ExpressionAttributeValues"][":pk"]["S"].as_str().unwrap();
        if pk.contains(&broken.to_string()) {
            (400, json!({ "__type": "AccessDeniedException", "message": "no" }))
        } else {
            (200, json!({ "Items": [], "Count": 0 }))
        }
    })
    .await;
    assert_eq!(answer, json!({ "batchItemFailures": [{ "itemIdentifier": "99" }] }));
}

#[tokio::test]
async fn a_record_that_cannot_be_read_holds_back_nobody_and_is_not_passed_over() {
    let mut poisonous = record_of(EnvironmentId::new(), "5");
    poisonous["dynamodb"]["NewImage"] = json!({ "type": { "S": "error" } });
    let records = json!({ "Records": [poisonous, record_of(EnvironmentId::new(), "6")] });
    let queries: Arc<Mutex<usize>> = Arc::default();
    let seen = queries.clone();
    let put_aside: Arc<Mutex<Vec<Value>>> = Arc::default();
    let messages = put_aside.clone();
    let answer = forward(records.clone(), move |operation, body| match operation {
        "SendMessage" => {
            messages.lock().unwrap().push(serde_json::from_str(body["MessageBody"].as_str().unwrap()).unwrap());
            (200, json!({ "MessageId": "1" }))
        }
        _ => {
            *seen.lock().unwrap() += 1;
            (200, json!({ "Items": [], "Count": 0 }))
        }
    })
    .await;
    assert_eq!(answer, json!({ "batchItemFailures": [] }));
    assert_eq!(*queries.lock().unwrap(), 1, "the other record was forwarded");
    let message = put_aside.lock().unwrap().remove(0);
    assert_eq!((&message["message"], &message["sequenceNumber"]), (&json!("UnreadableRecordV1"), &json!("5")));
    assert!(message["keys"]["pk"].is_string(), "{message}");

    // Where it cannot be put aside, it comes again.
    let answer = forward(records, |operation, _| match operation {
        "SendMessage" => (400, json!({ "__type": "AccessDenied", "message": "no" })),
        _ => (200, json!({ "Items": [], "Count": 0 })),
    })
    .await;
    assert_eq!(answer, json!({ "batchItemFailures": [{ "itemIdentifier": "5" }] }));
}

/// Checks a connection where AWS answers as scripted.
async fn checked(described: (u16, Value), put: (u16, Value)) -> Result<Verification, Refusal> {
    let config = scripted(move |operation, _| match operation {
        "DescribeEventBus" => described.clone(),
        "PutEvents" => put.clone(),
        other => panic!("{other} is not called"),
    })
    .await;
    let credentials = AwsCredentials {
        access_key_id: "AKIAIOSFODNN7EXAMPLE".parse().unwrap(),
        secret_access_key: "secret".parse().unwrap(),
        session_token: None,
    };
    let (region, bus) = ("us-east-1".parse().unwrap(), "errors".parse().unwrap());
    check(&config, EnvironmentId::new(), (&region, &bus), &credentials).await
}

#[tokio::test]
async fn what_a_check_proves_and_refuses_follows_from_what_aws_answers() {
    let there = || (200, json!({ "Name": "errors" }));
    let took = || (200, json!({ "FailedEntryCount": 0, "Entries": [{ "EventId": "1" }] }));
    let refused = |code: &str| (400, json!({ "__type": code, "message": "no" }));
    let entry = |code: &str| {
        let entry = json!({ "ErrorCode": code, "ErrorMessage": "no" });
        (200, json!({ "FailedEntryCount": 1, "Entries": [entry] }))
    };

    assert!(checked(there(), took()).await.unwrap().verified);
    for (described, put) in [
        (refused("AccessDeniedException"), took()),
        (refused("ThrottlingException"), took()),
        (there(), refused("ThrottlingException")),
        (there(), entry("InternalFailure")),
    ] {
        let verification = checked(described, put).await.unwrap();
        assert!(!verification.verified && !verification.reason.is_empty(), "{verification:?}");
    }
    for (described, put, pointer) in [
        (refused("ResourceNotFoundException"), took(), "/eventBusName"),
        (refused("UnrecognizedClientException"), took(), "/credentials/accessKeyId"),
        (refused("InvalidSignatureException"), took(), "/credentials/secretAccessKey"),
        (refused("ExpiredTokenException"), took(), "/credentials/sessionToken"),
        (refused("AccessDeniedException"), refused("AccessDeniedException"), "/credentials"),
        (there(), entry("AccessDeniedException"), "/credentials"),
    ] {
        let refusal = checked(described, put).await.unwrap_err();
        assert_eq!(refusal.pointer, pointer, "{refusal:?}");
    }
}

#[tokio::test]
async fn what_aws_says_of_a_signature_is_kept_without_the_request_that_it_repeats() {
    let message = "The signature does not match.\n\nThe Canonical String for this request should have been\n'POST\n\
        x-amz-security-token:IQoJb3JpZ2luX2VjEXAMPLE'";
    let refusal = json!({ "__type": "InvalidSignatureException", "message": message });
    let (outcomes, _) = send(&[error("a")], move |_| (403, refusal.clone())).await;
    let (attempt, _) = failed(&outcomes[0]).unwrap();
    assert_eq!(attempt.response, "InvalidSignatureException: The signature does not match.");
}

#[tokio::test]
async fn of_a_hundred_errors_only_those_of_a_refused_batch_count_as_unwritten() {
    let errors: Vec<ErrorLog> = (0..100).map(|n| error(&format!("error {n:02}"))).collect();
    let config = scripted(|_, body| match body.to_string().contains("error 30") {
        true => (400, json!({ "__type": "ValidationException", "message": "no" })),
        false => (200, json!({ "UnprocessedItems": {} })),
    });
    let store = Errors { table: Table::new(&config.await, "errors"), retention: Retention::days(30) };
    assert_eq!(store.record(&errors).await.unwrap(), (25..50).collect::<Vec<_>>());
}
