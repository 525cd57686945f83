//! Rejections, throttling and partial failures of AWS, played as scripted responses at the SDK's
//! HTTP layer.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use aws_config::SdkConfig;
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tenon::{
    delivery::{
        drain_scheduler::DrainScheduler,
        eventbridge::{
            EventBridgeSender, FIRST_ATTEMPT_TIMEOUT,
            check::{ConnectionRefused, check_keys},
            credentials::seal_credentials,
        },
        forward::Forwarder,
        guard::EgressRules,
        queues::Queue,
        recorder::DeliveryRecorder,
        senders::Sender,
        webhook::{WebhookSender, new_secret, seal_secret},
    },
    domain::{
        delivery::{Attempt, Failure, Outcome, PendingDelivery, Route},
        destination::{Target, Verification},
        error_log::{ErrorIdentity, ErrorLog, NewError, WorkflowRef, truncate},
        event_bus::{AwsCredentials, BusAccess, EventBridge},
        id::{DestinationId, EnvironmentId, ErrorId, ReplayId, UserId, WorkflowId},
        names::Names,
        record::{Record, RecordKey},
        replay::{Replay, ReplaySelection},
        request_seed::{RequestKey, RequestSeed},
        timestamp::Timestamp,
        user::{Metadata, NewUser},
        webhook::Webhook,
    },
    store::{
        Table,
        deliveries::Deliveries,
        destinations::Destinations,
        errors::Errors,
        health::HealthStore,
        idempotency_records::{Claim, IdempotencyRecords, StoredBody, StoredResponse},
        pending::PendingDeliveries,
        replays::Replays,
        retention::Retention,
        users::Users,
    },
    vault::{Context, Vault, VaultError},
};
use tests::{event, scripted};

fn error(text: &str) -> ErrorLog {
    let now = Timestamp::now();
    let new = NewError {
        identity: ErrorIdentity::new(None, None, &RequestSeed::of(now), 0).unwrap(),
        execution_id: "e".parse().unwrap(),
        block_id: "b".parse().unwrap(),
        block_type: "shopify".parse().unwrap(),
        error: text.into(),
    };
    let workflow = WorkflowRef { workflow_id: WorkflowId::new(), user_id: UserId::new(), integration_id: None };
    new.record(EnvironmentId::new(), &workflow, now)
}

/// Returns the response of a KMS with a single data key, or `None` for other operations.
fn kms(operation: &str) -> Option<(u16, Value)> {
    let (key, wrapped) = (BASE64_STANDARD.encode([7; 32]), BASE64_STANDARD.encode([9; 64]));
    match operation {
        "GenerateDataKey" => Some((200, json!({ "KeyId": "k", "Plaintext": key, "CiphertextBlob": wrapped }))),
        "Decrypt" => Some((200, json!({ "KeyId": "k", "Plaintext": key }))),
        _ => None,
    }
}

/// Sends errors to a bus with scripted `PutEvents` responses. Returns the outcomes and the entries
/// of each request.
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
    let outcomes = send_to_bus(&config, errors).await;
    let requests = requests.lock().unwrap().clone();
    (outcomes, requests)
}

/// Sends errors to a bus.
async fn send_to_bus(config: &SdkConfig, errors: &[ErrorLog]) -> Vec<Outcome> {
    let vault = Vault::new(config, "alias/x");
    let route = Route { environment: EnvironmentId::new(), destination: DestinationId::new() };
    let credentials = AwsCredentials {
        access_key_id: "AKIAIOSFODNN7EXAMPLE".parse().unwrap(),
        secret_access_key: "secret".parse().unwrap(),
        session_token: None,
    };
    let bus = EventBridge {
        region: "us-east-1".parse().unwrap(),
        event_bus_name: "errors".parse().unwrap(),
        access: BusAccess::Keys {
            masked_access_key_id: credentials.access_key_id.masked(),
            credentials: seal_credentials(&vault, route, 1, &credentials).await.unwrap(),
        },
    };
    let destination = tests::delivery_harness::destination(route, Target::EventBridge(bus));
    let records: Vec<Record> = errors.iter().cloned().map(Record::from).collect();
    let records: Vec<&Record> = records.iter().collect();
    EventBridgeSender::new(config, vault, FIRST_ATTEMPT_TIMEOUT).send(route, &destination, &records).await
}

/// Sends an error to a webhook on which nothing listens.
async fn send_to_webhook(config: &SdkConfig, error: ErrorLog) -> Vec<Outcome> {
    let vault = Vault::new(config, "alias/x");
    let route = Route { environment: EnvironmentId::new(), destination: DestinationId::new() };
    let secret = seal_secret(&vault, route, 1, &new_secret().unwrap()).await.unwrap();
    let url = "http://127.0.0.1:9/".parse().unwrap();
    let webhook = Webhook { url, description: None, secret, previous: Vec::new() };
    let destination = tests::delivery_harness::destination(route, Target::Webhook(webhook));
    let sender = WebhookSender::new(EgressRules { ports: Vec::new(), allow_loopback: true }, vault);
    sender.send(route, &destination, &[&error.into()]).await
}

fn delivered(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Delivered(_))
}

fn failed(outcome: &Outcome) -> Option<(&Attempt, Failure)> {
    match outcome {
        Outcome::Failed(attempt, failure) => Some((attempt, *failure)),
        Outcome::Delivered(_) | Outcome::Skipped => None,
    }
}

fn taken(entries: &[Value]) -> (u16, Value) {
    let ids: Vec<Value> = entries.iter().map(|_| json!({ "EventId": "1" })).collect();
    (200, json!({ "FailedEntryCount": 0, "Entries": ids }))
}

#[tokio::test]
async fn only_failed_put_events_entries_count_as_failed() {
    let errors: Vec<ErrorLog> = (0..3).map(|n| error(&n.to_string())).collect();
    let refused = json!({ "ErrorCode": "ThrottlingException", "ErrorMessage": "Rate exceeded" });
    let entries = json!([{ "EventId": "1" }, refused, { "EventId": "2" }]);
    let (outcomes, _) = send(&errors, move |_| (200, json!({ "FailedEntryCount": 1, "Entries": entries }))).await;

    let said: Vec<_> = outcomes.iter().map(|o| failed(o).map(|(attempt, f)| (attempt.response.as_str(), f))).collect();
    assert_eq!(said, [None, Some(("ThrottlingException: Rate exceeded", Failure::Busy(None))), None]);
}

#[tokio::test]
async fn entry_missing_from_put_events_response_counts_as_failed() {
    let errors = [error("a"), error("b")];
    let one = json!({ "FailedEntryCount": 1, "Entries": [{ "EventId": "1" }] });
    let (outcomes, _) = send(&errors, move |_| (200, one.clone())).await;
    assert!(delivered(&outcomes[0]) && failed(&outcomes[1]).is_some(), "{outcomes:?}");
}

#[tokio::test]
async fn rejected_put_events_fails_all_errors_with_the_aws_message() {
    for (status, code) in
        [(400, "AccessDeniedException"), (403, "InvalidSignatureException"), (400, "ExpiredTokenException")]
    {
        let refusal = json!({ "__type": code, "message": "no" });
        let (outcomes, requests) = send(&[error("a"), error("b")], move |_| (status, refusal.clone())).await;
        assert_eq!(requests.len(), 1, "the SDK does not retry");
        for outcome in outcomes {
            let (attempt, failure) = failed(&outcome).unwrap();
            assert_eq!((attempt.status, &attempt.response), (Some(status), &format!("{code}: no")));
            assert_eq!(failure, Failure::Refused);
        }
    }
}

#[tokio::test]
async fn put_events_has_at_most_ten_entries_and_250_kilobytes_unless_one_is_larger() {
    let short: Vec<ErrorLog> = (0..25).map(|n| error(&n.to_string())).collect();
    let (outcomes, requests) = send(&short, taken).await;
    assert!(outcomes.len() == 25 && outcomes.iter().all(delivered));
    let mut sizes: Vec<usize> = requests.iter().map(Vec::len).collect();
    sizes.sort();
    assert_eq!(sizes, [5, 10, 10]);

    // Each of these characters takes six bytes in JSON.
    for length in [70_000, 10_000] {
        let long: Vec<ErrorLog> = (0..10).map(|_| error(&truncate("\u{1}".repeat(length)))).collect();
        let (outcomes, requests) = send(&long, taken).await;
        assert!(outcomes.len() == 10 && outcomes.iter().all(delivered));
        for entries in &requests {
            let bytes: usize = entries.iter().map(|entry| entry["Detail"].as_str().unwrap().len()).sum();
            assert!(bytes <= if entries.len() == 1 { 1_000_000 } else { 250_000 }, "{bytes}");
        }
    }
}

/// Writes errors to a table that leaves a number of items of each request unprocessed. Returns the
/// indices of the unwritten errors and the number of items of each request.
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
    let unwritten = store.record(errors).await;
    let sizes = sizes.lock().unwrap().clone();
    (unwritten, sizes)
}

#[tokio::test]
async fn only_unprocessed_items_are_written_again() {
    let errors: Vec<ErrorLog> = (0..10).map(|n| error(&n.to_string())).collect();
    let (unwritten, sizes) = record(&errors, |sent| sent / 3).await;
    assert_eq!((unwritten, sizes), (vec![], vec![10, 3, 1]));
}

#[tokio::test]
async fn items_that_stay_unprocessed_are_returned() {
    let errors: Vec<ErrorLog> = (0..10).map(|n| error(&n.to_string())).collect();
    let (unwritten, _) = record(&errors, |sent| sent.min(2)).await;
    assert_eq!(unwritten, [0, 1]);
}

/// Forwards stream records with scripted AWS responses. Returns the response of the handler.
async fn forward(event: Value, answer: impl Fn(&str, &Value) -> (u16, Value) + Send + Sync + 'static) -> Value {
    let config = scripted(move |operation, body| answer(operation, &body)).await;
    let table = |name: &str| Table::new(&config, name);
    let queue = |name: &str| Queue::new(&config, format!("https://sqs.us-east-1.amazonaws.com/1/{name}"));
    let forwarder = Forwarder {
        recorder: DeliveryRecorder {
            destinations: Destinations(table("directory")),
            health_store: HealthStore(table("directory")),
            deliveries: Deliveries { table: table("errors"), retention: Retention::days(30) },
            pending: PendingDeliveries { table: table("errors"), retention: Retention::days(30) },
            replays: Replays(table("directory")),
            scheduler: DrainScheduler { health_store: HealthStore(table("directory")), queue: queue("drains") },
        },
        eventbridge: EventBridgeSender::new(&config, Vault::new(&config, "alias/x"), FIRST_ATTEMPT_TIMEOUT),
        webhook_queue: queue("webhooks"),
        dead_letter_queue: queue("failures"),
    };
    serde_json::to_value(forwarder.forward(&event.to_string()).await.unwrap()).unwrap()
}

/// Returns a stream record of an environment with a sequence number.
fn record_of(environment: EnvironmentId, sequence_number: &str) -> Value {
    let mut record = event("forward_errors")["Records"][0].clone();
    record["dynamodb"]["NewImage"]["environmentId"] = json!({ "S": environment });
    record["dynamodb"]["SequenceNumber"] = json!(sequence_number);
    record
}

#[tokio::test]
async fn forwarder_returns_the_lowest_failed_sequence_number() {
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
async fn unreadable_stream_record_is_dead_lettered() {
    let mut poisonous = record_of(EnvironmentId::new(), "5");
    poisonous["dynamodb"]["NewImage"] = json!({ "type": { "S": "error" } });
    let records = json!({ "Records": [poisonous, record_of(EnvironmentId::new(), "6")] });
    let queries: Arc<Mutex<usize>> = Arc::default();
    let seen = queries.clone();
    let dead_letter: Arc<Mutex<Vec<Value>>> = Arc::default();
    let messages = dead_letter.clone();
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
    assert_eq!(*queries.lock().unwrap(), 1, "the other record is forwarded");
    let message = dead_letter.lock().unwrap().remove(0);
    assert_eq!((&message["message"], &message["sequenceNumber"]), (&json!("UnreadableRecordV1"), &json!("5")));
    assert!(message["keys"]["pk"].is_string(), "{message}");

    // A record that cannot be dead-lettered is retried.
    let answer = forward(records, |operation, _| match operation {
        "SendMessage" => (400, json!({ "__type": "AccessDenied", "message": "no" })),
        _ => (200, json!({ "Items": [], "Count": 0 })),
    })
    .await;
    assert_eq!(answer, json!({ "batchItemFailures": [{ "itemIdentifier": "5" }] }));
}

#[tokio::test]
async fn messages_to_several_destinations_share_calls_and_are_known_by_their_index() {
    let calls: Arc<Mutex<Vec<Vec<Value>>>> = Arc::default();
    let seen = calls.clone();
    let config = scripted(move |_, body| {
        let entries = body["Entries"].as_array().unwrap();
        seen.lock().unwrap().push(entries.clone());
        let refused = entries.iter().filter(|entry| ["3", "11"].contains(&entry["MessageBody"].as_str().unwrap()));
        let failed = refused.map(|entry| json!({ "Id": entry["Id"], "SenderFault": false, "Code": "InternalError" }));
        (200, json!({ "Successful": [], "Failed": failed.collect::<Value>() }))
    })
    .await;
    let queue = Queue::new(&config, "https://sqs.us-east-1.amazonaws.com/1/webhooks".into());
    let messages: Vec<usize> = (0..12).collect();
    let failed = queue.send_all(&messages, |message| format!("destination {}", message % 5)).await;
    assert_eq!(failed, [3, 11]);
    let calls = calls.lock().unwrap();
    assert_eq!(calls.len(), 2);
    let mut sent: Vec<(usize, Value)> = calls
        .iter()
        .flatten()
        .map(|entry| (entry["MessageBody"].as_str().unwrap().parse().unwrap(), entry["MessageGroupId"].clone()))
        .collect();
    sent.sort_by_key(|(message, _)| *message);
    let expected = messages.iter().map(|message| (*message, json!(format!("destination {}", message % 5))));
    assert_eq!(sent, expected.collect::<Vec<_>>());
}

#[tokio::test]
async fn messages_of_a_failed_call_count_as_unsent() {
    let config = scripted(|_, body| match body["Entries"].as_array().unwrap().len() {
        10 => (400, json!({ "__type": "AccessDenied", "message": "no" })),
        _ => (200, json!({ "Successful": [], "Failed": [] })),
    })
    .await;
    let queue = Queue::new(&config, "https://sqs.us-east-1.amazonaws.com/1/webhooks".into());
    let failed = queue.send_all(&["message"; 12], |_| "destination".into()).await;
    assert_eq!(failed, (0..10).collect::<Vec<_>>());
}

#[tokio::test]
async fn delayed_message_belongs_to_the_group_of_its_destination() {
    let config = scripted(|_, body| {
        assert_eq!(body["MessageGroupId"], "destination");
        (200, json!({ "MessageId": "1" }))
    })
    .await;
    let queue = Queue::new(&config, "https://sqs.us-east-1.amazonaws.com/1/webhooks".into());
    let now = Timestamp::now();
    queue.send("destination", &"message", now, now).await.unwrap();
}

#[tokio::test]
async fn transaction_conflict_is_retried() {
    let calls: Arc<Mutex<usize>> = Arc::default();
    let made = calls.clone();
    let config = scripted(move |operation, _| {
        assert_eq!(operation, "TransactWriteItems");
        *made.lock().unwrap() += 1;
        if *made.lock().unwrap() < 3 {
            let reasons = json!([{ "Code": "None" }, { "Code": "TransactionConflict" }]);
            let exception = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException";
            return (400, json!({ "__type": exception, "message": "cancelled", "CancellationReasons": reasons }));
        }
        (200, json!({}))
    })
    .await;
    let seed = RequestSeed::new();
    let names = Names::new(Some("joe".parse().unwrap()), None, &seed.suffix(0)).unwrap();
    let user = NewUser { names, full_name: None, metadata: Metadata::default() }.create(&seed, 0);
    Users(Table::new(&config, "directory")).create(EnvironmentId::new(), &user, &seed).await.unwrap();
    assert_eq!(*calls.lock().unwrap(), 3);
}

#[tokio::test]
async fn write_that_conflicts_with_a_transaction_is_retried() {
    let calls: Arc<Mutex<Vec<String>>> = Arc::default();
    let made = calls.clone();
    let config = scripted(move |operation, _| {
        let mut made = made.lock().unwrap();
        made.push(operation.to_owned());
        if made.iter().filter(|before| *before == operation).count() == 1 {
            let exception = "com.amazonaws.dynamodb.v20120810#TransactionConflictException";
            return (400, json!({ "__type": exception, "message": "Transaction is ongoing for the item" }));
        }
        (200, json!({}))
    })
    .await;
    let route = Route { environment: EnvironmentId::new(), destination: DestinationId::new() };
    let health = HealthStore(Table::new(&config, "errors"));
    health.announce_backlog(route, Timestamp::now()).await.unwrap();
    health.delete(route).await.unwrap();
    let replay = Replay::new(ReplayId::new(), route.destination, ReplaySelection::Errors(Vec::new()), Timestamp::now());
    Replays(Table::new(&config, "directory")).create(route.environment, &replay).await.unwrap();
    let twice: Vec<_> = ["UpdateItem", "UpdateItem", "DeleteItem", "DeleteItem", "PutItem", "PutItem"].into();
    assert_eq!(*calls.lock().unwrap(), twice);
}

#[tokio::test]
async fn delivery_that_could_not_become_pending_is_not_shown_as_pending() {
    let deleted: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = deleted.clone();
    let config = scripted(move |operation, body| {
        let of_key = |key: &Value| key["pk"]["S"].as_str().unwrap().rsplit('#').nth(1).unwrap().to_owned();
        if operation == "DeleteItem" {
            assert!(body["ConditionExpression"].is_string(), "a drain may have stored a result");
            seen.lock().unwrap().push(of_key(&body["Key"]));
            return (200, json!({}));
        }
        if operation == "BatchGetItem" {
            return (200, json!({ "Responses": { "errors": [] }, "UnprocessedKeys": {} }));
        }
        let writes = body["RequestItems"]["errors"].as_array().unwrap();
        let deletions = writes.iter().map(|write| &write["DeleteRequest"]["Key"]).filter(|key| key.is_object());
        seen.lock().unwrap().extend(deletions.map(of_key));
        let is_refused = |write: &&Value| {
            write["PutRequest"]["Item"]["type"]["S"] == "pendingDelivery" || write["DeleteRequest"].is_object()
        };
        let unprocessed: Vec<&Value> = writes.iter().filter(is_refused).collect();
        let unprocessed = if unprocessed.is_empty() { json!({}) } else { json!({ "errors": unprocessed }) };
        (200, json!({ "UnprocessedItems": unprocessed }))
    })
    .await;
    let retention = Retention::days(30);
    let pending = PendingDeliveries { table: Table::new(&config, "errors"), retention };
    let route = Route { environment: EnvironmentId::new(), destination: DestinationId::new() };
    let record = RecordKey::Error { workflow_id: WorkflowId::new(), error_id: ErrorId::new() };
    let delivery = (PendingDelivery::first(record, Timestamp::now()), None);

    let unwritten = pending.add(route, &[delivery]).await.unwrap();

    assert_eq!(unwritten, BTreeSet::from([record]));
    let deleted = deleted.lock().unwrap();
    let (attempts, pending): (Vec<&String>, Vec<&String>) = deleted.iter().partition(|of| *of == "attempts");
    assert!(attempts.len() == 1 && !pending.is_empty(), "{deleted:?}");
}

#[tokio::test]
async fn claims_of_a_request_store_pieces_under_different_keys() {
    let keys: Arc<Mutex<Vec<String>>> = Arc::default();
    let written = keys.clone();
    let config = scripted(move |operation, body| {
        if operation == "BatchWriteItem" {
            let pieces = body["RequestItems"]["directory"].as_array().unwrap();
            let keys = pieces.iter().map(|piece| piece["PutRequest"]["Item"]["sk"]["S"].as_str().unwrap().to_owned());
            written.lock().unwrap().extend(keys);
        }
        (200, json!({}))
    })
    .await;
    let records = IdempotencyRecords(Table::new(&config, "directory"));
    let key = RequestKey { environment: EnvironmentId::new(), digest: "0".repeat(64) };
    let body = StoredBody::Compressed(vec![0; 800_000]);
    for _ in 0..2 {
        let Claim::Acquired(claim) = records.claim(&key, "body".into(), Timestamp::now()).await.unwrap() else {
            panic!("the scripted table is empty");
        };
        let response = StoredResponse { status: 200, headers: BTreeMap::new(), body: body.clone() };
        records.complete(&key, &claim, response).await.unwrap();
    }
    let keys = keys.lock().unwrap();
    assert_eq!((keys.len(), keys.iter().collect::<BTreeSet<_>>().len()), (4, 4), "{keys:?}");
}

#[tokio::test]
async fn attempts_are_skipped_while_kms_refuses_the_functions_and_fail_if_the_secret_is_damaged() {
    for (code, is_of_secret) in [
        ("DisabledException", false),
        ("KMSInvalidStateException", false),
        ("NotFoundException", false),
        ("AccessDeniedException", false),
        ("InvalidCiphertextException", true),
        ("IncorrectKeyException", false),
    ] {
        let config = scripted(move |operation, _| match operation {
            "Decrypt" => (400, json!({ "__type": code, "message": "no" })),
            other => kms(other).unwrap(),
        })
        .await;
        for outcomes in [send_to_bus(&config, &[error("a")]).await, send_to_webhook(&config, error("a")).await] {
            match failed(&outcomes[0]) {
                Some((attempt, Failure::Refused)) => {
                    assert!(
                        is_of_secret && attempt.response.ends_with("could not be decrypted"),
                        "{code}: {outcomes:?}"
                    );
                }
                _ => assert_eq!((is_of_secret, &outcomes[..]), (false, &[Outcome::Skipped][..]), "{code}"),
            }
        }
    }
}

#[tokio::test]
async fn errors_of_kms_say_whether_the_secret_is_damaged() {
    let refuse = |status: u16, code: &'static str| {
        scripted(move |operation, _| match operation {
            "Decrypt" => (status, json!({ "__type": code, "message": "" })),
            other => kms(other).unwrap(),
        })
    };
    let context = Context { environment: "acme".into(), owner: "destination".into(), purpose: "webhook-secret" };
    let answers = [
        (400, "ThrottlingException"),
        (400, "InvalidCiphertextException"),
        (400, "DisabledException"),
        (503, "ServiceUnavailable"),
        // A front end of AWS answers without a code.
        (502, ""),
    ];
    for (status, code) in answers {
        let vault = Vault::new(&refuse(status, code).await, "alias/x");
        let sealed = vault.seal(&context, 1, b"secret").await.unwrap();
        match vault.open(&context, &sealed).await {
            Err(VaultError::Busy(_)) => assert!(status >= 500 || code == "ThrottlingException", "{code}"),
            Err(VaultError::Undecryptable) => assert_eq!(code, "InvalidCiphertextException"),
            Err(VaultError::Refused(_)) => assert_eq!(code, "DisabledException"),
            other => panic!("{code}: {other:?}"),
        }
    }
}

/// Checks a bus with scripted AWS responses.
async fn checked(described: (u16, Value), put: (u16, Value)) -> Result<Verification, ConnectionRefused> {
    let config = scripted(move |operation, _| match operation {
        "DescribeEventBus" => described.clone(),
        "PutEvents" => put.clone(),
        other => panic!("unexpected call of {other}"),
    })
    .await;
    let credentials = AwsCredentials {
        access_key_id: "AKIAIOSFODNN7EXAMPLE".parse().unwrap(),
        secret_access_key: "secret".parse().unwrap(),
        session_token: None,
    };
    let (region, bus) = ("us-east-1".parse().unwrap(), "errors".parse().unwrap());
    check_keys(&config, EnvironmentId::new(), (&region, &bus), &credentials).await.result
}

#[tokio::test]
async fn bus_check_maps_aws_responses_to_results() {
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
async fn signature_error_is_stored_without_the_canonical_request() {
    let message = "The signature does not match.\n\nThe Canonical String for this request should have been\n'POST\n\
        x-amz-security-token:IQoJb3JpZ2luX2VjEXAMPLE'";
    let refusal = json!({ "__type": "InvalidSignatureException", "message": message });
    let (outcomes, _) = send(&[error("a")], move |_| (403, refusal.clone())).await;
    let (attempt, _) = failed(&outcomes[0]).unwrap();
    assert_eq!(attempt.response, "InvalidSignatureException: The signature does not match.");
}

#[tokio::test]
async fn only_errors_of_a_rejected_batch_count_as_unwritten() {
    let errors: Vec<ErrorLog> = (0..100).map(|n| error(&format!("error {n:02}"))).collect();
    let config = scripted(|_, body| match body.to_string().contains("error 30") {
        true => (400, json!({ "__type": "ValidationException", "message": "no" })),
        false => (200, json!({ "UnprocessedItems": {} })),
    });
    let store = Errors { table: Table::new(&config.await, "errors"), retention: Retention::days(30) };
    assert_eq!(store.record(&errors).await, (25..50).collect::<Vec<_>>());
}
