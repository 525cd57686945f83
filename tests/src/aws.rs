//! AWS configurations: the local AWS, scripted responses, and a client whose calls are counted.

use std::{
    sync::{Arc, Mutex},
    time::SystemTime,
};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use aws_smithy_http_client::test_util::infallible_client_fn;
use aws_smithy_runtime_api::client::http::HttpConnector;
use serde_json::Value;

use crate::{intercepted::intercepted, setting};

/// Loads the configuration of the local AWS with the root credentials of an account.
pub async fn aws(account: &str) -> SdkConfig {
    let credentials = Credentials::new(account, setting("AWS_SECRET_ACCESS_KEY"), None, None, "tests");
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .region(Region::new(setting("AWS_REGION")))
        .endpoint_url(setting("AWS_ENDPOINT_URL"))
        .credentials_provider(credentials)
        .load()
        .await
}

/// Invokes a Lambda function with the root credentials of the stack's account.
///
/// Signed here, because the SDK for Lambda takes as long to build as the tests.
pub async fn invoke(function: &str, payload: String) -> reqwest::Response {
    let url = format!("{}/2015-03-31/functions/{function}/invocations", setting("AWS_ENDPOINT_URL"));
    let credentials =
        Credentials::new(setting("AWS_ACCESS_KEY_ID"), setting("AWS_SECRET_ACCESS_KEY"), None, None, "tests");
    let (identity, region) = (credentials.into(), setting("AWS_REGION"));
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(&region)
        .name("lambda")
        .time(SystemTime::now())
        .settings(SigningSettings::default())
        .build()
        .unwrap();
    let body = SignableBody::Bytes(payload.as_bytes());
    let signable = SignableRequest::new("POST", &url, std::iter::empty(), body).unwrap();
    let (instructions, _) = sign(signable, &parameters.into()).unwrap().into_parts();
    let mut request = http::Request::post(&url).body(payload).unwrap();
    instructions.apply_to_request_http1x(&mut request);
    reqwest::Client::new().execute(request.try_into().unwrap()).await.unwrap().error_for_status().unwrap()
}

/// Returns a configuration whose responses are scripted: `answer` maps the operation and the body
/// of a request to the status and the body of its response.
pub async fn scripted(answer: impl Fn(&str, Value) -> (u16, Value) + Send + Sync + 'static) -> SdkConfig {
    let client = infallible_client_fn(move |request| {
        let body = serde_json::from_slice(request.body().bytes().unwrap_or_default()).unwrap_or_default();
        let (status, body) =
            answer(operation(request.headers().get("x-amz-target").and_then(|v| v.to_str().ok())), body);
        let response = http::Response::builder().status(status).header("content-type", "application/x-amz-json-1.1");
        response.body(body.to_string()).unwrap()
    });
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(client)
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("AKIAIOSFODNN7EXAMPLE", "secret", None, None, "tests"))
        .load()
        .await
}

/// Returns the operation named by `x-amz-target`.
pub(crate) fn operation(target: Option<&str>) -> &str {
    target.and_then(|target| target.rsplit('.').next()).unwrap_or_default()
}

/// AWS calls of a client, recorded by operation at its HTTP layer.
#[derive(Clone, Debug, Default)]
pub struct Calls(Arc<Mutex<Vec<String>>>);

impl Calls {
    /// Returns a configuration whose calls are recorded, and the recorder.
    pub fn count(config: &SdkConfig) -> (SdkConfig, Self) {
        let calls = Self::default();
        let made = calls.0.clone();
        let counting = intercepted(config, move |connector, request| {
            made.lock().unwrap().push(operation(request.headers().get("x-amz-target")).to_owned());
            connector.call(request)
        });
        (counting, calls)
    }

    /// Returns the calls since the previous `take`.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}
