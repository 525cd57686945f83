//! Stored replays: pages of a list that reads the replays of all destinations of an environment.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tenon::{
    delivery::{queues::ReplayStep, replay::Replayer},
    domain::{
        delivery::Route,
        id::{DestinationId, EnvironmentId, ObjectId, ReplayId},
        replay::{Replay, ReplayPosition, ReplaySelection, ReplayStatus},
        timestamp::Timestamp,
    },
    start::{FromAws, connect},
    store::{
        PageRequest, Table,
        health::{Backlog, BacklogCount},
        replays::Replays,
    },
};
use tests::{
    Calls, aws,
    crash::Crash,
    delivery_harness::{DeliveryHarness, first_step},
    faulty_aws::answering,
    setting,
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Creates a replay at a time, and cancels it so that no sweep resumes it. Returns its id.
async fn create(replays: &Replays, route: Route, at: Timestamp) -> ReplayId {
    let replay = Replay::new(ObjectId::at(at).into(), route.destination, ReplaySelection::Errors(Vec::new()), at);
    replays.create(route.environment, &replay).await.unwrap();
    replays.cancel(route.environment, replay.replay_id).await.unwrap();
    replay.replay_id
}

#[tokio::test]
async fn only_one_run_of_a_step_continues_the_replay() {
    let replays = Replays(Table::new(&aws(&setting("AWS_ACCESS_KEY_ID")).await, setting("DIRECTORY_TABLE")));
    let environment = EnvironmentId::new();
    let replay =
        Replay::new(ReplayId::new(), DestinationId::new(), ReplaySelection::Errors(Vec::new()), Timestamp::now());
    replays.create(environment, &replay).await.unwrap();
    let next = ReplayPosition { part: 1, after: None };
    let runs = join_all((0..5).map(|_| replays.advance(environment, &replay, Some(&next)))).await;
    let continued = runs.into_iter().filter(|run| *run.as_ref().unwrap()).count();
    assert_eq!(continued, 1);
    replays.cancel(environment, replay.replay_id).await.unwrap();
}

#[tokio::test]
async fn message_of_a_position_that_the_replay_has_left_does_nothing() {
    let harness = DeliveryHarness::new().await;
    let replayer = connect(&harness.aws, Replayer::from_aws).await.unwrap();
    let route = harness.create_webhook("http://127.0.0.1:9/").await;
    let errors = harness.record_errors(3).await;
    let replay = harness.start_replay(route, &errors).await;
    let position = Some(ReplayPosition { part: 2, after: None });
    assert!(replayer.replays.advance(route.environment, &replay, position.as_ref()).await.unwrap());
    let progress = async || {
        let replay = replayer.replays.get(route.environment, replay.replay_id).await.unwrap().unwrap();
        (replay.status, replay.position, replay.found)
    };

    let ReplayStep::ReplayStepV1 { environment_id, replay_id, .. } = first_step(route.environment, &replay);
    replayer.run(&first_step(route.environment, &replay)).await.unwrap();
    assert_eq!(progress().await, (ReplayStatus::Running, position.clone(), 0));
    replayer.run(&ReplayStep::ReplayStepV1 { environment_id, replay_id, position }).await.unwrap();
    assert_eq!(progress().await, (ReplayStatus::Done, None, 1));
}

#[tokio::test]
async fn step_with_which_others_interfere_is_repeated_soon() {
    let harness = DeliveryHarness::new().await;
    let sent: Arc<Mutex<Vec<Value>>> = Arc::default();
    let messages = sent.clone();
    // Every transaction finds a delivery changed.
    let config = answering(&harness.aws, move |operation, body| match operation {
        "TransactWriteItems" => {
            let count = body["TransactItems"].as_array().unwrap().len();
            let mut reasons = vec![json!({ "Code": "None" }); count];
            reasons[0] = json!({ "Code": "ConditionalCheckFailed" });
            let refused = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException";
            Some((400, json!({ "__type": refused, "CancellationReasons": reasons })))
        }
        "SendMessage" => {
            messages.lock().unwrap().push(body.clone());
            Some((200, json!({ "MessageId": "1" })))
        }
        _ => None,
    });
    let replayer = connect(&config, Replayer::from_aws).await.unwrap();
    let route = harness.create_webhook("http://127.0.0.1:9/").await;
    let errors = harness.record_errors(2).await;
    let replay = harness.start_replay(route, &errors).await;
    let step = first_step(route.environment, &replay);

    replayer.run(&step).await.unwrap();

    let sent = sent.lock().unwrap().clone();
    assert_eq!(sent.len(), 1, "{sent:?}");
    assert_eq!(serde_json::from_str::<Value>(sent[0]["MessageBody"].as_str().unwrap()).unwrap(), json!(step));
    assert!((2..=10).contains(&sent[0]["DelaySeconds"].as_u64().unwrap()), "{sent:?}");
    replayer.replays.cancel(route.environment, replay.replay_id).await.unwrap();
}

#[tokio::test]
async fn deliveries_that_an_interrupted_step_queued_are_found_by_the_sweep() {
    let mut interrupted = 0;
    // The calls before only read: the replay, its destination and each error.
    for call in 42.. {
        let harness = DeliveryHarness::new().await;
        let (config, crash) = Crash::wrap(&harness.aws);
        let replayer = connect(&config, Replayer::from_aws).await.unwrap();
        let route = harness.create_webhook("http://127.0.0.1:9/").await;
        let errors = harness.record_errors(40).await;
        let replay = harness.start_replay(route, &errors).await;
        let first = first_step(route.environment, &replay);
        let ended = crash.at(call, true, replayer.run(&first)).await;
        replayer.replays.cancel(route.environment, replay.replay_id).await.unwrap();
        let is_found = async || {
            let backlogged = replayer.health_store.list_backlogged(10_000).await.unwrap();
            backlogged.iter().any(|one| one.route() == route)
        };
        let is_pending = replayer.pending.backlog(route).await.unwrap().earliest_due.is_some();
        assert!(is_found().await || !is_pending, "crashed after call {call}");
        if is_pending {
            // A drain that had read the backlog before ends. Then the message of the step is
            // delivered again.
            let health_store = &replayer.health_store;
            let now = Timestamp::now() + Duration::from_secs(100);
            let lease = health_store.acquire_lease(route, now, now + DAY).await.unwrap().unwrap();
            let nothing =
                Backlog { earliest_due: None, counted: Some(BacklogCount { pending: 0, pending_since: None }) };
            let version = health_store.get(route).await.unwrap().backlog_version;
            health_store.release(route, &lease, Some(version), nothing, None).await.unwrap();
            assert!(!is_found().await);
            replayer.run(&first).await.unwrap();
            assert!(is_found().await, "crashed after call {call}");
        }
        if ended.is_some() {
            assert!(is_pending);
            break;
        }
        interrupted += usize::from(is_pending);
    }
    assert!(interrupted > 2, "{interrupted}");
}

#[tokio::test]
async fn replay_pages_have_one_destination_newest_first_and_end() {
    let (config, calls) = Calls::count(&aws(&setting("AWS_ACCESS_KEY_ID")).await);
    let replays = Replays(Table::new(&config, setting("DIRECTORY_TABLE")));
    let (route, now) =
        (Route { environment: EnvironmentId::new(), destination: DestinationId::new() }, Timestamp::now());
    let other_destination = Route { destination: DestinationId::new(), ..route };
    let other_environment = Route { environment: EnvironmentId::new(), ..route };
    let seconds = |count: u64| (0..count).map(move |second| now - Duration::from_secs(second));
    // The replays to this destination are older than 260 to another one, more than a query reads.
    let mut model = join_all(seconds(25).map(|at| create(&replays, route, at - DAY))).await;
    join_all(seconds(260).map(|at| create(&replays, other_destination, at))).await;
    join_all(seconds(5).map(|at| create(&replays, other_environment, at))).await;
    create(&replays, route, now - 31 * DAY).await;
    model.sort_unstable_by(|a: &ReplayId, b| b.cmp(a));

    calls.take();
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let page = replays.list(route, PageRequest::new(after.as_deref(), 10)).await.unwrap();
        assert!(page.items.len() <= 10);
        listed.extend(page.items.into_iter().map(|replay| replay.replay_id));
        after = page.next;
        if after.is_none() {
            break;
        }
    }

    assert_eq!(listed, model, "without expired replays");
    assert_eq!(calls.take(), ["Query"; 4], "two for the first page, one for each other page");
}
