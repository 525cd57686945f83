//! Sends records to webhooks as signed POST requests (Standard Webhooks 1.0).

use std::{
    error::Error,
    io,
    time::{Duration, Instant, SystemTime},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use futures_util::future::join_all;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::{
    client::{self, legacy::Client},
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use ring::{
    hmac,
    rand::{SecureRandom, SystemRandom},
};
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tower::{BoxError, ServiceExt, timeout::Timeout, util::BoxCloneSyncService};
use zeroize::Zeroizing;

use super::{
    guard::{CONNECT_TIMEOUT, EgressRules, GuardedConnector},
    opened::{TimestampedConnection, failed_on_reused_connection, is_invalid_response},
    senders::{Sender, failed_before_sending, failed_to_decrypt, milliseconds_since},
};
use crate::{
    domain::{
        delivery::{Attempt, Failure, Outcome, Route},
        destination::{Destination, Target},
        error_log::ErrorLog,
        event::Event,
        health::MAX_RETRY_AFTER,
        record::Record,
        secret::{Sealed, Secret},
        timestamp::Timestamp,
        webhook::Webhook,
    },
    logs::ErrorChain,
    vault::{Context, Vault, VaultError},
};

/// Timeout of an attempt, from the connection to the last byte that is read.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Maximum number of bytes that are read of a response body. The last frame may exceed it.
const MAX_RESPONSE_BYTES: usize = 16 * 1024;
/// Maximum number of characters of a response that an attempt stores.
const MAX_RESPONSE_CHARS: usize = 512;
/// Time for which an idle connection is kept open.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Interval of the pings of an HTTP/2 connection with unanswered requests. One that is not answered
/// within [`TIMEOUT`] ends the connection, so that a dead one is not used for later attempts.
const PING_INTERVAL: Duration = Duration::from_secs(5);
/// Length of a signing secret, in bytes.
const SECRET_BYTES: usize = 32;
/// Start of a signing secret; Base64 follows.
const SECRET_PREFIX: &str = "whsec_";

/// Headers of a request. The first three are defined by Standard Webhooks.
mod headers {
    use http::HeaderName;

    pub(super) const ID: HeaderName = HeaderName::from_static("webhook-id");
    pub(super) const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
    pub(super) const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
    pub(super) const WORKFLOW_ID: HeaderName = HeaderName::from_static("x-tenon-workflow-id");
    pub(super) const USER_ID: HeaderName = HeaderName::from_static("x-tenon-user-id");
    pub(super) const BLOCK_TYPE: HeaderName = HeaderName::from_static("x-tenon-block-type");
    pub(super) const EXECUTION_ID: HeaderName = HeaderName::from_static("x-tenon-execution-id");
    pub(super) const EVENT: HeaderName = HeaderName::from_static("x-tenon-event");
    pub(super) const INTEGRATION_ID: HeaderName = HeaderName::from_static("x-tenon-integration-id");
    /// Marks a test event.
    pub(super) const TEST: HeaderName = HeaderName::from_static("x-tenon-test");
}

/// Generates a signing secret in the format of Standard Webhooks: `whsec_` followed by Base64.
pub fn new_secret() -> Result<Secret, VaultError> {
    let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
    SystemRandom::new().fill(&mut *bytes).map_err(|_| VaultError::Random)?;
    Ok(format!("{SECRET_PREFIX}{}", BASE64_STANDARD.encode(*bytes)).into())
}

/// Key that signs requests (Standard Webhooks 1.0, symmetric signatures).
struct Signer(hmac::Key);

impl Signer {
    /// Creates a signer from a secret in the format of [`new_secret`].
    fn new(secret: &Secret) -> Option<Self> {
        let bytes = BASE64_STANDARD.decode(secret.expose().strip_prefix(SECRET_PREFIX)?).ok()?;
        Some(Self(hmac::Key::new(hmac::HMAC_SHA256, &Zeroizing::new(bytes))))
    }

    /// Returns the signature of a request with this id, time in Unix seconds and body.
    fn sign(&self, id: &str, seconds: i64, body: &[u8]) -> String {
        let mut content = hmac::Context::with_key(&self.0);
        content.update(format!("{id}.{seconds}.").as_bytes());
        content.update(body);
        format!("v1,{}", BASE64_STANDARD.encode(content.sign()))
    }
}

/// Encrypts the secret of a webhook. One KMS call.
pub async fn seal_secret(vault: &Vault, route: Route, version: u32, secret: &Secret) -> Result<Sealed, VaultError> {
    vault.seal(&encryption_context(route), version, secret.expose().as_bytes()).await
}

/// Decrypts the secret of a webhook. At most one KMS call; the vault caches data keys.
pub async fn open_secret(vault: &Vault, route: Route, sealed: &Sealed) -> Result<Secret, VaultError> {
    let secret = vault.open(&encryption_context(route), sealed).await?;
    let text = std::str::from_utf8(&secret).map_err(|_| VaultError::Undecryptable)?;
    Ok(text.to_owned().into())
}

/// Returns the encryption context of a webhook's secret.
fn encryption_context(route: Route) -> Context {
    let Route { environment, destination } = route;
    Context { environment: environment.to_string(), owner: destination.to_string(), purpose: "webhook-secret" }
}

/// Sender to webhooks. Reuses connections.
#[derive(Clone, Debug)]
pub struct WebhookSender {
    rules: EgressRules,
    vault: Vault,
    client: Client<TlsConnector, Full<bytes::Bytes>>,
    /// Client that opens a connection for each request.
    unpooled: Client<TlsConnector, Full<bytes::Bytes>>,
}

/// Service that opens TCP connections.
pub type Connector = BoxCloneSyncService<Uri, TokioIo<TcpStream>, io::Error>;

/// Service that opens TCP connections and, for HTTPS, makes their handshakes.
type TlsConnector = BoxCloneSyncService<Uri, MaybeHttpsStream<TimestampedConnection>, BoxError>;

impl WebhookSender {
    /// Creates a sender that decrypts secrets with `vault` and connects through the egress guard.
    pub fn new(rules: EgressRules, vault: Vault) -> Self {
        Self::with_connector(BoxCloneSyncService::new(GuardedConnector::new(rules.clone())), rules, vault, None)
    }

    /// Creates a sender with a custom connector and, if given, a custom TLS configuration instead
    /// of the public root certificates.
    pub fn with_connector(connector: Connector, rules: EgressRules, vault: Vault, tls: Option<ClientConfig>) -> Self {
        let builder = HttpsConnectorBuilder::new();
        let builder = match tls {
            Some(config) => builder.with_tls_config(config),
            None => builder.with_webpki_roots(),
        };
        let connector = connector.map_response(TimestampedConnection::now);
        let connector = builder.https_or_http().enable_http1().enable_http2().wrap_connector(connector);
        // The client continues to open a connection in the background if another one serves the
        // request first. Without a timeout, an endpoint that completes no handshake would exhaust
        // the sockets of the process. It is longer than that of an attempt, so that it ends no
        // attempt.
        let connector = BoxCloneSyncService::new(Timeout::new(connector, TIMEOUT + Duration::from_secs(1)));
        let mut builder = Client::builder(TokioExecutor::new());
        builder
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .http2_keep_alive_interval(PING_INTERVAL)
            .http2_keep_alive_timeout(TIMEOUT);
        let client = builder.build(connector.clone());
        let unpooled = builder.pool_max_idle_per_host(0).build(connector);
        Self { rules, vault, client, unpooled }
    }

    /// Sends a test event.
    pub async fn send_test(&self, route: Route, webhook: &Webhook) -> Outcome {
        let event = ErrorLog::for_test(route.environment, Timestamp::now());
        self.post_all(route, webhook, &[&event.into()], true).await.pop().unwrap_or(Outcome::Skipped)
    }

    /// Makes all attempts concurrently.
    async fn post_all(&self, route: Route, webhook: &Webhook, records: &[&Record], test: bool) -> Vec<Outcome> {
        let for_all = |outcome: Outcome| vec![outcome; records.len()];
        // The rules may be stricter than when the webhook was saved.
        if let Err(forbidden) = self.rules.check_url(&webhook.url) {
            return for_all(failed_before_sending(Failure::Refused, &format!("the URL {forbidden}")));
        }
        let Ok(uri) = webhook.url.as_str().parse::<Uri>() else {
            return for_all(failed_before_sending(Failure::Refused, "the URL is not valid"));
        };
        let signers = match self.signers(route, webhook).await {
            Ok(signers) => signers,
            Err(error) => return for_all(failed_to_decrypt(route, &error)),
        };
        join_all(records.iter().map(|record| self.post(&uri, &signers, record, test))).await
    }

    /// Returns the signers: the current secret, then the previous ones that are still valid. A
    /// previous secret that can never be decrypted is omitted.
    async fn signers(&self, route: Route, webhook: &Webhook) -> Result<Vec<Signer>, VaultError> {
        let secrets = webhook.signing_secrets(Timestamp::now()).map(async |sealed| {
            let secret = open_secret(&self.vault, route, sealed).await?;
            Signer::new(&secret).ok_or(VaultError::Undecryptable)
        });
        let mut signers = Vec::new();
        for (index, signer) in join_all(secrets).await.into_iter().enumerate() {
            match signer {
                Ok(signer) => signers.push(signer),
                Err(error) if index == 0 || !matches!(error, VaultError::Undecryptable) => return Err(error),
                Err(error) => {
                    let Route { environment, destination } = route;
                    tracing::error!(error = %ErrorChain(&error), %environment, %destination, "failed to decrypt previous webhook secret");
                }
            }
        }
        Ok(signers)
    }

    async fn post(&self, uri: &Uri, signers: &[Signer], record: &Record, test: bool) -> Outcome {
        let (at, started) = (Timestamp::now(), Instant::now());
        let Some(request) = request(uri, signers, record, at, test) else {
            return failed_before_sending(Failure::Rejected, "the record cannot be encoded as an HTTP request");
        };
        let responded = tokio::time::timeout(TIMEOUT, async {
            let response = self.exchange(request).await?;
            let (parts, body) = response.into_parts();
            let received = start_of(body, started).await;
            Ok::<_, client::legacy::Error>((parts.status, parts.headers, received))
        })
        .await;
        let latency_ms = milliseconds_since(started);
        match responded {
            Ok(Ok((status, headers, received))) => {
                let response = printable_excerpt(&received);
                outcome(status, &headers, Attempt { at, status: Some(status.as_u16()), latency_ms, response })
            }
            Ok(Err(error)) => {
                let response = connection_error(&error);
                Outcome::Failed(Attempt { at, status: None, latency_ms, response }, Failure::Unreachable)
            }
            Err(_) => {
                let response = format!("no response within {} seconds", TIMEOUT.as_secs());
                Outcome::Failed(Attempt { at, status: None, latency_ms, response }, Failure::Unreachable)
            }
        }
    }

    /// Sends a request, again on a new connection if one breaks that was open before: the endpoint
    /// may have closed it while the function was frozen.
    async fn exchange(
        &self,
        request: Request<Full<bytes::Bytes>>,
    ) -> Result<Response<Incoming>, client::legacy::Error> {
        let started = Instant::now();
        match self.client.request(request.clone()).await {
            Err(error) if failed_on_reused_connection(&error, started) => self.unpooled.request(request).await,
            result => result,
        }
    }
}

impl Sender for WebhookSender {
    async fn send(&self, route: Route, destination: &Destination, records: &[&Record]) -> Vec<Outcome> {
        match &destination.target {
            Target::Webhook(webhook) => self.post_all(route, webhook, records, false).await,
            Target::EventBridge(_) => vec![Outcome::Skipped; records.len()],
        }
    }
}

/// Returns the start of a response's body, as far as it arrives before the timeout. The status
/// decides the outcome, so a body that breaks off or stalls is not an error.
async fn start_of(mut body: Incoming, started: Instant) -> Vec<u8> {
    let mut received = Vec::new();
    while received.len() < MAX_RESPONSE_BYTES && started.elapsed() < TIMEOUT {
        let remaining = TIMEOUT.saturating_sub(started.elapsed() + Duration::from_millis(50));
        match tokio::time::timeout(remaining, body.frame()).await {
            Ok(Some(Ok(frame))) => received.extend(frame.into_data().unwrap_or_default()),
            Ok(Some(Err(_)) | None) | Err(_) => break,
        }
    }
    received
}

/// Builds the signed request. Returns none if the record cannot be encoded as one.
fn request(
    uri: &Uri,
    signers: &[Signer],
    record: &Record,
    at: Timestamp,
    test: bool,
) -> Option<Request<Full<bytes::Bytes>>> {
    let body = serde_json::to_vec(&record.document()).ok()?;
    let id = record.key().id().to_string();
    let signatures: Vec<String> = signers.iter().map(|signer| signer.sign(&id, at.seconds(), &body)).collect();
    let mut request = Request::post(uri.clone())
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::USER_AGENT, concat!("Tenon/", env!("CARGO_PKG_VERSION")))
        .header(headers::ID, &id)
        .header(headers::TIMESTAMP, at.seconds())
        .header(headers::SIGNATURE, signatures.join(" "));
    request = match record {
        Record::Error(error) => request
            .header(headers::WORKFLOW_ID, error.workflow_id.to_string())
            .header(headers::USER_ID, error.user_id.to_string())
            .header(headers::BLOCK_TYPE, header_text(error.block_type.as_str())?)
            .header(headers::EXECUTION_ID, header_text(error.execution_id.as_str())?),
        Record::Event(Event { event_type, user_id, workflow_id, integration_id, .. }) => {
            request = request.header(headers::EVENT, event_type.as_str()).header(headers::USER_ID, user_id.to_string());
            if let Some(workflow) = workflow_id {
                request = request.header(headers::WORKFLOW_ID, workflow.to_string());
            }
            match integration_id {
                Some(integration) => request.header(headers::INTEGRATION_ID, header_text(integration.as_str())?),
                None => request,
            }
        }
    };
    if test {
        request = request.header(headers::TEST, "true");
    }
    request.body(Full::from(body)).ok()
}

/// Returns a text as the value of a header: UTF-8, which HTTP treats as opaque data, without spaces
/// at its ends, which HTTP does not allow (RFC 9110, section 5.5).
fn header_text(text: &str) -> Option<HeaderValue> {
    HeaderValue::from_bytes(text.trim_ascii().as_bytes()).ok()
}

/// Classifies a response.
fn outcome(status: StatusCode, headers: &HeaderMap, attempt: Attempt) -> Outcome {
    match status {
        status if status.is_success() => Outcome::Delivered(attempt),
        StatusCode::GONE => Outcome::Failed(attempt, Failure::Gone),
        status => {
            let until = headers.get(header::RETRY_AFTER).and_then(|value| retry_after(value, Timestamp::now()));
            let busy = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
            let failure = if busy || until.is_some() { Failure::Busy(until) } else { Failure::Refused };
            Outcome::Failed(attempt, failure)
        }
    }
}

/// Parses `Retry-After`, a number of seconds or a date (RFC 9110, section 10.2.3). The result is at
/// most 24 hours ahead.
fn retry_after(value: &HeaderValue, now: Timestamp) -> Option<Timestamp> {
    let text = value.to_str().ok()?.trim();
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let until = if is_number {
        // A number that is too large to parse means the maximum.
        now + text.parse().map_or(MAX_RETRY_AFTER, Duration::from_secs).min(MAX_RETRY_AFTER)
    } else {
        let date = httpdate::parse_http_date(text).ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        Timestamp::from_seconds(u32::try_from(date.as_secs()).unwrap_or(u32::MAX))
    };
    Some(until.min(now + MAX_RETRY_AFTER))
}

/// Returns the stored excerpt of what an endpoint has sent, without control characters.
fn printable_excerpt(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let printable = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    printable.take(MAX_RESPONSE_CHARS).collect::<String>().trim().to_owned()
}

/// Returns the reason why there is no response, as a text for the customer.
fn connection_error(error: &hyper_util::client::legacy::Error) -> String {
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(tls) = inner.downcast_ref::<rustls::Error>() {
            // It can name all names of a certificate.
            return printable_excerpt(format!("TLS error: {tls}").as_bytes());
        }
        source = match inner.downcast_ref::<io::Error>() {
            Some(error) => match error.kind() {
                io::ErrorKind::PermissionDenied => return "the URL does not resolve to a public address".into(),
                io::ErrorKind::TimedOut => {
                    return format!("no connection within {} seconds", CONNECT_TIMEOUT.as_secs());
                }
                io::ErrorKind::ConnectionRefused => return "connection refused".into(),
                // `source()` would skip the wrapped error and return the source of that error.
                _ => error.get_ref().map(|wrapped| wrapped as &dyn Error),
            },
            None => inner.source(),
        };
    }
    if is_invalid_response(error) {
        "the response is not valid HTTP, or has too many headers".into()
    } else if error.is_connect() {
        "connection failed or host name not found".into()
    } else {
        "connection closed before the response was complete".into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::error_log::EngineText;

    proptest! {
        #[test]
        fn any_text_of_an_engine_is_a_valid_header_without_spaces_at_its_ends(text in " {0,2}\\PC{0,40} {0,2}") {
            if text.parse::<EngineText>().is_ok() {
                let value = header_text(&text).unwrap();
                prop_assert_eq!(value.as_bytes(), value.as_bytes().trim_ascii());
            }
        }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn retry_after_is_parsed_and_limited_to_one_day() {
        let now = at("2026-11-24T05:30:00Z");
        for (value, until) in [
            ("120", Some("2026-11-24T05:32:00Z")),
            (" 0 ", Some("2026-11-24T05:30:00Z")),
            ("999999999", Some("2026-11-25T05:30:00Z")),
            ("99999999999999999999999999", Some("2026-11-25T05:30:00Z")),
            ("", None),
            ("Tue, 24 Nov 2026 06:00:00 GMT", Some("2026-11-24T06:00:00Z")),
            ("Fri, 24 Nov 2090 06:00:00 GMT", Some("2026-11-25T05:30:00Z")),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some("2026-11-25T05:30:00Z")),
            ("soon", None),
            ("-5", None),
        ] {
            let header = HeaderValue::from_static(value);
            assert_eq!(retry_after(&header, now), until.map(at), "{value}");
        }
    }

    #[test]
    fn stored_response_is_short_and_printable() {
        assert_eq!(printable_excerpt(b"\x1b[31mno\n"), "[31mno");
        assert_eq!(printable_excerpt(&[b'a'; 2000]).len(), MAX_RESPONSE_CHARS);
        assert_eq!(printable_excerpt(&[0xff, 0xfe]), "\u{fffd}\u{fffd}");
    }

    #[test]
    fn signature_is_the_one_of_the_reference_library() {
        // Computed by the Python library `standardwebhooks`.
        let signer = Signer::new(&"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned().into()).unwrap();
        let signature = signer.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert!(Signer::new(&"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned().into()).is_none());
    }

    #[test]
    fn secret_has_the_standard_webhooks_format() {
        let secret = new_secret().unwrap();
        let bytes = BASE64_STANDARD.decode(secret.expose().strip_prefix("whsec_").unwrap()).unwrap();
        assert_eq!(bytes.len(), SECRET_BYTES);
        assert_ne!(secret, new_secret().unwrap());
    }
}
