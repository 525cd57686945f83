//! Errors to a customer's own endpoint, as signed POSTs (Standard Webhooks 1.0).

use std::{
    error::Error,
    io,
    time::{Duration, Instant, SystemTime},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use futures_util::future::join_all;
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use ring::rand::{SecureRandom, SystemRandom};
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tower::util::BoxCloneSyncService;
use zeroize::Zeroizing;

use super::guard::{EgressRules, GuardedConnector};
use crate::{
    domain::{
        delivery::{Attempt, Failure, Outcome, Route},
        error_log::ErrorLog,
        health::MAX_RETRY_AFTER,
        secret::{Sealed, Secret},
        timestamp::Timestamp,
        webhook::Webhook,
    },
    logs::ErrorChain,
    vault::{Context, Vault, VaultError},
};

/// How long an endpoint may take to answer, from the first packet to the last byte that is read.
const TIMEOUT: Duration = Duration::from_secs(15);
/// The most bytes that are read of an answer.
const MAX_RESPONSE_BYTES: usize = 16 * 1024;
/// The most characters that are kept of it.
const MAX_RESPONSE_CHARS: usize = 512;
/// How long a connection is kept open for the next error.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// The bytes of a secret.
const SECRET_BYTES: usize = 32;
/// The header that tells a test event.
const TEST_HEADER: HeaderName = HeaderName::from_static("x-tenon-test");

/// Makes a secret, as Standard Webhooks spell it: `whsec_` and base64.
pub fn new_secret() -> Result<Secret, VaultError> {
    let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
    SystemRandom::new().fill(&mut *bytes).map_err(|_| VaultError::Random)?;
    Ok(format!("whsec_{}", BASE64_STANDARD.encode(*bytes)).into())
}

/// Seals the secret of a webhook. One KMS call.
pub async fn seal_secret(vault: &Vault, route: Route, version: u32, secret: &Secret) -> Result<Sealed, VaultError> {
    vault.seal(&encryption_context(route), version, secret.expose().as_bytes()).await
}

/// Opens a webhook's secret.
pub async fn open_secret(vault: &Vault, route: Route, sealed: &Sealed) -> Result<Secret, VaultError> {
    let secret = vault.open(&encryption_context(route), sealed).await?;
    let text = std::str::from_utf8(&secret).map_err(|_| VaultError::Undecryptable)?;
    Ok(text.to_owned().into())
}

/// What the secret of a webhook is sealed for.
fn encryption_context(route: Route) -> Context {
    let Route { environment, destination } = route;
    Context { environment: environment.to_string(), owner: destination.to_string(), purpose: "webhook-secret" }
}

/// Posts errors to webhooks. Connections are kept and used again.
#[derive(Clone, Debug)]
pub struct WebhookSender {
    rules: EgressRules,
    vault: Vault,
    client: Client<HttpsConnector<Connector>, Full<bytes::Bytes>>,
}

/// What opens connections.
pub type Connector = BoxCloneSyncService<Uri, TokioIo<TcpStream>, io::Error>;

impl WebhookSender {
    /// A sender that opens secrets with this vault.
    pub fn new(rules: EgressRules, vault: Vault) -> Self {
        Self::with_connector(BoxCloneSyncService::new(GuardedConnector::new(rules.clone())), rules, vault, None)
    }

    /// A sender over this connector, with other roots of trust than the public ones.
    pub fn with_connector(connector: Connector, rules: EgressRules, vault: Vault, tls: Option<ClientConfig>) -> Self {
        let builder = HttpsConnectorBuilder::new();
        let builder = match tls {
            Some(config) => builder.with_tls_config(config),
            None => builder.with_webpki_roots(),
        };
        let connector = builder.https_or_http().enable_http1().enable_http2().wrap_connector(connector);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .build(connector);
        Self { rules, vault, client }
    }

    /// Makes one attempt to send each error, all at once. The answer has one outcome per error, in order.
    pub async fn send(&self, route: Route, webhook: &Webhook, errors: &[&ErrorLog]) -> Vec<Outcome> {
        self.post_all(route, webhook, errors, false).await
    }

    /// Sends a test event now.
    pub async fn send_test(&self, route: Route, webhook: &Webhook) -> Outcome {
        let event = ErrorLog::test_event(route.environment, Timestamp::now());
        self.post_all(route, webhook, &[&event], true).await.pop().unwrap_or(Outcome::Skipped)
    }

    async fn post_all(&self, route: Route, webhook: &Webhook, errors: &[&ErrorLog], test: bool) -> Vec<Outcome> {
        let for_all = |outcome: Outcome| vec![outcome; errors.len()];
        // The rules may have been tightened since it was saved.
        if let Err(forbidden) = self.rules.check_url(&webhook.url) {
            return for_all(failed_before_sending(Failure::Refused, &format!("the URL {forbidden}")));
        }
        let Ok(uri) = webhook.url.as_str().parse::<Uri>() else {
            return for_all(failed_before_sending(Failure::Refused, "the URL cannot be called"));
        };
        let signers = match self.signers(route, webhook).await {
            Ok(signers) => signers,
            Err(VaultError::Busy(error)) => {
                tracing::warn!(error = %ErrorChain(&*error), "a secret cannot be opened for now");
                return for_all(Outcome::Skipped);
            }
            Err(error) => {
                tracing::error!(error = %ErrorChain(&error), destination = %route.destination, "a secret cannot be opened");
                return for_all(failed_before_sending(Failure::Refused, "the stored secret could not be decrypted"));
            }
        };
        join_all(errors.iter().map(|error| self.post(&uri, &signers, error, test))).await
    }

    /// The new secret first, and the one before while it signs too.
    async fn signers(&self, route: Route, webhook: &Webhook) -> Result<Vec<standardwebhooks::Webhook>, VaultError> {
        let previous = webhook.previous.iter().filter(|previous| Timestamp::now() < previous.until);
        let mut signers = Vec::new();
        for sealed in std::iter::once(&webhook.secret).chain(previous.map(|previous| &previous.secret)) {
            let secret = open_secret(&self.vault, route, sealed).await?;
            let signer = standardwebhooks::Webhook::new(secret.expose()).map_err(|_| VaultError::Undecryptable)?;
            signers.push(signer);
        }
        Ok(signers)
    }

    async fn post(&self, uri: &Uri, signers: &[standardwebhooks::Webhook], error: &ErrorLog, test: bool) -> Outcome {
        let (at, started) = (Timestamp::now(), Instant::now());
        let Some(request) = request(uri, signers, error, at, test) else {
            return failed_before_sending(Failure::Rejected, "the error cannot be written as a request");
        };
        let responded = tokio::time::timeout(TIMEOUT, async {
            let response = self.client.request(request).await?;
            let (parts, mut body) = response.into_parts();
            let mut received = Vec::new();
            // What has come so far is told where the rest breaks off: the status decides.
            while received.len() < MAX_RESPONSE_BYTES && started.elapsed() < TIMEOUT {
                let remaining = TIMEOUT.saturating_sub(started.elapsed() + Duration::from_millis(50));
                match tokio::time::timeout(remaining, body.frame()).await {
                    Ok(Some(Ok(frame))) => received.extend(frame.into_data().unwrap_or_default()),
                    Ok(Some(Err(_)) | None) | Err(_) => break,
                }
            }
            Ok::<_, hyper_util::client::legacy::Error>((parts.status, parts.headers, received))
        })
        .await;
        let latency_ms = u32::try_from(started.elapsed().as_millis()).unwrap_or(u32::MAX);
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
                let response = format!("no answer within {} seconds", TIMEOUT.as_secs());
                Outcome::Failed(Attempt { at, status: None, latency_ms, response }, Failure::Unreachable)
            }
        }
    }
}

/// An attempt that came to its end before anything was sent.
fn failed_before_sending(failure: Failure, message: &str) -> Outcome {
    Outcome::Failed(
        Attempt { at: Timestamp::now(), status: None, latency_ms: 0, response: message.to_owned() },
        failure,
    )
}

/// The signed request. None where the error cannot be written as one.
fn request(
    uri: &Uri,
    signers: &[standardwebhooks::Webhook],
    error: &ErrorLog,
    at: Timestamp,
    test: bool,
) -> Option<Request<Full<bytes::Bytes>>> {
    let body = serde_json::to_vec(&error.document()).ok()?;
    let id = error.error_id.to_string();
    let signatures: Vec<String> =
        signers.iter().map(|signer| signer.sign(&id, at.seconds(), &body)).collect::<Result<_, _>>().ok()?;
    let mut request = Request::post(uri.clone())
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::USER_AGENT, concat!("Tenon/", env!("CARGO_PKG_VERSION")))
        .header("webhook-id", &id)
        .header("webhook-timestamp", at.seconds())
        .header("webhook-signature", signatures.join(" "))
        .header("x-tenon-workflow-id", error.workflow_id.to_string())
        .header("x-tenon-user-id", error.user_id.to_string())
        // As UTF-8, which is opaque to HTTP (RFC 9110, 5.5).
        .header("x-tenon-block-type", HeaderValue::from_bytes(error.block_type.as_str().as_bytes()).ok()?)
        .header("x-tenon-execution-id", HeaderValue::from_bytes(error.execution_id.as_str().as_bytes()).ok()?);
    if test {
        request = request.header(TEST_HEADER, "true");
    }
    request.body(Full::from(body)).ok()
}

/// What an answer means.
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

/// The time that a `Retry-After` means, in seconds or as a date (RFC 9110, 10.2.3), at most 24 hours from now.
fn retry_after(value: &HeaderValue, now: Timestamp) -> Option<Timestamp> {
    let text = value.to_str().ok()?.trim();
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let until = match is_number {
        // A number that is too large to be read is a long time.
        true => now + text.parse().map_or(MAX_RETRY_AFTER, Duration::from_secs).min(MAX_RETRY_AFTER),
        false => {
            let date = httpdate::parse_http_date(text).ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
            Timestamp::from_seconds(u32::try_from(date.as_secs()).ok()?)
        }
    };
    Some(until.min(now + MAX_RETRY_AFTER))
}

/// What is kept of an answer: its first characters, without those that control a terminal.
fn printable_excerpt(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let printable = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    printable.take(MAX_RESPONSE_CHARS).collect::<String>().trim().to_owned()
}

/// Why there is no answer, in words for the customer.
fn connection_error(error: &hyper_util::client::legacy::Error) -> String {
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(tls) = inner.downcast_ref::<rustls::Error>() {
            return format!("TLS failed: {tls}");
        }
        source = match inner.downcast_ref::<io::Error>() {
            Some(error) => match error.kind() {
                io::ErrorKind::PermissionDenied => return "the URL does not lead to a public address".into(),
                io::ErrorKind::TimedOut => return "no connection within 5 seconds".into(),
                io::ErrorKind::ConnectionRefused => return "the connection was refused".into(),
                // Its own source is that of what it wraps.
                _ => error.get_ref().map(|wrapped| wrapped as &dyn Error),
            },
            None => inner.source(),
        };
    }
    if error.is_connect() { "no connection, or no such name".into() } else { "the connection broke off".into() }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn secret_has_the_standard_webhooks_format() {
        let secret = new_secret().unwrap();
        let bytes = BASE64_STANDARD.decode(secret.expose().strip_prefix("whsec_").unwrap()).unwrap();
        assert_eq!(bytes.len(), SECRET_BYTES);
        assert_ne!(secret, new_secret().unwrap());
    }
}
