//! Input of requests: path parameters, query strings and JSON bodies.
//!
//! An [`Input`] type reads its members from [`Fields`], which collects errors instead of stopping
//! at the first one. A single response therefore names **all** invalid fields.

use std::{collections::BTreeMap, convert::Infallible, fmt::Display, str::FromStr};

use axum::{
    body::{Body, to_bytes},
    extract::{FromRequest, FromRequestParts},
};
use http::{Extensions, Method, Request, header, request::Parts};
use lambda_http::{RequestExt, request::RequestContext};
use serde_json::{Map, Value};

use super::{FieldError, Problem};
use crate::domain::{
    api_key::Scope,
    delivery::DeliveryStatus,
    destination::{AccessKeyId, AwsCredentials, BusName, Region},
    environment::Kind,
    id::{CredentialId, DestinationId, EnvironmentId, ErrorId, KeyId, ReplayId, UserId, WorkflowId},
    names::{Email, UserRef, Username},
    secret::Secret,
    text::Text,
    timestamp::Timestamp,
    user::{MAX_METADATA_PAIRS, Metadata, Status, TtlSeconds},
    webhook::WebhookUrl,
};

/// Maximum size of a body in bytes.
const MAX_BODY_BYTES: usize = 1024 * 1024;

/// Path parameter. A malformed one identifies no resource and returns 404.
#[derive(Clone, Debug)]
pub struct Path<T>(pub T);

/// Type that is always used for the same path parameter.
pub trait PathParameter: FromStr {
    /// Name of the parameter in the route.
    const NAME: &'static str;
    /// Name of the resource, for error messages.
    const RESOURCE: &'static str;
}

macro_rules! path_parameters {
    ($($type:ty: $name:literal, $resource:literal;)*) => {$(
        impl PathParameter for $type {
            const NAME: &'static str = $name;
            const RESOURCE: &'static str = $resource;
        }
    )*};
}

path_parameters! {
    UserRef: "user", "user";
    WorkflowId: "workflowId", "workflow";
    CredentialId: "credentialId", "credential";
    DestinationId: "destinationId", "destination";
    ReplayId: "replayId", "replay";
    ErrorId: "errorId", "error";
}

impl<T: PathParameter, S: Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    // Read from the event, not from the path: the path can start with the base path of an API
    // mapping and is only partly decoded.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let text = parts.extensions.path_parameters_ref().and_then(|parameters| parameters.first(T::NAME));
        text.and_then(|text| text.parse().ok()).map(Self).ok_or_else(|| Problem::not_found(T::RESOURCE))
    }
}

/// Route that API Gateway selected, such as `POST /users/{user}/disable`, for handlers of several
/// routes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteKey(pub String);

impl<S: Sync> FromRequestParts<S> for RouteKey {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.extensions))
    }
}

impl RouteKey {
    pub(super) fn of(extensions: &Extensions) -> Self {
        let route = match extensions.request_context_ref() {
            Some(RequestContext::ApiGatewayV2(context)) => context.route_key.clone(),
            _ => None,
        };
        Self(route.unwrap_or_default())
    }
}

/// `If-Match` header of a request (RFC 9110, section 13.1.1), if present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IfMatch(Option<String>);

impl IfMatch {
    /// Returns whether the header permits changing a resource with this ETag.
    pub fn allows(&self, etag: &str) -> bool {
        let is = |tag: &str| tag == "*" || tag == etag;
        self.0.as_ref().is_none_or(|list| list.split(',').any(|tag| is(tag.trim())))
    }
}

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let value = parts.headers.get(header::IF_MATCH);
        Ok(Self(value.map(|value| value.to_str().unwrap_or_default().to_owned())))
    }
}

/// Validated input: the query string of a GET or DELETE, otherwise the JSON body.
#[derive(Clone, Debug)]
pub struct Valid<T>(pub T);

/// Input that is read member by member.
pub trait Input: Sized {
    /// Reads the members. Returns `None` if errors were recorded. Read every member before
    /// returning, so that the response names all errors.
    fn read(fields: &mut Fields<'_>) -> Option<Self>;
}

impl<T: Input, S: Sync> FromRequest<S> for Valid<T> {
    type Rejection = Problem;

    async fn from_request(request: Request<Body>, _: &S) -> Result<Self, Problem> {
        let input = if matches!(*request.method(), Method::GET | Method::DELETE) {
            let parameters = request.extensions().query_string_parameters();
            let members =
                parameters.iter().map(|(name, value)| (name.to_owned(), Value::String(value.to_owned()))).collect();
            read(&Value::Object(members), Source::Query)
        } else {
            read(&json(request).await?, Source::Body)
        };
        input.map(Self)
    }
}

impl<T: Input> Valid<T> {
    /// Validates the payload of a function without a route, which only IAM principals can invoke.
    pub fn payload(payload: &Value) -> Result<Self, Problem> {
        read(payload, Source::Body).map(Self)
    }
}

/// Unvalidated JSON body, for endpoints that accept several input types.
#[derive(Clone, Debug)]
pub struct JsonBody(pub Value);

impl<S: Sync> FromRequest<S> for JsonBody {
    type Rejection = Problem;

    async fn from_request(request: Request<Body>, _: &S) -> Result<Self, Problem> {
        json(request).await.map(Self)
    }
}

async fn json(request: Request<Body>) -> Result<Value, Problem> {
    let (parts, body) = request.into_parts();
    let bytes = to_bytes(body, MAX_BODY_BYTES).await.map_err(|_| Problem::too_large(MAX_BODY_BYTES))?;
    let media_type = parts.headers.get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default());
    match media_type {
        Some(media_type) if !is_json(media_type) => return Err(Problem::unsupported_media_type()),
        None if !bytes.is_empty() => return Err(Problem::unsupported_media_type()),
        _ => {}
    }
    if bytes.is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    serde_json::from_slice(&bytes).map_err(|error| {
        // The message of `serde_json` describes the syntax error and quotes nothing from the body.
        Problem::malformed_json(error.to_string())
    })
}

fn is_json(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

fn read<T: Input>(value: &Value, source: Source) -> Result<T, Problem> {
    let mut errors = Vec::new();
    let input = with_fields(value, String::new(), source, &mut errors, |fields| T::read(fields));
    match input {
        Some(input) if errors.is_empty() => Ok(input),
        _ => Err(Problem::invalid(errors)),
    }
}

fn with_fields<T>(
    value: &Value,
    pointer: String,
    source: Source,
    errors: &mut Vec<FieldError>,
    read: impl FnOnce(&mut Fields<'_>) -> Option<T>,
) -> Option<T> {
    let Value::Object(members) = value else {
        errors.push(FieldError { pointer, detail: "must be an object".into() });
        return None;
    };
    read(&mut Fields { members, pointer, source, errors })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Body,
    Query,
}

/// Members of an object. Collects an error for every invalid member, so that all are reported
/// together.
///
/// Errors never repeat a value, which may be a secret.
#[derive(Debug)]
pub struct Fields<'a> {
    members: &'a Map<String, Value>,
    pointer: String,
    source: Source,
    errors: &'a mut Vec<FieldError>,
}

/// Result of reading an optional member: `Some(None)` if it is absent, `None` if it is invalid.
pub type Optional<T> = Option<Option<T>>;

impl Fields<'_> {
    /// Reads a required member.
    pub fn required<T: FromJson>(&mut self, name: &str) -> Option<T> {
        match self.optional(name)? {
            Some(value) => Some(value),
            None => {
                self.reject(name, "is required");
                None
            }
        }
    }

    /// Reads a member that may be absent or null.
    pub fn optional<T: FromJson>(&mut self, name: &str) -> Optional<T> {
        match self.members.get(name) {
            None | Some(Value::Null) => Some(None),
            Some(value) => {
                let mut location =
                    Location { pointer: self.pointer_to(name), source: self.source, errors: self.errors };
                T::from_json(value, &mut location).map(Some)
            }
        }
    }

    /// Reads a list that may be absent or null. The items of a list with more than `max` items are
    /// not read.
    pub fn list<T: FromJson>(&mut self, name: &str, max: usize) -> Optional<Vec<T>> {
        let items = match self.members.get(name) {
            None | Some(Value::Null) => return Some(None),
            Some(Value::Array(items)) => items,
            Some(_) => {
                self.reject(name, "must be a list");
                return None;
            }
        };
        if items.len() > max {
            self.reject(name, format_args!("must have at most {max} entries"));
            return None;
        }
        let list = self.pointer_to(name);
        let mut read = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let mut location =
                Location { pointer: format!("{list}/{index}"), source: self.source, errors: self.errors };
            read.push(T::from_json(item, &mut location));
        }
        read.into_iter().collect::<Option<Vec<T>>>().map(Some)
    }

    /// Returns whether a member is present, to distinguish an object that wraps a list from a
    /// single item.
    pub fn has(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    /// Reads the object itself as an item.
    pub fn as_item<T: Input>(&mut self) -> Option<T> {
        T::read(self)
    }

    /// Records why a member is invalid.
    pub fn reject(&mut self, name: &str, detail: impl Display) {
        let pointer = self.pointer_to(name);
        self.errors.push(FieldError { pointer, detail: detail.to_string() });
    }

    /// Records why the object as a whole is invalid.
    pub fn reject_all(&mut self, detail: impl Display) {
        self.errors.push(FieldError { pointer: self.pointer.clone(), detail: detail.to_string() });
    }

    fn pointer_to(&self, name: &str) -> String {
        format!("{}/{}", self.pointer, name.replace('~', "~0").replace('/', "~1"))
    }
}

/// Location of a value, for reporting errors.
#[derive(Debug)]
pub struct Location<'a> {
    pointer: String,
    source: Source,
    errors: &'a mut Vec<FieldError>,
}

impl Location<'_> {
    /// Reads an object as a nested input.
    pub fn object<T: Input>(&mut self, value: &Value) -> Option<T> {
        with_fields(value, self.pointer.clone(), self.source, self.errors, |fields| T::read(fields))
    }

    /// Records why the value is invalid.
    pub fn reject<T>(&mut self, detail: impl Display) -> Option<T> {
        self.errors.push(FieldError { pointer: self.pointer.clone(), detail: detail.to_string() });
        None
    }

    fn text<'v>(&mut self, value: &'v Value) -> Option<&'v str> {
        match value {
            Value::String(text) => Some(text),
            _ => self.reject("must be a string"),
        }
    }
}

/// Type that is read from JSON. In a query string, every value is a string.
pub trait FromJson: Sized {
    /// Reads the value, or records why it is invalid.
    fn from_json(value: &Value, location: &mut Location<'_>) -> Option<Self>;
}

macro_rules! from_json_by_parsing {
    ($([$($generics:tt)*] $type:ty;)*) => {$(
        impl<$($generics)*> FromJson for $type {
            fn from_json(value: &Value, location: &mut Location<'_>) -> Option<Self> {
                match location.text(value)?.parse() {
                    Ok(value) => Some(value),
                    Err(error) => location.reject(error),
                }
            }
        }
    )*};
}

from_json_by_parsing! {
    [] Email;
    [] Username;
    [] UserRef;
    [] UserId;
    [] WorkflowId;
    [] CredentialId;
    [] EnvironmentId;
    [] KeyId;
    [] Kind;
    [] Scope;
    [] ErrorId;
    [] DeliveryStatus;
    [] Status;
    [] WebhookUrl;
    [] Timestamp;
    [] Region;
    [] BusName;
    [] AccessKeyId;
    [] Secret;
    [const MAX: usize] Text<MAX>;
}

impl FromJson for String {
    fn from_json(value: &Value, location: &mut Location<'_>) -> Option<Self> {
        location.text(value).map(str::to_owned)
    }
}

impl FromJson for bool {
    fn from_json(value: &Value, location: &mut Location<'_>) -> Option<Self> {
        match value {
            Value::Bool(value) => Some(*value),
            _ => location.reject("must be true or false"),
        }
    }
}

impl FromJson for i64 {
    fn from_json(value: &Value, location: &mut Location<'_>) -> Option<Self> {
        let number = match (value, location.source) {
            (Value::String(text), Source::Query) => text.parse().ok(),
            (value, _) => value.as_i64(),
        };
        number.or_else(|| location.reject("must be an integer"))
    }
}

impl FromJson for TtlSeconds {
    fn from_json(value: &Value, location: &mut Location<'_>) -> Option<Self> {
        let seconds = i64::from_json(value, location)?;
        match Self::try_from(seconds) {
            Ok(seconds) => Some(seconds),
            Err(error) => location.reject(error),
        }
    }
}

/// Reads pairs to merge. Null removes a pair.
impl FromJson for BTreeMap<String, Option<String>> {
    fn from_json(value: &Value, location: &mut Location<'_>) -> Option<Self> {
        with_fields(value, location.pointer.clone(), location.source, location.errors, |fields| {
            if fields.members.len() > MAX_METADATA_PAIRS {
                let pointer = fields.pointer.clone();
                fields
                    .errors
                    .push(FieldError { pointer, detail: format!("must have at most {MAX_METADATA_PAIRS} pairs") });
                return None;
            }
            let names: Vec<String> = fields.members.keys().cloned().collect();
            let mut pairs = Vec::new();
            for name in names {
                pairs.push(fields.optional::<String>(&name).map(|value| (name, value)));
            }
            pairs.into_iter().collect()
        })
    }
}

impl FromJson for Metadata {
    fn from_json(value: &Value, location: &mut Location<'_>) -> Option<Self> {
        let pairs = with_fields(value, location.pointer.clone(), location.source, location.errors, |fields| {
            // One pair more than the limit is enough to report that there are too many.
            let names: Vec<String> = fields.members.keys().take(MAX_METADATA_PAIRS + 1).cloned().collect();
            let pairs: Vec<_> = names.into_iter().map(|name| (fields.required::<String>(&name), name)).collect();
            pairs.into_iter().map(|(value, name)| Some((name, value?))).collect::<Option<BTreeMap<_, _>>>()
        })?;
        match Self::try_from(pairs) {
            Ok(metadata) => Some(metadata),
            Err(error) => location.reject(error),
        }
    }
}

/// Implements [`FromJson`] for input types that are nested in a list or another object.
#[macro_export]
macro_rules! nested_inputs {
    ($($type:ty)*) => {$(
        impl $crate::http::FromJson for $type {
            fn from_json(value: &serde_json::Value, location: &mut $crate::http::Location<'_>) -> Option<Self> {
                location.object(value)
            }
        }
    )*};
}

nested_inputs! { AwsCredentials }

impl Input for AwsCredentials {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let access_key_id = fields.required("accessKeyId");
        let secret_access_key = fields.required("secretAccessKey");
        let session_token = fields.optional("sessionToken");
        Some(Self {
            access_key_id: access_key_id?,
            secret_access_key: secret_access_key?,
            session_token: session_token?,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(Debug)]
    struct Example {
        _email: Email,
        _metadata: Metadata,
        _credentials: Option<AwsCredentials>,
    }

    impl Input for Example {
        fn read(fields: &mut Fields<'_>) -> Option<Self> {
            let email = fields.required("email");
            let metadata = fields.optional("metadata");
            let credentials = fields.optional("credentials");
            Some(Self { _email: email?, _metadata: metadata?.unwrap_or_default(), _credentials: credentials? })
        }
    }

    fn errors(value: &Value) -> Vec<(String, String)> {
        let mut errors = Vec::new();
        with_fields(value, String::new(), Source::Body, &mut errors, Example::read);
        errors.into_iter().map(|FieldError { pointer, detail }| (pointer, detail)).collect()
    }

    #[test]
    fn all_invalid_fields_are_named_at_any_depth() {
        let found = errors(&json!({
            "metadata": { "a/b": 1, "ok": "x" },
            "credentials": { "accessKeyId": "short" },
        }));
        let pointers: Vec<&str> = found.iter().map(|(pointer, _)| pointer.as_str()).collect();
        assert_eq!(pointers, ["/email", "/metadata/a~1b", "/credentials/accessKeyId", "/credentials/secretAccessKey"]);
    }

    #[test]
    fn validation_errors_never_echo_values() {
        let found = errors(&json!({ "email": "joe@acme.example", "credentials": "wJalrXUtnFEMI" }));
        assert_eq!(found, [("/credentials".to_owned(), "must be an object".to_owned())]);
        let found = errors(&json!({ "email": "joe@acme.example",
            "credentials": { "accessKeyId": "wJalr XUtnFEMI", "secretAccessKey": ["wJalrXUtnFEMI"] } }));
        assert!(found.iter().all(|(_, detail)| !detail.contains("wJalr")), "{found:?}");
    }

    #[test]
    fn non_object_body_is_rejected_as_a_whole() {
        assert_eq!(errors(&json!([])), [(String::new(), "must be an object".to_owned())]);
    }

    #[test]
    fn json_is_recognized_by_media_type() {
        for yes in
            ["application/json", "application/json; charset=utf-8", "Application/JSON", "application/merge-patch+json"]
        {
            assert!(is_json(yes), "{yes}");
        }
        for no in ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonp"] {
            assert!(!is_json(no), "{no}");
        }
    }
}
