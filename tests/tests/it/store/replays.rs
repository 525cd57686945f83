//! Stored replays: pages of a list that reads the replays of all destinations of an environment.

use std::time::Duration;

use futures_util::future::join_all;
use tenon::{
    domain::{
        delivery::Route,
        id::{DestinationId, EnvironmentId, ObjectId, ReplayId},
        replay::{Position, Replay, Selection},
        timestamp::Timestamp,
    },
    store::{Table, replays::Replays},
};
use tests::{Calls, aws, setting};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Creates a replay at a time, and cancels it so that no sweep resumes it. Returns its id.
async fn create(replays: &Replays, route: Route, at: Timestamp) -> ReplayId {
    let replay = Replay::new(ObjectId::at(at).into(), route.destination, Selection::Errors(Vec::new()), at);
    replays.create(route.environment, &replay).await.unwrap();
    replays.cancel(route.environment, replay.replay_id).await.unwrap();
    replay.replay_id
}

#[tokio::test]
async fn only_one_run_of_a_step_continues_the_replay() {
    let replays = Replays(Table::new(&aws(&setting("AWS_ACCESS_KEY_ID")).await, setting("DIRECTORY_TABLE")));
    let environment = EnvironmentId::new();
    let replay = Replay::new(ReplayId::new(), DestinationId::new(), Selection::Errors(Vec::new()), Timestamp::now());
    replays.create(environment, &replay).await.unwrap();
    let next = Position { part: 1, after: None };
    let runs = join_all((0..5).map(|_| replays.advance(environment, &replay, Some(&next)))).await;
    let continued = runs.into_iter().filter(|run| *run.as_ref().unwrap()).count();
    assert_eq!(continued, 1);
    replays.cancel(environment, replay.replay_id).await.unwrap();
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
        let page = replays.list(route, (after.as_deref(), 10)).await.unwrap();
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
