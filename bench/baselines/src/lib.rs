//! What the baselines share.

use serde::{Deserialize, Serialize};

/// An error as it is read from its item, and as it is sent.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Document {
    /// Its id.
    #[serde(rename(deserialize = "errorId", serialize = "_id"))]
    pub id: String,
    /// Its workflow.
    pub workflow_id: String,
    /// The execution that failed.
    pub execution_id: String,
    /// The block that failed.
    pub block_id: String,
    /// The kind of block.
    pub block_type: String,
    /// What went wrong.
    pub error: String,
    /// When it went wrong.
    pub created_at: String,
    /// When it was recorded.
    pub updated_at: String,
    /// The version of the document.
    #[serde(rename = "__v", skip_deserializing)]
    pub version: u8,
    /// Whose workflow it is.
    pub user_id: String,
}
