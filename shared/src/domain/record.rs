//! Records, which are delivered to destinations. A record is an error or an event.

use serde::{Deserialize, Serialize};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema},
};

use super::{
    error_log::{EngineText, ErrorDocument, ErrorLog},
    event::{Event, EventDocument, EventType},
    id::{EnvironmentId, ErrorId, EventId, ObjectId, UserId, WorkflowId},
    timestamp::Timestamp,
    workflow::EngineIntegrationId,
};

/// Record as stored.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Record {
    /// Error of a workflow execution.
    Error(ErrorLog),
    /// Change of a user or of what it owns.
    Event(Event),
}

/// Reference to a stored record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordRef {
    /// Key of the record.
    pub key: RecordKey,
    /// Time at which the record was stored, like [`Record::recorded_at`].
    pub recorded_at: Timestamp,
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
    /// Key of an event.
    Event {
        /// User of the event.
        user_id: UserId,
        /// Event id.
        event_id: EventId,
    },
}

/// Owner of the partition that contains a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordOwner {
    /// Workflow, for errors.
    Workflow(WorkflowId),
    /// User, for events.
    User(UserId),
}

/// Id of a record of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
pub enum RecordId {
    /// Id of an error.
    Error {
        /// Error id.
        error_id: ErrorId,
    },
    /// Id of an event.
    Event {
        /// Event id.
        event_id: EventId,
    },
}

/// Object with one of two members. Not described as a choice, because generators of clients cannot
/// combine one with the other members of a delivery.
impl PartialSchema for RecordId {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .description(Some("One of the two ids."))
            .property("errorId", ErrorId::schema())
            .property("eventId", EventId::schema())
            .into()
    }
}

impl ToSchema for RecordId {}

/// Attributes of a record that a destination selects by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilterAttributes<'a> {
    /// Type of the event; none for an error.
    pub event_type: Option<EventType>,
    /// Workflow.
    pub workflow_id: Option<WorkflowId>,
    /// User.
    pub user_id: UserId,
    /// Integration.
    pub integration_id: Option<&'a EngineIntegrationId>,
    /// Block type; none for an event.
    pub block_type: Option<&'a EngineText>,
}

/// Record as destinations receive it.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum RecordDocument<'a> {
    /// Error.
    Error(ErrorDocument<'a>),
    /// Event.
    Event(EventDocument<'a>),
}

impl Record {
    /// Returns the key of the record.
    pub fn key(&self) -> RecordKey {
        match self {
            Self::Error(error) => error.key(),
            Self::Event(event) => event.key(),
        }
    }

    /// Returns the environment of the record.
    pub fn environment_id(&self) -> EnvironmentId {
        match self {
            Self::Error(error) => error.environment_id,
            Self::Event(event) => event.environment_id,
        }
    }

    /// Returns the time at which the recorded fact occurred.
    pub fn created_at(&self) -> Timestamp {
        match self {
            Self::Error(error) => error.created_at,
            Self::Event(event) => event.created_at,
        }
    }

    /// Returns the time at which the record was stored.
    pub fn recorded_at(&self) -> Timestamp {
        match self {
            Self::Error(error) => error.updated_at,
            Self::Event(event) => event.created_at,
        }
    }

    /// Returns the attributes that destinations select by.
    pub fn filter_attributes(&self) -> FilterAttributes<'_> {
        match self {
            Self::Error(ErrorLog { workflow_id, user_id, integration_id, block_type, .. }) => FilterAttributes {
                event_type: None,
                workflow_id: Some(*workflow_id),
                user_id: *user_id,
                integration_id: integration_id.as_ref(),
                block_type: Some(block_type),
            },
            Self::Event(Event { event_type, workflow_id, user_id, integration_id, .. }) => FilterAttributes {
                event_type: Some(*event_type),
                workflow_id: *workflow_id,
                user_id: *user_id,
                integration_id: integration_id.as_ref(),
                block_type: None,
            },
        }
    }

    /// Returns the document that destinations receive.
    pub fn document(&self) -> RecordDocument<'_> {
        match self {
            Self::Error(error) => RecordDocument::Error(error.document()),
            Self::Event(event) => RecordDocument::Event(event.document()),
        }
    }
}

impl From<ErrorLog> for Record {
    fn from(error: ErrorLog) -> Self {
        Self::Error(error)
    }
}

impl From<Event> for Record {
    fn from(event: Event) -> Self {
        Self::Event(event)
    }
}

impl RecordKey {
    /// Returns the key of the record with this id in the partition of `owner`.
    pub fn new(owner: RecordOwner, id: ObjectId) -> Self {
        match owner {
            RecordOwner::Workflow(workflow_id) => Self::Error { workflow_id, error_id: id.into() },
            RecordOwner::User(user_id) => Self::Event { user_id, event_id: id.into() },
        }
    }

    /// Returns the owner of the partition.
    pub fn owner(&self) -> RecordOwner {
        match self {
            Self::Error { workflow_id, .. } => RecordOwner::Workflow(*workflow_id),
            Self::Event { user_id, .. } => RecordOwner::User(*user_id),
        }
    }

    /// Returns the id of the record.
    pub fn id(&self) -> &ObjectId {
        match self {
            Self::Error { error_id, .. } => error_id.object_id(),
            Self::Event { event_id, .. } => event_id.object_id(),
        }
    }

    /// Returns the id as deliveries name it.
    pub fn record_id(&self) -> RecordId {
        match self {
            Self::Error { error_id, .. } => RecordId::Error { error_id: *error_id },
            Self::Event { event_id, .. } => RecordId::Event { event_id: *event_id },
        }
    }
}
