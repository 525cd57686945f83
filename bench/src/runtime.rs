//! Lambda Runtime API on loopback: hands out events and receives responses.

use std::{
    future::pending,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use tokio::{
    net::TcpListener,
    sync::{Mutex, mpsc},
};

/// Message of a function.
#[derive(Debug)]
pub enum RuntimeEvent {
    /// Request for work, with its time.
    Next(Instant),
    /// Response, with its time.
    Response(Instant, Bytes),
    /// Error.
    Failure(Bytes),
}

#[derive(Clone)]
struct Lambda {
    events: mpsc::Sender<RuntimeEvent>,
    work: Arc<Mutex<mpsc::Receiver<Bytes>>>,
}

/// Runtime API of one process.
pub struct Runtime {
    /// Address.
    pub address: String,
    events: mpsc::Receiver<RuntimeEvent>,
    work: mpsc::Sender<Bytes>,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Runtime {
    /// Starts listening on a free port.
    pub async fn new() -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let ((events, received), (work, pending_work)) = (mpsc::channel(16), mpsc::channel(16));
        let lambda = Lambda { events, work: Arc::new(Mutex::new(pending_work)) };
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(failure))
            .route("/2018-06-01/runtime/init/error", post(failure))
            .with_state(lambda);
        let serving = tokio::spawn(async move {
            let _ = axum::serve(tcp_nodelay(listener), router).await;
        });
        Ok(Self { address, events: received, work, serving })
    }

    /// Returns the next message of the function. Panics on an error, or after 30 seconds without a
    /// message.
    pub async fn next_event(&mut self) -> RuntimeEvent {
        match tokio::time::timeout(Duration::from_secs(30), self.events.recv()).await {
            Ok(Some(RuntimeEvent::Failure(why))) => panic!("a function failed: {}", String::from_utf8_lossy(&why)),
            Ok(Some(event)) => event,
            _ => panic!("a function sent no message for 30 seconds"),
        }
    }

    /// Waits until the function requests work, and returns the time.
    pub async fn wait_for_next(&mut self) -> Instant {
        match self.next_event().await {
            RuntimeEvent::Next(at) => at,
            other => panic!("a function did not request work: {other:?}"),
        }
    }

    /// Sends an event to a waiting function, and waits for the response and the next request for
    /// work. Returns the time from event to response, and the response.
    pub async fn invoke(&mut self, event: &Bytes) -> (Duration, Bytes) {
        let sent_at = Instant::now();
        self.work.send(event.clone()).await.expect("the function is running");
        let (at, response) = match self.next_event().await {
            RuntimeEvent::Response(at, response) => (at, response),
            other => panic!("a function did not respond: {other:?}"),
        };
        self.wait_for_next().await;
        (at - sent_at, response)
    }
}

fn tcp_nodelay(listener: TcpListener) -> impl axum::serve::Listener<Addr = std::net::SocketAddr> {
    use axum::serve::ListenerExt;
    listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    })
}

async fn next(State(lambda): State<Lambda>) -> Response {
    let _ = lambda.events.send(RuntimeEvent::Next(Instant::now())).await;
    let Some(event) = lambda.work.lock().await.recv().await else {
        // No more work: leave the request open, as Lambda does before it stops a process.
        return pending().await;
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let headers = [
        ("lambda-runtime-aws-request-id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd".to_owned()),
        ("lambda-runtime-deadline-ms", (now.as_millis() + 30_000).to_string()),
        ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:us-east-1:111111111111:function:bench".to_owned()),
        ("lambda-runtime-trace-id", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Sampled=0".to_owned()),
        ("content-type", "application/json".to_owned()),
    ];
    (headers, event).into_response()
}

async fn response(State(lambda): State<Lambda>, body: Bytes) -> StatusCode {
    let _ = lambda.events.send(RuntimeEvent::Response(Instant::now(), body)).await;
    StatusCode::ACCEPTED
}

async fn failure(State(lambda): State<Lambda>, body: Bytes) -> StatusCode {
    let _ = lambda.events.send(RuntimeEvent::Failure(body)).await;
    StatusCode::ACCEPTED
}

/// Returns whether a response has a successful status or none, and reports no failed batch items.
pub fn succeeded(response: &Bytes) -> bool {
    let response: serde_json::Value = serde_json::from_slice(response).unwrap_or_default();
    response["statusCode"].as_u64().is_none_or(|status| (200..300).contains(&status))
        && response["batchItemFailures"].as_array().is_none_or(Vec::is_empty)
}
