//! A customer's own endpoint on loopback, which behaves as a test wants.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// A request that has come in.
#[derive(Clone, Debug)]
pub struct Received {
    /// The method and the path.
    pub line: String,
    /// The headers, by their names in lower case.
    pub headers: HashMap<String, String>,
    /// The body as it came.
    pub body: String,
}

impl Received {
    /// The body's `_id`.
    pub fn id(&self) -> String {
        let body: Value = serde_json::from_str(&self.body).unwrap();
        body["_id"].as_str().unwrap().to_owned()
    }
}

/// How the endpoint answers.
#[derive(Clone, Debug)]
pub enum Reply {
    /// With a status and headers, and a short body.
    Status(u16, &'static str),
    /// Not before the test lets go, then with 200.
    Stall,
    /// By closing the connection in the middle of the answer.
    Cut,
    /// With 200 and a body that never ends.
    Endless,
}

type Behaviour = dyn Fn(&Received) -> Reply + Send + Sync;

/// The endpoint.
#[derive(Clone)]
pub struct Receiver {
    /// Where it is.
    pub url: String,
    received: Arc<Mutex<Vec<Received>>>,
    behaviour: Arc<Mutex<Arc<Behaviour>>>,
    barrier: Arc<watch::Sender<bool>>,
}

impl Receiver {
    /// Opens an endpoint that takes everything.
    pub async fn new() -> Self {
        Self::that(|_| Reply::Status(200, "")).await
    }

    /// Opens an endpoint that behaves so.
    pub async fn that(behaviour: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        Self::open(TcpListener::bind("127.0.0.1:0").await.unwrap(), behaviour)
    }

    /// Opens an endpoint that takes everything, at an address where nobody has listened so far.
    pub async fn at(address: SocketAddr) -> Self {
        Self::open(TcpListener::bind(address).await.unwrap(), |_| Reply::Status(200, ""))
    }

    fn open(listener: TcpListener, behaviour: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        let receiver = Self {
            url: format!("http://{}/errors", listener.local_addr().unwrap()),
            received: Arc::default(),
            behaviour: Arc::new(Mutex::new(Arc::new(behaviour))),
            barrier: Arc::new(watch::channel(false).0),
        };
        let serving = receiver.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let serving = serving.clone();
                tokio::spawn(async move { serving.serve(stream).await });
            }
        });
        receiver
    }

    /// From now on it behaves so.
    pub fn behave(&self, behaviour: impl Fn(&Received) -> Reply + Send + Sync + 'static) {
        *self.behaviour.lock().unwrap() = Arc::new(behaviour);
    }

    /// Lets go of all requests that are stalled, now and later.
    pub fn let_go(&self) {
        self.barrier.send_replace(true);
    }

    /// Whether stalled requests are let go.
    pub fn is_let_go(&self) -> bool {
        *self.barrier.borrow()
    }

    /// All that has come in, whatever it was answered.
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// The ids of the errors that have come in, each once.
    pub fn ids(&self) -> Vec<String> {
        let mut ids: Vec<String> = self.received().iter().map(Received::id).collect();
        ids.sort();
        ids.dedup();
        ids
    }

    /// Waits until so many requests have come in.
    pub async fn requests(&self, count: usize) -> Vec<Received> {
        crate::eventually(&format!("{count} requests at {}", self.url), async || {
            Some(self.received()).filter(|received| received.len() >= count)
        })
        .await
    }

    async fn serve(&self, mut stream: TcpStream) -> Option<()> {
        let mut buffer = Vec::new();
        loop {
            let request = read_request(&mut stream, &mut buffer).await?;
            let behaviour = self.behaviour.lock().unwrap().clone();
            let reply = behaviour(&request);
            self.received.lock().unwrap().push(request);
            match reply {
                Reply::Status(status, headers) => {
                    let answer = format!("HTTP/1.1 {status} X\r\n{headers}content-length: 4\r\n\r\nsaid");
                    stream.write_all(answer.as_bytes()).await.ok()?;
                }
                Reply::Stall => {
                    let mut barrier = self.barrier.subscribe();
                    barrier.wait_for(|open| *open).await.ok()?;
                    stream.write_all(b"HTTP/1.1 200 X\r\ncontent-length: 0\r\n\r\n").await.ok()?;
                }
                Reply::Cut => {
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

async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Received> {
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
    Some(Received { line, headers, body })
}
