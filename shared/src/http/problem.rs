//! Error responses as problem documents (RFC 9457).
//!
//! [`Problem`] has one constructor per kind of error and conversions from the errors of the other
//! layers. Internal errors are logged in full; the caller receives only a generic message.

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
    /// Id of the current request.
    pub(super) static REQUEST_ID: String;
}

/// Invalid field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// JSON pointer (RFC 6901) into the body, or `/` and the name of a query parameter.
    pub pointer: String,
    /// Reason why it is invalid.
    pub detail: String,
}

/// Error response (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemDocument {
    /// Stable URI of the problem type.
    #[serde(rename = "type")]
    kind: String,
    /// Summary of the problem type.
    title: &'static str,
    /// HTTP status.
    status: u16,
    /// Description of this occurrence.
    detail: String,
    /// Id of the request, as in the logs.
    instance: Option<String>,
    /// Same text as `detail`, for existing clients.
    message: String,
    /// Fields that are invalid or already in use, or items that were not processed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<FieldError>,
    /// If AWS refused the connection: the IAM policy that the keys need.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    policy: Option<serde_json::Value>,
}

/// Error response. Details of an underlying [`Error`] are logged and never sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    kind: &'static str,
    title: &'static str,
    status: StatusCode,
    detail: String,
    errors: Vec<FieldError>,
    // Boxed to keep every `Result<_, Problem>` small.
    policy: Option<Box<serde_json::Value>>,
}

/// Seconds after which a client should retry a 503.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

impl Problem {
    fn new(status: StatusCode, kind: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self { kind, title, status, detail: detail.into(), errors: Vec::new(), policy: None }
    }

    /// Returns 400: the body is not valid JSON.
    pub fn malformed_json(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed-json", "Malformed JSON", detail)
    }

    /// Returns 400: the cursor does not belong to this list.
    pub fn invalid_cursor() -> Self {
        let detail = "the cursor is not valid for this path and these filters; omit it to start at the first page";
        Self::new(StatusCode::BAD_REQUEST, "invalid-cursor", "Invalid cursor", detail)
    }

    /// Returns 401: the caller is not authenticated.
    pub fn unauthorized() -> Self {
        let detail = "the header `Authorization: Bearer …` with a valid API key or user token is required";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "Authentication required", detail)
    }

    /// Returns 403: the caller lacks permission.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "Forbidden", detail)
    }

    /// Returns 404: the resource does not exist or belongs to another environment or user.
    pub fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "Not found", format!("{what} not found"))
    }

    /// Returns 409: the request conflicts with the state of the resource.
    pub fn conflict(kind: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, kind, "Conflict", detail)
    }

    /// Returns 413: the body is too large.
    pub fn too_large(max: usize) -> Self {
        let detail = format!("the body must have at most {max} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "Body too large", detail)
    }

    /// Returns 415: the content type is not JSON.
    pub fn unsupported_media_type() -> Self {
        let detail = "the header `Content-Type` must be `application/json`";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "Unsupported media type", detail)
    }

    /// Returns 422 with all invalid fields.
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

    /// Returns 422: the customer's AWS account refused a connection. Includes the IAM policy that
    /// the keys need.
    pub fn connection_refused(refusal: &ConnectionRefused, policy: serde_json::Value) -> Self {
        let detail = refusal.to_string();
        let problem =
            Self::new(StatusCode::UNPROCESSABLE_ENTITY, "connection-refused", "AWS refused the connection", &*detail);
        Self { policy: Some(Box::new(policy)), ..problem.with_error(refusal.pointer, &detail) }
    }

    /// Returns 422 for a single invalid field.
    pub fn invalid_field(pointer: &str, detail: impl std::fmt::Display) -> Self {
        Self::invalid(vec![FieldError { pointer: pointer.into(), detail: detail.to_string() }])
    }

    /// Returns 503: AWS throttles requests or is unavailable. The same request may succeed later.
    pub fn busy(error: &dyn Error) -> Self {
        tracing::warn!(error = %ErrorChain(error), "AWS throttled or unavailable");
        let detail = "AWS throttles requests or is temporarily unavailable; retry the request";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "Temporarily unavailable", detail)
    }

    /// Returns 503: of `all` errors in the request, those at `pointers` were not recorded.
    pub fn not_recorded(pointers: Vec<String>, all: usize) -> Self {
        let detail = format!("{} of {all} errors were not recorded; retry these", pointers.len());
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "not-recorded", "Errors not recorded", detail);
        pointers.iter().fold(problem, |problem, pointer| problem.with_error(pointer, "was not recorded"))
    }

    /// Returns 503: of `all` users in the request, those at `pointers` were not created.
    pub fn not_created(pointers: Vec<String>, all: usize) -> Self {
        let detail = format!("{} of {all} users were not created; retry these", pointers.len());
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "not-created", "Users not created", detail);
        pointers.iter().fold(problem, |problem, pointer| problem.with_error(pointer, "was not created"))
    }

    /// Returns 409: an earlier request with the same Idempotency-Key is still in progress.
    pub(super) fn idempotency_key_in_progress() -> Self {
        let detail = "a request with this Idempotency-Key is in progress; retry it later";
        Self::conflict("idempotency-key-in-progress", detail)
    }

    /// Returns 422: the Idempotency-Key was already used with a different body.
    pub(super) fn idempotency_key_reused() -> Self {
        let detail = "this Idempotency-Key was already used with a different body; use a new key for a new request";
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency-key-reused", "Idempotency-Key reused", detail)
    }

    /// Returns 500: an internal error, which is logged and not sent.
    pub fn internal(error: &dyn Error) -> Self {
        tracing::error!(error = %ErrorChain(error), "internal error");
        Self::already_logged()
    }

    /// Returns 500 for an error that is already logged.
    pub(super) fn already_logged() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error", "an internal error occurred")
    }

    /// Returns 412: the resource was changed after the caller read it.
    pub fn precondition_failed() -> Self {
        let detail = "the resource was changed after its ETag in `If-Match` was read; read it again";
        Self::new(StatusCode::PRECONDITION_FAILED, "precondition-failed", "Precondition failed", detail)
    }

    /// Returns the detail and the field errors.
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

/// Error format of functions that IAM principals invoke directly.
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
                let problem = Self::conflict("user-exists", format!("already in use: {}", taken.join(", ")));
                taken.iter().fold(problem, |problem, name| problem.with_error(&format!("/{name}"), "is already in use"))
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
                Self::conflict("concurrent-modification", "the user was changed by another request; retry")
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
                Self::conflict("workflow-exists", "the user already has a workflow with this name")
                    .with_error("/name", "is already in use")
            }
            CreateWorkflowError::CredentialsNotFound(ids) => {
                let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
                Self::invalid_field(
                    "/credentialIds",
                    format_args!("contains ids that are not credentials of the user: {}", ids.join(", ")),
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
                Self::conflict("concurrent-modification", "the destination was changed by another request; retry")
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
        assert_eq!(document["errors"], serde_json::json!([{ "pointer": "/email", "detail": "is already in use" }]));
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
