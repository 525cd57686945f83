//! `delete_user_data`, triggered by the stream of the directory table for each deleted user, and by
//! a schedule for unfinished deletions. Removes the data that the users owned. May stop at any
//! point and run more than once. AWS calls: for 200 items one DynamoDB query and up to 16 writes.

use aws_lambda_events::event::streams::DynamoDbEventResponse;
use lambda_runtime::Diagnostic;
use tenon::store::deletions::Deletions;

use super::jobs::{self, Trigger};

/// Removes the data of deleted users.
pub async fn delete_user_data(deletions: Deletions, trigger: Trigger) -> Result<DynamoDbEventResponse, Diagnostic> {
    let open = async || deletions.open().await;
    jobs::run(trigger, open, async |job| deletions.run(job).await, |job| job.started_at).await
}
