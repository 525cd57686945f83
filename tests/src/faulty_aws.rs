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
    http::{HttpConnector, HttpConnectorFuture},
    orchestrator::HttpResponse,
    result::ConnectorError,
};
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};

use crate::{aws::operation, intercepted::intercepted};

/// Returns a configuration with which a percentage of the calls fails. `calls` counts all of them.
pub(crate) fn faulty(config: &SdkConfig, rate: Arc<AtomicU32>, calls: Arc<AtomicU32>) -> SdkConfig {
    intercepted(config, move |connector, request| {
        calls.fetch_add(1, Ordering::SeqCst);
        if rand::random_range(0..100) >= rate.load(Ordering::SeqCst) {
            return connector.call(request);
        }
        match rand::random_range(0..4) {
            0 => respond(400, json!({ "__type": "ThrottlingException", "message": "Rate exceeded" })),
            1 => respond(500, json!({ "__type": "InternalServerError", "message": "" })),
            2 if operation(request.headers().get("x-amz-target")) == "BatchWriteItem" => {
                let body: Value = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
                respond(200, json!({ "UnprocessedItems": body["RequestItems"] }))
            }
            _ => losing_response(connector.call(request)),
        }
    })
}

/// Returns a configuration with a client that answers some calls itself: `answer` maps the
/// operation and the body of a call to the status and body of its response, or to none if AWS
/// answers it.
pub fn answering(
    config: &SdkConfig,
    answer: impl Fn(&str, &Value) -> Option<(u16, Value)> + Send + Sync + 'static,
) -> SdkConfig {
    intercepted(&repeating_soon(config), move |connector, request| {
        let body = serde_json::from_slice(request.body().bytes().unwrap_or_default()).unwrap_or_default();
        match answer(operation(request.headers().get("x-amz-target")), &body) {
            Some((status, body)) => respond(status, body),
            None => connector.call(request),
        }
    })
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

/// Returns a configuration that loses the first response to each call that writes to DynamoDB. The
/// SDK repeats the call.
pub fn losing_first_responses(config: &SdkConfig) -> SdkConfig {
    intercepted(&repeating_soon(config), |connector, request| {
        let header = |name| request.headers().get(name).unwrap_or_default();
        let writes = ["PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems", "BatchWriteItem"];
        let is_write = writes.contains(&operation(Some(header("x-amz-target"))));
        let is_first = header("amz-sdk-request").contains("attempt=1");
        let called = connector.call(request);
        if is_write && is_first { losing_response(called) } else { called }
    })
}

/// Returns a configuration that repeats failed calls without a pause.
fn repeating_soon(config: &SdkConfig) -> SdkConfig {
    let soon = RetryConfig::standard().with_initial_backoff(Duration::from_millis(1));
    config.clone().into_builder().retry_config(soon).build()
}

/// Makes a call, and loses its response.
fn losing_response(call: HttpConnectorFuture) -> HttpConnectorFuture {
    HttpConnectorFuture::new(async move {
        call.await?;
        Err(ConnectorError::io("response lost".into()))
    })
}

fn respond(status: u16, body: Value) -> HttpConnectorFuture {
    let mut response = HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body.to_string()));
    response.headers_mut().insert("content-type", "application/x-amz-json-1.0");
    HttpConnectorFuture::ready(Ok(response))
}
