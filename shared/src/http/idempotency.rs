//! Idempotency-Key: a request that is repeated with the same key is done once.
//!
//! A request is claimed before it is done, and its answer kept after it, so that a crash between leaves no more than a claim.
//! That lapses with the function's time-out. Whoever repeats the request then goes on from the same [`RequestSeed`]: what the
//! first try has made has the ids that the repeat would give it, and is recognised.

use std::{convert::Infallible, error::Error, io::Read, time::Duration};

use aws_config::SdkConfig;
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
use http::{HeaderName, HeaderValue, StatusCode, request::Parts};
use lambda_http::{Request, RequestExt};
use ring::{digest, hmac};
use serde_json::json;
use tower::{Service, ServiceExt};

use super::{
    Identity, Problem, RouteKey, StartError, StartsWithCaller,
    serve::{respond, start},
};
use crate::{
    domain::{
        request_seed::{RequestKey, RequestSeed},
        timestamp::Timestamp,
    },
    logs::ErrorChain,
    store::{
        Table,
        idempotency_records::{AcquiredClaim, Claim, IdempotencyRecords, StoredBody, StoredResponse},
        users::Users,
    },
    vault::{Context, Vault},
};

/// What a function that creates is given to know requests again.
pub trait IdempotentState {
    /// Where requests are known.
    fn directory(&self) -> &Table;

    /// What encrypts the answers; none where they hold no secret.
    fn vault(&self) -> Option<&Vault> {
        None
    }
}

impl IdempotentState for Users {
    fn directory(&self) -> &Table {
        &self.0
    }
}

/// Serves an endpoint that creates: the repeat of a request that has an Idempotency-Key gets the first answer again.
pub async fn serve_idempotent<H, T, S>(
    handler: H,
    state: impl AsyncFnOnce(&SdkConfig) -> Result<S, StartError>,
) -> Result<(), StartError>
where
    H: Handler<T, S>,
    T: StartsWithCaller + 'static,
    S: IdempotentState + Clone + Send + Sync + 'static,
{
    let state = state(&start()?).await?;
    lambda_http::run(idempotent_service(handler, state)).await
}

/// The handler as the service that Lambda calls, like [`super::service`], which does a request with an Idempotency-Key once.
pub fn idempotent_service<H, T, S>(
    handler: H,
    state: S,
) -> impl Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone
where
    H: Handler<T, S>,
    T: 'static,
    S: IdempotentState + Clone + Send + Sync + 'static,
{
    let layer =
        IdempotencyLayer { records: IdempotencyRecords(state.directory().clone()), vault: state.vault().cloned() };
    let handler = handler.with_state(state);
    let service = tower::service_fn(move |request: Request| {
        let (layer, handler) = (layer.clone(), handler.clone());
        async move { Ok(layer.handle(handler, request).await.unwrap_or_else(Problem::into_response)) }
    });
    tower::service_fn(move |request: Request| respond(service.clone(), request))
}

/// The seed of what a request makes: for the repeat of a request with an Idempotency-Key that of its first try.
impl<S: Sync> FromRequestParts<S> for RequestSeed {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().cloned().unwrap_or_default())
    }
}

/// A request with an Idempotency-Key.
struct IdempotentRequest {
    request: RequestKey,
    body_digest: String,
}

/// The most characters of a key.
const MAX_KEY_CHARS: usize = 255;

impl IdempotentRequest {
    /// None without the header, or where it is not known which API key is calling: that is refused later.
    fn of(request: &Request) -> Result<Option<Self>, Problem> {
        let Some(key) = request.headers().get("idempotency-key") else {
            return Ok(None);
        };
        let key = key.to_str().ok().filter(|key| (1..=MAX_KEY_CHARS).contains(&key.len()));
        let key = key.ok_or_else(|| {
            let detail = format_args!("must have 1 to {MAX_KEY_CHARS} characters, all of them printable ASCII");
            Problem::invalid_field("/Idempotency-Key", detail)
        })?;
        let Ok(Identity::Key { environment, key_id, .. }) = Identity::of(request.extensions()) else {
            return Ok(None);
        };
        // From route and parameters, since the path may have the base path of an API mapping in front.
        let RouteKey(route) = RouteKey::of(request.extensions());
        let parameters = request.path_parameters();
        let mut parameters: Vec<(&str, &str)> = parameters.iter().collect();
        parameters.sort_unstable();
        let scope = json!([key_id, route, parameters, key]).to_string();
        let digest = hex::encode(digest::digest(&digest::SHA256, scope.as_bytes()));
        // A plain digest of a body that holds a secret would let whoever reads the table try out secrets.
        let body_digest = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()), request.body().as_ref());
        let request = RequestKey { environment, digest };
        Ok(Some(Self { request, body_digest: hex::encode(body_digest) }))
    }
}

/// How long a request may be under way where nothing is known of the function's time-out: API Gateway waits no longer.
const DEFAULT_RUN_TIME: Duration = Duration::from_secs(30);

/// When Lambda ends the function that is running this request.
fn deadline(request: &Request) -> Timestamp {
    let epoch_ms = request.lambda_context_ref().map(|context| Timestamp::from_milliseconds(context.deadline));
    epoch_ms.unwrap_or_else(|| Timestamp::now() + DEFAULT_RUN_TIME)
}

#[derive(Clone)]
struct IdempotencyLayer {
    records: IdempotencyRecords,
    vault: Option<Vault>,
}

impl IdempotencyLayer {
    async fn handle<H>(self, handler: H, mut request: Request) -> Result<Response, Problem>
    where
        H: Service<Request, Response = Response, Error = Infallible, Future: Send> + Send,
    {
        let Some(IdempotentRequest { request: key, body_digest }) = IdempotentRequest::of(&request)? else {
            return Ok(call(handler, request).await);
        };
        match self.records.claim(&key, body_digest, deadline(&request)).await? {
            Claim::Acquired(claim) => {
                request.extensions_mut().insert(claim.seed.clone());
                let response = call(handler, request).await;
                Ok(self.store_response(&key, &claim, response).await)
            }
            Claim::Completed(response) => self.replay_response(&key, response).await,
            Claim::InProgress => Err(Problem::idempotency_key_in_progress()),
            Claim::PayloadMismatch => Err(Problem::idempotency_key_reused()),
        }
    }

    /// Keeps an answer. Where that fails, the claim lapses, and a repeat does what is left to be done.
    async fn store_response(&self, key: &RequestKey, claim: &AcquiredClaim, response: Response) -> Response {
        let status = response.status();
        let (parts, body) = response.into_parts();
        // It is in memory already.
        let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
        let stored = if status.is_success() {
            self.complete(key, claim, &parts, &body).await
        } else if status.is_server_error() || claim.seed.is_retry {
            // Also where an earlier try may have done some of the work, which a later one is to recognise.
            self.records.release(key, claim).await.map_err(Into::into)
        } else {
            self.records.delete(key, claim).await.map_err(Into::into)
        };
        if let Err(error) = stored {
            tracing::warn!(error = %ErrorChain(&*error), "how a request was answered is not known");
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

    /// The first answer again.
    async fn replay_response(&self, key: &RequestKey, stored: StoredResponse) -> Result<Response, Problem> {
        let StoredResponse { status, headers, body } = stored;
        let mut inflated = Vec::new();
        let result = match (body, &self.vault) {
            (StoredBody::Sealed(sealed), Some(vault)) => {
                let compressed = vault.open(&encryption_context(key), &sealed).await?;
                DeflateDecoder::new(&compressed[..]).read_to_end(&mut inflated)
            }
            (StoredBody::Compressed(compressed), _) => DeflateDecoder::new(&compressed[..]).read_to_end(&mut inflated),
            (StoredBody::Sealed(_), None) => Err(std::io::ErrorKind::Unsupported.into()),
        };
        result.map_err(|error| Problem::internal(&error))?;
        let mut response = Response::new(Body::from(inflated));
        *response.status_mut() = StatusCode::from_u16(status).map_err(|error| Problem::internal(&error))?;
        for (name, value) in headers {
            let name = HeaderName::try_from(name).map_err(|error| Problem::internal(&error))?;
            let value = HeaderValue::try_from(value).map_err(|error| Problem::internal(&error))?;
            response.headers_mut().insert(name, value);
        }
        Ok(response)
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
