//! Compression of responses with gzip (RFC 9110, section 8.4), because API Gateway compresses none
//! of an HTTP API.
//!
//! The JSON of successful GET requests and the documents of [`Cacheable`](super::Cacheable) are
//! compressed, from 1 KiB on, if the client accepts gzip. Responses with tokens or secrets, which
//! are `no-store`, are not: if a response also contains text that an attacker chooses, its
//! compressed length reveals the rest (BREACH).

use std::io::{self, Read};

use axum::{
    body::{Body, Bytes, HttpBody, to_bytes},
    response::{IntoResponse, Response},
};
use flate2::{Compression, read::GzEncoder};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, response::Parts};

use super::{Problem, etag};

/// Minimum number of bytes of a compressed body. Shorter ones fit in one network packet anyway.
const MIN_BYTES: usize = 1024;

/// Compressed form of a document, which its responses carry as an extension.
#[derive(Clone, Debug)]
pub(super) struct Compressed(Bytes);

impl Compressed {
    /// Compresses a document for many responses. Returns none if it is short.
    pub(super) fn of(document: &[u8]) -> Option<Self> {
        let is_long = document.len() >= MIN_BYTES;
        is_long.then(|| gzip(document, Compression::default())).and_then(Result::ok).map(Self)
    }
}

/// Returns whether a request accepts gzip (RFC 9110, section 12.5.3).
pub(super) fn accepts_gzip(request: &HeaderMap) -> bool {
    let lists = request.get_all(header::ACCEPT_ENCODING).iter().filter_map(|list| list.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().to_ascii_lowercase();
        let is_refused = weight.strip_prefix("q=").is_some_and(|weight| weight.trim_matches(['0', '.']).is_empty());
        name.trim().eq_ignore_ascii_case("gzip") && !is_refused
    })
}

/// Returns a response to GET in the form that the client accepts.
pub(super) async fn negotiate(response: Response, accepts_gzip: bool) -> Response {
    let (mut parts, body) = response.into_parts();
    let document = parts.extensions.remove::<Compressed>();
    if document.is_none() && !is_compressible(&parts, &body) {
        return Response::from_parts(parts, body);
    }
    add_vary(&mut parts.headers);
    if !accepts_gzip {
        return Response::from_parts(parts, body);
    }
    let etag = parts.headers.get(header::ETAG).and_then(|etag| etag.to_str().ok()).map(etag::of_compressed);
    if let Some(etag) = etag.and_then(|etag| HeaderValue::try_from(etag).ok()) {
        parts.headers.insert(header::ETAG, etag);
    }
    if parts.status == StatusCode::NOT_MODIFIED {
        return Response::from_parts(parts, body);
    }
    let compressed = match document {
        Some(Compressed(document)) => Ok(document),
        None => compress(body).await,
    };
    match compressed {
        Ok(compressed) => {
            parts.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            Response::from_parts(parts, Body::from(compressed))
        }
        Err(error) => Problem::internal(&error).into_response(),
    }
}

/// Returns whether a response is JSON without secrets, and long enough.
fn is_compressible(parts: &Parts, body: &Body) -> bool {
    let has = |name: HeaderName, value: &str| {
        parts.headers.get(name).and_then(|found| found.to_str().ok()).is_some_and(|found| found.contains(value))
    };
    parts.status == StatusCode::OK
        && has(header::CONTENT_TYPE, "application/json")
        && !has(header::CACHE_CONTROL, "no-store")
        && body.size_hint().lower() >= MIN_BYTES as u64
}

/// Adds `Accept-Encoding` to `Vary`, in one header: a function can return each only once.
fn add_vary(headers: &mut HeaderMap) {
    let name = "Accept-Encoding";
    let vary = match headers.get(header::VARY).and_then(|vary| vary.to_str().ok()) {
        Some(vary) => HeaderValue::try_from(format!("{vary}, {name}")),
        None => Ok(HeaderValue::from_static(name)),
    };
    if let Ok(vary) = vary {
        headers.insert(header::VARY, vary);
    }
}

/// Compresses the body of one response, at the fastest level.
async fn compress(body: Body) -> Result<Bytes, axum::Error> {
    let body = to_bytes(body, usize::MAX).await?;
    gzip(&body, Compression::fast()).map_err(axum::Error::new)
}

fn gzip(body: &[u8], level: Compression) -> io::Result<Bytes> {
    let mut compressed = Vec::new();
    GzEncoder::new(body, level).read_to_end(&mut compressed)?;
    Ok(compressed.into())
}

#[cfg(test)]
mod tests {
    use axum::extract::State;
    use flate2::read::GzDecoder;
    use lambda_http::Request;
    use serde_json::{Value, json};
    use tower::ServiceExt;

    use super::{
        super::{Cacheable, Json, NoStore, service},
        *,
    };

    /// Returns a request with these headers.
    fn request(method: &str, headers: &[(HeaderName, &str)]) -> Request {
        let mut request = http::Request::builder().method(method);
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        request.body(lambda_http::Body::Empty).unwrap()
    }

    /// Returns the headers of a response, and its body after decompression.
    async fn read(response: Response) -> (HeaderMap, String) {
        let (parts, body) = response.into_parts();
        assert_eq!(parts.headers.keys_len(), parts.headers.len(), "a header is repeated: {:?}", parts.headers);
        let body = to_bytes(body, usize::MAX).await.unwrap();
        let mut text = String::new();
        match parts.headers.get(header::CONTENT_ENCODING) {
            Some(_) => GzDecoder::new(&*body).read_to_string(&mut text).unwrap(),
            None => (&*body).read_to_string(&mut text).unwrap(),
        };
        (parts.headers, text)
    }

    async fn handler<R>(State(result): State<R>) -> R {
        result
    }

    /// Returns the response of an endpoint with this result to GET of a client that accepts gzip.
    async fn response_of<R: IntoResponse + Clone + Send + Sync + 'static>(result: R) -> Response {
        let request = request("GET", &[(header::ACCEPT_ENCODING, "gzip, br")]);
        service(handler::<R>, result).oneshot(request).await.unwrap()
    }

    fn is_compressed(response: &Response) -> bool {
        response.headers().contains_key(header::CONTENT_ENCODING)
    }

    fn long() -> Value {
        json!({ "data": vec!["text"; 200] })
    }

    #[test]
    fn gzip_is_accepted_unless_it_is_missing_or_refused() {
        for (list, accepted) in [
            ("gzip", true),
            ("gzip, deflate, br, zstd", true),
            ("br;q=1.0, GZIP;q=0.5", true),
            ("gzip;q=1", true),
            ("gzip; q=0.001", true),
            ("gzip;q=0", false),
            ("gzip; Q=0.000, br", false),
            ("identity", false),
            ("br", false),
            ("x-gzip-like", false),
            ("", false),
        ] {
            let request = request("GET", &[(header::ACCEPT_ENCODING, list)]);
            assert_eq!(accepts_gzip(request.headers()), accepted, "{list}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }

    #[tokio::test]
    async fn long_json_is_compressed_for_clients_that_accept_it() {
        let response = response_of(Json(long())).await;
        assert_eq!(response.headers()[header::CONTENT_ENCODING], "gzip");
        assert!(response.body().size_hint().upper().unwrap() < 200);
        let (headers, body) = read(response).await;
        assert_eq!(headers[header::VARY], "Accept-Encoding");
        assert_eq!(headers[header::CONTENT_TYPE], "application/json");
        assert_eq!(body, long().to_string());

        for (method, encoding, vary) in [("GET", "identity", true), ("POST", "gzip", false), ("HEAD", "gzip", false)] {
            let request = request(method, &[(header::ACCEPT_ENCODING, encoding)]);
            let response = service(handler::<Json<Value>>, Json(long())).oneshot(request).await.unwrap();
            assert_eq!((is_compressed(&response), response.headers().contains_key(header::VARY)), (false, vary));
            assert_eq!(read(response).await.1, long().to_string());
        }
    }

    #[tokio::test]
    async fn secrets_short_texts_and_errors_are_not_compressed() {
        assert!(!is_compressed(&response_of(NoStore(Json(long()))).await));
        assert!(!is_compressed(&response_of(Json("x".repeat(MIN_BYTES - 3))).await));
        assert!(is_compressed(&response_of(Json("x".repeat(MIN_BYTES - 2))).await), "with its quotes");
        assert!(!is_compressed(&response_of((StatusCode::NOT_FOUND, Json(long()))).await));
        assert!(!is_compressed(&response_of(StatusCode::NO_CONTENT).await));
    }

    #[tokio::test]
    async fn compressed_form_has_an_etag_of_its_own() {
        let response = response_of(([(header::ETAG, "\"7\"")], Json(long()))).await;
        assert_eq!(response.headers()[header::ETAG], "\"7-gzip\"");
    }

    #[tokio::test]
    async fn either_etag_of_a_document_is_current() {
        async fn get_document(State(document): State<Cacheable>, request: HeaderMap) -> Response {
            document.respond(&request, [(header::VARY, HeaderValue::from_static("Origin"))])
        }
        let text = "text ".repeat(1000);
        let service = service(get_document, Cacheable::new(text.clone()));
        let get =
            async |headers: &[(HeaderName, &str)]| service.clone().oneshot(request("GET", headers)).await.unwrap();
        let (plain, body) = read(get(&[]).await).await;
        assert_eq!((body.as_str(), plain.get(header::CONTENT_ENCODING)), (text.as_str(), None));
        let accepting = (header::ACCEPT_ENCODING, "gzip");
        let (compressed, body) = read(get(std::slice::from_ref(&accepting)).await).await;
        assert_eq!(compressed[header::CONTENT_ENCODING], "gzip");
        assert_eq!(body, text);
        assert_ne!(plain[header::ETAG], compressed[header::ETAG]);
        for known in [&plain, &compressed] {
            assert_eq!(known[header::VARY], "Origin, Accept-Encoding");
            let etag = (header::IF_NONE_MATCH, known[header::ETAG].to_str().unwrap());
            let response = get(&[etag.clone(), accepting.clone()]).await;
            assert_eq!(response.status(), StatusCode::NOT_MODIFIED);
            let (headers, body) = read(response).await;
            assert_eq!(headers[header::ETAG], compressed[header::ETAG]);
            assert_eq!(headers[header::VARY], "Origin, Accept-Encoding");
            assert_eq!((body.as_str(), headers.get(header::CONTENT_ENCODING)), ("", None));
            let response = get(&[etag]).await;
            assert_eq!(response.status(), StatusCode::NOT_MODIFIED);
            assert_eq!(response.headers()[header::ETAG], plain[header::ETAG]);
        }
        let changed = get(&[(header::IF_NONE_MATCH, "\"other-gzip\""), accepting]).await;
        assert_eq!(changed.status(), StatusCode::OK);
    }
}
