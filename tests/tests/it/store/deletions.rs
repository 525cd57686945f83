//! Deletion of everything a user owned.

use functions::workers::user_jobs;
use tenon::{
    start::{FromAws, connect},
    store::{Table, user_jobs::UserJob, users::Users},
};
use tests::{
    delivery_harness::DeliveryHarness,
    events::{deletion_of, outbox},
    setting,
};

#[tokio::test]
async fn deletion_completes_with_repeated_and_failed_steps() {
    let harness = DeliveryHarness::new().await;
    let directory = Table::new(&harness.aws, setting("DIRECTORY_TABLE"));
    let (user, workflows) = harness.seed_user(2_000).await;
    let (deletion, outbox) = (deletion_of(harness.environment, &user), outbox(&harness.aws));
    Users(directory).delete(&user, &deletion, outbox.prepare(&[]).unwrap()).await.unwrap();
    let job = UserJob::Deletion(deletion);
    let jobs = connect(&harness.aws, tenon::store::user_jobs::UserJobs::from_aws).await.unwrap();
    let listed = async || jobs.open().await.unwrap().contains(&job);
    assert!(listed().await);

    // 40 % of the calls fail, some of them after they were processed. That is more than the SDK
    // retries, so runs fail.
    let broken = connect(&harness.faulty, user_jobs::State::from_aws).await.unwrap();
    harness.faults.store(40, std::sync::atomic::Ordering::SeqCst);
    let mut failures = 0;
    while broken.run(&job).await.is_err() {
        failures += 1;
        // Another process runs the same job concurrently.
        if failures % 7 == 3 {
            let _ = tokio::join!(broken.run(&job), broken.run(&job));
        }
    }
    assert!(failures > 0);
    assert!(harness.is_fully_deleted(&user, &workflows).await);
    assert!(!listed().await);
}
