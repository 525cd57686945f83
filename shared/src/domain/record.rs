//! Records: whatever is delivered to destinations. Errors are the only type.

use serde::{Deserialize, Serialize};

use super::{
    error_log::{EngineText, ErrorDocument, ErrorKey, ErrorLog},
    id::{EnvironmentId, ErrorId, ObjectId, UserId, WorkflowId},
    timestamp::Timestamp,
};

/// Record as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// Error of a workflow execution.
    Error(ErrorLog),
}

/// Key of a record within an environment: the owner of its partition, and its id. Queue messages
/// and pending deliveries contain it instead of the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
pub enum RecordKey {
    /// Key of an error.
    Error {
        /// Workflow of the error. The id is unique within it only.
        workflow_id: WorkflowId,
        /// Error id.
        error_id: ErrorId,
    },
}

/// Attributes of a record that the filter of a destination compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilterAttributes<'a> {
    /// Workflow.
    pub workflow_id: WorkflowId,
    /// User.
    pub user_id: UserId,
    /// Block type.
    pub block_type: &'a EngineText,
}

/// Record as destinations receive it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum RecordDocument<'a> {
    /// Error.
    Error(ErrorDocument<'a>),
}

impl Record {
    /// Returns the key of the record.
    pub fn key(&self) -> RecordKey {
        match self {
            Self::Error(error) => error.key().into(),
        }
    }

    /// Returns the environment of the record.
    pub fn environment_id(&self) -> EnvironmentId {
        match self {
            Self::Error(error) => error.environment_id,
        }
    }

    /// Returns the time at which the recorded fact occurred.
    pub fn created_at(&self) -> Timestamp {
        match self {
            Self::Error(error) => error.created_at,
        }
    }

    /// Returns the time at which the record was stored.
    pub fn recorded_at(&self) -> Timestamp {
        match self {
            Self::Error(error) => error.updated_at,
        }
    }

    /// Returns the attributes that filters compare.
    pub fn filter_attributes(&self) -> FilterAttributes<'_> {
        match self {
            Self::Error(ErrorLog { workflow_id, user_id, block_type, .. }) => {
                FilterAttributes { workflow_id: *workflow_id, user_id: *user_id, block_type }
            }
        }
    }

    /// Returns the document that destinations receive.
    pub fn document(&self) -> RecordDocument<'_> {
        match self {
            Self::Error(error) => RecordDocument::Error(error.document()),
        }
    }
}

impl From<ErrorLog> for Record {
    fn from(error: ErrorLog) -> Self {
        Self::Error(error)
    }
}

impl RecordKey {
    /// Returns the id of the record.
    pub fn id(&self) -> &ObjectId {
        match self {
            Self::Error { error_id, .. } => error_id.object_id(),
        }
    }
}

impl From<ErrorKey> for RecordKey {
    fn from((workflow_id, error_id): ErrorKey) -> Self {
        Self::Error { workflow_id, error_id }
    }
}
