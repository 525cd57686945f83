//! Success responses. The type of a response determines its status.

use std::fmt::Display;

use axum::{
    Extension,
    response::{IntoResponse, IntoResponseParts, Response},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;

use super::{Problem, compression::Compressed, etag};

/// 200 with a JSON body.
#[derive(Clone, Debug)]
pub struct Json<T>(pub T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(body) => ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response(),
            Err(error) => Problem::internal(&error).into_response(),
        }
    }
}

/// 202 with a JSON body.
#[derive(Clone, Debug)]
pub struct Accepted<T>(pub T);

impl<T: Serialize> IntoResponse for Accepted<T> {
    fn into_response(self) -> Response {
        (StatusCode::ACCEPTED, Json(self.0)).into_response()
    }
}

/// 201 with the location of the created resource, relative to the URL of the request (RFC 9110,
/// section 10.2.2): the last segment of its path, and the id.
#[derive(Clone, Debug)]
pub struct Created<R> {
    location: String,
    response: R,
}

impl<R> Created<R> {
    /// Creates the response for a resource at this relative location, such as `users/{userId}`,
    /// from the one for an existing resource.
    pub fn at(location: String, response: R) -> Self {
        Self { location, response }
    }
}

impl<R: IntoResponse> IntoResponse for Created<R> {
    fn into_response(self) -> Response {
        (StatusCode::CREATED, [(header::LOCATION, self.location)], self.response).into_response()
    }
}

/// Response with a token or secret, which caches must not store.
#[derive(Clone, Debug)]
pub struct NoStore<R>(pub R);

impl<R: IntoResponse> IntoResponse for NoStore<R> {
    fn into_response(self) -> Response {
        ([(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], self.0).into_response()
    }
}

/// Body with an ETag (RFC 9110, section 8.8.3). Clients that already have it receive 304.
#[derive(Clone, Debug)]
pub struct Cacheable {
    body: Bytes,
    compressed: Option<Compressed>,
    etag: String,
}

impl Cacheable {
    /// Wraps a body, and compresses it for clients that accept gzip.
    pub fn new(body: impl Into<Bytes>) -> Self {
        let body = body.into();
        Self { compressed: Compressed::of(&body), etag: etag::of_body(&body), body }
    }

    /// Serializes a JSON body.
    pub fn json<T: Serialize>(body: &T) -> Result<Self, Problem> {
        serde_json::to_vec(body).map(Self::new).map_err(|error| Problem::internal(&error))
    }

    /// Returns 200 with the body and these headers, or 304 if `If-None-Match` contains the ETag of
    /// the body or of its compressed form.
    pub fn respond(self, request: &HeaderMap, headers: impl IntoResponseParts) -> Response {
        let Self { body, compressed, etag } = self;
        let known = request.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
        let is_current = known.is_some_and(|list| etag::matches_weakly(list, &etag));
        let headers = (headers, compressed.map(Extension), [(header::ETAG, etag)]);
        if is_current { (StatusCode::NOT_MODIFIED, headers).into_response() } else { (headers, body).into_response() }
    }
}

/// Headers of JSON that any cache may store for five minutes.
pub const JSON_FOR_FIVE_MINUTES: [(HeaderName, HeaderValue); 3] = [
    (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
    (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300")),
    // API Gateway adds the CORS headers if the request has an origin.
    (header::VARY, HeaderValue::from_static("Origin")),
];

/// 200 with a JSON body and the ETag of a revision, for a later `If-Match`.
#[derive(Clone, Debug)]
pub struct Revised<T> {
    etag: String,
    body: T,
}

impl<T> Revised<T> {
    /// Creates the response with this revision of a resource.
    pub fn new(revision: impl Display, body: T) -> Self {
        Self { etag: etag::of_revision(revision), body }
    }
}

impl<T: Serialize> IntoResponse for Revised<T> {
    fn into_response(self) -> Response {
        ([(header::ETAG, self.etag)], Json(self.body)).into_response()
    }
}
