//! `erase_logs`, triggered by the stream of the directory table for each user whose errors and
//! events are to be erased, and by a schedule for unfinished erasures. May stop at any point and
//! run more than once. AWS calls: at the start two reads; for 50 records three DynamoDB queries,
//! one query for each workflow or user and second in which they were stored, one read for 100
//! possible deliveries, one write for 25 items, and one write for each item that also covers other
//! records; at the end one write.

use aws_lambda_events::event::streams::DynamoDbEventResponse;
use lambda_runtime::Diagnostic;
use tenon::{domain::timestamp::Timestamp, store::erasures::Erasures};

use super::jobs::{self, Trigger};

/// Erases the errors and events of users, and their deliveries.
pub async fn erase_logs(erasures: Erasures, trigger: Trigger) -> Result<DynamoDbEventResponse, Diagnostic> {
    let open = async || erasures.open().await;
    jobs::run(trigger, open, async |job| erasures.run(job, Timestamp::now()).await.map(|_| ())).await
}
