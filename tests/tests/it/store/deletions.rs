//! Deletion of everything a user owned.

use tenon::store::{Table, deletions::Deletions, users::Users};
use tests::{delivery_harness::DeliveryHarness, setting};

#[tokio::test]
async fn deletion_completes_with_repeated_and_failed_steps() {
    let harness = DeliveryHarness::new().await;
    let directory = Table::new(&harness.aws, setting("DIRECTORY_TABLE"));
    let (user, workflows) = harness.seed_user(2_000).await;
    let deletion = Users(directory.clone()).delete(harness.environment, &user).await.unwrap();
    let listed = async || Deletions(directory.clone()).open().await.unwrap().contains(&deletion);
    assert!(listed().await);

    // 40 % of the calls fail, some of them after they were processed. That is more than the SDK
    // retries, so steps fail.
    harness.faults.store(40, std::sync::atomic::Ordering::SeqCst);
    let broken = Deletions(harness.directory.clone());
    let mut failures = 0;
    let running = std::cell::Cell::new(true);
    while running.get() {
        match broken.step(&deletion).await {
            Ok(done) => running.set(!done),
            Err(_) => failures += 1,
        }
        // Another process runs the same job concurrently.
        if failures % 7 == 3 {
            let _ = broken.step(&deletion).await;
        }
    }
    assert!(failures > 0);
    assert!(harness.is_fully_deleted(&user, &workflows).await);
    assert!(!listed().await);
}
