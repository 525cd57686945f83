//! AWS with faults: throttling, internal errors, unprocessed items, and responses lost after the
//! request was processed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use aws_config::{SdkConfig, retry::RetryConfig};
use aws_smithy_runtime_api::client::{
    http::{
        HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
    },
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
    runtime_components::RuntimeComponents,
};
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};

use crate::aws::operation;

/// HTTP client that fails a percentage of the calls.
#[derive(Debug)]
pub(crate) struct Faulty {
    pub(crate) rate: Arc<AtomicU32>,
    pub(crate) calls: Arc<AtomicU32>,
    pub(crate) client: SharedHttpClient,
}

impl HttpClient for Faulty {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let connector = self.client.http_connector(settings, components);
        SharedHttpConnector::new(FaultyConnector { rate: self.rate.clone(), calls: self.calls.clone(), connector })
    }
}

#[derive(Debug)]
struct FaultyConnector {
    rate: Arc<AtomicU32>,
    calls: Arc<AtomicU32>,
    connector: SharedHttpConnector,
}

impl HttpConnector for FaultyConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        self.calls.fetch_add(1, Ordering::SeqCst);
        if rand::random_range(0..100) >= self.rate.load(Ordering::SeqCst) {
            return self.connector.call(request);
        }
        let operation = request.headers().get("x-amz-target").unwrap_or_default().to_owned();
        let body: Value = serde_json::from_slice(request.body().bytes().unwrap_or_default()).unwrap_or_default();
        match rand::random_range(0..4) {
            0 => respond(400, json!({ "__type": "ThrottlingException", "message": "Rate exceeded" })),
            1 => respond(500, json!({ "__type": "InternalServerError", "message": "" })),
            2 if operation.ends_with("BatchWriteItem") => {
                respond(200, json!({ "UnprocessedItems": body["RequestItems"] }))
            }
            _ => {
                let called = self.connector.call(request);
                HttpConnectorFuture::new(async move {
                    called.await?;
                    Err(ConnectorError::io("response lost".into()))
                })
            }
        }
    }
}

/// Answer to a call by its operation and body, or none if AWS answers it: the status and the body.
type Answer = dyn Fn(&str, &Value) -> Option<(u16, Value)> + Send + Sync;

/// HTTP client that answers some calls itself.
#[derive(Clone)]
struct Answering {
    answer: Arc<Answer>,
    client: SharedHttpClient,
}

/// Returns a configuration with a client that answers some calls itself.
pub fn answering(
    config: &SdkConfig,
    answer: impl Fn(&str, &Value) -> Option<(u16, Value)> + Send + Sync + 'static,
) -> SdkConfig {
    repeating_soon(config, Answering { answer: Arc::new(answer), client: config.http_client().unwrap() })
}

/// Returns a configuration with which an operation fails with an internal error of AWS while the
/// switch, which is returned too, is on.
pub fn failing(config: &SdkConfig, operation: &'static str) -> (SdkConfig, Arc<AtomicBool>) {
    let fails = Arc::new(AtomicBool::new(true));
    let switch = fails.clone();
    let failure = || (500, json!({ "__type": "InternalServerError", "message": "" }));
    let config =
        answering(config, move |called, _| (called == operation && switch.load(Ordering::SeqCst)).then(failure));
    (config, fails)
}

/// Returns a configuration with a client that repeats failed calls without a pause.
fn repeating_soon(config: &SdkConfig, client: impl HttpClient + 'static) -> SdkConfig {
    let soon = RetryConfig::standard().with_initial_backoff(Duration::from_millis(1));
    config.clone().into_builder().http_client(SharedHttpClient::new(client)).retry_config(soon).build()
}

impl std::fmt::Debug for Answering {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answering").finish_non_exhaustive()
    }
}

impl HttpClient for Answering {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let connector = self.client.http_connector(settings, components);
        SharedHttpConnector::new(AnsweringConnector { answer: self.clone(), connector })
    }
}

#[derive(Debug)]
struct AnsweringConnector {
    answer: Answering,
    connector: SharedHttpConnector,
}

impl HttpConnector for AnsweringConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let operation = operation(request.headers().get("x-amz-target"));
        let body = serde_json::from_slice(request.body().bytes().unwrap_or_default()).unwrap_or_default();
        match (self.answer.answer)(operation, &body) {
            Some((status, body)) => respond(status, body),
            None => self.connector.call(request),
        }
    }
}

/// HTTP client that loses the first response to each call that writes, which the SDK then repeats.
#[derive(Debug)]
struct Lossy {
    client: SharedHttpClient,
}

/// Returns a configuration that loses the first response to each call that writes to DynamoDB.
pub fn losing_first_responses(config: &SdkConfig) -> SdkConfig {
    repeating_soon(config, Lossy { client: config.http_client().unwrap() })
}

impl HttpClient for Lossy {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(LossyConnector { connector: self.client.http_connector(settings, components) })
    }
}

#[derive(Debug)]
struct LossyConnector {
    connector: SharedHttpConnector,
}

impl HttpConnector for LossyConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let header = |name| request.headers().get(name).unwrap_or_default();
        let writes = ["PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems", "BatchWriteItem"];
        let is_write = writes.iter().any(|operation| header("x-amz-target").ends_with(operation));
        let is_first = header("amz-sdk-request").contains("attempt=1");
        let called = self.connector.call(request);
        HttpConnectorFuture::new(async move {
            let response = called.await?;
            if is_write && is_first { Err(ConnectorError::io("response lost".into())) } else { Ok(response) }
        })
    }
}

fn respond(status: u16, body: Value) -> HttpConnectorFuture {
    let mut response = HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body.to_string()));
    response.headers_mut().insert("content-type", "application/x-amz-json-1.0");
    HttpConnectorFuture::ready(Ok(response))
}
