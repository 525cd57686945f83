//! Cost of reads and deletions at large numbers of items. The benchmark reads pages of up to
//! 100,000.

use aws_sdk_dynamodb::types::AttributeValue;
use functions::workers::user_jobs;
use tenon::{
    domain::{
        id::{CredentialId, EnvironmentId, UserId},
        timestamp::Timestamp,
    },
    start::{FromAws, connect},
    store::{
        PageRequest, Table,
        credentials::Credentials,
        errors::{ErrorQuery, Errors, Groups},
        record_pages::Window,
        retention::Retention,
        user_jobs::UserJob,
        users::Users,
        workflows::Workflows,
    },
};
use tests::{
    Calls, aws,
    delivery_harness::DeliveryHarness,
    events::{deletion_of, outbox},
    keys, setting,
    table_items::{load, load_users, load_workflows},
};

#[tokio::test]
async fn page_of_3000_users_costs_the_same_as_of_1000() {
    let aws = aws(&setting("AWS_ACCESS_KEY_ID")).await;
    let (config, calls) = Calls::count(&aws);
    let users = Users(Table::new(&config, setting("DIRECTORY_TABLE")));
    let mut costs = Vec::new();
    for count in [1000, 3000] {
        let environment = EnvironmentId::new();
        load_users(&aws, environment, count).await;

        calls.take();
        let (mut after, mut most) = (None, 0);
        // The first ten pages, which are all pages of 1,000 users.
        for _ in 0..10 {
            let request = PageRequest::new(after.as_deref(), 100);
            let page = users.list(environment, None, request).await.unwrap();
            assert_eq!(page.items.len(), 100);
            after = page.next;
            most = most.max(calls.take().len());
        }
        costs.push(most);
    }
    assert!(costs[1] <= costs[0].max(5), "{costs:?}");
}

#[tokio::test]
async fn page_of_3000_workflows_costs_the_same_as_of_1000() {
    let aws = aws(&setting("AWS_ACCESS_KEY_ID")).await;
    let (config, calls) = Calls::count(&aws);
    let workflows = Workflows(Table::new(&config, setting("DIRECTORY_TABLE")));
    let mut costs = Vec::new();
    for count in [1000, 3000] {
        let environment = EnvironmentId::new();
        load_workflows(&aws, environment, count).await;

        calls.take();
        let (mut after, mut most) = (None, 0);
        for _ in 0..10 {
            let page = workflows.page(environment, PageRequest::new(after.as_deref(), 100)).await.unwrap();
            assert_eq!(page.items.len(), 100);
            after = page.next;
            most = most.max(calls.take().len());
        }
        costs.push(most);
    }
    assert!(costs[1] <= costs[0].max(6), "{costs:?}");
}

#[tokio::test]
async fn deletion_of_3000_items_makes_a_bounded_number_of_calls() {
    let harness = DeliveryHarness::new().await;
    let (user, workflows) = harness.seed_user(3000).await;
    let deletion = deletion_of(harness.environment, &user);
    let events = outbox(&harness.aws);
    Users(harness.directory.clone()).delete(&user, &deletion, events.prepare(&[]).unwrap()).await.unwrap();
    let state = connect(&harness.faulty, user_jobs::State::from_aws).await.unwrap();
    harness.calls.store(0, std::sync::atomic::Ordering::SeqCst);
    state.run(&UserJob::Deletion(deletion)).await.unwrap();
    let calls = harness.calls.load(std::sync::atomic::Ordering::SeqCst);
    // A step deletes 200 items with one query, at most two reads of 100 workflows and 24 writes. At
    // ten milliseconds per call, that is about four seconds of the function's five minutes.
    assert!(calls <= 10 + 16 * 27, "{calls}");
    assert!(harness.is_fully_deleted(&user, &workflows).await);
}

#[tokio::test]
async fn page_of_credentials_may_exceed_a_megabyte() {
    let harness = DeliveryHarness::new().await;
    let (environment, user) = (harness.environment, UserId::new());
    let now = Timestamp::now().to_string();
    let items = (0..80).map(|_| {
        let id = CredentialId::new().to_string();
        let texts = [
            ("pk", keys::user(environment, user)),
            ("sk", keys::credential(&id)),
            ("credentialId", id),
            ("userId", user.to_string()),
            ("credentialType", "shopify".into()),
            ("name", "Web shop".into()),
            ("createdAt", now.clone()),
            ("updatedAt", now.clone()),
            ("status", "valid".into()),
            ("data", "x".repeat(16 * 1024)),
        ];
        let texts = texts.into_iter().map(|(name, text)| (name.to_owned(), keys::attribute(text)));
        texts.chain(["revision", "dataRevision"].map(|name| (name.to_owned(), AttributeValue::N("1".into())))).collect()
    });
    load(&harness.aws, &setting("DIRECTORY_TABLE"), items.collect()).await;
    let credentials = Credentials(harness.directory.clone());
    for (limit, count, all) in [(200, 80, true), (80, 80, true), (79, 79, false)] {
        let page = credentials.page(environment, user, PageRequest::first(limit)).await.unwrap();
        assert_eq!((page.items.len(), page.next.is_none()), (count, all), "{limit}");
    }
}

#[tokio::test]
async fn page_of_8000_errors_costs_the_same_as_of_1000() {
    let (config, calls) = Calls::count(&aws(&setting("AWS_ACCESS_KEY_ID")).await);
    let errors = Errors { table: Table::new(&config, setting("ERRORS_TABLE")), retention: Retention::days(30) };
    let harness = DeliveryHarness::new().await;
    let mut costs = Vec::new();
    for count in [1000, 7000] {
        for _ in 0..count / 1000 {
            harness.record_errors(1000).await;
        }
        let mut query = ErrorQuery { window: Window { limit: 100, ..Window::default() }, ..ErrorQuery::default() };
        calls.take();
        let mut most = 0;
        for _ in 0..9 {
            let page = errors.page(harness.environment, &query).await.unwrap();
            assert_eq!(page.items.len(), 100);
            query.window.after = page.next;
            most = most.max(calls.take().len());
        }
        costs.push(most);
    }
    assert!(costs.iter().all(|cost| *cost <= 12), "{costs:?}");
    let groups = errors.groups(harness.environment, &ErrorQuery::default(), 5000).await;
    let Groups { groups, complete, .. } = groups.unwrap();
    assert_eq!((groups.iter().map(|group| group.count).sum::<usize>(), complete), (5000, false));
    assert!(calls.take().len() <= 20);
}
