//! `Idempotency-Key` header: a request that is repeated with the same key takes effect once.
//!
//! The request is claimed before the handler runs. A 2xx response is stored for 24 hours and
//! returned to repetitions. A 5xx releases the claim, and the next repetition runs the handler
//! again. A 4xx deletes it, so that the key can be used with another body; after a retry it is only
//! released, because an earlier run may have done some of the work. After a crash or panic the
//! claim expires at the deadline of the invocation. Every run of a claim has the same
//! [`RequestSeed`], generates the same ids, and recognizes what an earlier run created.
//!
//! AWS calls: one write to claim (two if a claim expired), one write afterwards, one KMS call to
//! encrypt; a repetition makes one write and at most one KMS call. Bodies that exceed one item add
//! batch calls.

use std::{convert::Infallible, error::Error, io::Read, time::Duration};

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::FromRequestParts,
    handler::Handler,
    response::{IntoResponse, Response},
};
use flate2::{
    Compression,
    read::{DeflateDecoder, DeflateEncoder},
};
use http::request::Parts;
use lambda_http::{Request, RequestExt};
use ring::{digest, hmac};
use serde_json::json;
use tower::{Service, ServiceExt};
use utoipa::IntoParams;
use zeroize::Zeroizing;

use super::{
    Caller, EndpointArguments, FieldError, Identity, Problem, event,
    input::OtherErrors,
    request::route_with_parameters,
    serve::{Server, respond},
};
use crate::{
    domain::{
        request_seed::{RequestKey, RequestSeed},
        timestamp::Timestamp,
    },
    logs::ErrorChain,
    start::{self, Aws, FromAws, StartError},
    store::idempotency_records::{AcquiredClaim, Claim, IdempotencyRecords, StoredBody, StoredResponse},
    vault::{Context, Vault},
};

impl<H, T: EndpointArguments, S> Server<H, T, S> {
    /// Supports Idempotency-Key: a repeated request receives the stored response of the first
    /// success.
    pub fn idempotent(self) -> IdempotentServer<H, T, S> {
        IdempotentServer { server: self, key_variable: None }
    }
}

/// Server of an endpoint that creates resources. Start it with [`Self::run`].
#[derive(Debug)]
pub struct IdempotentServer<H, T, S> {
    server: Server<H, T, S>,
    key_variable: Option<&'static str>,
}

impl<H, T, S> IdempotentServer<H, T, S>
where
    H: Handler<T, S>,
    T: EndpointArguments + 'static,
    S: FromAws + Clone + Send + Sync + 'static,
{
    /// Encrypts stored responses, which contain secrets. `variable` names the environment variable
    /// that holds the KMS key.
    pub fn encrypted_with(self, variable: &'static str) -> Self {
        Self { key_variable: Some(variable), ..self }
    }

    /// Serves requests until Lambda stops the process.
    pub fn run(self) -> Result<(), StartError> {
        let Self { server, key_variable } = self;
        start::run(
            async |aws| Idempotent::from_aws(aws, key_variable).await,
            async |state| event::run(idempotent_service(server.handler, state)).await,
        )
    }
}

/// State of a handler, with the store of the responses to its requests.
#[derive(Clone, Debug)]
pub struct Idempotent<S> {
    state: S,
    layer: IdempotencyLayer,
}

impl<S: FromAws> Idempotent<S> {
    /// Creates the state. `key_variable` names the environment variable of the KMS key for
    /// responses that contain secrets.
    pub async fn from_aws(aws: &Aws, key_variable: Option<&'static str>) -> Result<Self, StartError> {
        let state = S::from_aws(aws).await?;
        let vault = key_variable.map(|variable| aws.vault(variable)).transpose()?;
        Ok(Self { state, layer: IdempotencyLayer { records: IdempotencyRecords::from_aws(aws).await?, vault } })
    }
}

/// Wraps a handler as a Lambda service like [`super::service`], with support for Idempotency-Key.
pub fn idempotent_service<H, T, S>(
    handler: H,
    Idempotent { state, layer }: Idempotent<S>,
) -> impl Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone
where
    H: Handler<T, S>,
    T: EndpointArguments + 'static,
    S: Clone + Send + Sync + 'static,
{
    let handler = handler.with_state(state);
    let service = tower::service_fn(move |request: Request| {
        let (layer, handler) = (layer.clone(), handler.clone());
        async move {
            // A caller that the handler does not admit must not write a record.
            if let Err(problem) = T::Caller::of(request.extensions()) {
                return Ok(problem.into_response());
            }
            Ok(layer.handle(handler, request).await.unwrap_or_else(Problem::into_response))
        }
    });
    tower::service_fn(move |request: Request| respond(service.clone(), request))
}

/// `Idempotency-Key` header, for the documentation of operations that create resources.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
pub struct IdempotencyKey {
    /// Unique key of the request, at most 255 characters; a retry with the same key returns the
    /// first response.
    #[param(rename = "Idempotency-Key", min_length = 1, max_length = 255, pattern = "^[ -~]+$")]
    pub key: Option<String>,
}

/// Extracts the seed of a request. A repeated request with an Idempotency-Key has the seed of the
/// first attempt.
impl<S: Sync> FromRequestParts<S> for RequestSeed {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().cloned().unwrap_or_default())
    }
}

/// Request with an Idempotency-Key.
struct IdempotentRequest {
    key: RequestKey,
    body_digest: String,
}

/// Maximum length of a key.
const MAX_KEY_CHARS: usize = 255;

impl IdempotentRequest {
    /// Reads the key of a request. Returns `None` without the header, and without a valid key or
    /// API key; the handler rejects the latter two.
    fn of(request: &mut Request) -> Option<Self> {
        let header = request.headers().get("idempotency-key")?;
        // `to_str` accepts tabs too.
        let is_valid = |key: &&str| (1..=MAX_KEY_CHARS).contains(&key.len()) && !key.contains('\t');
        let key = header.to_str().ok().filter(is_valid).map(str::to_owned);
        let Some(key) = key else {
            let (pointer, detail) =
                ("/Idempotency-Key".into(), format!("must be 1 to {MAX_KEY_CHARS} printable ASCII characters"));
            OtherErrors::add(request.extensions_mut(), FieldError { pointer, detail });
            return None;
        };
        let Ok(Identity::Key { environment, key_id, .. }) = Identity::of(request.extensions()) else {
            return None;
        };
        let (route, parameters) = route_with_parameters(request.extensions());
        let scope = json!([key_id, route, parameters, key]).to_string();
        let digest = hex::encode(digest::digest(&digest::SHA256, scope.as_bytes()));
        // An HMAC instead of a plain digest, so that readers of the table cannot guess secrets of a
        // body by trial.
        let body_digest = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()), request.body().as_ref());
        let key = RequestKey { environment, digest };
        Some(Self { key, body_digest: hex::encode(body_digest) })
    }
}

/// Assumed run time if the function's deadline is unknown: the integration timeout of API Gateway.
const DEFAULT_RUN_TIME: Duration = Duration::from_secs(30);

/// Returns the time at which Lambda stops the function.
fn deadline(request: &Request) -> Timestamp {
    let epoch_ms = request.lambda_context_ref().map(|context| Timestamp::from_milliseconds(context.deadline));
    epoch_ms.unwrap_or_else(|| Timestamp::now() + DEFAULT_RUN_TIME)
}

#[derive(Clone, Debug)]
struct IdempotencyLayer {
    records: IdempotencyRecords,
    vault: Option<Vault>,
}

impl IdempotencyLayer {
    async fn handle<H>(self, handler: H, mut request: Request) -> Result<Response, Problem>
    where
        H: Service<Request, Response = Response, Error = Infallible, Future: Send> + Send,
    {
        let Some(IdempotentRequest { key, body_digest }) = IdempotentRequest::of(&mut request) else {
            return Ok(call(handler, request).await);
        };
        match self.records.claim(&key, body_digest, deadline(&request)).await? {
            Claim::Acquired(claim) => {
                request.extensions_mut().insert(claim.seed.clone());
                let response = call(handler, request).await;
                Ok(self.settle_claim(&key, &claim, response).await)
            }
            Claim::Completed(response) => self.rebuild_response(&key, response).await,
            Claim::InProgress => Err(Problem::idempotency_key_in_progress()),
            Claim::PayloadMismatch => Err(Problem::idempotency_key_reused()),
        }
    }

    /// Ends a claim: stores a success, releases or deletes the claim otherwise. If that fails, the
    /// claim expires, and a repetition runs the handler again.
    async fn settle_claim(&self, key: &RequestKey, claim: &AcquiredClaim, response: Response) -> Response {
        let status = response.status();
        let (parts, body) = response.into_parts();
        // The body is already in memory, so reading it cannot fail.
        let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
        let stored = if status.is_success() {
            self.complete(key, claim, &parts, &body).await
        } else if status.is_server_error() || claim.seed.is_retry {
            // After a retry too: an earlier attempt may have done some of the work, which a later
            // one must recognize.
            self.records.release(key, claim).await.map_err(Into::into)
        } else {
            self.records.delete(key, claim).await.map_err(Into::into)
        };
        if let Err(error) = stored {
            tracing::warn!(error = %ErrorChain(&*error), "failed to settle idempotency claim");
        }
        Response::from_parts(parts, Body::from(body))
    }

    async fn complete(
        &self,
        key: &RequestKey,
        claim: &AcquiredClaim,
        parts: &http::response::Parts,
        body: &Bytes,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        let mut compressed = Vec::new();
        DeflateEncoder::new(&**body, Compression::default()).read_to_end(&mut compressed)?;
        let body = match &self.vault {
            None => StoredBody::Compressed(compressed),
            Some(vault) => StoredBody::Sealed(vault.seal(&encryption_context(key), 1, &compressed).await?),
        };
        let headers = parts.headers.iter();
        let headers = headers.map(|(name, value)| Ok((name.to_string(), value.to_str()?.to_owned())));
        let headers = headers.collect::<Result<_, http::header::ToStrError>>()?;
        let response = StoredResponse { status: parts.status.as_u16(), headers, body };
        Ok(self.records.complete(key, claim, response).await?)
    }

    /// Rebuilds the stored response.
    async fn rebuild_response(&self, key: &RequestKey, stored: StoredResponse) -> Result<Response, Problem> {
        let StoredResponse { status, headers, body } = stored;
        let compressed = match (body, &self.vault) {
            (StoredBody::Sealed(sealed), Some(vault)) => vault.open(&encryption_context(key), &sealed).await?,
            (StoredBody::Compressed(compressed), _) => Zeroizing::new(compressed),
            (StoredBody::Sealed(_), None) => {
                let error = std::io::Error::from(std::io::ErrorKind::Unsupported);
                return Err(Problem::internal(&error));
            }
        };
        let mut inflated = Vec::new();
        let read = DeflateDecoder::new(&compressed[..]).read_to_end(&mut inflated);
        read.map_err(|error| Problem::internal(&error))?;
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(name, value);
        }
        response.body(Body::from(inflated)).map_err(|error| Problem::internal(&error))
    }
}

async fn call<H>(handler: H, request: Request) -> Response
where
    H: Service<Request, Response = Response, Error = Infallible>,
{
    handler.oneshot(request).await.unwrap_or_else(|never| match never {})
}

fn encryption_context(key: &RequestKey) -> Context {
    let RequestKey { environment, digest } = key;
    Context { environment: environment.to_string(), owner: digest.clone(), purpose: "idempotency" }
}
