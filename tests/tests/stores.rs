//! Stores against simple models in memory, on a real table.

use std::time::Duration;

use tenon::{
    domain::{
        delivery::{Delivery, DeliveryStatus, Route},
        health::{Health, Note, Tally},
        id::{DestinationId, EnvironmentId, ErrorId, ObjectId, WorkflowId},
        timestamp::Timestamp,
    },
    store::{
        Table,
        deletions::Deletions,
        deliveries::Deliveries,
        errors::Retention,
        health::{Healths, Released, Waiting},
        users::Users,
    },
};
use tests::{aws, inside::Inside, setting};

async fn table(name: &str) -> Table {
    Table::new(&aws(&setting("AWS_ACCESS_KEY_ID")).await, setting(name))
}

fn route() -> Route {
    Route { environment: EnvironmentId::new(), destination: DestinationId::new() }
}

#[tokio::test]
async fn what_is_noted_of_a_destination_is_what_its_rules_say() {
    let healths = Healths(table("DIRECTORY_TABLE").await);
    for _ in 0..20 {
        let (route, mut now) = (route(), Timestamp::now());
        let mut model = Health::default();
        for _ in 0..15 {
            now = now + Duration::from_secs(rand::random_range(0..200));
            let not_before = rand::random_bool(0.2).then(|| now + Duration::from_secs(rand::random_range(0..100)));
            let tally = match rand::random_range(0..4) {
                0 => Tally { delivered: rand::random_range(1..5), ..Tally::default() },
                1 => Tally { delivered: 1, failed: 2, not_before, gone: false },
                _ => Tally { failed: rand::random_range(0..4), not_before, ..Tally::default() },
            };
            let waiting = rand::random_range(-3..6);
            let note = Note { tally, waiting, probe: rand::random_bool(0.3) };
            let before = healths.note(route, &model, &note, now).await.unwrap();
            assert_eq!(before, model);
            model = model.after(&note, now);
            assert_eq!(healths.get(route).await.unwrap(), model, "{note:?}");
        }
    }
}

#[tokio::test]
async fn a_destination_has_one_drain_at_a_time_and_it_does_not_end_before_it_has_seen_everything() {
    let healths = Healths(table("DIRECTORY_TABLE").await);
    let (route, now) = (route(), Timestamp::now());
    let later = |seconds: u64| now + Duration::from_secs(seconds);
    assert!(healths.lease(route, now, later(75)).await.unwrap().is_none(), "nothing was ever noted");
    let waits = Note { waiting: 1, ..Note::default() };
    healths.note(route, &Health::default(), &waits, now).await.unwrap();
    let (lease, health) = healths.lease(route, now, later(75)).await.unwrap().unwrap();
    assert!(healths.lease(route, later(74), later(150)).await.unwrap().is_none(), "another drain has it");

    let nothing = Waiting { earliest: None, counted: Some((0, None)) };
    healths.note(route, &health, &waits, now).await.unwrap();
    let released = healths.release(route, &lease, Some(health.noted), nothing, None).await.unwrap();
    assert_eq!(released, Released::NotYet, "something has begun to wait");
    let some = Waiting { earliest: Some(later(9)), counted: Some((2, Some(now))) };
    let released = healths.release(route, &lease, Some(health.noted + 1), some, Some(later(9))).await.unwrap();
    assert_eq!(released, Released::Free);
    let health = healths.get(route).await.unwrap();
    assert_eq!((health.pending, health.wake_at, health.leased_until), (2, Some(later(9)), None));
    let listed = async || healths.waiting(1000).await.unwrap().iter().any(|one| one.route() == route);
    assert!(listed().await);

    // A drain whose time is over does not end the one that came after it.
    let (old, _) = healths.lease(route, now, later(75)).await.unwrap().unwrap();
    let (new, health) = healths.lease(route, later(75), later(150)).await.unwrap().unwrap();
    assert_eq!(healths.release(route, &old, Some(health.noted), nothing, None).await.unwrap(), Released::Lost);
    assert_eq!(healths.release(route, &new, None, nothing, None).await.unwrap(), Released::Free);
    assert!(!listed().await);
    assert_eq!(healths.get(route).await.unwrap().waiting_since, None);
}

#[tokio::test]
async fn pages_of_several_partitions_have_everything_once_and_in_order_whatever_is_left_out() {
    let deliveries = Deliveries { table: table("ERRORS_TABLE").await, retention: Retention::days(30) };
    let (route, now) = (route(), Timestamp::now());
    let statuses = [DeliveryStatus::Pending, DeliveryStatus::Failed, DeliveryStatus::Failed, DeliveryStatus::Failed];
    let workflow = WorkflowId::new();
    let mut model: Vec<Delivery> = (0..400)
        .map(|n: u64| Delivery {
            error_id: ErrorId::from(ObjectId::at(now - Duration::from_secs(rand::random_range(0..n + 1)))),
            destination_id: route.destination,
            // One status is rare.
            status: if n.is_multiple_of(97) {
                DeliveryStatus::Cancelled
            } else {
                statuses[n as usize % statuses.len()]
            },
            attempts: Vec::new(),
            next_attempt_at: None,
        })
        .collect();
    let noted: Vec<_> = model.iter().map(|delivery| (workflow, delivery.clone())).collect();
    assert!(deliveries.note(route, &noted, now).await.unwrap().is_empty());
    model.sort_by_key(|delivery| std::cmp::Reverse(delivery.error_id));

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
                let page = deliveries.list(route, status, (after.as_deref(), limit)).await.unwrap();
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
async fn ten_thousand_owned_items_are_removed_step_by_step_however_often_a_step_is_repeated_or_broken_off() {
    let inside = Inside::new().await;
    let directory = Table::new(&inside.aws, setting("DIRECTORY_TABLE"));
    let user = inside.user_with(10_000).await;
    let deletion = Users(directory.clone()).delete(inside.environment, &user).await.unwrap();
    let listed = async || Deletions(directory.clone()).open(1000).await.unwrap().contains(&deletion);
    assert!(listed().await);

    // Of every hundred calls ten fail, some of them after the work was done: whoever runs the job dies there.
    inside.faults.store(10, std::sync::atomic::Ordering::SeqCst);
    let broken = Deletions(inside.directory.clone());
    let mut deaths = 0;
    let running = std::cell::Cell::new(true);
    while running.get() {
        match broken.step(&deletion).await {
            Ok(done) => running.set(!done),
            Err(_) => deaths += 1,
        }
        // Another runs the same job meanwhile.
        if deaths % 7 == 3 {
            let _ = broken.step(&deletion).await;
        }
    }
    assert!(deaths > 0);
    assert_eq!(inside.owned(&user).await, 0);
    assert!(!listed().await);
}
