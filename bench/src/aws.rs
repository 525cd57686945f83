//! AWS as the functions see it, on loopback: it hands requests on to the local AWS and remembers the answers, then gives
//! these answers by itself, at once.

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

/// A request: its operation and its body.
pub type Call = (String, Bytes);

#[derive(Clone)]
struct RecordedResponse {
    status: StatusCode,
    content_type: String,
    body: Bytes,
}

/// The operations whose answers depend on what is asked. Those to others are given in their order, without a look at the
/// request, which would take time of the machine that is measured.
const READS: [&str; 4] = ["GetItem", "BatchGetItem", "Query", "Decrypt"];

/// The answers of an operation: to what was asked in the very same words, and in their order.
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
    /// What was asked for and nothing was known of.
    unknown: Vec<String>,
}

#[derive(Clone)]
struct RecordingAws {
    recordings: Arc<Mutex<Recordings>>,
    recording: Arc<AtomicBool>,
    counting: Arc<AtomicBool>,
    client: reqwest::Client,
    upstream: String,
}

/// An AWS that remembers.
pub struct Aws {
    /// Where it is.
    pub url: String,
    /// Where it is over TLS.
    pub tls_url: String,
    /// The certificate of that, as PEM.
    pub certificate: String,
    state: RecordingAws,
}

impl Aws {
    /// Listens, in front of the AWS at an address.
    pub async fn in_front_of(upstream: &str) -> std::io::Result<Self> {
        let state = RecordingAws {
            recordings: Arc::default(),
            recording: Arc::new(AtomicBool::new(true)),
            counting: Arc::default(),
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

    /// From now on it answers by itself, from what it remembers.
    pub fn replay(&self) {
        self.state.recording.store(false, Ordering::SeqCst);
    }

    /// From now on it hands on what it is asked, and has forgotten all.
    pub fn record(&self) {
        *self.recordings() = Recordings::default();
        self.record_more();
    }

    /// From now on it hands on what it is asked, and remembers it beside the rest.
    pub fn record_more(&self) {
        self.state.recording.store(true, Ordering::SeqCst);
    }

    /// From now on it notes the calls.
    pub fn start_counting(&self) {
        self.recordings().calls.clear();
        self.state.counting.store(true, Ordering::SeqCst);
    }

    /// The calls since then.
    pub fn take_calls(&self) -> Vec<Call> {
        self.state.counting.store(false, Ordering::SeqCst);
        std::mem::take(&mut self.recordings().calls)
    }

    /// That it had an answer to all that it was asked.
    pub fn assert_no_unknown_calls(&self) {
        let unknown = std::mem::take(&mut self.recordings().unknown);
        assert!(unknown.is_empty(), "nothing was known of {unknown:?}");
    }

    fn recordings(&self) -> std::sync::MutexGuard<'_, Recordings> {
        self.state.recordings.lock().expect("nobody panics with it")
    }
}

async fn accept(listener: TcpListener, tls: Option<tokio_rustls::TlsAcceptor>, router: Router) {
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        let (tls, service) = (tls.clone(), TowerToHyperService::new(router.clone()));
        tokio::spawn(async move {
            let server = auto::Builder::new(TokioExecutor::new());
            // A client that goes away ends its connection: there is nobody to tell.
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
    let mut recordings = state.recordings.lock().expect("nobody panics with it");
    let response = match recordings.responses.get_mut(&operation) {
        Some(responses) => responses.find(&operation, &body),
        None => match operation.as_str() {
            // What opens a connection finds nothing.
            "GetItem" | "DescribeKey" => RecordedResponse::of("{}".into()),
            "Query" => RecordedResponse::of(r#"{"Items":[],"Count":0,"ScannedCount":0}"#.into()),
            _ => {
                let refusal = format!("nothing is known of {operation}");
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
    /// With the host as it was asked for, which is signed.
    async fn forward(&self, operation: String, path: &str, mut headers: HeaderMap, body: Bytes) -> RecordedResponse {
        headers.remove(header::CONTENT_LENGTH);
        let sent =
            self.client.post(format!("{}{path}", self.upstream)).headers(headers).body(body.clone()).send().await;
        let reply = sent.expect("the local AWS answers");
        let content_type =
            reply.headers().get(header::CONTENT_TYPE).and_then(|content_type| content_type.to_str().ok());
        let content_type = content_type.unwrap_or("application/x-amz-json-1.0").to_owned();
        let status = reply.status();
        let response = RecordedResponse { status, content_type, body: reply.bytes().await.unwrap_or_default() };
        let mut recordings = self.recordings.lock().expect("nobody panics with it");
        // The read that opens a connection finds nothing, which is to be no answer to anything else.
        let opening = br#"{"S":"open"}"#;
        // Nor is that it was too busy, after which it is asked again.
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

/// A request with the members of its objects in order, since the SDK writes a key's in any; without the numbers with which
/// items are compared: these are the time of the request.
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
