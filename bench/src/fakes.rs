//! The Lambda Runtime API and DynamoDB, as far as a function needs them to run.

use std::{
    io::{BufRead, BufReader, Error, Read, Result, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Instant, SystemTime, UNIX_EPOCH},
};

/// A request: its first line, the operation that it names, and its body.
struct Asked {
    line: String,
    operation: String,
    body: String,
}

/// A connection of a client, read request by request.
struct Connection(BufReader<TcpStream>);

impl Connection {
    fn of(stream: TcpStream) -> Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    /// The next request; none where the client has closed the connection.
    fn next(&mut self) -> Result<Option<Asked>> {
        let mut line = String::new();
        if self.0.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let (mut length, mut operation, mut header) = (0, String::new(), String::new());
        loop {
            header.clear();
            self.0.read_line(&mut header)?;
            let Some((name, value)) = header.trim().split_once(':') else { break };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse().map_err(Error::other)?,
                "x-amz-target" => operation = value.rsplit('.').next().unwrap_or_default().to_owned(),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        Ok(Some(Asked { line, operation, body: String::from_utf8_lossy(&body).into_owned() }))
    }

    fn answer(&mut self, status: &str, headers: &str, body: &str) -> Result<()> {
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}\r\n", body.len());
        self.0.get_mut().write_all((head + body).as_bytes())
    }
}

/// Lambda's side of a function: it hands out work.
pub(crate) struct Runtime {
    listener: TcpListener,
    /// Where it is.
    pub(crate) address: String,
}

impl Runtime {
    pub(crate) fn new() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?.to_string();
        Ok(Self { listener, address })
    }

    /// When a function first asks for work.
    pub(crate) fn asked_for_work(&self) -> Result<Instant> {
        let mut connection = Connection::of(self.listener.accept()?.0)?;
        connection.next()?;
        Ok(Instant::now())
    }

    /// The function that connects.
    pub(crate) fn serve(&self) -> Result<Served> {
        Ok(Served(Connection::of(self.listener.accept()?.0)?))
    }
}

/// A function that asks for work.
pub(crate) struct Served(Connection);

impl Served {
    /// Lets the function answer an event so many times.
    pub(crate) fn answer(&mut self, event: &str, times: usize) -> Result<()> {
        for number in 0..times {
            let asked = self.0.next()?.ok_or_else(|| Error::other("the function has ended"))?;
            if !asked.line.starts_with("GET") {
                return Err(Error::other(format!("a function failed: {}", asked.line)));
            }
            let deadline = SystemTime::now().duration_since(UNIX_EPOCH).map_err(Error::other)?.as_millis() + 20_000;
            let headers = format!(
                "lambda-runtime-aws-request-id: bench-{number}\r\nlambda-runtime-deadline-ms: {deadline}\r\n\
                 lambda-runtime-invoked-function-arn: arn:aws:lambda:us-east-1:111111111111:function:bench\r\n\
                 lambda-runtime-trace-id: Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700\r\ncontent-type: application/json\r\n"
            );
            self.0.answer("200 OK", &headers, event)?;
            let answered = self.0.next()?.ok_or_else(|| Error::other("the function has ended"))?;
            let fine = answered.line.contains("/response") && answered.body.contains("\"statusCode\":2");
            if !fine {
                return Err(Error::other(format!("an answer is not a success: {} {}", answered.line, answered.body)));
            }
            self.0.answer("202 Accepted", "", "")?;
        }
        Ok(())
    }
}

/// A DynamoDB that answers at once.
pub(crate) struct Aws {
    /// Where it is.
    pub(crate) url: String,
    calls: Arc<AtomicU64>,
}

impl Aws {
    pub(crate) fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let url = format!("http://{}", listener.local_addr()?);
        let calls = Arc::new(AtomicU64::new(0));
        let counted = calls.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let counted = counted.clone();
                std::thread::spawn(move || {
                    // A client that goes away ends its connection; there is nobody to tell.
                    let _ = serve(stream, &counted);
                });
            }
        });
        Ok(Self { url, calls })
    }

    /// The calls since this was last asked.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.swap(0, Ordering::SeqCst)
    }
}

fn serve(stream: TcpStream, calls: &AtomicU64) -> Result<()> {
    let mut connection = Connection::of(stream)?;
    while let Some(asked) = connection.next()? {
        calls.fetch_add(1, Ordering::SeqCst);
        let body = match asked.operation.as_str() {
            "GetItem" if asked.body.contains(r#""sk":{"S":"user"}"#) => USER,
            "GetItem" if asked.body.contains(r#""sk":{"S":"workflow"}"#) => WORKFLOW,
            "Query" => r#"{"Items":[],"Count":0,"ScannedCount":0}"#,
            "BatchWriteItem" => r#"{"UnprocessedItems":{}}"#,
            _ => "{}",
        };
        connection.answer("200 OK", "content-type: application/x-amz-json-1.0\r\n", body)?;
    }
    Ok(())
}

const USER: &str = r#"{"Item":{"pk":{"S":"env#6b052e433aadb2a32613736a#user#6b052e443aadb2a32613736d"},"sk":{"S":"user"},
"type":{"S":"user"},"userId":{"S":"6b052e443aadb2a32613736d"},"username":{"S":"joe.smoe-x7k2mq"},
"email":{"S":"joe.smoe@acme.example"},"fullName":{"S":"Joe Smoe"},"metadata":{"M":{"plan":{"S":"pro"}}},
"status":{"S":"active"},"tokenEpoch":{"N":"0"},"version":{"N":"1"},"createdAt":{"S":"2026-11-24T05:30:00.000Z"},
"updatedAt":{"S":"2026-11-24T05:30:00.000Z"}}}"#;

const WORKFLOW: &str = r#"{"Item":{"pk":{"S":"env#6b052e433aadb2a32613736a#workflow#6b052e444875c4e017915798"},
"sk":{"S":"workflow"},"type":{"S":"workflow"},"workflowId":{"S":"6b052e444875c4e017915798"},
"userId":{"S":"6b052e443aadb2a32613736d"},"name":{"S":"Orders"},"integrationId":{"NULL":true},"credentialIds":{"L":[]},
"active":{"BOOL":true},"createdAt":{"S":"2026-11-24T05:30:00.000Z"},"updatedAt":{"S":"2026-11-24T05:30:00.000Z"}}}"#;
