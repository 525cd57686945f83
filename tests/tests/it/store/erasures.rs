//! Erasure of a user's errors and their deliveries.

use std::{collections::BTreeSet, sync::atomic::Ordering, time::Duration};

use futures_util::stream::StreamExt;
use tenon::{
    domain::{
        delivery::{Attempt, PendingDelivery, Route},
        error_log::ErrorLog,
        id::{DestinationId, EnvironmentId, ObjectId, UserId},
        record::RecordRef,
        timestamp::Timestamp,
    },
    store::{
        Table,
        deliveries::Deliveries,
        erasures::{Erasure, Erasures},
        errors::{ErrorQuery, ErrorScope, Errors},
        pending::PendingDeliveries,
        record_pages::Window,
        retention::Retention,
        users::Users,
    },
};
use tests::{aws, crash::Crash, delivery_harness::DeliveryHarness, keys, setting, table_items::load};

async fn store() -> Errors {
    let table = Table::new(&aws(&setting("AWS_ACCESS_KEY_ID")).await, setting("ERRORS_TABLE"));
    Errors { table, retention: Retention::days(30) }
}

#[tokio::test]
async fn erasure_is_complete_after_crashes_at_any_aws_call() {
    let harness = DeliveryHarness::new().await;
    let (mine, others) = (harness.record_errors(120).await, harness.record_errors(30).await);
    let user = mine[0].user_id;
    let second = mine[0].updated_at.second();
    let after = |milliseconds| second + Duration::from_millis(milliseconds);
    let mine: Vec<_> = mine.into_iter().map(|error| ErrorLog { updated_at: second, ..error }).collect();
    // Errors of the same workflows, recorded in the same second but after the erasure was
    // requested.
    let later = mine.iter().take(30);
    let later: Vec<_> = later
        .map(|error| ErrorLog { error_id: ObjectId::at(second).into(), updated_at: after(500), ..error.clone() })
        .collect();
    for errors in [&mine, &later] {
        assert!(store().await.record(errors).await.is_empty());
    }
    let aws = aws(&setting("AWS_ACCESS_KEY_ID")).await;
    let table = Table::new(&aws, setting("ERRORS_TABLE"));
    let retention = Retention::days(30);
    let route = Route { environment: harness.environment, destination: DestinationId::new() };
    let now = Timestamp::now();
    let attempt = Attempt { at: now, status: Some(200), latency_ms: 1, response: "ok".into() };
    let deliveries = Deliveries { table: table.clone(), retention };
    let all: Vec<_> = mine
        .iter()
        .chain(&others)
        .chain(&later)
        .map(|error| (RecordRef { key: error.key(), recorded_at: error.updated_at }, attempt.clone()))
        .collect();
    deliveries.record_delivered(route, &all).await.unwrap();
    let pending = PendingDeliveries { table: table.clone(), retention };
    let waiting: Vec<_> = mine
        .iter()
        .chain(&others)
        .map(|error| {
            let attempt = Attempt { at: now, status: Some(500), latency_ms: 1, response: "no".into() };
            (PendingDelivery::first(error.key(), now), Some(attempt))
        })
        .collect();
    assert!(pending.add(route, &waiting).await.unwrap().is_empty());
    // The destination no longer exists.
    harness.seed_deleted_destination(route).await;

    let erasure = Erasure { environment_id: harness.environment, user_id: user, started_at: after(250) };
    let directory = Table::new(&aws, setting("DIRECTORY_TABLE"));
    Users(directory.clone()).start_erasure(&erasure).await.unwrap();
    // The process crashes at its first call, then at its second and so on, alternating before and
    // after the call. In addition, 30 % of the calls fail, more than the SDK retries.
    harness.faults.store(30, Ordering::SeqCst);
    let (mortal, crash) = Crash::wrap(&harness.faulty);
    let [mortal_directory, mortal_errors] =
        ["DIRECTORY_TABLE", "ERRORS_TABLE"].map(|name| Table::new(&mortal, setting(name)));
    let mortal = Erasures { directory: mortal_directory, errors: mortal_errors };
    // The index is eventually consistent, so an erasure completes after a minute at the earliest.
    let complete_at = erasure.started_at + Duration::from_secs(60);
    let early = complete_at - Duration::from_millis(1);
    let mut call = 0;
    while !matches!(crash.at(call, call % 2 == 1, mortal.run(&erasure, early)).await, Some(Ok(_))) {
        call += 1;
    }
    assert!(call > 0);
    harness.faults.store(0, Ordering::SeqCst);
    let erasures = Erasures { directory: directory.clone(), errors: table.clone() };
    assert!(!erasures.run(&erasure, early).await.unwrap());
    assert!(erasures.open().await.unwrap().contains(&erasure));
    let store = store().await;
    let of = |user| ErrorQuery {
        scope: ErrorScope::User(user),
        window: Window { limit: 100, ..Window::default() },
        ..ErrorQuery::default()
    };
    let left = store.page(harness.environment, &of(user)).await.unwrap().items;
    let keys = |errors: &[ErrorLog]| errors.iter().map(ErrorLog::key).collect::<BTreeSet<_>>();
    assert_eq!(keys(&left), keys(&later));
    assert_eq!(store.page(harness.environment, &of(others[0].user_id)).await.unwrap().items.len(), 30);
    assert_eq!(harness.count_delivery_items(route, &mine).await, 0);
    assert_eq!(harness.count_delivery_items(route, &later).await, 30);
    assert_eq!(harness.count_delivery_items(route, &others).await, 90);

    // Covers none of the later errors.
    let newer = Erasure { started_at: after(350), ..erasure };
    Users(directory.clone()).start_erasure(&newer).await.unwrap();
    assert!(erasures.run(&erasure, complete_at).await.unwrap());
    assert!(erasures.open().await.unwrap().contains(&newer), "the newer request stays open");
    assert!(erasures.run(&newer, complete_at + Duration::from_secs(1)).await.unwrap());
    assert!(!erasures.open().await.unwrap().contains(&newer));
}

#[tokio::test]
async fn erasure_waits_for_jobs_that_may_store_events_of_former_changes() {
    let aws = aws(&setting("AWS_ACCESS_KEY_ID")).await;
    let [directory, errors] = ["DIRECTORY_TABLE", "ERRORS_TABLE"].map(|name| Table::new(&aws, setting(name)));
    let erasures = Erasures { directory: directory.clone(), errors };
    let (environment_id, user_id, now) = (EnvironmentId::new(), UserId::new(), Timestamp::now());
    let erasure = Erasure { environment_id, user_id, started_at: now };
    let later = now + Duration::from_secs(61);
    for (pk, sk) in [
        (keys::deletions(environment_id), format!("deletion#{user_id}")),
        (format!("env#{environment_id}#status-changes"), format!("status-change#{user_id}")),
    ] {
        Users(directory.clone()).start_erasure(&erasure).await.unwrap();
        for (started_at, waits) in [(now, true), (later, false)] {
            let members = [("pk", pk.clone()), ("sk", sk.clone()), ("startedAt", started_at.to_string())];
            let job = members.into_iter().map(|(name, value)| (name.to_owned(), keys::attribute(value))).collect();
            load(&aws, &setting("DIRECTORY_TABLE"), vec![job]).await;
            assert_eq!(erasures.run(&erasure, later).await.unwrap(), !waits, "{sk}");
        }
        let damaged = [("pk", pk.clone()), ("sk", sk.clone()), ("startedAt", "damaged".into())];
        let damaged = damaged.into_iter().map(|(name, value)| (name.to_owned(), keys::attribute(value))).collect();
        load(&aws, &setting("DIRECTORY_TABLE"), vec![damaged]).await;
        assert!(!erasures.run(&erasure, later).await.unwrap(), "{sk}");
        let client = aws_sdk_dynamodb::Client::new(&aws);
        let repaired = client.delete_item().table_name(setting("DIRECTORY_TABLE"));
        repaired.key("pk", keys::attribute(pk)).key("sk", keys::attribute(sk)).send().await.unwrap();
    }
}

#[tokio::test]
async fn environment_with_many_erasures_keeps_no_other_waiting() {
    let aws = aws(&setting("AWS_ACCESS_KEY_ID")).await;
    let [directory, errors] = ["DIRECTORY_TABLE", "ERRORS_TABLE"].map(|name| Table::new(&aws, setting(name)));
    let started_at = Timestamp::now();
    let erasure = |environment_id, user_id| Erasure { environment_id, user_id, started_at };
    let many = EnvironmentId::new();
    futures_util::stream::iter((0..1200).map(|_| erasure(many, UserId::new())))
        .for_each_concurrent(16, async |job| Users(directory.clone()).start_erasure(&job).await.unwrap())
        .await;
    let others: Vec<Erasure> = (0..20).map(|_| erasure(EnvironmentId::new(), UserId::new())).collect();
    for job in &others {
        Users(directory.clone()).start_erasure(job).await.unwrap();
    }
    let open = Erasures { directory, errors }.open().await.unwrap();
    assert_eq!(open.iter().filter(|job| job.environment_id == many).count(), 1200);
    // First one job of each environment.
    let environments: BTreeSet<_> = open.iter().map(|job| job.environment_id).collect();
    let first: BTreeSet<_> = open.iter().take(environments.len()).map(|job| job.environment_id).collect();
    assert_eq!(first, environments);
    assert!(others.iter().all(|job| open.contains(job)));
}
