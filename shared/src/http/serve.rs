//! Entry points of functions, request logs and panic handling.

use std::{
    convert::Infallible, fmt::Debug, future::Future, marker::PhantomData, panic::AssertUnwindSafe, time::Instant,
};

use axum::{
    handler::Handler,
    response::{IntoResponse, Response},
};
use futures_util::FutureExt;
use http::Method;
use lambda_http::Request;
use lambda_runtime::{LambdaEvent, service_fn};
use serde::{Serialize, de::DeserializeOwned};
use tower::{Service, ServiceExt};
use tracing::Instrument;

use super::{Endpoint, EndpointArguments, Problem, compression, event, problem::REQUEST_ID, request::gateway_context};
use crate::start::{self, FromAws, StartError};

/// Returns the server of an endpoint whose handler names its caller and its input.
pub fn serve<H, T, S>(handler: H) -> Server<Endpoint<H>, T, S>
where
    Endpoint<H>: Handler<T, S>,
    T: EndpointArguments + 'static,
    S: FromAws + Clone + Send + Sync + 'static,
{
    Server { handler: Endpoint(handler), types: PhantomData }
}

/// Endpoints that need no authentication.
#[derive(Clone, Copy, Debug)]
pub enum Public {
    /// `GET /.well-known/jwks.json`
    Jwks,
    /// `GET /openapi.json`
    OpenApi,
    /// `GET /console`
    Console,
    /// `GET /modal`
    Modal,
    /// `GET /tenon.js` and `GET /tenon.global.js`
    Sdk,
    /// `POST /tickets`
    Tickets,
}

/// Returns the server of an endpoint that needs no authentication.
pub fn serve_public<H, T, S>(_: Public, handler: H) -> Server<H, T, S>
where
    H: Handler<T, S>,
    T: 'static,
    S: FromAws + Clone + Send + Sync + 'static,
{
    Server { handler, types: PhantomData }
}

/// Server of an endpoint, which [`Self::run`] starts.
#[derive(Debug)]
pub struct Server<H, T, S> {
    pub(super) handler: H,
    types: PhantomData<(T, S)>,
}

impl<H, T, S> Server<H, T, S>
where
    H: Handler<T, S>,
    T: 'static,
    S: FromAws + Clone + Send + Sync + 'static,
{
    /// Serves requests until Lambda stops the process.
    pub fn run(self) -> Result<(), StartError> {
        start::run(S::from_aws, async |state| event::run(service(self.handler, state)).await)
    }
}

/// Returns a function that is not invoked through an HTTP route: by IAM callers, API Gateway's
/// authorizer, a stream, a queue or a schedule.
pub fn invoke<G, S, I>(function: G) -> Function<G, S, I> {
    Function { function, types: PhantomData }
}

/// Function of a state and a payload, which [`Self::run`] starts.
#[derive(Debug)]
pub struct Function<G, S, I> {
    function: G,
    types: PhantomData<(S, I)>,
}

impl<G, S, I, F, O, E> Function<G, S, I>
where
    G: Fn(S, I) -> F,
    S: FromAws + Clone,
    I: DeserializeOwned,
    F: Future<Output = Result<O, E>>,
    O: Serialize,
    E: Debug + Into<lambda_runtime::Diagnostic>,
{
    /// Handles invocations until Lambda stops the process.
    pub fn run(self) -> Result<(), StartError> {
        let Self { function, .. } = self;
        start::run(S::from_aws, async |state| {
            // Boxed, because the nested future would exceed the compiler's recursion limit.
            let handler = async |event: LambdaEvent<I>| Box::pin(function(state.clone(), event.payload)).await;
            lambda_runtime::run(service_fn(handler)).await
        })
    }
}

/// Wraps a handler as the service that Lambda calls. It always returns a response, even if the
/// handler panics.
pub fn service<H, T, S>(
    handler: H,
    state: S,
) -> impl Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone
where
    H: Handler<T, S>,
    T: 'static,
    S: Clone + Send + Sync + 'static,
{
    let handler = handler.with_state(state);
    tower::service_fn(move |request: Request| respond(handler.clone(), request))
}

pub(super) async fn respond<H>(handler: H, request: Request) -> Result<Response, Infallible>
where
    H: Service<Request, Response = Response, Error = Infallible, Future: Send> + Send,
{
    let started = Instant::now();
    let context = gateway_context(request.extensions());
    // The id that API Gateway also returns to the client, as `apigw-requestid`.
    let id = context.and_then(|context| context.request_id.clone()).unwrap_or_default();
    let route = context.and_then(|context| context.route_key.clone());
    let accepts_gzip = (request.method() == Method::GET).then(|| compression::accepts_gzip(request.headers()));
    let span = tracing::info_span!("request", gateway_request_id = id, route);
    let responding = async {
        let running = AssertUnwindSafe(handler.oneshot(request)).catch_unwind();
        let response = match running.await {
            Ok(Ok(response)) => response,
            // The panic message is already on standard error. The process continues.
            Err(_) => {
                tracing::error!("handler panicked");
                Problem::already_logged().into_response()
            }
        };
        let response = match accepts_gzip {
            Some(accepts_gzip) => compression::negotiate(response, accepts_gzip).await,
            None => response,
        };
        let ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::info!(status = response.status().as_u16(), ms, "request completed");
        response
    };
    Ok(REQUEST_ID.scope(id, responding).instrument(span).await)
}

#[cfg(test)]
mod tests {
    use axum::extract::State;

    use super::*;

    #[tokio::test]
    async fn panic_returns_500_and_keeps_the_process_alive() {
        async fn handler(State(()): State<()>) -> &'static str {
            panic!("on purpose")
        }
        let service = service(handler, ());
        for _ in 0..2 {
            let response = service.clone().oneshot(Request::default()).await.unwrap();
            assert_eq!(response.status(), 500);
        }
    }
}
