//! What goes out. The type names the status.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use super::Problem;

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

/// 201 with the place of what was created, relative to the API's base, and a JSON body.
#[derive(Clone, Debug)]
pub struct Created<T> {
    location: String,
    body: T,
}

impl<T> Created<T> {
    /// What was created at a path.
    pub fn at(location: String, body: T) -> Self {
        Self { location, body }
    }
}

impl<T: Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        (StatusCode::CREATED, [(header::LOCATION, self.location)], Json(self.body)).into_response()
    }
}

/// An answer with a token or a secret: it must not be stored on its way.
#[derive(Clone, Debug)]
pub struct Private<R>(pub R);

impl<R: IntoResponse> IntoResponse for Private<R> {
    fn into_response(self) -> Response {
        ([(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], self.0).into_response()
    }
}

/// An answer that anyone may keep for five minutes, known by its ETag (RFC 9110, 8.8.3).
#[derive(Clone, Debug)]
pub struct Cacheable<T> {
    /// The body.
    pub body: T,
    /// The request's `If-None-Match`.
    pub if_none_match: Option<HeaderValue>,
}

impl<T: Serialize> IntoResponse for Cacheable<T> {
    fn into_response(self) -> Response {
        let bytes = match serde_json::to_vec(&self.body) {
            Ok(bytes) => bytes,
            Err(error) => return Problem::internal(&error).into_response(),
        };
        let etag = etag(&bytes);
        let known = self.if_none_match.as_ref().and_then(|value| value.to_str().ok()).is_some_and(|list| {
            list.split(',').map(|tag| tag.trim().trim_start_matches("W/")).any(|tag| tag == etag || tag == "*")
        });
        let headers = [
            (header::CACHE_CONTROL, "public, max-age=300".to_owned()),
            (header::ETAG, etag),
            (header::CONTENT_TYPE, "application/json".to_owned()),
        ];
        if known { (StatusCode::NOT_MODIFIED, headers).into_response() } else { (headers, bytes).into_response() }
    }
}

/// 200 with a JSON body that is known by its ETag, for a later `If-Match`.
#[derive(Clone, Debug)]
pub struct Tagged<T>(pub T);

impl<T: Serialize> Tagged<T> {
    /// The ETag by which the body is known.
    pub fn etag(&self) -> String {
        serde_json::to_vec(&self.0).map(|bytes| etag(&bytes)).unwrap_or_default()
    }
}

impl<T: Serialize> IntoResponse for Tagged<T> {
    fn into_response(self) -> Response {
        ([(header::ETAG, self.etag())], Json(self.0)).into_response()
    }
}

fn etag(bytes: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    let half: Vec<u8> = digest.as_ref().iter().take(16).copied().collect();
    format!("\"{}\"", hex::encode(half))
}
