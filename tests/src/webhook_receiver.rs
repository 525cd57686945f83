//! Webhook endpoint of a customer, on loopback, with a configurable behavior.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Instant,
};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// Received request.
#[derive(Clone, Debug)]
pub struct Received {
    /// Request line: method, path and version.
    pub line: String,
    /// Headers by lower-case name.
    pub headers: HashMap<String, String>,
    /// Body as received.
    pub body: String,
    /// Number of the connection, from 0.
    pub connection: usize,
    /// Time at which the request was complete.
    pub at: Instant,
    /// Whether the endpoint has answered with a status of success.
    pub is_accepted: bool,
}

impl Received {
    /// Returns the `_id` of the error in the body.
    pub fn id(&self) -> String {
        let body: Value = serde_json::from_str(&self.body).unwrap();
        body["_id"].as_str().unwrap().to_owned()
    }
}

/// Response of the endpoint.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Status, header lines and a short body.
    Status(u16, &'static str),
    /// No response until [`Receiver::release`], then 200.
    Stall,
    /// Connection closed without a response.
    Close,
    /// Connection closed in the middle of the response.
    Truncate,
    /// 200 with an endless body.
    Endless,
}

type Behavior = dyn Fn(&Received) -> Reply + Send + Sync;

/// Webhook endpoint.
#[derive(Clone)]
pub struct Receiver {
    /// URL of the endpoint.
    pub url: String,
    received: Arc<Mutex<Vec<Received>>>,
    behavior: Arc<Mutex<Arc<Behavior>>>,
    barrier: Arc<watch::Sender<bool>>,
}

impl Receiver {
    /// Starts an endpoint that accepts everything.
    pub async fn new() -> Self {
        Self::with_behavior(|_| Reply::Status(200, "")).await
    }

    /// Starts an endpoint with a behavior.
    pub async fn with_behavior(behavior: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        Self::open(TcpListener::bind("127.0.0.1:0").await.unwrap(), behavior)
    }

    /// Starts an endpoint that accepts everything, at a given address.
    pub async fn at(address: SocketAddr) -> Self {
        Self::open(TcpListener::bind(address).await.unwrap(), |_| Reply::Status(200, ""))
    }

    fn open(listener: TcpListener, behavior: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        let receiver = Self {
            url: format!("http://{}/errors", listener.local_addr().unwrap()),
            received: Arc::default(),
            behavior: Arc::new(Mutex::new(Arc::new(behavior))),
            barrier: Arc::new(watch::channel(false).0),
        };
        let serving = receiver.clone();
        tokio::spawn(async move {
            for connection in 0.. {
                let Ok((stream, _)) = listener.accept().await else { return };
                let serving = serving.clone();
                tokio::spawn(async move { serving.serve(stream, connection).await });
            }
        });
        receiver
    }

    /// Replaces the behavior.
    pub fn set_behavior(&self, behavior: impl Fn(&Received) -> Reply + Send + Sync + 'static) {
        *self.behavior.lock().unwrap() = Arc::new(behavior);
    }

    /// Answers all stalled requests, current and future.
    pub fn release(&self) {
        self.barrier.send_replace(true);
    }

    /// Returns all received requests, including failed ones.
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// Returns the ids of the accepted errors, sorted and without duplicates.
    pub fn ids(&self) -> Vec<String> {
        let mut ids: Vec<String> =
            self.received().iter().filter(|request| request.is_accepted).map(Received::id).collect();
        ids.sort();
        ids.dedup();
        ids
    }

    /// Waits for a number of requests. Returns all received requests.
    pub async fn wait_for_requests(&self, count: usize) -> Vec<Received> {
        crate::eventually(&format!("{count} requests at {}", self.url), async || {
            Some(self.received()).filter(|received| received.len() >= count)
        })
        .await
    }

    async fn serve(&self, mut stream: TcpStream, connection: usize) -> Option<()> {
        let mut buffer = Vec::new();
        loop {
            let mut request = read_request(&mut stream, &mut buffer, connection).await?;
            let behavior = self.behavior.lock().unwrap().clone();
            let reply = behavior(&request);
            // Before the response, whose receipt a test may wait for.
            request.is_accepted = matches!(reply, Reply::Status(200..=299, _) | Reply::Endless);
            let index = {
                let mut received = self.received.lock().unwrap();
                received.push(request);
                received.len() - 1
            };
            match reply {
                Reply::Status(status, headers) => {
                    let answer = format!("HTTP/1.1 {status} X\r\n{headers}content-length: 4\r\n\r\nsaid");
                    stream.write_all(answer.as_bytes()).await.ok()?;
                }
                Reply::Stall => {
                    let mut barrier = self.barrier.subscribe();
                    tokio::select! {
                        biased;
                        // The client has given up: it sends nothing before the response.
                        _ = stream.read_u8() => return None,
                        open = barrier.wait_for(|open| *open) => open.ok()?,
                    };
                    self.received.lock().unwrap()[index].is_accepted = true;
                    stream.write_all(b"HTTP/1.1 200 X\r\ncontent-length: 0\r\n\r\n").await.ok()?;
                }
                Reply::Close => return None,
                Reply::Truncate => {
                    stream.write_all(b"HTTP/1.1 20").await.ok()?;
                    return None;
                }
                Reply::Endless => {
                    stream.write_all(b"HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n").await.ok()?;
                    loop {
                        stream.write_all(format!("1000\r\n{}\r\n", "x".repeat(0x1000)).as_bytes()).await.ok()?;
                    }
                }
            }
        }
    }
}

async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>, connection: usize) -> Option<Received> {
    let end = loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
    let mut lines = head.lines();
    let line = lines.next()?.to_owned();
    let headers: HashMap<String, String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length: usize = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    while buffer.len() < end + 4 + length {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    let body = String::from_utf8_lossy(&buffer[end + 4..end + 4 + length]).into_owned();
    buffer.drain(..end + 4 + length);
    Some(Received { line, headers, body, connection, at: Instant::now(), is_accepted: false })
}
