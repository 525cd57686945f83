//! Events of API Gateway, read as requests.
//!
//! `lambda_http` panics if an event cannot be represented as a request. Callers control large parts
//! of an event. Parts that no handler uses are therefore removed first, and every other failure
//! returns 400.

use std::{convert::Infallible, panic::AssertUnwindSafe};

use axum::response::{IntoResponse, Response};
use http::header::{HOST, HeaderName};
use lambda_http::{
    Adapter, LambdaEvent, Request, aws_lambda_events::apigw::ApiGatewayV2httpRequest, request::LambdaRequest,
};
use lambda_runtime::service_fn;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tower::Service;

use super::{Problem, problem::REQUEST_ID};
use crate::start::StartError;

/// Domain name of the API that the client of a request used, as API Gateway determined it.
#[derive(Clone, Debug)]
pub(super) struct DomainName(pub(super) String);

/// Serves events with a service until Lambda stops the process.
pub(super) async fn run<S>(service: S) -> Result<(), StartError>
where
    S: Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone,
{
    lambda_runtime::run(service_fn(|event| respond(service.clone(), event))).await
}

/// Returns the response of a service to an event, in the format of API Gateway.
async fn respond<S>(service: S, event: LambdaEvent<Box<RawValue>>) -> Result<impl Serialize, Infallible>
where
    S: Service<Request, Response = Response, Error = Infallible, Future: Send>,
{
    let LambdaEvent { payload, context } = event;
    let read = || {
        let LambdaRequest::ApiGatewayV2(request) = serde_json::from_str(payload.get()).ok()? else { return None };
        let domain = DomainName(request.request_context.domain_name.clone().unwrap_or_default());
        let event = LambdaEvent::new(LambdaRequest::ApiGatewayV2(without_address(request)), context.clone());
        let mut service = service;
        let service = service_fn(move |mut request: Request| {
            request.extensions_mut().insert(domain.clone());
            service.call(request)
        });
        // This converts the event. The service itself runs when the future is polled.
        Some(Adapter::from(service).call(event))
    };
    match std::panic::catch_unwind(AssertUnwindSafe(read)) {
        Ok(Some(responding)) => responding.await,
        Ok(None) | Err(_) => {
            let id = request_id(payload.get()).unwrap_or_else(|| context.request_id.clone());
            tracing::warn!(request = id, "unreadable request rejected");
            let reject = service_fn(async |_: Request| Ok(Problem::malformed_request().into_response()));
            let nothing = LambdaRequest::ApiGatewayV2(ApiGatewayV2httpRequest::default());
            REQUEST_ID.scope(id, Adapter::from(reject).call(LambdaEvent::new(nothing, context))).await
        }
    }
}

/// Returns the id that API Gateway has given to a request.
fn request_id(event: &str) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Event {
        request_context: Context,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Context {
        request_id: String,
    }
    serde_json::from_str(event).ok().map(|Event { request_context }| request_context.request_id)
}

/// Removes the parts of a request that make up its URI. API Gateway has routed it already, and
/// handlers read path parameters and query parameters from the event.
fn without_address(mut request: ApiGatewayV2httpRequest) -> ApiGatewayV2httpRequest {
    if let Some(query) = request.raw_query_string.take() {
        request.query_string_parameters = query.parse().unwrap_or_default();
    }
    request.raw_path = Some("/".into());
    request.request_context.domain_name = None;
    request.request_context.stage = None;
    request.headers.remove(HOST);
    request.headers.remove(HeaderName::from_static("x-forwarded-proto"));
    request
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use axum::extract::{FromRequestParts, State};
    use base64::{Engine, prelude::BASE64_STANDARD};
    use flate2::read::GzDecoder;
    use lambda_http::{Context, RequestExt};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::{
        super::{ApiUrl, Json, service},
        *,
    };

    /// Returns the status and body of a service that returns the query parameter `a`.
    async fn answer(event: &Value) -> (u64, String) {
        let service = service_fn(async |request: Request| {
            let parameters = request.query_string_parameters();
            Ok::<_, Infallible>(parameters.first("a").unwrap_or_default().to_owned().into_response())
        });
        let payload = RawValue::from_string(event.to_string()).unwrap();
        let response = respond(service, LambdaEvent::new(payload, Context::default())).await.unwrap();
        let response = serde_json::to_value(response).unwrap();
        (response["statusCode"].as_u64().unwrap(), response["body"].as_str().unwrap_or_default().to_owned())
    }

    #[tokio::test]
    async fn api_url_has_the_domain_and_base_path_of_the_client() {
        let service = service_fn(async |request: Request| {
            let (mut parts, _) = request.into_parts();
            let Ok(ApiUrl(url)) = ApiUrl::from_request_parts(&mut parts, &()).await;
            Ok::<_, Infallible>(url.into_response())
        });
        let mut event = event("", "/tenon/console", &json!({}));
        event["requestContext"]["domainName"] = json!("api.acme.example");
        let payload = RawValue::from_string(event.to_string()).unwrap();
        let response = respond(service, LambdaEvent::new(payload, Context::default())).await.unwrap();
        assert_eq!(serde_json::to_value(response).unwrap()["body"], "https://api.acme.example/tenon");
    }

    #[tokio::test]
    async fn compressed_body_is_returned_in_base64() {
        async fn handler(State(body): State<Value>) -> Json<Value> {
            Json(body)
        }
        let body = json!(vec!["text"; 1000]);
        let event = event("", "/users", &json!({ "accept-encoding": "gzip" }));
        let payload = RawValue::from_string(event.to_string()).unwrap();
        let service = service(handler, body.clone());
        let response = respond(service, LambdaEvent::new(payload, Context::default())).await.unwrap();
        let response = serde_json::to_value(response).unwrap();
        assert_eq!(response["isBase64Encoded"], true);
        assert_eq!(response["headers"]["content-encoding"], "gzip");
        let compressed = BASE64_STANDARD.decode(response["body"].as_str().unwrap()).unwrap();
        let mut text = String::new();
        GzDecoder::new(&compressed[..]).read_to_string(&mut text).unwrap();
        assert_eq!(text, body.to_string());
    }

    fn event(query: &str, path: &str, headers: &Value) -> Value {
        json!({
            "version": "2.0",
            "routeKey": "GET /console",
            "rawPath": path,
            "rawQueryString": query,
            "headers": headers,
            "requestContext": {
                "domainName": "api.example",
                "http": {
                    "method": "GET", "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "x",
                },
                "routeKey": "GET /console",
                "stage": "$default",
            },
            "isBase64Encoded": false,
        })
    }

    #[tokio::test]
    async fn unusual_requests_reach_the_handler() {
        for (query, value) in [("a=1", "1"), ("a=\"x\"", "\"x\""), ("a=<b>", "<b>"), ("a=%22x%22", "\"x\""), ("", "")] {
            let response = answer(&event(query, "/console", &json!({}))).await;
            assert_eq!(response, (200, value.to_owned()), "{query}");
        }
        for headers in [json!({ "x-forwarded-proto": "::" }), json!({ "host": "[" }), json!({ "host": "a b" })] {
            assert_eq!(answer(&event("a=1", "/console", &headers)).await.0, 200, "{headers}");
        }
    }

    #[tokio::test]
    async fn unreadable_requests_are_rejected() {
        for event in [
            event("", "/", &json!({ "x-name": "a\u{1}b" })),
            event("", "/", &json!({ "a b": "c" })),
            json!({}),
            json!(1),
        ] {
            let (status, body) = answer(&event).await;
            assert_eq!(status, 400, "{event}");
            assert!(body.contains("malformed-request") && body.contains("\"instance\""), "{body}");
        }
        let mut named = event("", "/", &json!({ "a b": "c" }));
        named["requestContext"]["requestId"] = json!("request-1");
        assert!(answer(&named).await.1.contains("request-1"));
    }

    proptest! {
        #[test]
        fn no_request_stops_the_function(
            query in "\\PC{0,20}",
            path in "/\\PC{0,20}",
            name in "[a-zA-Z-]{1,20}|host|x-forwarded-proto|cookie|content-type",
            value in any::<String>(),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let (status, _) = runtime.block_on(answer(&event(&query, &path, &json!({ name: value }))));
            prop_assert!(status == 200 || status == 400);
        }
    }
}
