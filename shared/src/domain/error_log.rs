//! Error logs: what went wrong in an execution of a workflow.

use std::{borrow::Cow, time::Duration};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    fingerprint::Fingerprint,
    id::{EnvironmentId, ErrorId, ObjectId, UserId, WorkflowId},
    request_seed::RequestSeed,
    text::Text,
    timestamp::Timestamp,
    workflow::{IntegrationId, Workflow},
};

/// An id or a type that the engine gave: 1 to 256 characters.
pub type EngineText = Text<256>;

/// An error as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ErrorLog {
    /// Its id, whose seconds are those of `created_at`.
    pub error_id: ErrorId,
    /// The environment it was recorded in.
    pub environment_id: EnvironmentId,
    /// The workflow that failed.
    pub workflow_id: WorkflowId,
    /// Whose workflow it is.
    pub user_id: UserId,
    /// The integration that the workflow belonged to when the error was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integration_id: Option<IntegrationId>,
    /// The execution that failed, as the engine calls it.
    pub execution_id: EngineText,
    /// The block that failed, as the engine calls it.
    pub block_id: EngineText,
    /// The kind of block, such as `alloy.shopify`.
    pub block_type: EngineText,
    /// What went wrong: at most 64 KiB of UTF-8.
    pub error: String,
    /// When it went wrong.
    pub created_at: Timestamp,
    /// When it was recorded.
    pub updated_at: Timestamp,
    /// By which equal errors are one.
    pub fingerprint: Fingerprint,
}

/// An error as the world sees it: one and the same object in the API, in a webhook and on a bus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Error)]
pub struct ErrorDocument<'a> {
    /// Its id.
    #[serde(rename = "_id")]
    pub id: ErrorId,
    /// The workflow that failed.
    pub workflow_id: WorkflowId,
    /// The execution that failed.
    pub execution_id: Cow<'a, str>,
    /// The block that failed.
    pub block_id: Cow<'a, str>,
    /// The kind of block.
    pub block_type: Cow<'a, str>,
    /// What went wrong.
    pub error: Cow<'a, str>,
    /// When it went wrong.
    pub created_at: Timestamp,
    /// When it was recorded.
    pub updated_at: Timestamp,
    /// The version of the document; always 0.
    #[serde(rename = "__v")]
    pub version: u8,
    /// Whose workflow it is.
    pub user_id: UserId,
}

/// What identifies an error of an environment: its id is unique in its workflow only.
pub type ErrorKey = (WorkflowId, ErrorId);

impl ErrorLog {
    /// What identifies it.
    pub fn key(&self) -> ErrorKey {
        (self.workflow_id, self.error_id)
    }

    /// The object that the world sees.
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
}

impl ErrorLog {
    /// What is sent to test a destination: an error of no workflow, which is not stored.
    pub fn test_event(environment_id: EnvironmentId, now: Timestamp) -> Self {
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

/// The most bytes of an error's text; what is longer is cut, with a mark.
pub const MAX_ERROR_BYTES: usize = 64 * 1024;

/// Cuts a text to [`MAX_ERROR_BYTES`] of UTF-8, the mark that says so included.
pub fn truncate(text: String) -> String {
    if text.len() <= MAX_ERROR_BYTES {
        return text;
    }
    let mark = format!("… [truncated: {} bytes in total]", text.len());
    let mut truncated = text;
    truncated.truncate(truncated.floor_char_boundary(MAX_ERROR_BYTES - mark.len()));
    truncated + &mark
}

/// What the engine says of an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewError {
    /// The id and the time, which agree.
    pub identity: ErrorIdentity,
    /// The execution that failed.
    pub execution_id: EngineText,
    /// The block that failed.
    pub block_id: EngineText,
    /// The kind of block.
    pub block_type: EngineText,
    /// What went wrong, already cut.
    pub error: String,
}

/// A workflow as its errors name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkflowRef {
    /// The workflow.
    pub workflow_id: WorkflowId,
    /// Its user.
    pub user_id: UserId,
    /// Its integration, if it has one.
    pub integration_id: Option<IntegrationId>,
}

impl From<&Workflow> for WorkflowRef {
    fn from(workflow: &Workflow) -> Self {
        let Workflow { workflow_id, user_id, integration_id, .. } = workflow;
        Self { workflow_id: *workflow_id, user_id: *user_id, integration_id: integration_id.clone() }
    }
}

impl NewError {
    /// Returns the error of a workflow as it is recorded at `now`.
    pub fn record(self, environment_id: EnvironmentId, workflow: &WorkflowRef, now: Timestamp) -> ErrorLog {
        let WorkflowRef { workflow_id, user_id, integration_id } = workflow.clone();
        let Self { identity: ErrorIdentity { id, created_at, .. }, execution_id, block_id, block_type, error } = self;
        ErrorLog {
            fingerprint: Fingerprint::of(workflow_id, block_type.as_str(), &error),
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

/// How far an engine's clock may be ahead.
pub const MAX_CLOCK_SKEW: Duration = Duration::from_secs(5 * 60);

/// An error's id and time, which agree to the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorIdentity {
    /// The id.
    pub id: ErrorId,
    /// The time.
    pub created_at: Timestamp,
    /// Whether the engine gave the id, so that the error may have been recorded before.
    pub id_provided: bool,
}

/// Why an id and a time do not make an error's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// The two name different seconds.
    #[error("must lie in the second that `_id` carries")]
    Mismatch,
    /// It is further ahead than a clock's skew explains.
    #[error("must not be later than five minutes from now")]
    Future,
    /// An id has no room for times before 1970.
    #[error("must not be before 1970")]
    Past,
}

impl ErrorIdentity {
    /// Completes what was given: the id is made from the time, the time read from the id, or both are made, for the error in
    /// this place of the request of this seed.
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
