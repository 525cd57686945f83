//! AWS as seen by the functions: a recording proxy on loopback. It forwards requests to the local
//! AWS and records the responses, then replays them itself without delay.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use rustls::{ServerConfig, pki_types::PrivateKeyDer};
use tokio::net::TcpListener;

use crate::memory::Memory;

/// Request: operation and body.
pub type Call = (String, Bytes);

#[derive(Clone)]
struct RecordedResponse {
    status: StatusCode,
    content_type: String,
    body: Bytes,
}

/// Operations whose responses depend on the request. Responses of other operations are replayed in
/// recorded order, without parsing the request, which would cost processor time on the measured
/// machine.
const READS: [&str; 4] = ["GetItem", "BatchGetItem", "Query", "Decrypt"];

/// Recorded responses of an operation, by request and in order.
#[derive(Default)]
struct RecordedResponses {
    by_request: HashMap<Bytes, RecordedResponse>,
    all: Vec<RecordedResponse>,
    next: usize,
}

#[derive(Default)]
struct Recordings {
    responses: HashMap<String, RecordedResponses>,
    calls: Vec<Call>,
    /// Operations without a recorded response.
    unknown: Vec<String>,
}

#[derive(Clone)]
struct RecordingAws {
    recordings: Arc<Mutex<Recordings>>,
    recording: Arc<AtomicBool>,
    counting: Arc<AtomicBool>,
    memory: Arc<Mutex<Option<Arc<Memory>>>>,
    client: reqwest::Client,
    upstream: String,
}

/// Recording AWS.
pub struct Aws {
    /// URL.
    pub url: String,
    /// URL with TLS.
    pub tls_url: String,
    /// Certificate of `tls_url`, as PEM.
    pub certificate: String,
    state: RecordingAws,
}

impl Aws {
    /// Starts a proxy for the AWS at `upstream`.
    pub async fn in_front_of(upstream: &str) -> std::io::Result<Self> {
        let state = RecordingAws {
            recordings: Arc::default(),
            recording: Arc::new(AtomicBool::new(true)),
            counting: Arc::default(),
            memory: Arc::default(),
            client: reqwest::Client::new(),
            upstream: upstream.to_owned(),
        };
        let router = Router::new().fallback(serve).with_state(state.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        tokio::spawn(accept(listener, None, router.clone()));

        let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let key = PrivateKeyDer::try_from(signed.signing_key.serialize_der()).expect("a key");
        let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|config| config.with_no_client_auth().with_single_cert(vec![signed.cert.der().clone()], key))
            .map_err(std::io::Error::other)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let tls_url = format!("https://localhost:{}", listener.local_addr()?.port());
        tokio::spawn(accept(listener, Some(Arc::new(config).into()), router));
        Ok(Self { url, tls_url, certificate: signed.cert.pem(), state })
    }

    /// Switches to replaying recorded responses.
    pub fn replay(&self) {
        self.state.recording.store(false, Ordering::SeqCst);
    }

    /// Discards all recordings and switches to forwarding and recording.
    pub fn record(&self) {
        *self.recordings() = Recordings::default();
        self.record_more();
    }

    /// Switches to forwarding and recording, and keeps the existing recordings.
    pub fn record_more(&self) {
        self.state.recording.store(true, Ordering::SeqCst);
    }

    /// Starts recording calls.
    pub fn start_counting(&self) {
        self.recordings().calls.clear();
        self.state.counting.store(true, Ordering::SeqCst);
    }

    /// Stops recording calls and returns those since [`start_counting`](Self::start_counting).
    pub fn take_calls(&self) -> Vec<Call> {
        self.state.counting.store(false, Ordering::SeqCst);
        std::mem::take(&mut self.recordings().calls)
    }

    /// Returns the recorded responses to an operation.
    pub fn recorded(&self, operation: &str) -> Vec<Bytes> {
        let recordings = self.recordings();
        let responses = recordings.responses.get(operation);
        responses.into_iter().flat_map(|responses| &responses.all).map(|response| response.body.clone()).collect()
    }

    /// Replays only what is not in memory, until it is called with none.
    pub fn use_memory(&self, memory: Option<Arc<Memory>>) {
        *self.state.memory.lock().expect("the lock is not poisoned") = memory;
    }

    /// Panics if a call had no recorded response.
    pub fn assert_no_unknown_calls(&self) {
        let unknown = std::mem::take(&mut self.recordings().unknown);
        assert!(unknown.is_empty(), "no recorded response for {unknown:?}");
    }

    fn recordings(&self) -> std::sync::MutexGuard<'_, Recordings> {
        self.state.recordings.lock().expect("the lock is not poisoned")
    }
}

async fn accept(listener: TcpListener, tls: Option<tokio_rustls::TlsAcceptor>, router: Router) {
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        let (tls, service) = (tls.clone(), TowerToHyperService::new(router.clone()));
        tokio::spawn(async move {
            let server = auto::Builder::new(TokioExecutor::new());
            // A disconnecting client ends its connection; there is nothing to report.
            match tls {
                Some(tls) => {
                    let Ok(stream) = tls.accept(stream).await else { return };
                    let _ = server.serve_connection(TokioIo::new(stream), service).await;
                }
                None => {
                    let _ = server.serve_connection(TokioIo::new(stream), service).await;
                }
            }
        });
    }
}

async fn serve(State(state): State<RecordingAws>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    let target = parts.headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
    if state.recording.load(Ordering::SeqCst) {
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        return state.forward(operation, path, parts.headers, body).await.into_response();
    }
    let memory = state.memory.lock().expect("the lock is not poisoned").clone();
    if let Some(answer) = memory.and_then(|memory| memory.answer(&operation, &body)) {
        return RecordedResponse::of(answer.into()).into_response();
    }
    let mut recordings = state.recordings.lock().expect("the lock is not poisoned");
    let response = match recordings.responses.get_mut(&operation) {
        Some(responses) => responses.find(&operation, &body),
        None => match operation.as_str() {
            // The read that opens a connection finds nothing.
            "GetItem" | "DescribeKey" => RecordedResponse::of("{}".into()),
            "Query" => RecordedResponse::of(r#"{"Items":[],"Count":0,"ScannedCount":0}"#.into()),
            _ => {
                let refusal = format!("no recorded response for {operation}");
                recordings.unknown.push(operation);
                return (StatusCode::NOT_IMPLEMENTED, refusal).into_response();
            }
        },
    };
    if state.counting.load(Ordering::SeqCst) {
        recordings.calls.push((operation, body));
    }
    response.into_response()
}

impl RecordingAws {
    /// Forwards a request with its original `Host` header, which is part of the signature.
    async fn forward(&self, operation: String, path: &str, mut headers: HeaderMap, body: Bytes) -> RecordedResponse {
        headers.remove(header::CONTENT_LENGTH);
        let sent =
            self.client.post(format!("{}{path}", self.upstream)).headers(headers).body(body.clone()).send().await;
        let reply = sent.expect("the local AWS responds");
        let content_type =
            reply.headers().get(header::CONTENT_TYPE).and_then(|content_type| content_type.to_str().ok());
        let content_type = content_type.unwrap_or("application/x-amz-json-1.0").to_owned();
        let status = reply.status();
        let response = RecordedResponse { status, content_type, body: reply.bytes().await.unwrap_or_default() };
        let mut recordings = self.recordings.lock().expect("the lock is not poisoned");
        // The read that opens a connection finds nothing. Its response must not be replayed for
        // other requests.
        let opening = br#"{"S":"open"}"#;
        // Server errors are not recorded either, because the SDK retries these requests.
        if !status.is_server_error() && !body.windows(opening.len()).any(|part| part == opening) {
            let responses = recordings.responses.entry(operation.clone()).or_default();
            if READS.contains(&operation.as_str()) {
                responses.by_request.insert(sorted(&body), response.clone());
            }
            responses.all.push(response.clone());
        }
        response
    }
}

impl RecordedResponses {
    fn find(&mut self, operation: &str, body: &Bytes) -> RecordedResponse {
        if READS.contains(&operation)
            && let Some(by_request) = self.by_request.get(&sorted(body))
        {
            return by_request.clone();
        }
        self.next += 1;
        self.all[(self.next - 1) % self.all.len()].clone()
    }
}

/// Returns a request in canonical form: object members are sorted, because the SDK writes keys in
/// random order, and numbers in expressions are removed, because they are times of the request.
fn sorted(body: &Bytes) -> Bytes {
    let Ok(mut value) = serde_json::from_slice::<serde_json::Value>(body) else {
        return body.clone();
    };
    if let Some(values) = value.get_mut("ExpressionAttributeValues").and_then(serde_json::Value::as_object_mut) {
        values.retain(|_, value| value["N"].is_null());
    }
    value.sort_all_objects();
    value.to_string().into()
}

impl RecordedResponse {
    fn of(body: Bytes) -> Self {
        Self { status: StatusCode::OK, content_type: "application/x-amz-json-1.0".into(), body }
    }
}

impl IntoResponse for RecordedResponse {
    fn into_response(self) -> Response {
        let Self { status, content_type, body } = self;
        (status, [(header::CONTENT_TYPE, content_type)], Body::from(body)).into_response()
    }
}
