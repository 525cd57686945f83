//! `delete_user_data`, triggered by the stream of the directory for each user that is deleted, and by a schedule for deletions that are
//! not done: removes what the users owned. It may die anywhere and be run twice. AWS calls: for 200 items one DynamoDB query and
//! up to 16 writes.

use aws_config::SdkConfig;
use aws_lambda_events::event::streams::DynamoDbEventResponse;
use lambda_runtime::Diagnostic;
use tenon::{
    http::StartError,
    store::{Table, deletions::Deletions},
};

use super::jobs::{self, Trigger};

/// Opens the connection to the directory.
pub async fn state(config: &SdkConfig) -> Result<Deletions, StartError> {
    Ok(Deletions(Table::directory(config, 1).await?))
}

/// Removes what deleted users owned.
pub async fn delete_user_data(deletions: Deletions, trigger: Trigger) -> Result<DynamoDbEventResponse, Diagnostic> {
    let open = async |limit| deletions.open(limit).await;
    Ok(jobs::run(trigger, open, async |job| deletions.run(job).await, |job| job.started_at).await)
}
