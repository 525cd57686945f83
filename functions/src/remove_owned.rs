//! `remove_owned`, triggered by the stream of the directory for each user that is deleted, and by a schedule for deletions that are
//! not done: removes what the users owned. It may die anywhere and be run twice. AWS calls: for 200 items one DynamoDB query and
//! up to 16 writes.

use aws_config::SdkConfig;
use aws_lambda_events::event::{
    dynamodb::Event as StreamEvent,
    streams::{DynamoDbBatchItemFailure, DynamoDbEventResponse},
};
use lambda_runtime::Diagnostic;
use serde::Deserialize;
use serde_json::Value;
use tenon::{
    http::StartError,
    logs::Chain,
    store::{StoreError, Table, deletions::Deletions, users::Deletion},
};

/// So many deletions are looked at by the schedule.
const LOOKED_AT: usize = 1000;

/// Opens the connection to the directory.
pub async fn state(config: &SdkConfig) -> Result<Deletions, StartError> {
    Ok(Deletions(Table::directory(config).await?))
}

/// What triggers the function.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Trigger {
    /// Users were deleted.
    Stream(StreamEvent),
    /// The time has come to look at what is not done.
    Schedule(Value),
}

/// Removes what deleted users owned.
pub async fn remove_owned(deletions: Deletions, trigger: Trigger) -> Result<DynamoDbEventResponse, Diagnostic> {
    let mut response = DynamoDbEventResponse::default();
    match trigger {
        Trigger::Stream(event) => {
            for record in event.records {
                let sequence_number = record.change.sequence_number;
                match serde_dynamo::from_item::<_, Deletion>(record.change.new_image) {
                    Ok(deletion) if finish(&deletions, &deletion).await => {}
                    // The schedule goes on with it too.
                    Ok(_) => {
                        let mut failure = DynamoDbBatchItemFailure::default();
                        failure.item_identifier = sequence_number;
                        response.batch_item_failures = vec![failure];
                        break;
                    }
                    Err(error) => tracing::error!(error = %Chain(&error), "a deletion cannot be read"),
                }
            }
        }
        Trigger::Schedule(_) => match deletions.open(LOOKED_AT).await {
            Ok(open) => {
                for deletion in open {
                    finish(&deletions, &deletion).await;
                }
            }
            Err(error) => tracing::error!(error = %Chain(&error), "deletions cannot be read"),
        },
    }
    Ok(response)
}

/// Whether nothing is left.
async fn finish(deletions: &Deletions, deletion: &Deletion) -> bool {
    match remove(deletions, deletion).await {
        Ok(()) => {
            tracing::info!(environment = %deletion.environment_id, user = %deletion.user_id, "all that was owned is removed");
            true
        }
        Err(error) => {
            tracing::warn!(error = %Chain(&error), user = %deletion.user_id, "something is left");
            false
        }
    }
}

async fn remove(deletions: &Deletions, deletion: &Deletion) -> Result<(), StoreError> {
    while !deletions.step(deletion).await? {}
    Ok(())
}
