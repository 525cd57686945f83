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
struct Answer {
    status: StatusCode,
    kind: String,
    body: Bytes,
}

/// The operations whose answers depend on what is asked. Those to others are given in their order, without a look at the
/// request, which would take time of the machine that is measured.
const READS: [&str; 4] = ["GetItem", "BatchGetItem", "Query", "Decrypt"];

/// The answers of an operation: to what was asked in the very same words, and in their order.
#[derive(Default)]
struct Answers {
    same: HashMap<Bytes, Answer>,
    all: Vec<Answer>,
    next: usize,
}

#[derive(Default)]
struct Memory {
    answers: HashMap<String, Answers>,
    calls: Vec<Call>,
    /// What was asked for and nothing was known of.
    unknown: Vec<String>,
}

#[derive(Clone)]
struct Fake {
    memory: Arc<Mutex<Memory>>,
    recording: Arc<AtomicBool>,
    listening: Arc<AtomicBool>,
    client: reqwest::Client,
    real: String,
}

/// An AWS that remembers.
pub struct Aws {
    /// Where it is.
    pub url: String,
    /// Where it is over TLS.
    pub secure: String,
    /// The certificate of that, as PEM.
    pub certificate: String,
    fake: Fake,
}

impl Aws {
    /// Listens, in front of the AWS at an address.
    pub async fn before(real: &str) -> std::io::Result<Self> {
        let fake = Fake {
            memory: Arc::default(),
            recording: Arc::new(AtomicBool::new(true)),
            listening: Arc::default(),
            client: reqwest::Client::new(),
            real: real.to_owned(),
        };
        let router = Router::new().fallback(serve).with_state(fake.clone());
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
        let secure = format!("https://localhost:{}", listener.local_addr()?.port());
        tokio::spawn(accept(listener, Some(Arc::new(config).into()), router));
        Ok(Self { url, secure, certificate: signed.cert.pem(), fake })
    }

    /// From now on it answers by itself, from what it remembers.
    pub fn alone(&self) {
        self.fake.recording.store(false, Ordering::SeqCst);
    }

    /// From now on it hands on what it is asked, and has forgotten all.
    pub fn record(&self) {
        *self.memory() = Memory::default();
        self.record_more();
    }

    /// From now on it hands on what it is asked, and remembers it beside the rest.
    pub fn record_more(&self) {
        self.fake.recording.store(true, Ordering::SeqCst);
    }

    /// From now on it notes the calls.
    pub fn listen(&self) {
        self.memory().calls.clear();
        self.fake.listening.store(true, Ordering::SeqCst);
    }

    /// The calls since then.
    pub fn heard(&self) -> Vec<Call> {
        self.fake.listening.store(false, Ordering::SeqCst);
        std::mem::take(&mut self.memory().calls)
    }

    /// That it had an answer to all that it was asked.
    pub fn assert_all_known(&self) {
        let unknown = std::mem::take(&mut self.memory().unknown);
        assert!(unknown.is_empty(), "nothing was known of {unknown:?}");
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.fake.memory.lock().expect("nobody panics with it")
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

async fn serve(State(fake): State<Fake>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    let target = parts.headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
    if fake.recording.load(Ordering::SeqCst) {
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        return fake.hand_on(operation, path, parts.headers, body).await.into_response();
    }
    let mut memory = fake.memory.lock().expect("nobody panics with it");
    let answer = match memory.answers.get_mut(&operation) {
        Some(answers) => answers.to(&operation, &body),
        None => match operation.as_str() {
            // What opens a connection finds nothing.
            "GetItem" | "DescribeKey" => Answer::of("{}".into()),
            "Query" => Answer::of(r#"{"Items":[],"Count":0,"ScannedCount":0}"#.into()),
            _ => {
                let refusal = format!("nothing is known of {operation}");
                memory.unknown.push(operation);
                return (StatusCode::NOT_IMPLEMENTED, refusal).into_response();
            }
        },
    };
    if fake.listening.load(Ordering::SeqCst) {
        memory.calls.push((operation, body));
    }
    answer.into_response()
}

impl Fake {
    /// With the host as it was asked for, which is signed.
    async fn hand_on(&self, operation: String, path: &str, mut headers: HeaderMap, body: Bytes) -> Answer {
        headers.remove(header::CONTENT_LENGTH);
        let sent = self.client.post(format!("{}{path}", self.real)).headers(headers).body(body.clone()).send().await;
        let response = sent.expect("the local AWS answers");
        let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = kind.unwrap_or("application/x-amz-json-1.0").to_owned();
        let status = response.status();
        let answer = Answer { status, kind, body: response.bytes().await.unwrap_or_default() };
        let mut memory = self.memory.lock().expect("nobody panics with it");
        // The read that opens a connection finds nothing, which is to be no answer to anything else.
        let opening = br#"{"S":"open"}"#;
        // Nor is that it was too busy, after which it is asked again.
        if !status.is_server_error() && !body.windows(opening.len()).any(|part| part == opening) {
            let answers = memory.answers.entry(operation.clone()).or_default();
            if READS.contains(&operation.as_str()) {
                answers.same.insert(sorted(&body), answer.clone());
            }
            answers.all.push(answer.clone());
        }
        answer
    }
}

impl Answers {
    fn to(&mut self, operation: &str, body: &Bytes) -> Answer {
        if READS.contains(&operation)
            && let Some(same) = self.same.get(&sorted(body))
        {
            return same.clone();
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

impl Answer {
    fn of(body: Bytes) -> Self {
        Self { status: StatusCode::OK, kind: "application/x-amz-json-1.0".into(), body }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let Self { status, kind, body } = self;
        (status, [(header::CONTENT_TYPE, kind)], Body::from(body)).into_response()
    }
}
