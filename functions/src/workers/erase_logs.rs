//! `erase_logs`, triggered by the stream of the directory for each user whose errors are to be erased, and by a schedule for
//! erasures that are not over. It may die anywhere and be run twice. AWS calls: for 50 errors three DynamoDB queries and
//! one for each workflow and second in which they were recorded, one read for 100 deliveries that there may be, one write for 25
//! items, and one for each item that tells of other errors too.

use aws_config::SdkConfig;
use aws_lambda_events::event::streams::DynamoDbEventResponse;
use lambda_runtime::Diagnostic;
use tenon::{
    http::StartError,
    store::{Table, erasures::Erasures},
};

use super::jobs::{self, Trigger};

/// Opens the connections to both tables.
pub async fn state(config: &SdkConfig) -> Result<Erasures, StartError> {
    let (directory, errors) = Table::both(config, 1).await?;
    Ok(Erasures { directory, errors })
}

/// Erases the errors of users.
pub async fn erase_logs(erasures: Erasures, trigger: Trigger) -> Result<DynamoDbEventResponse, Diagnostic> {
    let open = async |limit| erasures.open(limit).await;
    Ok(jobs::run(trigger, open, async |job| erasures.run(job).await, |job| job.started_at).await)
}
