//! Stored deliveries: batching, lookup by error and pages over several partitions.

use std::{collections::BTreeSet, time::Duration};

use rand::Rng;
use tenon::{
    delivery::{
        pipeline::Stage,
        recorder::{AttemptedBatch, DeliveryRecorder, Recorder},
    },
    domain::{
        delivery::{Attempt, Delivery, DeliveryStatus, Disposition, PendingDelivery, Route, Settlement},
        error_log::ErrorLog,
        health::OutcomeCounts,
        id::{DestinationId, EnvironmentId, ErrorId, ObjectId, ReplayId, WorkflowId},
        record::{RecordId, RecordKey, RecordRef},
        replay::{Replay, ReplaySelection},
        timestamp::Timestamp,
    },
    store::{
        PageRequest, Table,
        deliveries::{Deliveries, Unrecorded},
        errors::Errors,
        pending::{Merge, PendingDeliveries, QueueOutcome, Queued},
        records::Records,
        replays::Replays,
        retention::Retention,
    },
};
use tests::{
    Calls, Random, aws,
    delivery_harness::DeliveryHarness,
    keys, setting,
    table_items::{load, query},
};

async fn table(name: &str) -> Table {
    Table::new(&aws(&setting("AWS_ACCESS_KEY_ID")).await, setting(name))
}

/// Returns the key of the error of a delivery.
fn key(workflow_id: WorkflowId, delivery: &Delivery) -> RecordKey {
    match delivery.record {
        RecordId::Error { error_id } => RecordKey::Error { workflow_id, error_id },
        RecordId::Event { .. } => panic!("{delivery:?}"),
    }
}

fn route() -> Route {
    Route { environment: EnvironmentId::new(), destination: DestinationId::new() }
}

/// Returns a time at which everything is due that replays have queued before.
fn soon() -> Timestamp {
    Timestamp::now() + Duration::from_secs(1)
}

/// Returns the key of an error of a workflow.
fn error_of(workflow_id: WorkflowId) -> RecordKey {
    RecordKey::Error { workflow_id, error_id: ErrorId::new() }
}

fn stored(key: RecordKey, recorded_at: Timestamp) -> RecordRef {
    RecordRef { key, recorded_at }
}

#[tokio::test]
async fn delivery_pages_are_complete_and_ordered_across_partitions() {
    let deliveries = Deliveries { table: table("ERRORS_TABLE").await, retention: Retention::days(30) };
    let (route, now) = (route(), Timestamp::now());
    let statuses = [DeliveryStatus::Pending, DeliveryStatus::Failed, DeliveryStatus::Failed, DeliveryStatus::Failed];
    let workflow = WorkflowId::new();
    let mut model: Vec<Delivery> = (0..400)
        .map(|n: u64| Delivery {
            record: RecordId::Error {
                error_id: ObjectId::at(now - Duration::from_secs(Random.random_range(0..n + 1))).into(),
            },
            destination_id: route.destination,
            // `Cancelled` is rare.
            status: if n.is_multiple_of(97) {
                DeliveryStatus::Cancelled
            } else {
                statuses[n as usize % statuses.len()]
            },
            attempts: Vec::new(),
            next_attempt_at: None,
        })
        .collect();
    let recorded: Vec<_> =
        model.iter().map(|delivery| (stored(key(workflow, delivery), now), delivery.clone())).collect();
    assert_eq!(deliveries.record(route, &recorded).await, Unrecorded::default());
    // A first attempt that is repeated does not replace what has happened since.
    let cancelled = |delivery: &Delivery| Delivery { status: DeliveryStatus::Cancelled, ..delivery.clone() };
    let repeated: Vec<_> = recorded.iter().take(50).map(|(record, delivery)| (*record, cancelled(delivery))).collect();
    let existing = repeated.iter().map(|(record, delivery)| (record.key, delivery.status)).collect();
    assert_eq!(deliveries.record(route, &repeated).await, Unrecorded { failed: BTreeSet::new(), existing });
    model.sort_by_key(|delivery| std::cmp::Reverse(*key(workflow, delivery).id()));

    for status in [
        None,
        Some(DeliveryStatus::Pending),
        Some(DeliveryStatus::Failed),
        Some(DeliveryStatus::Cancelled),
        Some(DeliveryStatus::Delivered),
    ] {
        let wanted: Vec<&Delivery> =
            model.iter().filter(|one| status.is_none_or(|status| one.status == status)).collect();
        for limit in [1, 7, 100, 1000] {
            if limit == 1 && wanted.len() > 50 {
                continue;
            }
            let (mut found, mut after) = (Vec::new(), None::<String>);
            loop {
                let page = deliveries.list(route, status, PageRequest::new(after.as_deref(), limit)).await.unwrap();
                assert!(page.items.len() <= limit);
                found.extend(page.items);
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            assert!(found.iter().eq(wanted.iter().copied()), "{status:?} by {limit}");
        }
    }
}

#[tokio::test]
async fn batched_first_attempts_are_shown_per_error() {
    let harness = DeliveryHarness::new().await;
    let errors = harness.record_errors(120).await;
    let (config, calls) = Calls::count(&aws(&setting("AWS_ACCESS_KEY_ID")).await);
    let deliveries = Deliveries { table: Table::new(&config, setting("ERRORS_TABLE")), retention: Retention::days(30) };
    let now = Timestamp::now();
    let [a, b] = [(); 2].map(|()| Route { environment: harness.environment, destination: DestinationId::new() });
    let attempts = |route: Route, errors: &[ErrorLog]| -> Vec<Attempt> {
        let response = |error: &ErrorLog| format!("{} {}", route.destination, error.error_id);
        errors
            .iter()
            .map(|error| Attempt { at: now, status: Some(200), latency_ms: 1, response: response(error) })
            .collect()
    };
    // The batch of the second destination is recorded twice, like a repeated batch.
    for route in [a, b, b] {
        let attempts = errors.iter().zip(attempts(route, &errors));
        let recorded: Vec<_> =
            attempts.map(|(error, attempt)| (stored(error.key(), error.updated_at), attempt)).collect();
        deliveries.record_delivered(route, &recorded).await.unwrap();
        assert_eq!(calls.take(), ["BatchWriteItem"]);
    }
    // One error is delivered again in another batch.
    let again =
        Attempt { at: now + Duration::from_millis(1), status: Some(200), latency_ms: 1, response: "again".into() };
    deliveries.record_delivered(a, &[(stored(errors[0].key(), errors[0].updated_at), again)]).await.unwrap();

    let responses = async |error: &ErrorLog| -> BTreeSet<Vec<String>> {
        let shown = deliveries.list_by_record(&error.clone().into(), &BTreeSet::new()).await.unwrap();
        let responses = |delivery: Delivery| delivery.attempts.into_iter().map(|attempt| attempt.response).collect();
        shown.into_iter().map(responses).collect()
    };
    for (number, error) in errors.iter().enumerate() {
        let of = |route: Route| attempts(route, std::slice::from_ref(error)).remove(0).response;
        let of_a = if number == 0 { vec![of(a), "again".to_owned()] } else { vec![of(a)] };
        assert_eq!(responses(error).await, BTreeSet::from([of_a, vec![of(b)]]));
    }
    let elsewhere = ErrorLog { environment_id: EnvironmentId::new(), ..errors[0].clone() };
    assert_eq!(responses(&elsewhere).await, BTreeSet::new(), "another environment sees no deliveries");
}

#[tokio::test]
async fn error_shows_all_deliveries_of_a_busy_second() {
    let harness = DeliveryHarness::new().await;
    let deliveries = &harness.first_attempts.recorder.deliveries;
    // The longest stored response. The 1 MB limit of a query is reached after five items.
    let attempt = Attempt { at: Timestamp::now(), status: Some(200), latency_ms: 1, response: "😀".repeat(512) };
    let error = harness.record_errors(1).await.remove(0);
    let errors: Vec<ErrorLog> = (0..250)
        .map(|_| ErrorLog { error_id: ObjectId::at(error.created_at).into(), ..error.clone() })
        .chain([error.clone()])
        .collect();
    let recorded: Vec<_> =
        errors.iter().map(|error| (stored(error.key(), error.updated_at), attempt.clone())).collect();
    for _ in 0..5 {
        let route = Route { environment: harness.environment, destination: DestinationId::new() };
        deliveries.record_delivered(route, &recorded).await.unwrap();
    }
    for error in [&errors[0], &errors[249], &errors[250]] {
        let shown = deliveries.list_by_record(&error.clone().into(), &BTreeSet::new()).await.unwrap();
        assert_eq!(shown.len(), 5);
        assert!(shown.iter().all(|delivery| delivery.attempts == std::slice::from_ref(&attempt)));
    }
}

#[tokio::test]
async fn delivery_is_settled_once() {
    let pending = PendingDeliveries { table: table("ERRORS_TABLE").await, retention: Retention::days(30) };
    let deliveries = Deliveries { table: pending.table.clone(), retention: pending.retention };
    let replays = Replays(table("DIRECTORY_TABLE").await);
    let (route, now, workflow) = (route(), Timestamp::now(), WorkflowId::new());
    let replay = Replay::new(ReplayId::new(), route.destination, ReplaySelection::Errors(Vec::new()), now);
    replays.create(route.environment, &replay).await.unwrap();
    let queued: Vec<PendingDelivery> = (0..30)
        .map(|_| stored(error_of(workflow), now))
        .map(|record| PendingDelivery::replayed(record, (replay.replay_id, now), now))
        .collect();
    let added: Vec<_> = queued.iter().map(|delivery| (delivery.clone(), None)).collect();
    assert!(pending.add(route, &added).await.unwrap().is_empty());
    let attempt = Attempt { at: now, status: Some(200), latency_ms: 1, response: String::new() };
    let settlements: Vec<Settlement> = queued
        .into_iter()
        .map(|delivery| Settlement { delivery, attempt: Some(attempt.clone()), disposition: Disposition::Delivered })
        .collect();

    // As if two drains had sent the last ten.
    pending.settle(route, &replays, &settlements[20..]).await.unwrap();
    pending.settle(route, &replays, &settlements).await.unwrap();
    pending.settle(route, &replays, &settlements).await.unwrap();

    let counted = replays.get(route.environment, replay.replay_id).await.unwrap().unwrap();
    assert_eq!((counted.delivered, counted.failed, counted.pending), (30, 0, -30));
    let page = deliveries.list(route, None, PageRequest::first(100)).await.unwrap();
    assert_eq!(page.items.len(), 30);
    assert!(page.items.iter().all(|delivery| delivery.attempts.len() == 1));
    let merge = Merge { merged: settlements[0].delivery.clone(), replaced: vec![settlements[1].delivery.clone()] };
    assert!(pending.merge(route, &[merge]).await.is_err());
    assert!(pending.due(route, now, 100).await.unwrap().readable.is_empty());
}

#[tokio::test]
async fn repeated_first_attempt_keeps_what_was_recorded_since() {
    let pending = PendingDeliveries { table: table("ERRORS_TABLE").await, retention: Retention::days(30) };
    let deliveries = Deliveries { table: pending.table.clone(), retention: pending.retention };
    let replays = Replays(table("DIRECTORY_TABLE").await);
    let (route, now) = (route(), Timestamp::now());
    let attempt = |status| Attempt { at: now, status: Some(status), latency_ms: 1, response: String::new() };
    let failed = |seconds| {
        let record = error_of(WorkflowId::new());
        let next_attempt_at = now + Duration::from_secs(seconds);
        let delivery = PendingDelivery { attempts: 1, next_attempt_at, ..PendingDelivery::first(record, now) };
        (delivery, Some(attempt(500)))
    };
    let [delivered, waiting, new] = [0, 5, 0].map(failed);
    assert!(pending.add(route, &[delivered.clone(), waiting.clone()]).await.unwrap().is_empty());
    let settlement =
        Settlement { delivery: delivered.0.clone(), attempt: Some(attempt(200)), disposition: Disposition::Delivered };
    pending.settle(route, &replays, &[settlement]).await.unwrap();

    // The message that led to the first attempts arrives again.
    let again = |(delivery, _): &(PendingDelivery, _)| {
        let next_attempt_at = now + Duration::from_secs(10);
        (PendingDelivery { next_attempt_at, ..delivery.clone() }, Some(attempt(503)))
    };
    let repeated = [again(&delivered), again(&waiting), new.clone()];
    assert!(pending.add(route, &repeated).await.unwrap().is_empty());

    let shown = deliveries.list(route, None, PageRequest::first(100)).await.unwrap().items;
    let of = |(delivery, _): &(PendingDelivery, _)| {
        let shown = shown.iter().find(|shown| shown.record == delivery.record.record_id()).unwrap();
        let responses: Vec<_> = shown.attempts.iter().map(|attempt| attempt.status).collect();
        (shown.status, responses)
    };
    assert_eq!(of(&delivered), (DeliveryStatus::Delivered, vec![Some(500), Some(200)]));
    assert_eq!(of(&waiting), (DeliveryStatus::Pending, vec![Some(500)]));
    assert_eq!(of(&new), (DeliveryStatus::Pending, vec![Some(500)]));
    let waits = pending.search(route, now, 100).await.unwrap().found.readable;
    let mut records: Vec<_> = waits.iter().map(|waiting| waiting.record).collect();
    let mut expected = [waiting.0.record, new.0.record];
    records.sort_unstable();
    expected.sort_unstable();
    assert_eq!(records, expected, "each waits once, and what was delivered does not");

    // The process stopped between the two items of a delivery.
    let lost = waits.into_iter().find(|delivery| delivery.record == waiting.0.record).unwrap();
    let aws = aws(&setting("AWS_ACCESS_KEY_ID")).await;
    for shard in 0..keys::DELIVERY_SHARDS {
        let pk = keys::pending_deliveries(route.environment, route.destination, shard);
        for item in query(&aws, &setting("ERRORS_TABLE"), &pk).await {
            let delete = aws_sdk_dynamodb::Client::new(&aws).delete_item().table_name(setting("ERRORS_TABLE"));
            delete.key("pk", item["pk"].clone()).key("sk", item["sk"].clone()).send().await.unwrap();
        }
    }
    assert!(pending.add(route, &[again(&waiting)]).await.unwrap().is_empty());
    let waits = pending.search(route, now, 100).await.unwrap().found.readable;
    assert!(waits.iter().any(|delivery| delivery.record == lost.record), "it would be pending for ever");
}

#[tokio::test]
async fn first_attempt_that_fails_after_a_replay_is_retried_without_the_replay() {
    let pending = PendingDeliveries { table: table("ERRORS_TABLE").await, retention: Retention::days(30) };
    let replays = Replays(table("DIRECTORY_TABLE").await);
    let (route, now) = (route(), Timestamp::now());
    let record = || error_of(WorkflowId::new());
    let [waiting, cancelled] = [record(), record()];
    let replay = Replay::new(ReplayId::new(), route.destination, ReplaySelection::Errors(Vec::new()), now);
    replays.create(route.environment, &replay).await.unwrap();
    pending.queue_again(route, &replays, &replay, &[stored(waiting, now), stored(cancelled, now)]).await.unwrap();
    let queued = pending.search(route, now, 100).await.unwrap().found.readable;
    assert!(queued.iter().all(|delivery| delivery.replay_only));
    let attempted = queued.into_iter().find(|delivery| delivery.record == cancelled).unwrap();
    let attempt = Attempt { at: now, status: Some(500), latency_ms: 1, response: String::new() };
    // An attempt of the replay failed, and the replay was cancelled.
    let attempted = Settlement {
        delivery: PendingDelivery { former: None, ..attempted },
        attempt: Some(attempt.clone()),
        disposition: Disposition::Cancelled,
    };
    pending.settle(route, &replays, &[attempted]).await.unwrap();

    let failed = |record| {
        let next_attempt_at = now + Duration::from_secs(5);
        let delivery = PendingDelivery { attempts: 1, next_attempt_at, ..PendingDelivery::first(record, now) };
        (delivery, Some(attempt.clone()))
    };
    assert!(pending.add(route, &[failed(waiting), failed(cancelled)]).await.unwrap().is_empty());

    let waits = pending.search(route, now, 100).await.unwrap().found.readable;
    for record in [waiting, cancelled] {
        let of_record: Vec<_> = waits.iter().filter(|delivery| delivery.record == record).collect();
        let [once] = of_record[..] else { panic!("{waits:?}") };
        assert_eq!((once.replay_only, once.former), (false, None));
    }
}

#[tokio::test]
async fn first_attempt_that_ends_after_a_replay_remains_if_the_replay_is_cancelled() {
    let harness = DeliveryHarness::new().await;
    let DeliveryRecorder { pending, deliveries, replays, destinations, .. } = &harness.first_attempts.recorder;
    let (route, now) = (harness.create_webhook("http://127.0.0.1:9/").await, Timestamp::now());
    let (destination, health) = destinations.get_with_health(route).await.unwrap().unwrap();
    let record = error_of(WorkflowId::new());
    let replay = Replay::new(ReplayId::new(), route.destination, ReplaySelection::Errors(Vec::new()), now);
    replays.create(route.environment, &replay).await.unwrap();
    pending.queue_again(route, replays, &replay, &[stored(record, now)]).await.unwrap();
    let ended = AttemptedBatch {
        route,
        destination: &destination,
        health: &health,
        stage: Stage::First,
        counts: OutcomeCounts::default(),
        settled: vec![Settlement::without_attempt(PendingDelivery::first(record, now), Disposition::Failed)],
        now,
    };
    assert!(harness.first_attempts.recorder.of(route).settle(&ended).await.unwrap().is_empty());

    let queued = pending.search(route, now, 100).await.unwrap().found.readable.remove(0);
    assert!(queued.replay_only, "the replay sends it again");
    pending.settle(route, replays, &[Settlement::without_attempt(queued, Disposition::Cancelled)]).await.unwrap();
    let shown = deliveries.list(route, None, PageRequest::first(10)).await.unwrap().items;
    assert_eq!(shown.iter().map(|delivery| delivery.status).collect::<Vec<_>>(), [DeliveryStatus::Failed]);
}

#[tokio::test]
async fn search_in_small_steps_returns_every_pending_delivery_in_the_order_of_attempts() {
    let pending = PendingDeliveries { table: table("ERRORS_TABLE").await, retention: Retention::days(30) };
    let (route, now) = (route(), Timestamp::now());
    let retry = |n: u64| {
        let key = error_of(WorkflowId::new());
        let next_attempt_at = now + Duration::from_secs(n / 2);
        (PendingDelivery { attempts: 1, next_attempt_at, ..PendingDelivery::first(key, now) }, None)
    };
    let added: Vec<_> = (0..60).map(retry).collect();
    for some in added.chunks(20) {
        assert!(pending.add(route, some).await.unwrap().is_empty());
    }

    let (mut found, mut from) = (BTreeSet::new(), Some(now + Duration::from_secs(5)));
    let mut steps = 0;
    while let Some(at) = from {
        let search = pending.search(route, at, 4).await.unwrap();
        found.extend(search.found.readable.iter().map(|delivery| (delivery.next_attempt_at, delivery.record)));
        assert!(search.next.is_none_or(|next| at < next), "stopped at {at}");
        (from, steps) = (search.next, steps + 1);
    }

    let expected = added[10..].iter().map(|(delivery, _)| (delivery.next_attempt_at, delivery.record)).collect();
    assert_eq!(found, expected);
    assert!(steps > 1);
}

#[tokio::test]
async fn replay_queues_and_counts_each_error_once() {
    let pending = PendingDeliveries { table: table("ERRORS_TABLE").await, retention: Retention::days(30) };
    let deliveries = Deliveries { table: pending.table.clone(), retention: pending.retention };
    let replays = Replays(table("DIRECTORY_TABLE").await);
    let (route, now, workflow) = (route(), Timestamp::now(), WorkflowId::new());
    let records: Vec<RecordKey> = (0..40).map(|_| error_of(workflow)).collect();
    let attempt = |status| Attempt { at: now, status: Some(status), latency_ms: 1, response: String::new() };
    // The first attempt of one error has failed.
    let retry = PendingDelivery { attempts: 1, ..PendingDelivery::first(records[0], now) };
    assert!(pending.add(route, &[(retry, Some(attempt(500)))]).await.unwrap().is_empty());
    let start = async || {
        let replay = Replay::new(ReplayId::new(), route.destination, ReplaySelection::Errors(Vec::new()), now);
        replays.create(route.environment, &replay).await.unwrap();
        replay
    };
    let queued: Vec<_> = records.iter().map(|record| stored(*record, now)).collect();
    let queue = async |replay: &Replay| pending.queue_again(route, &replays, replay, &queued).await.unwrap();
    let counts = async |replay: &Replay| {
        let Replay { found, delivered, failed, pending, .. } =
            replays.get(route.environment, replay.replay_id).await.unwrap().unwrap();
        (found, delivered, failed, pending)
    };
    let deliver = async || {
        let due = pending.due(route, soon(), 100).await.unwrap().readable;
        let settle =
            |delivery| Settlement { delivery, attempt: Some(attempt(200)), disposition: Disposition::Delivered };
        let settled: Vec<Settlement> = due.iter().cloned().map(settle).collect();
        pending.settle(route, &replays, &settled).await.unwrap();
        due
    };

    let first = start().await;
    assert_eq!(queue(&first).await, QueueOutcome::Queued(Queued { records: 40, added: 39 }));
    // A repeated step, before and after the deliveries.
    assert_eq!(queue(&first).await, QueueOutcome::Queued(Queued { records: 40, added: 0 }));
    assert_eq!(counts(&first).await, (40, 0, 0, 40));
    let due = deliver().await;
    assert_eq!(
        due.iter().filter(|delivery| !delivery.replay_only).count(),
        1,
        "the retry is wanted without the replay"
    );
    assert_eq!(queue(&first).await, QueueOutcome::Queued(Queued { records: 40, added: 0 }));
    assert_eq!((counts(&first).await, deliver().await.len()), ((40, 40, 0, 0), 0));
    let page = deliveries.list(route, None, PageRequest::first(100)).await.unwrap();
    let statuses =
        |delivery: &Delivery| delivery.attempts.iter().filter_map(|attempt| attempt.status).collect::<Vec<_>>();
    assert_eq!(page.items.iter().filter(|delivery| statuses(delivery) == [500, 200]).count(), 1);
    assert_eq!(page.items.iter().filter(|delivery| statuses(delivery) == [200]).count(), 39);

    let (second, third, cancelled) = (start().await, start().await, start().await);
    replays.cancel(route.environment, cancelled.replay_id).await.unwrap();
    assert_eq!((queue(&cancelled).await, counts(&cancelled).await), (QueueOutcome::ReplayEnded, (0, 0, 0, 0)));
    assert_eq!(queue(&second).await, QueueOutcome::Queued(Queued { records: 40, added: 40 }));
    assert_eq!(queue(&third).await, QueueOutcome::Queued(Queued { records: 40, added: 0 }));
    assert_eq!(deliver().await.len(), 40);
    for replay in [&second, &third] {
        assert_eq!(counts(replay).await, (40, 40, 0, 0));
    }
}

#[tokio::test]
async fn drain_settles_no_delivery_that_replays_of_the_same_millisecond_have_queued_since_it_was_read() {
    let pending = PendingDeliveries { table: table("ERRORS_TABLE").await, retention: Retention::days(30) };
    let replays = Replays(table("DIRECTORY_TABLE").await);
    let (route, now) = (route(), Timestamp::now());
    let records: Vec<_> = (0..5).map(|_| stored(error_of(WorkflowId::new()), now)).collect();
    let mut started = Vec::new();
    for _ in 0..3 {
        let replay = Replay::new(ReplayId::new(), route.destination, ReplaySelection::Errors(Vec::new()), now);
        replays.create(route.environment, &replay).await.unwrap();
        started.push(replay);
    }
    let queue = async |replay: &Replay| pending.queue_again(route, &replays, replay, &records).await.unwrap();
    let read = async || pending.due(route, soon(), 100).await.unwrap().readable;
    let settle = async |read: Vec<PendingDelivery>| {
        let attempt = Attempt { at: now, status: Some(200), latency_ms: 1, response: String::new() };
        let settled = read.into_iter().map(|delivery| Settlement {
            delivery,
            attempt: Some(attempt.clone()),
            disposition: Disposition::Delivered,
        });
        pending.settle(route, &replays, &settled.collect::<Vec<_>>()).await.unwrap();
    };
    queue(&started[0]).await;
    let by_one = read().await;
    queue(&started[1]).await;
    let by_two = read().await;
    queue(&started[2]).await;
    settle(by_one).await;
    settle(by_two).await;
    assert_eq!(read().await.len(), records.len());
    settle(read().await).await;
    for replay in started {
        let shown = replays.get(route.environment, replay.replay_id).await.unwrap().unwrap();
        assert_eq!((shown.found, shown.delivered, shown.failed, shown.pending), (5, 5, 0, 0));
    }
}

#[tokio::test]
async fn delivery_that_is_replayed_again_and_again_keeps_its_last_attempts() {
    let pending = PendingDeliveries { table: table("ERRORS_TABLE").await, retention: Retention::days(30) };
    let deliveries = Deliveries { table: pending.table.clone(), retention: pending.retention };
    let replays = Replays(table("DIRECTORY_TABLE").await);
    let (route, now) = (route(), Timestamp::now());
    let record = error_of(WorkflowId::new());
    for number in 0..20 {
        let replay = Replay::new(ReplayId::new(), route.destination, ReplaySelection::Errors(Vec::new()), now);
        replays.create(route.environment, &replay).await.unwrap();
        pending.queue_again(route, &replays, &replay, &[stored(record, now)]).await.unwrap();
        let due = pending.due(route, soon(), 100).await.unwrap().readable;
        let [delivery] = <[PendingDelivery; 1]>::try_from(due).unwrap();
        // The longest response that is stored.
        let response = "\u{1f600}".repeat(512);
        let attempt = Some(Attempt { at: now, status: Some(500), latency_ms: number, response });
        let settled = [Settlement { delivery, attempt, disposition: Disposition::Failed }];
        pending.settle(route, &replays, &settled).await.unwrap();
    }
    let page = deliveries.list(route, None, PageRequest::first(100)).await.unwrap();
    let kept: Vec<u32> = page.items[0].attempts.iter().map(|attempt| attempt.latency_ms).collect();
    assert_eq!(kept, (7..20).collect::<Vec<_>>(), "twelve of the former ones, and the last one");
}

#[tokio::test]
async fn replay_by_status_skips_deliveries_that_have_changed_since() {
    let pending = PendingDeliveries { table: table("ERRORS_TABLE").await, retention: Retention::days(30) };
    let replays = Replays(table("DIRECTORY_TABLE").await);
    let (route, now, workflow) = (route(), Timestamp::now(), WorkflowId::new());
    let records: Vec<RecordKey> = (0..4).map(|_| error_of(workflow)).collect();
    let attempt = |status| Attempt { at: now, status: Some(status), latency_ms: 1, response: String::new() };
    let first: Vec<_> =
        records.iter().map(|record| PendingDelivery { attempts: 1, ..PendingDelivery::first(*record, now) }).collect();
    let added: Vec<_> = first.iter().map(|delivery| (delivery.clone(), Some(attempt(500)))).collect();
    assert!(pending.add(route, &added).await.unwrap().is_empty());
    // The last delivery cannot be read.
    let aws = aws(&setting("AWS_ACCESS_KEY_ID")).await;
    for shard in 0..keys::DELIVERY_SHARDS {
        let pk = keys::delivery_attempts(route.environment.to_string(), route.destination.to_string(), shard);
        let mut rows = query(&aws, &setting("ERRORS_TABLE"), &pk).await;
        rows.retain(|row| row["errorId"].as_s().is_ok_and(|id| *id == records[3].id().to_string()));
        for row in &mut rows {
            row.insert("replayIds".into(), keys::attribute("malformed"));
        }
        load(&aws, &setting("ERRORS_TABLE"), rows).await;
    }
    // After the replay has selected all, a drain delivers the second and cancels the third.
    let settled = [(1, Disposition::Delivered), (2, Disposition::Cancelled)].map(|(index, disposition)| Settlement {
        delivery: first[index].clone(),
        attempt: None,
        disposition,
    });
    pending.settle(route, &replays, &settled).await.unwrap();

    for (statuses, queued) in [
        (vec![DeliveryStatus::Failed], Queued { records: 1, added: 1 }),
        (vec![DeliveryStatus::Pending], Queued { records: 2, added: 0 }),
        (vec![DeliveryStatus::Pending, DeliveryStatus::Cancelled], Queued { records: 3, added: 1 }),
    ] {
        let replay = Replay::new(ReplayId::new(), route.destination, ReplaySelection::Deliveries(statuses), now);
        replays.create(route.environment, &replay).await.unwrap();
        let records: Vec<_> = records.iter().map(|record| stored(*record, now)).collect();
        assert_eq!(
            pending.queue_again(route, &replays, &replay, &records).await.unwrap(),
            QueueOutcome::Queued(queued)
        );
    }
}

#[tokio::test]
async fn deliveries_expire_with_their_records() {
    let harness = DeliveryHarness::new().await;
    let aws = aws(&setting("AWS_ACCESS_KEY_ID")).await;
    let (pending, replays) = (
        PendingDeliveries { table: table("ERRORS_TABLE").await, retention: Retention::days(30) },
        Replays(table("DIRECTORY_TABLE").await),
    );
    let deliveries = Deliveries { table: pending.table.clone(), retention: pending.retention };
    let errors = Errors { table: pending.table.clone(), retention: pending.retention };
    let (route, now) =
        (Route { environment: harness.environment, destination: DestinationId::new() }, Timestamp::now());
    let stored_at = now - Duration::from_secs(3 * 24 * 60 * 60);
    let recorded = harness.record_errors(4).await;
    let recorded: Vec<_> = recorded.into_iter().map(|error| ErrorLog { updated_at: stored_at, ..error }).collect();
    assert!(errors.record(&recorded).await.is_empty());
    let [delivered, failed, retried, replayed] = [0, 1, 2, 3].map(|index| recorded[index].key());
    let attempt = |status| Attempt { at: now, status: Some(status), latency_ms: 1, response: String::new() };

    deliveries.record_delivered(route, &[(stored(delivered, stored_at), attempt(200))]).await.unwrap();
    let finished =
        Delivery::finished(failed.record_id(), route.destination, DeliveryStatus::Failed, vec![attempt(500)]);
    assert_eq!(deliveries.record(route, &[(stored(failed, stored_at), finished)]).await, Unrecorded::default());
    let retry = PendingDelivery { attempts: 1, ..PendingDelivery::first(retried, stored_at) };
    assert!(pending.add(route, &[(retry, Some(attempt(500)))]).await.unwrap().is_empty());
    let replay = Replay::new(ReplayId::new(), route.destination, ReplaySelection::Errors(Vec::new()), now);
    replays.create(route.environment, &replay).await.unwrap();
    let records = Records(pending.table.clone().read_only());
    let listed = records.find(harness.environment, replayed.record_id()).await.unwrap().remove(0);
    let listed = listed.stored().unwrap();
    assert_eq!(listed, stored(replayed, stored_at));
    pending.queue_again(route, &replays, &replay, &[listed]).await.unwrap();
    let due = pending.due(route, soon(), 100).await.unwrap().readable;
    let due = due.into_iter().find(|delivery| delivery.record == replayed).unwrap();

    let owner = keys::workflow_deliveries(harness.environment, recorded[0].workflow_id);
    let mut partitions = vec![owner];
    partitions.extend(
        (0..keys::DELIVERY_SHARDS).map(|shard| keys::delivery_attempts(route.environment, route.destination, shard)),
    );
    let expiry = async || {
        let mut found = Vec::new();
        for partition in &partitions {
            let rows = query(&aws, &setting("ERRORS_TABLE"), partition).await;
            found.extend(rows.iter().map(|row| row["expiresAt"].as_n().unwrap().parse::<i64>().unwrap()));
        }
        found
    };
    let expected = (stored_at + Duration::from_secs(30 * 24 * 60 * 60)).seconds();
    assert_eq!(expiry().await, [expected; 4]);
    pending.settle(route, &replays, &[Settlement::without_attempt(due, Disposition::Failed)]).await.unwrap();
    assert_eq!(expiry().await, [expected; 4]);
}
