//! The Error Logging API beyond one workflow: all errors of an environment, groups, one error with its deliveries, erasure.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tenon::{
    domain::{
        delivery::{Attempt, Delivery, PendingDelivery, Route},
        error_log::{ErrorIdentity, ErrorLog, NewError, WorkflowRef},
        fingerprint::Fingerprint,
        id::{DestinationId, EnvironmentId, ErrorId, ObjectId, UserId, WorkflowId},
        timestamp::Timestamp,
    },
    store::{
        Table,
        deliveries::Deliveries,
        erasures::{Erasure, Erasures, begin},
        errors::{ErrorQuery, Errors, MAX_SKIP, Retention, Within},
        pending::PendingDeliveries,
    },
};
use tests::{
    Bus, Calls, Environment, Tenon, aws,
    crash::Crash,
    eventually, example_error,
    inside::Inside,
    receiver::{Receiver, Reply},
    setting,
};
use tokio::io::AsyncBufReadExt;

/// The texts of a page of errors.
async fn texts(acme: &Environment, path: &str) -> String {
    let page = acme.backend.get(path).await.is(200).body;
    page["errors"].as_array().unwrap().iter().map(|error| error["error"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_errors_of_an_environment_are_listed_by_user_workflow_time_execution_and_kind_of_block() {
    let tenon = Tenon::deployed().await;
    let (acme, other) = (tenon.environment().await, tenon.environment().await);
    let (joe, jim) = (acme.user("joe@acme.example").await, acme.user("jim@acme.example").await);
    let (a, b, c) = (acme.workflow(&joe, "A").await, acme.workflow(&joe, "B").await, acme.workflow(&jim, "C").await);
    let error = |text: &str, hour: u8, execution: &str, block_type: &str| json!({ "error": text, "createdAt": format!("2026-11-20T{hour:02}:00:00Z"), "executionId": execution, "blockId": "b", "blockType": block_type });
    for (workflow, errors) in [
        (&a, vec![error("1", 10, "e1", "shopify"), error("4", 13, "e2", "slack")]),
        (&b, vec![error("2", 11, "e1", "slack")]),
        (&c, vec![error("3", 12, "e3", "shopify"), error("5", 14, "e3", "slack")]),
    ] {
        acme.engine.post(&format!("/workflows/{workflow}/errors"), json!({ "errors": errors })).await.is(202);
    }
    for (query, expected) in [
        (String::new(), "54321"),
        ("sortOrder=asc".into(), "12345"),
        ("sortOrder=desc&skip=2".into(), "321"),
        ("skip=1&limit=2&sortOrder=asc".into(), "23"),
        ("skip=1000".into(), ""),
        ("userId=joe@acme.example".into(), "421"),
        (format!("userId={jim}&blockType=slack"), "5"),
        (format!("workflowId={a}"), "41"),
        (format!("workflowId={a}&userId={joe}&executionId=e2"), "4"),
        (format!("workflowId={a}&userId={jim}"), ""),
        (format!("workflowId={}", "0".repeat(24)), ""),
        ("executionId=e1".into(), "21"),
        ("blockType=shopify&sortOrder=asc".into(), "13"),
        ("since=2026-11-20T11:00:00Z&until=2026-11-20T13:00:00Z".into(), "32"),
    ] {
        assert_eq!(texts(&acme, &format!("/logs?{query}")).await, expected, "{query}");
    }
    assert_eq!(other.backend.get(&format!("/logs?workflowId={a}")).await.is(200).body, json!({ "errors": [] }));
    assert_eq!(other.backend.get(&format!("/logs?userId={joe}")).await.is(200).body, json!({ "errors": [] }));
    acme.backend.get("/logs?userId=nobody").await.is_problem(404, "not-found");
    acme.backend
        .get("/logs?skip=1001&sortOrder=up&limit=101&workflowId=x")
        .await
        .is_problem(422, "validation")
        .names(&["/workflowId", "/sortOrder", "/skip", "/limit"]);

    // Page by page; a cursor goes on where the page ended, passed-over errors included.
    let first = acme.backend.get("/logs?limit=2&skip=1").await.is(200).body;
    let cursor = first["cursor"].as_str().unwrap();
    assert_eq!(texts(&acme, &format!("/logs?limit=2&cursor={cursor}")).await, "21");
    let both = acme.backend.get(&format!("/logs?limit=2&skip=1&cursor={cursor}")).await;
    both.is_problem(422, "validation").names(&["/skip"]);
    acme.backend.get(&format!("/logs?sortOrder=asc&cursor={cursor}")).await.is_problem(400, "invalid-cursor");

    // What was recorded stays when the user is gone.
    acme.delete_user(&jim).await;
    assert_eq!(texts(&acme, &format!("/logs?userId={jim}")).await, "53");
    acme.backend.get("/logs?userId=jim@acme.example").await.is_problem(404, "not-found");
}

#[tokio::test]
async fn what_went_wrong_hundreds_of_times_is_one_line() {
    let acme = Tenon::deployed().await.environment().await;
    let joe = acme.user("joe@acme.example").await;
    let (orders, customers) = (acme.workflow(&joe, "Orders").await, acme.workflow(&joe, "Customers").await);
    let path = |workflow: &str| format!("/workflows/{workflow}/errors");
    for batch in 0..3 {
        let many = (0..100).map(|n| example_error(&format!("order {n}{batch} failed with status code 403")));
        acme.engine.post(&path(&orders), json!({ "errors": many.collect::<Vec<_>>() })).await.is(202);
    }
    acme.record(&customers, "order 7 failed with status code 500").await;
    acme.record(&orders, "access denied").await;

    let answer = acme.backend.get("/errors/groups").await.is(200).body;
    let groups = answer["groups"].as_array().unwrap();
    let counts: Vec<u64> = groups.iter().map(|group| group["count"].as_u64().unwrap()).collect();
    assert_eq!((counts[0], &answer["complete"]), (300, &json!(true)));
    assert_eq!(counts.iter().sum::<u64>(), 302);
    let largest = &groups[0];
    assert_eq!((&largest["workflowId"], &largest["blockType"]), (&json!(orders), &json!("alloy.shopify")));
    assert!(largest["firstSeen"].as_str().unwrap() <= largest["lastSeen"].as_str().unwrap());
    let shown =
        acme.backend.get(&format!("/errors/{}", largest["example"]["_id"].as_str().unwrap())).await.is(200).body;
    assert_eq!(shown["error"], largest["example"]["error"]);
    let none = acme.backend.get("/errors/groups?until=2026-01-01T00:00:00Z").await.is(200).body;
    assert_eq!(none, json!({ "groups": [], "complete": true }));
    acme.backend.get("/errors/groups?since=x").await.is_problem(422, "validation").names(&["/since"]);
}

#[tokio::test]
async fn an_error_is_shown_by_its_id_with_its_deliveries() {
    let acme = Tenon::deployed().await.environment().await;
    let workflow = acme.workflow(&acme.user("joe@acme.example").await, "Orders").await;
    let bus = Bus::new().await;
    let good = acme.destination(&bus.name).await;
    let receiver = Receiver::that(|_| Reply::Status(500, "")).await;
    let (bad, _) = acme.webhook(&receiver.url).await;
    let error = acme.record(&workflow, "Error").await;

    let shown = eventually("both were attempted", async || {
        let shown = acme.backend.get(&format!("/errors/{error}")).await.is(200).body;
        (shown["deliveries"].as_array().unwrap().len() == 2).then_some(shown)
    })
    .await;
    let listed = acme.backend.get(&format!("/workflows/{workflow}/errors")).await.is(200).body["errors"][0].clone();
    for (member, value) in listed.as_object().unwrap() {
        assert_eq!(&shown[member], value, "the very object that is listed");
    }
    let delivery = |destination: &str| -> Value {
        let deliveries = shown["deliveries"].as_array().unwrap();
        deliveries.iter().find(|delivery| delivery["destinationId"] == destination).unwrap().clone()
    };
    assert_eq!((&delivery(&good)["status"], &delivery(&good)["errorId"]), (&json!("delivered"), &json!(error)));
    assert_eq!(delivery(&bad)["status"], "pending");
    assert_eq!(delivery(&bad)["attempts"][0]["status"], 500);
    assert!(delivery(&bad)["nextAttemptAt"].is_string());
    // What is told stays told when its destination is gone.
    acme.backend.delete(&format!("/destinations/{good}")).await.is(200);
    let shown = acme.backend.get(&format!("/errors/{error}")).await.is(200).body;
    assert_eq!(shown["deliveries"].as_array().unwrap().len(), 2);
    acme.backend.get(&format!("/errors/{}", "0".repeat(24))).await.is_problem(404, "not-found");
    acme.backend.get("/errors/nonsense").await.is_problem(404, "not-found");
}

#[tokio::test]
async fn a_users_errors_and_their_deliveries_are_erased_and_nobody_elses() {
    let acme = Tenon::deployed().await.environment().await;
    let (joe, jim) = (acme.user("joe@acme.example").await, acme.user("jim@acme.example").await);
    let (joes, jims) = (acme.workflow(&joe, "Orders").await, acme.workflow(&jim, "Orders").await);
    let good = Receiver::new().await;
    acme.webhook(&good.url).await;
    let bad = Receiver::that(|_| Reply::Status(500, "")).await;
    let (bad, _) = acme.webhook(&bad.url).await;
    for n in 0..5 {
        acme.record(&joes, &format!("joe {n}")).await;
        acme.record(&jims, &format!("jim {n}")).await;
    }
    eventually("all wait for the bad one", async || (acme.pending(&bad).await.len() == 10).then_some(())).await;
    eventually("all are with the good one", async || (good.ids().len() == 10).then_some(())).await;
    acme.delete_user(&joe).await;

    // By the id of a user that is gone.
    let answer = acme.backend.delete(&format!("/users/{joe}/logs")).await.is(202);
    assert_eq!(answer.body, json!({ "success": true }));
    acme.backend.delete("/users/nobody/logs").await.is(202);
    eventually("they are gone", async || {
        let gone = acme.backend.get(&format!("/logs?userId={joe}")).await.is(200).body == json!({ "errors": [] });
        (gone && acme.pending(&bad).await.len() == 5).then_some(())
    })
    .await;
    assert_eq!(acme.deliveries(&bad, "pending").await.len(), 5);
    let delivered = async |workflow: &str| {
        let items = acme.tenon.items("ErrorsTable", &format!("env#{}#workflow#{workflow}#deliveries", acme.id)).await;
        items.iter().map(|item| item["attempts"].as_m().unwrap().len()).sum::<usize>()
    };
    assert_eq!((delivered(&joes).await, delivered(&jims).await), (0, 5));
    assert_eq!(acme.errors(&jims).await.len(), 5);

    // What is recorded after that stays.
    acme.backend.delete("/users/jim@acme.example/logs").await.is(202);
    eventually("his are gone too", async || acme.errors(&jims).await.is_empty().then_some(())).await;
    acme.record(&jims, "later").await;
    acme.tenon.invoke("EraseLogs", json!({ "source": "aws.events" })).await.unwrap();
    assert_eq!(acme.errors(&jims).await, ["later"]);
}

#[tokio::test]
async fn make_tail_shows_each_error_once_as_it_comes_and_nothing_that_a_terminal_would_obey() {
    let acme = Tenon::deployed().await.environment().await;
    let workflow = acme.workflow(&acme.user("joe@acme.example").await, "Orders").await;
    acme.record(&workflow, "before").await;
    let mut tail = tokio::process::Command::new(setting("TENON_PYTHON"))
        .arg(format!("{}/local/tail.py", setting("TENON_ROOT")))
        .env("TENON_BACKEND_KEY", acme.backend.credential())
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = tokio::io::BufReader::new(tail.stdout.take().unwrap()).lines();
    let mut next = async || {
        let line = tokio::time::timeout(Duration::from_secs(60), lines.next_line()).await.expect("a line").unwrap();
        line.expect("it follows")
    };
    assert!(next().await.ends_with("before"));
    for n in 0..3 {
        acme.record(&workflow, &format!("after {n}\u{1b}[2J\nand more")).await;
        let line = next().await;
        assert!(line.contains(&workflow) && line.contains("alloy.shopify"), "{line}");
        assert!(line.ends_with(&format!("after {n} [2J and more")), "{line}");
    }
}

/// Errors as simply as they can be kept: in a list.
struct Model {
    errors: Vec<ErrorLog>,
}

impl Model {
    fn asked(&self, environment: EnvironmentId, query: &ErrorQuery) -> Vec<(ErrorId, WorkflowId)> {
        let within = |error: &&ErrorLog| match query.within {
            Within::Environment => true,
            Within::User(user) => error.user_id == user,
            Within::Workflow(workflow) => error.workflow_id == workflow,
        };
        let matches = |error: &&ErrorLog| {
            let second = error.created_at.seconds();
            error.environment_id == environment
                && query.since.is_none_or(|since| since.seconds() <= second)
                && query.until.is_none_or(|until| second * 1000 < until.milliseconds())
                && query.user_id.is_none_or(|user| error.user_id == user)
                && query.execution_id.as_ref().is_none_or(|execution| error.execution_id == *execution)
                && query.block_type.as_ref().is_none_or(|block_type| error.block_type == *block_type)
        };
        let mut found: Vec<_> = self
            .errors
            .iter()
            .filter(within)
            .filter(matches)
            .map(|error| (error.error_id, error.workflow_id))
            .collect();
        found.sort();
        if !query.oldest_first {
            found.reverse();
        }
        found.into_iter().skip(query.skip).collect()
    }
}

async fn store() -> Errors {
    let table = Table::new(&aws(&setting("AWS_ACCESS_KEY_ID")).await, setting("ERRORS_TABLE"));
    Errors { table, retention: Retention::days(30) }
}

fn some<T: Clone>(of: &[T]) -> T {
    of[rand::random_range(0..of.len())].clone()
}

#[tokio::test]
async fn what_is_asked_for_is_what_a_simple_list_says_whatever_the_filters_and_the_size_of_a_page() {
    let errors = store().await;
    let environments = [EnvironmentId::new(), EnvironmentId::new()];
    let users: Vec<UserId> = (0..3).map(|_| UserId::new()).collect();
    let workflows: Vec<(WorkflowId, UserId)> = (0..6).map(|n| (WorkflowId::new(), users[n % 3])).collect();
    let now = Timestamp::now();
    let at = || now - Duration::from_secs(rand::random_range(0..300));
    let mut model = Model { errors: Vec::new() };
    let mut ids: Vec<ErrorId> = Vec::new();
    for n in 0..600 {
        // Some ids are given twice, on two workflows.
        let id = if rand::random_bool(0.1) && !ids.is_empty() { some(&ids) } else { ErrorId::from(ObjectId::at(at())) };
        let (workflow, user) = some(&workflows);
        let new = NewError {
            identity: ErrorIdentity { id, created_at: id.object_id().timestamp(), id_was_given: true },
            execution_id: some(&["e1", "e2", "e3"]).parse().unwrap(),
            block_id: "b".parse().unwrap(),
            block_type: some(&["shopify", "slack"]).parse().unwrap(),
            error: format!("error {n}"),
        };
        let workflow = WorkflowRef { workflow_id: workflow, user_id: user, integration_id: None };
        let error = new.record(some(&environments), &workflow, now);
        let key = |error: &ErrorLog| (error.environment_id, error.workflow_id, error.error_id);
        if model.errors.iter().all(|other| key(other) != key(&error)) {
            ids.push(id);
            model.errors.push(error);
        }
    }
    assert!(errors.record(&model.errors).await.unwrap().is_empty());
    // What is past its time is not there.
    let old = Errors { retention: Retention::days(1), ..errors.clone() };
    let expired: Vec<ErrorLog> = (0..50)
        .map(|_| {
            let mut error = some(&model.errors);
            (error.error_id, error.updated_at) = (ObjectId::at(at()).into(), now - Duration::from_secs(2 * 86_400));
            error
        })
        .collect();
    assert!(old.record(&expired).await.unwrap().is_empty());

    for _ in 0..120 {
        let maybe = |likely: f64| rand::random_bool(likely);
        let (workflow, user) = some(&workflows);
        let mut query = ErrorQuery {
            within: some(&[Within::Environment, Within::User(user), Within::Workflow(workflow)]),
            since: maybe(0.3).then(at),
            until: maybe(0.3).then(at),
            user_id: maybe(0.2).then_some(user),
            execution_id: maybe(0.4).then(|| some(&["e1", "e2", "none"]).parse().unwrap()),
            block_type: maybe(0.3).then(|| some(&["shopify", "slack"]).parse().unwrap()),
            oldest_first: maybe(0.5),
            skip: if maybe(0.3) { rand::random_range(0..=MAX_SKIP / 4) } else { 0 },
            after: None,
            limit: rand::random_range(1..=100),
        };
        let environment = some(&environments);
        let expected = model.asked(environment, &query);
        let mut found = Vec::new();
        loop {
            let page = errors.page(environment, &query).await.unwrap();
            assert!(page.items.len() <= query.limit);
            assert!(page.items.len() == query.limit || page.next.is_none(), "a page is filled: {query:?}");
            for error in &page.items {
                assert!(model.errors.contains(error), "the whole error");
            }
            found.extend(page.items.iter().map(|error| (error.error_id, error.workflow_id)));
            match page.next {
                Some(next) => query.after = Some(next),
                None => break,
            }
        }
        // Of one id on two workflows, which comes first depends on the order of their workflows.
        assert_eq!(found, expected, "{query:?}");
    }

    // Groups count each error once.
    for environment in environments {
        let (groups, complete) = errors.groups(environment, (None, None)).await.unwrap();
        let mut expected: BTreeMap<Fingerprint, usize> = BTreeMap::new();
        for error in model.errors.iter().filter(|error| error.environment_id == environment) {
            *expected.entry(error.fingerprint.clone()).or_default() += 1;
        }
        let counted = groups.iter().map(|group| (group.example.fingerprint.clone(), group.count)).collect();
        assert_eq!((expected, true), (counted, complete));
    }
}

#[tokio::test]
async fn a_reader_sees_what_was_there_when_it_began_exactly_once_while_many_record() {
    let inside = Inside::new().await;
    let there: BTreeSet<ErrorId> = inside.record(400).await.iter().map(|error| error.error_id).collect();
    let stop = Arc::new(AtomicBool::new(false));
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (inside, stop) = (inside.clone(), stop.clone());
        writers.spawn(async move {
            let mut count = 0;
            loop {
                count += inside.record(5).await.len();
                if stop.load(Ordering::SeqCst) {
                    break count;
                }
            }
        });
    }
    let errors = store().await;
    let mut seen: Vec<ErrorId> = Vec::new();
    let mut query = ErrorQuery { limit: 7, ..ErrorQuery::default() };
    loop {
        let page = errors.page(inside.environment, &query).await.unwrap();
        seen.extend(page.items.iter().map(|error| error.error_id));
        match page.next {
            Some(next) => query.after = Some(next),
            None => break,
        }
    }
    stop.store(true, Ordering::SeqCst);
    let recorded: usize = writers.join_all().await.into_iter().sum();
    assert!(recorded > 0, "others recorded meanwhile");
    let once: BTreeSet<ErrorId> = seen.iter().copied().collect();
    assert_eq!(once.len(), seen.len(), "none twice");
    assert!(there.is_subset(&once), "{} of {}", there.intersection(&once).count(), there.len());
}

#[tokio::test]
async fn an_erasure_that_dies_anywhere_and_is_run_twice_leaves_nothing_and_touches_nobody_else() {
    let inside = Inside::new().await;
    let (mine, others) = (inside.record(120).await, inside.record(30).await);
    let user = mine[0].user_id;
    let second = mine[0].updated_at.second();
    let after = |milliseconds| second + Duration::from_millis(milliseconds);
    let mine: Vec<_> = mine.into_iter().map(|error| ErrorLog { updated_at: second, ..error }).collect();
    // Of the same workflows, recorded in the same second, but after the erasure was asked for.
    let later = mine.iter().take(30);
    let later: Vec<_> = later
        .map(|error| ErrorLog { error_id: ObjectId::at(second).into(), updated_at: after(500), ..error.clone() })
        .collect();
    for errors in [&mine, &later] {
        assert!(store().await.record(errors).await.unwrap().is_empty());
    }
    let aws = aws(&setting("AWS_ACCESS_KEY_ID")).await;
    let table = Table::new(&aws, setting("ERRORS_TABLE"));
    let retention = Retention::days(30);
    let route = Route { environment: inside.environment, destination: DestinationId::new() };
    let now = Timestamp::now();
    let attempt = Attempt { at: now, status: Some(200), latency_ms: 1, response: "ok".into() };
    let deliveries = Deliveries { table: table.clone(), retention };
    let all: Vec<_> = mine.iter().chain(&others).chain(&later).map(|error| (error, attempt.clone())).collect();
    deliveries.note_delivered(route, &all, now).await.unwrap();
    let pending = PendingDeliveries { table: table.clone(), retention };
    let waiting: Vec<_> = mine
        .iter()
        .chain(&others)
        .map(|error| {
            let attempt = Attempt { at: now, status: Some(500), latency_ms: 1, response: "no".into() };
            (PendingDelivery::held(error.workflow_id, error.error_id, now), Some(attempt))
        })
        .collect();
    assert!(pending.add(route, &waiting).await.unwrap().is_empty());
    // It is no destination any more, and was one.
    inside.former_destination(route).await;

    let erasure = Erasure { environment_id: inside.environment, user_id: user, started_at: after(250) };
    let directory = Table::new(&aws, setting("DIRECTORY_TABLE"));
    begin(&directory, &erasure).await.unwrap();
    // It dies at its first call, then at its second, and so on, by turns before and after the call is done; and of every
    // hundred calls thirty fail, so that it gives up where the SDK has tried often enough.
    inside.faults.store(30, Ordering::SeqCst);
    let (mortal, crash) = Crash::of(&inside.faulty);
    let [mortal_directory, mortal_errors] =
        ["DIRECTORY_TABLE", "ERRORS_TABLE"].map(|name| Table::new(&mortal, setting(name)));
    let mortal = Erasures { directory: mortal_directory, errors: mortal_errors };
    let mut call = 0;
    while !matches!(crash.at(call, call % 2 == 1, mortal.run(&erasure)).await, Some(Ok(_))) {
        call += 1;
    }
    assert!(call > 0);
    inside.faults.store(0, Ordering::SeqCst);
    let erasures = Erasures { directory: directory.clone(), errors: table.clone() };
    // The index may not tell of the last errors yet: it is not over before a minute.
    assert!(!erasures.run(&erasure).await.unwrap());
    assert!(erasures.open(1000).await.unwrap().contains(&erasure));
    let store = store().await;
    let of = |user| ErrorQuery { within: Within::User(user), limit: 100, ..ErrorQuery::default() };
    let left = store.page(inside.environment, &of(user)).await.unwrap().items;
    let keys = |errors: &[ErrorLog]| errors.iter().map(ErrorLog::key).collect::<BTreeSet<_>>();
    assert_eq!(keys(&left), keys(&later));
    assert_eq!(store.page(inside.environment, &of(others[0].user_id)).await.unwrap().items.len(), 30);
    assert_eq!(inside.told_of(route, &mine).await, 0);
    assert_eq!(inside.told_of(route, &later).await, 30);
    assert_eq!(inside.told_of(route, &others).await, 90);

    let long_ago = Erasure { started_at: now - Duration::from_secs(120), ..erasure };
    begin(&directory, &long_ago).await.unwrap();
    assert!(!erasures.run(&erasure).await.unwrap(), "another was asked for since");
    assert!(erasures.run(&long_ago).await.unwrap());
    assert!(!erasures.open(1000).await.unwrap().contains(&long_ago));
}

#[tokio::test]
async fn deliveries_at_the_first_attempt_are_noted_together_and_each_error_shows_its_own() {
    let inside = Inside::new().await;
    let errors = inside.record(120).await;
    let (config, calls) = Calls::count(&aws(&setting("AWS_ACCESS_KEY_ID")).await);
    let deliveries = Deliveries { table: Table::new(&config, setting("ERRORS_TABLE")), retention: Retention::days(30) };
    let now = Timestamp::now();
    let [a, b] = [(); 2].map(|()| Route { environment: inside.environment, destination: DestinationId::new() });
    let attempts = |route: Route, errors: &[ErrorLog]| -> Vec<Attempt> {
        let response = |error: &ErrorLog| format!("{} {}", route.destination, error.error_id);
        errors
            .iter()
            .map(|error| Attempt { at: now, status: Some(200), latency_ms: 1, response: response(error) })
            .collect()
    };
    // By the second, noted twice, as when its batch was repeated.
    for route in [a, b, b] {
        let noted: Vec<_> = errors.iter().zip(attempts(route, &errors)).collect();
        deliveries.note_delivered(route, &noted, now).await.unwrap();
        assert_eq!(calls.taken(), ["BatchWriteItem"]);
    }
    // One has arrived once more, in another batch.
    let again =
        Attempt { at: now + Duration::from_millis(1), status: Some(200), latency_ms: 1, response: "again".into() };
    deliveries.note_delivered(a, &[(&errors[0], again)], now).await.unwrap();

    let responses = async |error: &ErrorLog| -> BTreeSet<Vec<String>> {
        let told = deliveries.of_error(error, &BTreeSet::new()).await.unwrap();
        let responses = |delivery: Delivery| delivery.attempts.into_iter().map(|attempt| attempt.response).collect();
        told.into_iter().map(responses).collect()
    };
    for (number, error) in errors.iter().enumerate() {
        let of = |route: Route| attempts(route, std::slice::from_ref(error)).remove(0).response;
        let of_a = if number == 0 { vec![of(a), "again".to_owned()] } else { vec![of(a)] };
        assert_eq!(responses(error).await, BTreeSet::from([of_a, vec![of(b)]]));
    }
    let elsewhere = ErrorLog { environment_id: EnvironmentId::new(), ..errors[0].clone() };
    assert_eq!(responses(&elsewhere).await, BTreeSet::new(), "of another environment");
}

#[tokio::test]
async fn however_much_was_delivered_in_one_second_an_error_shows_all_of_its_deliveries() {
    let inside = Inside::new().await;
    let deliveries = &inside.first.books.deliveries;
    // The most characters that are kept of an answer, of the most bytes: a query's megabyte ends after five items.
    let attempt = Attempt { at: Timestamp::now(), status: Some(200), latency_ms: 1, response: "😀".repeat(512) };
    let error = inside.record(1).await.remove(0);
    let errors: Vec<ErrorLog> = (0..250)
        .map(|_| ErrorLog { error_id: ObjectId::at(error.created_at).into(), ..error.clone() })
        .chain([error.clone()])
        .collect();
    let noted: Vec<_> = errors.iter().map(|error| (error, attempt.clone())).collect();
    for _ in 0..5 {
        let route = Route { environment: inside.environment, destination: DestinationId::new() };
        deliveries.note_delivered(route, &noted, Timestamp::now()).await.unwrap();
    }
    for error in [&errors[0], &errors[249], &errors[250]] {
        let told = deliveries.of_error(error, &BTreeSet::new()).await.unwrap();
        assert_eq!(told.len(), 5);
        assert!(told.iter().all(|delivery| delivery.attempts == std::slice::from_ref(&attempt)));
    }
}

#[tokio::test]
async fn a_page_of_fifty_thousand_errors_costs_what_one_of_a_thousand_does() {
    let (config, calls) = Calls::count(&aws(&setting("AWS_ACCESS_KEY_ID")).await);
    let errors = Errors { table: Table::new(&config, setting("ERRORS_TABLE")), retention: Retention::days(30) };
    let inside = Inside::new().await;
    let mut costs = Vec::new();
    for count in [1000, 49_000] {
        for _ in 0..count / 1000 {
            inside.record(1000).await;
        }
        let mut query = ErrorQuery { limit: 100, ..ErrorQuery::default() };
        calls.taken();
        let mut most = 0;
        for _ in 0..9 {
            let page = errors.page(inside.environment, &query).await.unwrap();
            assert_eq!(page.items.len(), 100);
            query.after = page.next;
            most = most.max(calls.taken().len());
        }
        costs.push(most);
    }
    assert!(costs.iter().all(|cost| *cost <= 12), "{costs:?}");
    let (groups, complete) = errors.groups(inside.environment, (None, None)).await.unwrap();
    assert_eq!((groups.iter().map(|group| group.count).sum::<usize>(), complete), (5000, false));
    assert!(calls.taken().len() <= 20);
}
