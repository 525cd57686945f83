//! Baselines: handwritten programs that the benchmarks compare with the functions. This library
//! holds what they share.

pub mod minimal;

use serde::{Deserialize, Serialize};

/// Error, as read from its item and as sent.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Document {
    /// Error id.
    #[serde(rename(deserialize = "errorId", serialize = "_id"))]
    pub id: String,
    /// Workflow that failed.
    pub workflow_id: String,
    /// Execution that failed.
    pub execution_id: String,
    /// Block that failed.
    pub block_id: String,
    /// Block type.
    pub block_type: String,
    /// Error text.
    pub error: String,
    /// Time at which the error occurred.
    pub created_at: String,
    /// Time at which the error was recorded.
    pub updated_at: String,
    /// Document version.
    #[serde(rename = "__v", skip_deserializing)]
    pub version: u8,
    /// Owner of the workflow.
    pub user_id: String,
}
