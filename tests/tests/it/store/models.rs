//! Stores against simple models in memory, on a real table.

use std::time::Duration;

use tenon::{
    domain::{
        delivery::{Delivery, DeliveryStatus, Route},
        health::{Health, Note, Tally},
        id::{DestinationId, EnvironmentId, ErrorId, ObjectId, WorkflowId},
        names::{CanonicalName, Names, UserRef},
        origin::Origin,
        timestamp::Timestamp,
        user::{Metadata, NewUser, User},
    },
    store::{
        Table,
        deletions::Deletions,
        deliveries::Deliveries,
        errors::Retention,
        health::{Healths, Released, Waiting},
        users::{ChangeUserError, UserQuery, Users},
    },
};
use tests::{aws, delivery_harness::DeliveryHarness, setting};

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
async fn thousands_of_owned_items_are_removed_step_by_step_however_often_a_step_is_repeated_or_broken_off() {
    let harness = DeliveryHarness::new().await;
    let directory = Table::new(&harness.aws, setting("DIRECTORY_TABLE"));
    let (user, workflows) = harness.seed_user(2_000).await;
    let deletion = Users(directory.clone()).delete(harness.environment, &user).await.unwrap();
    let listed = async || Deletions(directory.clone()).open(1000).await.unwrap().contains(&deletion);
    assert!(listed().await);

    // Of every hundred calls forty fail, some of them after the work was done, and more than the SDK tries again: whoever
    // runs the job dies there.
    harness.faults.store(40, std::sync::atomic::Ordering::SeqCst);
    let broken = Deletions(harness.directory.clone());
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
    assert!(harness.is_fully_deleted(&user, &workflows).await);
    assert!(!listed().await);
}

/// Users as simply as they can be told: who has which names.
#[derive(Default)]
struct Model {
    users: Vec<User>,
}

impl Model {
    fn holder(&self, name: &CanonicalName) -> Option<&User> {
        self.users.iter().find(|user| claims(user).contains(name))
    }
}

fn claims(user: &User) -> Vec<CanonicalName> {
    Names { username: user.username.clone(), email: user.email.clone() }.claims()
}

/// Names of few people, so that they clash: in other cases, as username, as e-mail address, as both.
fn some_names() -> Names {
    let person = rand::random_range(0..6);
    let address = if rand::random() { format!("p{person}@acme.example") } else { format!("P{person}@ACME.example") };
    let name = if rand::random() { format!("p{person}") } else { format!("P{}", rand::random_range(0..6)) };
    let (username, email) = match rand::random_range(0..4) {
        0 => (Some(name), Some(address)),
        1 => (Some(address), None),
        2 => (Some(name), None),
        _ => (None, Some(address)),
    };
    let suffix = Origin::new().suffix(0);
    Names::new(username.map(|name| name.parse().unwrap()), email.map(|email| email.parse().unwrap()), &suffix).unwrap()
}

#[tokio::test]
async fn users_and_their_names_are_what_a_simple_model_says_after_any_sequence_of_changes() {
    let users = Users(table("DIRECTORY_TABLE").await);
    for _ in 0..8 {
        let (environment, mut model) = (EnvironmentId::new(), Model::default());
        for _ in 0..40 {
            let some = (!model.users.is_empty()).then(|| rand::random_range(0..model.users.len()));
            match (rand::random_range(0..5), some) {
                (0, Some(place)) => {
                    let gone = model.users.remove(place);
                    users.delete(environment, &gone).await.unwrap();
                    // What was deleted cannot be deleted or changed again.
                    assert!(matches!(users.delete(environment, &gone).await, Err(ChangeUserError::Changed)));
                }
                (1 | 2, Some(place)) => {
                    let before = model.users[place].clone();
                    let names = some_names();
                    let after = User {
                        username: names.username,
                        email: names.email,
                        version: before.version + 1,
                        ..before.clone()
                    };
                    let taken = |name: &CanonicalName| {
                        model.holder(name).is_some_and(|holder| holder.user_id != before.user_id)
                    };
                    let (username, email) = (
                        taken(&after.username.canonical()),
                        after.email.as_ref().is_some_and(|email| taken(&email.canonical())),
                    );
                    match users.update(environment, &before, &after).await {
                        Ok(()) => {
                            assert!(!username && !email);
                            // What was seen before is not there any more.
                            let again = users.update(environment, &before, &after).await;
                            assert!(matches!(again, Err(ChangeUserError::Changed)));
                            model.users[place] = after;
                        }
                        Err(ChangeUserError::Taken { username: u, email: e }) => {
                            assert_eq!((u, e), (username, email), "{after:?}");
                        }
                        Err(other) => panic!("{other:?}"),
                    }
                }
                (3, _) => {
                    // Several at once, whose names do not clash with each other.
                    let mut batch: Vec<NewUser> = Vec::new();
                    for _ in 0..4 {
                        let names = some_names();
                        let clashes = batch
                            .iter()
                            .any(|new| new.names.claims().iter().any(|claim| names.claims().contains(claim)));
                        if !clashes {
                            batch.push(NewUser { names, full_name: None, metadata: Metadata::default() });
                        }
                    }
                    let expected: Vec<bool> = batch
                        .iter()
                        .map(|new| new.names.claims().iter().all(|claim| model.holder(claim).is_none()))
                        .collect();
                    let origin = Origin::new();
                    let batch: Vec<User> =
                        batch.into_iter().enumerate().map(|(place, new)| new.create(&origin, place)).collect();
                    // Again changes nothing: what is there is known by its id.
                    for _ in 0..2 {
                        let created = users.create_all(environment, &batch).await;
                        assert_eq!(created.iter().map(Result::is_ok).collect::<Vec<_>>(), expected);
                    }
                    let created = batch.into_iter().zip(expected);
                    model.users.extend(created.filter(|(_, created)| *created).map(|(user, _)| user));
                }
                _ => {
                    let names = some_names();
                    let free = names.claims().iter().all(|claim| model.holder(claim).is_none());
                    let new = NewUser { names, full_name: None, metadata: Metadata::default() };
                    let user = new.create(&Origin::new(), 0);
                    for _ in 0..2 {
                        assert_eq!(users.create(environment, &user).await.is_ok(), free);
                    }
                    model.users.extend(free.then_some(user));
                }
            }
        }
        for user in &model.users {
            assert_eq!(users.get(environment, user.user_id).await.unwrap().as_ref(), Some(user));
        }
        for person in 0..6 {
            for text in [format!("p{person}"), format!("p{person}@acme.example")] {
                let name: UserRef = text.parse().unwrap();
                let UserRef::Name(canonical) = &name else { panic!("{text}") };
                assert_eq!(users.find(environment, &name).await.unwrap().as_ref(), model.holder(canonical), "{text}");
            }
        }
        let page = users.list(environment, UserQuery { limit: 1000, ..UserQuery::default() }).await.unwrap();
        model.users.sort_by_key(|user| std::cmp::Reverse(user.user_id));
        assert_eq!(page.items, model.users);
    }
}
