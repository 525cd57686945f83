//! Lambda's side of a function: a Runtime API on loopback, which hands out events and takes the answers.

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

/// What a function said.
#[derive(Debug)]
pub enum Said {
    /// It asked for work, at this time.
    Next(Instant),
    /// It answered, at this time.
    Answer(Instant, Bytes),
    /// It failed.
    Failure(Bytes),
}

#[derive(Clone)]
struct Lambda {
    said: mpsc::Sender<Said>,
    work: Arc<Mutex<mpsc::Receiver<Bytes>>>,
}

/// The Runtime API of one process.
pub struct Runtime {
    /// Where it is.
    pub address: String,
    said: mpsc::Receiver<Said>,
    work: mpsc::Sender<Bytes>,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Runtime {
    /// Listens.
    pub async fn new() -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let ((said, hear), (work, take)) = (mpsc::channel(16), mpsc::channel(16));
        let lambda = Lambda { said, work: Arc::new(Mutex::new(take)) };
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(answer))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(failure))
            .route("/2018-06-01/runtime/init/error", post(failure))
            .with_state(lambda);
        let serving = tokio::spawn(async move {
            let _ = axum::serve(tcp_nodelay(listener), router).await;
        });
        Ok(Self { address, said: hear, work, serving })
    }

    /// What the function says next.
    pub async fn hear(&mut self) -> Said {
        match tokio::time::timeout(Duration::from_secs(30), self.said.recv()).await {
            Ok(Some(Said::Failure(why))) => panic!("a function failed: {}", String::from_utf8_lossy(&why)),
            Ok(Some(said)) => said,
            _ => panic!("a function says nothing for 30 seconds"),
        }
    }

    /// When the function asks for work.
    pub async fn asked(&mut self) -> Instant {
        match self.hear().await {
            Said::Next(at) => at,
            other => panic!("a function did not ask for work: {other:?}"),
        }
    }

    /// Gives an event to a function that has asked, waits for its answer, and until it asks again. Answers with the time
    /// from event to answer.
    pub async fn invoke(&mut self, event: &Bytes) -> (Duration, Bytes) {
        let given = Instant::now();
        self.work.send(event.clone()).await.expect("the function is there");
        let (at, answer) = match self.hear().await {
            Said::Answer(at, answer) => (at, answer),
            other => panic!("a function did not answer: {other:?}"),
        };
        self.asked().await;
        (at - given, answer)
    }
}

fn tcp_nodelay(listener: TcpListener) -> impl axum::serve::Listener<Addr = std::net::SocketAddr> {
    use axum::serve::ListenerExt;
    listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    })
}

async fn next(State(lambda): State<Lambda>) -> Response {
    let _ = lambda.said.send(Said::Next(Instant::now())).await;
    let Some(event) = lambda.work.lock().await.recv().await else {
        // There is no more work: like Lambda, it stops the process without an answer.
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

async fn answer(State(lambda): State<Lambda>, body: Bytes) -> StatusCode {
    let _ = lambda.said.send(Said::Answer(Instant::now(), body)).await;
    StatusCode::ACCEPTED
}

async fn failure(State(lambda): State<Lambda>, body: Bytes) -> StatusCode {
    let _ = lambda.said.send(Said::Failure(body)).await;
    StatusCode::ACCEPTED
}

/// Whether an answer has a status of success, or none, and hands nothing of a batch back.
pub fn succeeded(answer: &Bytes) -> bool {
    let answer: serde_json::Value = serde_json::from_slice(answer).unwrap_or_default();
    answer["statusCode"].as_u64().is_none_or(|status| (200..300).contains(&status))
        && answer["batchItemFailures"].as_array().is_none_or(Vec::is_empty)
}
