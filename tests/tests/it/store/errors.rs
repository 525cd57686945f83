//! Errors of the store against a model in memory, and under concurrent writes.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rand::{Rng, seq::IndexedRandom};
use tenon::{
    domain::{
        error_log::{ErrorIdentity, ErrorLog, NewError, WorkflowRef},
        fingerprint::Fingerprint,
        id::{EnvironmentId, ErrorId, ObjectId, UserId, WorkflowId},
        timestamp::Timestamp,
    },
    store::{
        Table,
        errors::{ErrorQuery, ErrorScope, Errors, Groups},
        record_pages::{MAX_SKIP, Window},
        retention::Retention,
    },
};
use tests::{Random, aws, delivery_harness::DeliveryHarness, setting};

/// In-memory model: a list of errors.
struct Model {
    errors: Vec<ErrorLog>,
}

impl Model {
    fn query(&self, environment: EnvironmentId, query: &ErrorQuery) -> Vec<(ErrorId, WorkflowId)> {
        let within = |error: &&ErrorLog| match query.scope {
            ErrorScope::Environment => true,
            ErrorScope::User(user) => error.user_id == user,
            ErrorScope::Workflow(workflow) => error.workflow_id == workflow,
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
        if !query.window.oldest_first {
            found.reverse();
        }
        found.into_iter().skip(query.window.skip).collect()
    }
}

async fn store() -> Errors {
    let table = Table::new(&aws(&setting("AWS_ACCESS_KEY_ID")).await, setting("ERRORS_TABLE"));
    Errors { table, retention: Retention::days(30) }
}

/// Returns a random element.
fn random<T: Clone>(of: &[T]) -> T {
    of.choose(&mut Random).unwrap().clone()
}

#[tokio::test]
async fn queries_match_an_in_memory_model() {
    let errors = store().await;
    let environments = [EnvironmentId::new(), EnvironmentId::new()];
    let users: Vec<UserId> = (0..3).map(|_| UserId::new()).collect();
    let workflows: Vec<(WorkflowId, UserId)> = (0..6).map(|n| (WorkflowId::new(), users[n % 3])).collect();
    let now = Timestamp::now();
    let at = || now - Duration::from_secs(Random.random_range(0..300));
    let mut model = Model { errors: Vec::new() };
    let mut ids: Vec<ErrorId> = Vec::new();
    for n in 0..600 {
        // Some ids occur in two workflows.
        let id =
            if Random.random_bool(0.1) && !ids.is_empty() { random(&ids) } else { ErrorId::from(ObjectId::at(at())) };
        let (workflow, user) = random(&workflows);
        let new = NewError {
            identity: ErrorIdentity { id, created_at: id.object_id().timestamp(), id_provided: true },
            execution_id: random(&["e1", "e2", "e3"]).parse().unwrap(),
            block_id: "b".parse().unwrap(),
            block_type: random(&["shopify", "slack"]).parse().unwrap(),
            error: format!("error {n}"),
        };
        let workflow = WorkflowRef { workflow_id: workflow, user_id: user, integration_id: None };
        let error = new.record(random(&environments), &workflow, now);
        let key = |error: &ErrorLog| (error.environment_id, error.workflow_id, error.error_id);
        if model.errors.iter().all(|other| key(other) != key(&error)) {
            ids.push(id);
            model.errors.push(error);
        }
    }
    assert!(errors.record(&model.errors).await.is_empty());
    // Expired errors are not returned.
    let old = Errors { retention: Retention::days(1), ..errors.clone() };
    let expired: Vec<ErrorLog> = (0..50)
        .map(|_| {
            let mut error = random(&model.errors);
            (error.error_id, error.updated_at) = (ObjectId::at(at()).into(), now - Duration::from_secs(2 * 86_400));
            error
        })
        .collect();
    assert!(old.record(&expired).await.is_empty());

    for _ in 0..120 {
        let maybe = |likely: f64| Random.random_bool(likely);
        let (workflow, user) = random(&workflows);
        let mut query = ErrorQuery {
            scope: random(&[ErrorScope::Environment, ErrorScope::User(user), ErrorScope::Workflow(workflow)]),
            since: maybe(0.3).then(at),
            until: maybe(0.3).then(at),
            user_id: maybe(0.2).then_some(user),
            execution_id: maybe(0.4).then(|| random(&["e1", "e2", "none"]).parse().unwrap()),
            block_type: maybe(0.3).then(|| random(&["shopify", "slack"]).parse().unwrap()),
            window: Window {
                oldest_first: maybe(0.5),
                skip: if maybe(0.3) { Random.random_range(0..=MAX_SKIP / 4) } else { 0 },
                after: None,
                limit: Random.random_range(1..=100),
            },
            ..ErrorQuery::default()
        };
        let environment = random(&environments);
        let expected = model.query(environment, &query);
        let mut found = Vec::new();
        loop {
            let page = errors.page(environment, &query).await.unwrap();
            assert!(page.items.len() <= query.window.limit);
            assert!(
                page.items.len() == query.window.limit || page.next.is_none(),
                "only the last page is short: {query:?}"
            );
            for error in &page.items {
                assert!(model.errors.contains(error), "the complete error");
            }
            found.extend(page.items.iter().map(|error| (error.error_id, error.workflow_id)));
            match page.next {
                Some(next) => query.window.after = Some(next),
                None => break,
            }
        }
        // Errors with the same id are ordered by workflow.
        assert_eq!(found, expected, "{query:?}");
    }

    // Groups count each error once.
    for environment in environments {
        let Groups { groups, complete, .. } = errors.groups(environment, &ErrorQuery::default(), 5000).await.unwrap();
        let mut expected: BTreeMap<Fingerprint, usize> = BTreeMap::new();
        for error in model.errors.iter().filter(|error| error.environment_id == environment) {
            *expected.entry(error.fingerprint.clone()).or_default() += 1;
        }
        let counted = groups.iter().map(|group| (group.example.fingerprint.clone(), group.count)).collect();
        assert_eq!((expected, true), (counted, complete));
    }
}

#[tokio::test]
async fn paging_returns_existing_errors_once_under_concurrent_writes() {
    let harness = DeliveryHarness::new().await;
    let there: BTreeSet<ErrorId> = harness.record_errors(400).await.iter().map(|error| error.error_id).collect();
    let stop = Arc::new(AtomicBool::new(false));
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (harness, stop) = (harness.clone(), stop.clone());
        writers.spawn(async move {
            let mut count = 0;
            loop {
                count += harness.record_errors(5).await.len();
                if stop.load(Ordering::SeqCst) {
                    break count;
                }
            }
        });
    }
    let errors = store().await;
    let mut seen: Vec<ErrorId> = Vec::new();
    let mut query = ErrorQuery { window: Window { limit: 7, ..Window::default() }, ..ErrorQuery::default() };
    loop {
        let page = errors.page(harness.environment, &query).await.unwrap();
        seen.extend(page.items.iter().map(|error| error.error_id));
        match page.next {
            Some(next) => query.window.after = Some(next),
            None => break,
        }
    }
    stop.store(true, Ordering::SeqCst);
    let recorded: usize = writers.join_all().await.into_iter().sum();
    assert!(recorded > 0, "errors were recorded in the meantime");
    let once: BTreeSet<ErrorId> = seen.iter().copied().collect();
    assert_eq!(once.len(), seen.len(), "no duplicates");
    assert!(there.is_subset(&once), "{} of {}", there.intersection(&once).count(), there.len());
}
