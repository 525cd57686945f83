//! Errors of workflow executions, as recorded by the engine.

use std::{borrow::Cow, time::Duration};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    fingerprint::Fingerprint,
    id::{EnvironmentId, ErrorId, ObjectId, UserId, WorkflowId},
    record::RecordKey,
    request_seed::RequestSeed,
    text::Text,
    timestamp::Timestamp,
    workflow::{EngineIntegrationId, Workflow},
};

/// Id or type chosen by the engine: 1 to 256 characters.
pub type EngineText = Text<256>;

/// Error as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ErrorLog {
    /// Error id; its timestamp is that of `created_at`, to the second.
    pub error_id: ErrorId,
    /// Environment in which the error was recorded.
    pub environment_id: EnvironmentId,
    /// Workflow that failed.
    pub workflow_id: WorkflowId,
    /// Owner of the workflow.
    pub user_id: UserId,
    /// Integration of the workflow at the time of recording.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integration_id: Option<EngineIntegrationId>,
    /// Execution that failed, as named by the engine.
    pub execution_id: EngineText,
    /// Block that failed, as named by the engine.
    pub block_id: EngineText,
    /// Block type, such as `alloy.shopify`.
    pub block_type: EngineText,
    /// Error text, at most 64 KiB of UTF-8.
    pub error: String,
    /// Time at which the error occurred.
    pub created_at: Timestamp,
    /// Time at which the error was recorded.
    pub updated_at: Timestamp,
    /// Digest that is equal for similar errors.
    pub fingerprint: Fingerprint,
}

/// Error as shown to callers: the same object in the API, in webhooks and on event buses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Error)]
pub struct ErrorDocument<'a> {
    /// Error id.
    #[serde(rename = "_id")]
    pub id: ErrorId,
    /// Workflow that failed.
    pub workflow_id: WorkflowId,
    /// Execution that failed.
    pub execution_id: Cow<'a, str>,
    /// Block that failed.
    pub block_id: Cow<'a, str>,
    /// Block type.
    pub block_type: Cow<'a, str>,
    /// Error text.
    pub error: Cow<'a, str>,
    /// Time at which the error occurred.
    pub created_at: Timestamp,
    /// Time at which the error was recorded.
    pub updated_at: Timestamp,
    /// Document version; always 0.
    #[serde(rename = "__v")]
    pub version: u8,
    /// Owner of the workflow.
    pub user_id: UserId,
}

impl ErrorLog {
    /// Returns the key of the error.
    pub fn key(&self) -> RecordKey {
        RecordKey::Error { workflow_id: self.workflow_id, error_id: self.error_id }
    }

    /// Returns the document that callers receive.
    pub fn document(&self) -> ErrorDocument<'_> {
        let Self {
            error_id,
            environment_id: _,
            workflow_id,
            user_id,
            integration_id: _,
            execution_id,
            block_id,
            block_type,
            error,
            created_at,
            updated_at,
            fingerprint: _,
        } = self;
        ErrorDocument {
            id: *error_id,
            workflow_id: *workflow_id,
            execution_id: execution_id.as_str().into(),
            block_id: block_id.as_str().into(),
            block_type: block_type.as_str().into(),
            error: error.into(),
            created_at: *created_at,
            updated_at: *updated_at,
            version: 0,
            user_id: *user_id,
        }
    }

    /// Creates the error that a test of a destination sends. It has a random workflow and user, and
    /// is not stored.
    pub fn for_test(environment_id: EnvironmentId, now: Timestamp) -> Self {
        let new = NewError {
            identity: ErrorIdentity { id: ObjectId::at(now).into(), created_at: now, id_provided: false },
            execution_id: EngineText::of("test"),
            block_id: EngineText::of("test"),
            block_type: EngineText::of("tenon.test"),
            error: "Tenon test event".into(),
        };
        let workflow_ref = WorkflowRef { workflow_id: WorkflowId::new(), user_id: UserId::new(), integration_id: None };
        new.record(environment_id, &workflow_ref, now)
    }
}

/// Maximum size of an error text in bytes. Longer texts are truncated and marked.
pub const MAX_ERROR_BYTES: usize = 64 * 1024;

/// Truncates a text to [`MAX_ERROR_BYTES`] of UTF-8, including the mark that gives the original
/// size.
pub fn truncate(text: String) -> String {
    if text.len() <= MAX_ERROR_BYTES {
        return text;
    }
    let mark = format!("… [truncated: {} bytes in total]", text.len());
    let mut truncated = text;
    truncated.truncate(truncated.floor_char_boundary(MAX_ERROR_BYTES - mark.len()));
    truncated + &mark
}

/// Error as reported by the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewError {
    /// Id and time, consistent with each other.
    pub identity: ErrorIdentity,
    /// Execution that failed.
    pub execution_id: EngineText,
    /// Block that failed.
    pub block_id: EngineText,
    /// Block type.
    pub block_type: EngineText,
    /// Error text, already truncated.
    pub error: String,
}

/// Reference to the workflow of an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkflowRef {
    /// Workflow id.
    pub workflow_id: WorkflowId,
    /// Owner of the workflow.
    pub user_id: UserId,
    /// Integration of the workflow, if any.
    pub integration_id: Option<EngineIntegrationId>,
}

impl From<&Workflow> for WorkflowRef {
    fn from(workflow: &Workflow) -> Self {
        let Workflow { workflow_id, user_id, integration_id, .. } = workflow;
        Self { workflow_id: *workflow_id, user_id: *user_id, integration_id: integration_id.clone() }
    }
}

impl NewError {
    /// Returns the error of `workflow` as recorded at `now`.
    pub fn record(self, environment_id: EnvironmentId, workflow: &WorkflowRef, now: Timestamp) -> ErrorLog {
        let WorkflowRef { workflow_id, user_id, integration_id } = workflow.clone();
        let Self { identity: ErrorIdentity { id, created_at, .. }, execution_id, block_id, block_type, error } = self;
        ErrorLog {
            fingerprint: Fingerprint::of(block_type.as_str(), &error),
            error_id: id,
            environment_id,
            workflow_id,
            user_id,
            integration_id,
            execution_id,
            block_id,
            block_type,
            error,
            created_at,
            updated_at: now,
        }
    }
}

/// Maximum lead of an engine's clock.
pub const MAX_CLOCK_SKEW: Duration = Duration::from_secs(5 * 60);

/// Id and time of an error, equal to the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorIdentity {
    /// Error id.
    pub id: ErrorId,
    /// Time at which the error occurred.
    pub created_at: Timestamp,
    /// Whether the engine chose the id. If so, the error may have been recorded before.
    pub id_provided: bool,
}

/// Error for an invalid combination of id and time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Id and time differ by at least a second.
    #[error("must match the timestamp in `_id`, to the second")]
    Mismatch,
    /// The time is further ahead than [`MAX_CLOCK_SKEW`].
    #[error("must be at most five minutes in the future")]
    Future,
    /// The time is before 1970, which an id cannot represent.
    #[error("must not be before 1970")]
    Past,
}

impl ErrorIdentity {
    /// Completes the id and time of the error at `index` of the request with this seed.
    ///
    /// A missing time is read from the id, and a missing id is derived from the time. Without
    /// either, the time is that of the seed.
    pub fn new(
        id: Option<ErrorId>,
        created_at: Option<Timestamp>,
        seed: &RequestSeed,
        index: usize,
    ) -> Result<Self, IdentityError> {
        let now = seed.at;
        let at = created_at.or(id.map(|id| id.object_id().timestamp())).unwrap_or(now);
        if at > now + MAX_CLOCK_SKEW {
            return Err(IdentityError::Future);
        }
        if at.seconds() < 0 {
            return Err(IdentityError::Past);
        }
        if id.is_some_and(|id| id.object_id().timestamp().seconds() != at.seconds()) {
            return Err(IdentityError::Mismatch);
        }
        Ok(Self { id: id.unwrap_or_else(|| seed.id_at(index, at)), created_at: at, id_provided: id.is_some() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn now() -> Timestamp {
        "2026-11-24T05:30:50.123Z".parse().unwrap()
    }

    fn identity(id: Option<ErrorId>, created_at: Option<Timestamp>) -> Result<ErrorIdentity, IdentityError> {
        ErrorIdentity::new(id, created_at, &RequestSeed::of(now()), 0)
    }

    #[test]
    fn id_is_generated_from_the_time() {
        let at = "2026-11-23T05:30:50.500Z".parse().unwrap();
        let identity = identity(None, Some(at)).unwrap();
        assert_eq!(identity.created_at, at);
        assert_eq!(identity.id.object_id().timestamp().seconds(), at.seconds());
        assert!(!identity.id_provided);
    }

    #[test]
    fn time_is_read_from_the_id() {
        let id: ErrorId = "6155ac246093840013297377".parse().unwrap();
        let identity = identity(Some(id), None).unwrap();
        assert_eq!(identity.created_at.to_string(), "2021-09-30T12:23:00.000Z");
    }

    #[test]
    fn id_and_time_must_match_to_the_second() {
        let id: ErrorId = "6155ac246093840013297377".parse().unwrap();
        let at = |text: &str| identity(Some(id), Some(text.parse().unwrap()));
        assert!(at("2021-09-30T12:23:00.999Z").is_ok());
        assert_eq!(at("2021-09-30T12:23:01.000Z"), Err(IdentityError::Mismatch));
    }

    #[test]
    fn error_may_be_at_most_five_minutes_ahead() {
        let at = |duration| identity(None, Some(now() + duration));
        assert!(at(MAX_CLOCK_SKEW).is_ok());
        assert_eq!(at(MAX_CLOCK_SKEW + Duration::from_millis(1)), Err(IdentityError::Future));
    }

    #[test]
    fn serialized_error_has_the_contract_names() {
        let new = NewError {
            identity: identity(Some("6155ac246093840013297377".parse().unwrap()), None).unwrap(),
            execution_id: "e".parse().unwrap(),
            block_id: "b".parse().unwrap(),
            block_type: "alloy.shopify".parse().unwrap(),
            error: "Error".into(),
        };
        let (environment, workflow, user) = (EnvironmentId::new(), WorkflowId::new(), UserId::new());
        let workflow_ref =
            WorkflowRef { workflow_id: workflow, user_id: user, integration_id: Some("shopify".parse().unwrap()) };
        let log = new.record(environment, &workflow_ref, now());
        assert_eq!(
            serde_json::to_value(log.document()).unwrap(),
            serde_json::json!({
                "_id": "6155ac246093840013297377", "workflowId": workflow, "executionId": "e", "blockId": "b",
                "blockType": "alloy.shopify", "error": "Error", "createdAt": "2021-09-30T12:23:00.000Z",
                "updatedAt": "2026-11-24T05:30:50.123Z", "__v": 0, "userId": user
            })
        );
    }

    proptest! {
        #[test]
        fn long_text_is_truncated_with_a_mark_within_the_limit(character in any::<char>(), extra in 0usize..9) {
            let text = character.to_string().repeat((MAX_ERROR_BYTES + extra) / character.len_utf8() + 1);
            let whole = text.len();
            let truncated = truncate(text);
            prop_assert!(truncated.len() <= MAX_ERROR_BYTES);
            let mark = format!("[truncated: {whole} bytes in total]");
            prop_assert_eq!(truncated.ends_with(&mark), whole > MAX_ERROR_BYTES);
        }
    }
}
