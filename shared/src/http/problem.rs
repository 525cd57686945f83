//! Error responses as problem documents (RFC 9457).
//!
//! [`Problem`] has one constructor per kind of error. The errors of each resource are converted in
//! a module of their own. Internal errors are logged in full; the caller receives only a generic
//! message.

mod aws;
mod credentials;
mod destinations;
mod installations;
mod integrations;
mod types;
mod users;
mod workflows;

use std::error::Error;

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

pub use types::ProblemType;

use crate::{domain::defect::Defect, logs::ErrorChain};

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

/// Maximum number of bytes of a member's name in the JSON text of a response. Bounds the response,
/// because callers choose the names.
pub(super) const MAX_NAME_BYTES: usize = 100;

/// Maximum number of bytes of a name on the path of a defect. The longest names of an integration,
/// which have 128 characters, are complete.
const MAX_DEFECT_NAME_BYTES: usize = 512;

/// Length in bytes from which a JSON pointer is not extended by further names.
const MAX_POINTER_BYTES: usize = 300;

/// Returns the JSON pointer to a member. Shortens its name if it is long, and replaces it with an
/// ellipsis if it is deeply nested.
pub(super) fn pointer_to(parent: &str, name: &str) -> String {
    if parent.len() >= MAX_POINTER_BYTES {
        return if parent.ends_with("/…") { parent.to_owned() } else { format!("{parent}/…") };
    }
    extended(parent.to_owned(), name, MAX_NAME_BYTES)
}

/// Extends a JSON pointer by a name, of which at most a number of bytes are kept.
fn extended(mut pointer: String, name: &str, max_bytes: usize) -> String {
    let mut bytes = 0;
    pointer.push('/');
    for letter in name.chars() {
        bytes += match letter {
            // Escaped again in the response of the function.
            '"' | '\\' => 4,
            '~' | '/' => 2,
            letter if letter.is_control() => 6,
            letter => letter.len_utf8(),
        };
        match letter {
            _ if bytes > max_bytes => {
                pointer.push('…');
                break;
            }
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            letter => pointer.push(letter),
        }
    }
    pointer
}

/// Invalid fields: the first ones, and the number of the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldErrors {
    list: Vec<FieldError>,
    more: usize,
    max: usize,
}

impl Default for FieldErrors {
    fn default() -> Self {
        Self::up_to(Self::MAX)
    }
}

impl FieldErrors {
    /// Maximum number of errors that a response names.
    pub const MAX: usize = 100;

    /// Creates an empty list that names at most `max` errors.
    pub(super) fn up_to(max: usize) -> Self {
        Self { list: Vec::new(), more: 0, max }
    }

    /// Adds an error, or counts it without describing it if the list is full.
    pub(super) fn push_with(&mut self, error: impl FnOnce() -> FieldError) {
        if self.list.len() >= self.max {
            self.more += 1;
            return;
        }
        let error = error();
        // A field is named once, with the first reason.
        if self.list.iter().all(|named| named.pointer != error.pointer) {
            self.list.push(error);
        }
    }

    /// Adds an error at a path of members and indices.
    pub fn push(&mut self, path: &[impl AsRef<str>], detail: impl std::fmt::Display) {
        self.push_at("", path, detail);
    }

    /// Adds an error of the input as a whole.
    pub fn push_root(&mut self, detail: impl std::fmt::Display) {
        self.push_at("", &[""; 0], detail);
    }

    /// Adds an error at a path of members and indices below a pointer.
    pub(super) fn push_at(&mut self, parent: &str, path: &[impl AsRef<str>], detail: impl std::fmt::Display) {
        let extended = |pointer, name: &_| extended(pointer, AsRef::as_ref(name), MAX_DEFECT_NAME_BYTES);
        let pointer = path.iter().fold(parent.to_owned(), extended);
        self.push_with(|| FieldError { pointer, detail: detail.to_string() });
    }

    /// Returns whether there are no errors.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty() && self.more == 0
    }

    /// Describes the errors in one line. `root` is what an empty pointer refers to, such as
    /// `the body`.
    pub fn describe(&self, root: &str) -> String {
        let errors = self.list.iter().map(|FieldError { pointer, detail }| match pointer.as_str() {
            "" => format!("{root} {detail}"),
            pointer => format!("{pointer} {detail}"),
        });
        let more = (self.more > 0).then(|| format!("and {} more", self.more));
        errors.chain(more).collect::<Vec<_>>().join("; ")
    }

    /// Returns the value of a result, or adds its defects.
    pub fn collect<T>(&mut self, result: Result<T, Vec<Defect>>) -> Option<T> {
        result.map_err(|defects| self.extend(defects)).ok()
    }

    /// Returns 422 with the errors, if there are any.
    pub fn check(self) -> Result<(), Problem> {
        self.finish(Some(()))
    }

    /// Returns what was read, or 422 with the errors.
    pub fn finish<T>(self, read: Option<T>) -> Result<T, Problem> {
        match read {
            Some(read) if self.is_empty() => Ok(read),
            _ => Err(Problem::invalid(self)),
        }
    }

    /// Returns the errors that are named, and the number of the others.
    pub fn into_parts(self) -> (Vec<FieldError>, usize) {
        (self.list, self.more)
    }
}

impl Extend<Defect> for FieldErrors {
    fn extend<I: IntoIterator<Item = Defect>>(&mut self, defects: I) {
        defects.into_iter().for_each(|Defect { path, detail }| self.push(&path, detail));
    }
}

impl FromIterator<Defect> for FieldErrors {
    fn from_iter<I: IntoIterator<Item = Defect>>(defects: I) -> Self {
        let mut errors = Self::default();
        errors.extend(defects);
        errors
    }
}

impl From<Vec<FieldError>> for FieldErrors {
    fn from(errors: Vec<FieldError>) -> Self {
        let mut bounded = Self::default();
        errors.into_iter().for_each(|error| bounded.push_with(|| error));
        bounded
    }
}

/// Error response (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemDocument {
    /// Type of the problem. Later versions may add types: treat an unknown one like its status.
    #[serde(rename = "type")]
    kind: ProblemType,
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
    /// Number of further invalid fields; present if there are more than 100.
    #[serde(rename = "moreErrors", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    more_errors: Option<usize>,
    /// If AWS refused the connection: the IAM policy that the access keys or the role need.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object, required = false)]
    policy: Option<serde_json::Value>,
}

/// Error response. Details of an underlying [`Error`] are logged and never sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    kind: ProblemType,
    detail: String,
    errors: Vec<FieldError>,
    /// Number of errors that are not in the list.
    more_errors: usize,
    // Boxed to keep every `Result<_, Problem>` small.
    policy: Option<Box<serde_json::Value>>,
}

/// Result of a lookup, for handlers.
pub trait OrNotFound<T> {
    /// Returns what was found, or [`Problem::not_found`] with the name of the resource.
    fn or_not_found(self, resource: &str) -> Result<T, Problem>;
}

impl<T> OrNotFound<T> for Option<T> {
    fn or_not_found(self, resource: &str) -> Result<T, Problem> {
        self.ok_or_else(|| Problem::not_found(resource))
    }
}

/// Seconds after which a client should retry a 503.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

impl Problem {
    /// Returns an error of a type, with a description of this occurrence.
    pub fn new(kind: ProblemType, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), errors: Vec::new(), more_errors: 0, policy: None }
    }

    /// Returns 400: the request is not a valid HTTP request.
    pub(super) fn malformed_request() -> Self {
        let detail = "the request contains a header, path or query that is not valid in HTTP";
        Self::new(ProblemType::MalformedRequest, detail)
    }

    /// Returns 400: the body is not valid JSON.
    pub fn malformed_json(detail: impl Into<String>) -> Self {
        Self::new(ProblemType::MalformedJson, detail)
    }

    /// Returns 400: the cursor does not belong to this list.
    pub fn invalid_cursor() -> Self {
        let detail = "the cursor is not valid for this path and these filters; omit it to start at the first page";
        Self::new(ProblemType::InvalidCursor, detail)
    }

    /// Returns 401: the caller is not authenticated.
    pub fn unauthorized() -> Self {
        let detail = "the header `Authorization: Bearer …` with a valid API key or user token is required";
        Self::new(ProblemType::Unauthorized, detail)
    }

    /// Returns 403: the caller lacks permission.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(ProblemType::Forbidden, detail)
    }

    /// Returns 404: the resource does not exist or belongs to another environment or user.
    pub fn not_found(resource: &str) -> Self {
        Self::new(ProblemType::NotFound, format!("{resource} not found"))
    }

    /// Returns 409: other requests changed a resource of this kind at the same time.
    pub fn modified_concurrently(resource: &str) -> Self {
        Self::new(ProblemType::ConcurrentModification, format!("the {resource} was changed by another request; retry"))
    }

    /// Returns 410: the resource existed, or may have existed, and can no longer be used.
    pub fn gone(detail: impl Into<String>) -> Self {
        Self::new(ProblemType::Gone, detail)
    }

    /// Returns 413: the body is too large.
    pub fn too_large(max: usize) -> Self {
        let detail = format!("the body must have at most {max} bytes");
        Self::new(ProblemType::TooLarge, detail)
    }

    /// Returns 415: the body is not plain JSON.
    pub fn unsupported_media_type(detail: &str) -> Self {
        Self::new(ProblemType::UnsupportedMediaType, detail)
    }

    /// Returns 422 with all invalid fields.
    pub fn invalid(errors: impl Into<FieldErrors>) -> Self {
        let errors = errors.into();
        let detail = errors.describe("the body");
        let (errors, more_errors) = errors.into_parts();
        let problem = Self::new(ProblemType::Validation, detail);
        Self { errors, more_errors, ..problem }
    }

    /// Returns 422 for a single invalid field.
    pub fn invalid_field(pointer: &str, detail: impl std::fmt::Display) -> Self {
        Self::invalid(vec![FieldError { pointer: pointer.into(), detail: detail.to_string() }])
    }

    /// Returns 503: AWS throttles requests or is unavailable. The same request may succeed later.
    pub fn busy(error: &dyn Error) -> Self {
        tracing::warn!(error = %ErrorChain(error), "AWS throttled or unavailable");
        let detail = "AWS throttles requests or is temporarily unavailable; retry the request";
        Self::new(ProblemType::Busy, detail)
    }

    /// Returns 503: of `all` errors in the request, those at `pointers` were not recorded. Names
    /// all of them.
    pub fn not_recorded(pointers: &[String], all: usize) -> Self {
        let advice = "repeat the request with the same _ids or Idempotency-Key";
        let detail = format!("{} of {all} errors were not recorded; {advice}", pointers.len());
        let problem = Self::new(ProblemType::NotRecorded, detail);
        problem.at_each(pointers, "was not recorded")
    }

    /// Returns 503: of `all` users in the request, those at `pointers` were not created. Names all
    /// of them.
    pub fn not_created(pointers: &[String], all: usize) -> Self {
        let advice = "repeat the request with the same Idempotency-Key";
        let detail = format!("{} of {all} users were not created; {advice}", pointers.len());
        let problem = Self::new(ProblemType::NotCreated, detail);
        problem.at_each(pointers, "was not created")
    }

    /// Returns this problem with the same detail for each field.
    pub fn at_each(self, pointers: impl IntoIterator<Item: AsRef<str>>, detail: &str) -> Self {
        pointers.into_iter().fold(self, |problem, pointer| problem.with_error(pointer.as_ref(), detail))
    }

    /// Returns 409: an earlier request with the same Idempotency-Key is still in progress.
    pub(super) fn idempotency_key_in_progress() -> Self {
        let detail = "a request with this Idempotency-Key is in progress; retry it later";
        Self::new(ProblemType::IdempotencyKeyInProgress, detail)
    }

    /// Returns 422: the Idempotency-Key was already used with a different body.
    pub(super) fn idempotency_key_reused() -> Self {
        let detail = "this Idempotency-Key was already used with a different body; use a new key for a new request";
        Self::new(ProblemType::IdempotencyKeyReused, detail)
    }

    /// Returns 500: an internal error, which is logged and not sent.
    pub fn internal(error: &dyn Error) -> Self {
        tracing::error!(error = %ErrorChain(error), "internal error");
        Self::already_logged()
    }

    /// Returns 500 for an error that is already logged.
    pub(super) fn already_logged() -> Self {
        Self::new(ProblemType::Internal, "an internal error occurred")
    }

    /// Returns 412: the resource was changed after the caller read it.
    pub fn precondition_failed(detail: &str) -> Self {
        Self::new(ProblemType::PreconditionFailed, detail)
    }

    /// Returns the detail and the field errors.
    pub fn into_parts(self) -> (String, FieldErrors) {
        let Self { detail, errors, more_errors, .. } = self;
        (detail, FieldErrors { max: errors.len(), list: errors, more: more_errors })
    }

    /// Returns this problem with one more invalid field.
    pub fn with_error(mut self, pointer: &str, detail: &str) -> Self {
        self.errors.push(FieldError { pointer: pointer.into(), detail: detail.into() });
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self { kind, detail, errors, more_errors, policy } = self;
        let status = kind.status();
        let document = ProblemDocument {
            kind,
            title: kind.title(),
            status: status.as_u16(),
            message: detail.clone(),
            detail,
            instance: REQUEST_ID.try_with(Clone::clone).ok(),
            errors,
            more_errors: Some(more_errors).filter(|more| *more > 0),
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
        Self { error_type: problem.kind.name().to_owned(), error_message: problem.detail }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) async fn body(problem: Problem) -> serde_json::Value {
        let body = problem.into_response().into_body();
        serde_json::from_slice(&axum::body::to_bytes(body, usize::MAX).await.unwrap()).unwrap()
    }

    #[tokio::test]
    async fn at_most_100_errors_are_named_and_the_others_counted() {
        let errors = |count: usize| -> Vec<FieldError> {
            (0..count).map(|n| FieldError { pointer: format!("/{n}"), detail: "is invalid".into() }).collect()
        };
        let document = body(Problem::invalid(errors(100))).await;
        assert_eq!((document["errors"].as_array().unwrap().len(), document.get("moreErrors")), (100, None));
        let document = body(Problem::invalid(errors(120))).await;
        assert_eq!((document["errors"].as_array().unwrap().len(), &document["moreErrors"]), (100, &20.into()));
        assert!(document["detail"].as_str().unwrap().ends_with("/99 is invalid; and 20 more"), "{document}");
    }

    #[test]
    fn defect_of_the_longest_name_of_an_integration_has_its_complete_pointer() {
        let [credential_type, field] = ["日".repeat(128), "\"".repeat(128)];
        let mut errors = FieldErrors::default();
        errors.extend([Defect::new(&["credentials", &credential_type, "data", &field], "is required")]);
        let (list, _) = errors.into_parts();
        assert_eq!(list[0].pointer, format!("/credentials/{credential_type}/data/{field}"));
    }
}
