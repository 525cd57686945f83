//! Refusals, as problem documents (RFC 9457).

use std::{error::Error, sync::Arc};

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    delivery::eventbridge::ConnectionRefused,
    logs::ErrorChain,
    store::{
        StoreError, credentials::CreateCredentialError, destinations::CreateDestinationError,
        destinations::UpdateDestinationError, users::ChangeUserError, users::CreateUserError,
        workflows::CreateWorkflowError,
    },
    tokens::KeyError,
    vault::VaultError,
};

tokio::task_local! {
    /// The id of the request that is being answered.
    pub(super) static REQUEST_ID: String;
}

/// A field that is invalid, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// Where it is: a JSON pointer (RFC 6901) into the body; for a query parameter `/` and its name.
    pub pointer: String,
    /// Why it is invalid.
    pub detail: String,
}

/// A refusal as it is sent.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemDocument {
    /// The kind of problem: a stable URI.
    #[serde(rename = "type")]
    kind: String,
    /// The kind of problem, in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What is wrong this time.
    detail: String,
    /// The id of the request, to be found in the logs.
    instance: Option<String>,
    /// The same as `detail`.
    message: String,
    /// All that is invalid, taken or was not recorded.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<FieldError>,
    /// Where AWS refused keys: the IAM policy that they need.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    policy: Option<serde_json::Value>,
}

/// A refusal. What is inside an [`Error`] that led to it is logged and never sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    kind: &'static str,
    title: &'static str,
    status: StatusCode,
    detail: String,
    errors: Vec<FieldError>,
    // On the heap, so that every result that may be a refusal stays small.
    policy: Option<Box<serde_json::Value>>,
}

/// How long a client should wait before it tries again when AWS is busy, in seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

impl Problem {
    fn new(status: StatusCode, kind: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self { kind, title, status, detail: detail.into(), errors: Vec::new(), policy: None }
    }

    /// 400: the body is not JSON.
    pub fn malformed_json(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed-json", "The body is not valid JSON", detail)
    }

    /// 400: the cursor is not one of this list.
    pub fn invalid_cursor() -> Self {
        let detail = "the cursor is not one that this list gave, or path or filters have changed since";
        Self::new(StatusCode::BAD_REQUEST, "invalid-cursor", "The cursor is invalid", detail)
    }

    /// 401: it is not known who is calling.
    pub fn unauthorized() -> Self {
        let detail = "a valid API key or user token is required: Authorization: Bearer …";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "Authentication is required", detail)
    }

    /// 403: the caller may not do this.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "Not allowed", detail)
    }

    /// 404: there is no such thing, or it belongs to somebody else.
    pub fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "Not found", format!("there is no such {what}"))
    }

    /// 409: it clashes with what is there.
    pub fn conflict(kind: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, kind, "Conflict", detail)
    }

    /// 413: the body is too long.
    pub fn too_large(max: usize) -> Self {
        let detail = format!("a body may have at most {max} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The body is too large", detail)
    }

    /// 415: the body is not said to be JSON.
    pub fn unsupported_media_type() -> Self {
        let detail = "the body must be sent as application/json";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "Unsupported media type", detail)
    }

    /// 422: fields are invalid; all of them are named.
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let list: Vec<String> = errors
            .iter()
            .map(|FieldError { pointer, detail }| match pointer.as_str() {
                "" => format!("the body {detail}"),
                pointer => format!("{pointer} {detail}"),
            })
            .collect();
        let problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "validation", "Invalid input", list.join("; "));
        Self { errors, ..problem }
    }

    /// 422: the customer's AWS refused a connection that was to be saved; with the policy that its keys need.
    pub fn connection_refused(refusal: &ConnectionRefused, policy: serde_json::Value) -> Self {
        let detail = refusal.to_string();
        let problem =
            Self::new(StatusCode::UNPROCESSABLE_ENTITY, "connection-refused", "AWS refused the connection", &*detail);
        Self { policy: Some(Box::new(policy)), ..problem.with_error(refusal.pointer, &detail) }
    }

    /// 422: one field is invalid, for a reason beyond its form.
    pub fn invalid_field(pointer: &str, detail: impl std::fmt::Display) -> Self {
        Self::invalid(vec![FieldError { pointer: pointer.into(), detail: detail.to_string() }])
    }

    /// 503: AWS is busy; the same request may succeed a little later.
    pub fn busy(error: &dyn Error) -> Self {
        tracing::warn!(error = %ErrorChain(error), "busy");
        let detail = "AWS is busy or out of reach for now: try again";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "Try again", detail)
    }

    /// 503: of so many errors that were sent, these were not recorded.
    pub fn not_recorded(pointers: Vec<String>, all: usize) -> Self {
        let detail = format!("{} of {all} errors were not recorded: try these again", pointers.len());
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "not-recorded", "Try again", detail);
        pointers.iter().fold(problem, |problem, pointer| problem.with_error(pointer, "was not recorded"))
    }

    /// 503: of so many users that were sent, these were not created.
    pub fn not_created(pointers: Vec<String>, all: usize) -> Self {
        let detail = format!("{} of {all} users were not created: try these again", pointers.len());
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "not-created", "Try again", detail);
        pointers.iter().fold(problem, |problem, pointer| problem.with_error(pointer, "was not created"))
    }

    /// 409: an earlier request with the same Idempotency-Key has not been answered yet.
    pub(super) fn idempotency_key_in_progress() -> Self {
        let detail = "a request with this Idempotency-Key is under way: try again in a moment";
        Self::conflict("idempotency-key-in-progress", detail)
    }

    /// 422: the Idempotency-Key came with another body before.
    pub(super) fn idempotency_key_reused() -> Self {
        let detail = "this Idempotency-Key was sent with another body: give another request a key of its own";
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency-key-reused", "The key was used before", detail)
    }

    /// 500: something is wrong on this side. The error is logged and not sent.
    pub fn internal(error: &dyn Error) -> Self {
        tracing::error!(error = %ErrorChain(error), "internal error");
        Self::already_logged()
    }

    /// 500 for what has been logged already.
    pub(super) fn already_logged() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error", "an internal error occurred")
    }

    /// 412: what was to be changed is not any more what the caller has seen.
    pub fn precondition_failed() -> Self {
        let detail = "it was changed since: read it again, and send the ETag of what you have seen";
        Self::new(StatusCode::PRECONDITION_FAILED, "precondition-failed", "It was changed since", detail)
    }

    /// What is wrong, in words, and all that is invalid or taken.
    pub fn into_parts(self) -> (String, Vec<FieldError>) {
        (self.detail, self.errors)
    }

    fn with_error(self, pointer: &str, detail: &str) -> Self {
        let mut problem = self;
        problem.errors.push(FieldError { pointer: pointer.into(), detail: detail.into() });
        problem
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self { kind, title, status, detail, errors, policy } = self;
        let document = ProblemDocument {
            kind: format!("urn:tenon:problem:{kind}"),
            title,
            status: status.as_u16(),
            message: detail.clone(),
            detail,
            instance: REQUEST_ID.try_with(Clone::clone).ok(),
            errors,
            policy: policy.map(|policy| *policy),
        };
        let mut response = Response::new(Body::from(serde_json::to_vec(&document).unwrap_or_default()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match status {
            StatusCode::SERVICE_UNAVAILABLE => headers.insert(header::RETRY_AFTER, RETRY_AFTER),
            StatusCode::UNAUTHORIZED => headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")),
            _ => None,
        };
        response
    }
}

/// How a function that only IAM may invoke refuses.
impl From<Problem> for lambda_runtime::Diagnostic {
    fn from(problem: Problem) -> Self {
        Self { error_type: problem.kind.to_owned(), error_message: problem.detail }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::from(&error)
    }
}

impl From<&StoreError> for Problem {
    fn from(error: &StoreError) -> Self {
        if error.is_transient() { Self::busy(error) } else { Self::internal(error) }
    }
}

impl From<VaultError> for Problem {
    fn from(error: VaultError) -> Self {
        Arc::new(error).into()
    }
}

impl From<Arc<VaultError>> for Problem {
    fn from(error: Arc<VaultError>) -> Self {
        match &*error {
            VaultError::Busy(_) => Self::busy(&*error),
            VaultError::Refused(_) | VaultError::Undecryptable | VaultError::Random => Self::internal(&*error),
        }
    }
}

impl From<KeyError> for Problem {
    fn from(error: KeyError) -> Self {
        match &error {
            KeyError::Vault(VaultError::Busy(_)) | KeyError::Store(StoreError::Busy(_)) => Self::busy(&error),
            KeyError::Vault(_) | KeyError::Store(_) | KeyError::NoSigningKey | KeyError::Unusable => {
                Self::internal(&error)
            }
        }
    }
}

impl From<CreateUserError> for Problem {
    fn from(error: CreateUserError) -> Self {
        match error {
            CreateUserError::Taken { username, email } => {
                let fields = [("username", username), ("email", email)];
                let taken: Vec<&str> = fields.iter().filter(|(_, taken)| *taken).map(|(name, _)| *name).collect();
                let problem = Self::conflict("user-exists", format!("another user has this {}", taken.join(" and ")));
                taken.iter().fold(problem, |problem, name| problem.with_error(&format!("/{name}"), "is taken"))
            }
            CreateUserError::Store(error) => Self::from(&*error),
        }
    }
}

impl From<ChangeUserError> for Problem {
    fn from(error: ChangeUserError) -> Self {
        match error {
            ChangeUserError::Taken { username, email } => CreateUserError::Taken { username, email }.into(),
            ChangeUserError::Conflict => {
                Self::conflict("concurrent-modification", "the user was changed by another request: try again")
            }
            ChangeUserError::Store(error) => error.into(),
        }
    }
}

impl From<CreateWorkflowError> for Problem {
    fn from(error: CreateWorkflowError) -> Self {
        match error {
            CreateWorkflowError::UserNotFound => Self::not_found("user"),
            CreateWorkflowError::NameTaken => {
                Self::conflict("workflow-exists", "the user has another workflow of this name")
                    .with_error("/name", "is taken")
            }
            CreateWorkflowError::CredentialsNotFound(ids) => {
                let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
                Self::invalid_field(
                    "/credentialIds",
                    format_args!("names no credentials of the user: {}", ids.join(", ")),
                )
            }
            CreateWorkflowError::Store(error) => error.into(),
        }
    }
}

impl From<CreateCredentialError> for Problem {
    fn from(error: CreateCredentialError) -> Self {
        match error {
            CreateCredentialError::UserNotFound => Self::not_found("user"),
            CreateCredentialError::Store(error) => error.into(),
        }
    }
}

impl From<CreateDestinationError> for Problem {
    fn from(error: CreateDestinationError) -> Self {
        match error {
            CreateDestinationError::TooMany => Self::conflict("too-many-destinations", error.to_string()),
            CreateDestinationError::Store(error) => error.into(),
        }
    }
}

impl From<UpdateDestinationError> for Problem {
    fn from(error: UpdateDestinationError) -> Self {
        match error {
            UpdateDestinationError::Conflict => {
                Self::conflict("concurrent-modification", "the destination was changed by another request: try again")
            }
            UpdateDestinationError::Store(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn body(problem: Problem) -> serde_json::Value {
        let body = problem.into_response().into_body();
        serde_json::from_slice(&axum::body::to_bytes(body, usize::MAX).await.unwrap()).unwrap()
    }

    #[tokio::test]
    async fn conflict_names_the_taken_fields() {
        let document = body(CreateUserError::Taken { username: false, email: true }.into()).await;
        assert_eq!(document["type"], "urn:tenon:problem:user-exists");
        assert_eq!(document["errors"], serde_json::json!([{ "pointer": "/email", "detail": "is taken" }]));
        assert_eq!(document["message"], document["detail"]);
    }

    #[tokio::test]
    async fn inner_errors_are_not_sent_to_the_caller() {
        let inside = StoreError::Refused("table tenon-Directory-X of account 111111111111".into());
        let document = body(inside.into()).await.to_string();
        assert!(!document.contains("Directory") && !document.contains("1111"), "{document}");
    }

    #[test]
    fn unavailable_response_has_retry_after() {
        let response = Problem::from(StoreError::Busy("throttled".into())).into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[header::RETRY_AFTER], "1");
    }
}
