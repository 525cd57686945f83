//! Errors to a customer's own Amazon EventBridge bus, with the customer's own keys.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use aws_config::{SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_eventbridge::{
    Client,
    config::{Credentials, Region, http::HttpResponse},
    error::{ProvideErrorMetadata, SdkError},
    primitives::DateTime,
    types::{PutEventsRequestEntry, PutEventsResultEntry},
};
use futures_util::future::join_all;
use moka::future::Cache;

use crate::{
    domain::{
        delivery::{Attempt, Failure, Outcome, Route},
        destination::{self, AwsCredentials, EventBridge, Verification},
        error_log::ErrorLog,
        id::{DestinationId, EnvironmentId},
        secret::Sealed,
        timestamp::Timestamp,
    },
    logs::ErrorChain,
    vault::{Context, Vault, VaultError},
};

/// The `Source` of every event.
pub const SOURCE: &str = "tenon.errors";
/// The `DetailType` of an error.
pub const DETAIL_TYPE: &str = "Workflow Error";
/// The `DetailType` of a test event.
pub const TEST_DETAIL_TYPE: &str = "Workflow Error Test";

/// The most entries of a `PutEvents` (an AWS limit).
const MAX_ENTRIES: usize = 10;
/// The most bytes of all entries of a `PutEvents` together (an AWS limit, of 1 MiB; a little is left for the fields
/// beside `Detail`).
const MAX_BYTES: usize = 1_000_000;
/// The most characters that are kept of what AWS says.
const MAX_RESPONSE_CHARS: usize = 512;
/// How long a bus may take to answer a first attempt, which holds a batch of the stream.
pub const FIRST_ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a bus may take to answer where nobody waits behind.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// How many clients are kept, and how long: a connection's worth of time, bounded so that keys do not stay for ever.
const MAX_CACHED_CLIENTS: u64 = 200;
const CLIENT_TTL: Duration = Duration::from_secs(5 * 60);

/// What the keys of a destination are sealed for.
fn credentials_context(route: Route) -> Context {
    let Route { environment, destination } = route;
    Context { environment: environment.to_string(), owner: destination.to_string(), purpose: "destination-credentials" }
}

/// Seals the keys of a destination. One KMS call.
pub async fn seal_credentials(
    vault: &Vault,
    route: Route,
    version: u32,
    credentials: &AwsCredentials,
) -> Result<Sealed, VaultError> {
    let plaintext = zeroize::Zeroizing::new(serde_json::to_vec(credentials).map_err(|_| VaultError::Undecryptable)?);
    vault.seal(&credentials_context(route), version, &plaintext).await
}

/// Opens the keys of a destination. One KMS call the first time.
pub async fn open_credentials(vault: &Vault, route: Route, sealed: &Sealed) -> Result<AwsCredentials, VaultError> {
    let plaintext = vault.open(&credentials_context(route), sealed).await?;
    serde_json::from_slice(&plaintext).map_err(|_| VaultError::Undecryptable)
}

/// Sends errors to buses. Its clients share one HTTP client; they are cached by the version of their destination.
#[derive(Clone, Debug)]
pub struct EventBridgeSender {
    config: SdkConfig,
    vault: Vault,
    clients: Cache<(DestinationId, u32), Client>,
    timeout: Duration,
}

impl EventBridgeSender {
    /// A sender that opens keys with this vault, and waits so long for an answer.
    pub fn new(config: &SdkConfig, vault: Vault, timeout: Duration) -> Self {
        let clients = Cache::builder().max_capacity(MAX_CACHED_CLIENTS).time_to_live(CLIENT_TTL).build();
        Self { config: without_sdk_retries(config, timeout), vault, clients, timeout }
    }

    /// Sends a test event now.
    pub async fn send_test(&self, route: Route, version: u32, bus: &EventBridge) -> Outcome {
        let event = ErrorLog::test_event(route.environment, Timestamp::now());
        self.put_all(route, version, bus, TEST_DETAIL_TYPE, &[&event]).await.pop().unwrap_or(Outcome::Skipped)
    }

    /// Makes one attempt to send each error. The answer has one outcome per error, in order.
    pub async fn send(&self, route: Route, version: u32, bus: &EventBridge, errors: &[&ErrorLog]) -> Vec<Outcome> {
        self.put_all(route, version, bus, DETAIL_TYPE, errors).await
    }

    async fn put_all(
        &self,
        route: Route,
        version: u32,
        bus: &EventBridge,
        detail_type: &str,
        errors: &[&ErrorLog],
    ) -> Vec<Outcome> {
        let client = match self.client(route, version, bus).await {
            Ok(client) => client,
            Err(error) => {
                let outcome = key_failure_outcome(route, &error);
                return errors.iter().map(|_| outcome.clone()).collect();
            }
        };
        // All at once: ten batches to a bus that does not answer take no longer than one.
        let batches =
            batches(bus, detail_type, errors).into_iter().map(|entries| put_events(&client, entries, self.timeout));
        join_all(batches).await.into_iter().flatten().collect()
    }

    async fn client(&self, route: Route, version: u32, bus: &EventBridge) -> Result<Client, Arc<VaultError>> {
        let make = async {
            let credentials = open_credentials(&self.vault, route, &bus.credentials).await?;
            Ok(client(&self.config, &bus.region, &credentials))
        };
        self.clients.try_get_with((route.destination, version), make).await
    }
}

/// What it means for an attempt that the keys could not be opened.
fn key_failure_outcome(route: Route, error: &VaultError) -> Outcome {
    match error {
        VaultError::Busy(_) => {
            tracing::warn!(error = %ErrorChain(error), "the keys of a destination cannot be opened for now");
            Outcome::Skipped
        }
        VaultError::Refused(_) | VaultError::Undecryptable | VaultError::Random => {
            tracing::error!(error = %ErrorChain(error), destination = %route.destination, "keys cannot be opened");
            let response = "the stored keys could not be decrypted".to_owned();
            Outcome::Failed(Attempt { at: Timestamp::now(), status: None, latency_ms: 0, response }, Failure::Refused)
        }
    }
}

/// The schedule of attempts is ours, so that the SDK makes none of its own.
fn without_sdk_retries(config: &SdkConfig, timeout: Duration) -> SdkConfig {
    let timeouts = TimeoutConfig::builder().connect_timeout(timeout).operation_timeout(timeout).build();
    config.clone().into_builder().retry_config(RetryConfig::disabled()).timeout_config(timeouts).build()
}

/// How long each call of a check may take: two of them, and what else a function does, fit into its time.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);

/// A client that acts with a customer's keys.
fn client(config: &SdkConfig, region: &destination::Region, credentials: &AwsCredentials) -> Client {
    let AwsCredentials { access_key_id, secret_access_key, session_token } = credentials;
    let credentials = Credentials::new(
        access_key_id.as_str(),
        secret_access_key.expose(),
        session_token.as_ref().map(|token| token.expose().to_owned()),
        None,
        "destination",
    );
    let config = aws_sdk_eventbridge::config::Builder::from(config)
        .region(Region::new(region.as_str().to_owned()))
        .credentials_provider(credentials)
        .build();
    Client::from_conf(config)
}

/// Why a connection is not saved: AWS refused it, and would refuse every error.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{explanation} (AWS answered {aws_message})")]
pub struct ConnectionRefused {
    /// The setting that is wrong, as a JSON pointer.
    pub pointer: &'static str,
    /// What that means.
    pub explanation: &'static str,
    /// What AWS said.
    pub aws_message: String,
}

impl ConnectionRefused {
    /// What a code of AWS's means for the settings; none where it is not their fault.
    fn from_code(code: &str, message: &str) -> Option<Self> {
        let (pointer, explanation) = match code {
            "UnrecognizedClientException" | "InvalidClientTokenId" | "InvalidAccessKeyId" => {
                ("/credentials/accessKeyId", "AWS does not know this access key id")
            }
            "InvalidSignatureException" | "SignatureDoesNotMatch" => {
                ("/credentials/secretAccessKey", "the secret access key is not that of the access key id")
            }
            "ExpiredTokenException" | "ExpiredToken" => ("/credentials/sessionToken", "the session token has expired"),
            "IncompleteSignature" | "MissingAuthenticationToken" => ("/credentials", "AWS cannot read these keys"),
            "AccessDeniedException" | "AccessDenied" | "NotAuthorizedForSourceException" => (
                "/credentials",
                "these keys may not put events on this bus: give them the policy that stands in `policy`",
            ),
            "ResourceNotFoundException" => ("/eventBusName", "there is no such bus in this account and region"),
            _ => return None,
        };
        Some(Self { pointer, explanation, aws_message: message.to_owned() })
    }
}

/// Checks a connection before it is saved: two calls to the customer's AWS. `DescribeEventBus` first, where the keys allow
/// it, because `PutEvents` to a bus that does not exist is reported to succeed (aws/aws-cli#9186); then a test event.
pub async fn check_connection(
    config: &SdkConfig,
    environment: EnvironmentId,
    (region, bus): (&destination::Region, &destination::BusName),
    credentials: &AwsCredentials,
) -> Result<Verification, ConnectionRefused> {
    let client = client(&without_sdk_retries(config, CHECK_TIMEOUT), region, credentials);
    let described = match client.describe_event_bus().name(bus.as_str()).send().await {
        Ok(_) => Ok(()),
        Err(error) => {
            let (code, message) = (error.code().unwrap_or_default().to_owned(), error_text(&error, CHECK_TIMEOUT));
            match ConnectionRefused::from_code(&code, &message) {
                // They need not be allowed to describe it.
                Some(_) if code.starts_with("AccessDenied") => Err(message),
                Some(refusal) => return Err(refusal),
                None => Err(message),
            }
        }
    };
    let unverified = |reason: String| Ok(Verification { verified: false, reason });
    let event = ErrorLog::test_event(environment, Timestamp::now());
    let put = put_events(&client, vec![entry(bus.as_str(), TEST_DETAIL_TYPE, &event)], CHECK_TIMEOUT).await.pop();
    match (put, described) {
        (Some(Outcome::Delivered(_)), Ok(())) => {
            Ok(Verification { verified: true, reason: "the bus is there and took a test event".into() })
        }
        (Some(Outcome::Delivered(_)), Err(message)) => unverified(format!(
            "a test event was taken, which AWS also reports for a bus that does not exist, and whether this one exists could \
             not be asked: allow events:DescribeEventBus to prove it (AWS answered {message})"
        )),
        (Some(Outcome::Failed(attempt, _)), _) => {
            let code = attempt.response.split(':').next().unwrap_or_default();
            match ConnectionRefused::from_code(code, &attempt.response) {
                Some(refusal) => Err(refusal),
                None => unverified(format!("the test event was not taken: {}", attempt.response)),
            }
        }
        (Some(Outcome::Skipped) | None, _) => unverified("no test event was sent".into()),
    }
}

fn entry(bus: &str, detail_type: &str, error: &ErrorLog) -> PutEventsRequestEntry {
    PutEventsRequestEntry::builder()
        .source(SOURCE)
        .detail_type(detail_type)
        .event_bus_name(bus)
        .time(DateTime::from_millis(error.created_at.milliseconds()))
        .detail(serde_json::to_string(&error.document()).unwrap_or_default())
        .build()
}

/// The entries of all errors, in order, in batches that `PutEvents` takes.
fn batches(bus: &EventBridge, detail_type: &str, errors: &[&ErrorLog]) -> Vec<Vec<PutEventsRequestEntry>> {
    let (mut full, mut batch, mut bytes) = (Vec::new(), Vec::new(), 0);
    for error in errors {
        let entry = entry(bus.event_bus_name.as_str(), detail_type, error);
        let length = entry.detail().map_or(0, str::len);
        if !batch.is_empty() && (batch.len() == MAX_ENTRIES || bytes + length > MAX_BYTES) {
            full.push(std::mem::take(&mut batch));
            bytes = 0;
        }
        bytes += length;
        batch.push(entry);
    }
    full.push(batch);
    full
}

/// One `PutEvents`, whose answer is read entry by entry.
async fn put_events(client: &Client, entries: Vec<PutEventsRequestEntry>, timeout: Duration) -> Vec<Outcome> {
    let (at, started, count) = (Timestamp::now(), Instant::now(), entries.len());
    let response = client.put_events().set_entries(Some(entries)).send().await;
    let latency_ms = u32::try_from(started.elapsed().as_millis()).unwrap_or(u32::MAX);
    let attempt = |status, response| Attempt { at, status, latency_ms, response };
    match response {
        Ok(response) => {
            let results = response.entries.unwrap_or_default();
            let outcome = |result: Option<&PutEventsResultEntry>| match result {
                Some(PutEventsResultEntry { error_code: None, event_id: Some(id), .. }) => {
                    Outcome::Delivered(attempt(Some(200), format!("event {id}")))
                }
                Some(PutEventsResultEntry { error_code: Some(code), error_message, .. }) => {
                    let message = format!("{code}: {}", error_message.as_deref().unwrap_or_default());
                    Outcome::Failed(attempt(Some(200), message), failure(code))
                }
                _ => {
                    let message = "the answer does not tell of this entry".to_owned();
                    Outcome::Failed(attempt(Some(200), message), Failure::Unreachable)
                }
            };
            (0..count).map(|index| outcome(results.get(index))).collect()
        }
        Err(error) => {
            let status = error.raw_response().map(|response| response.status().as_u16());
            let kind = error.code().map_or(Failure::Unreachable, failure);
            vec![Outcome::Failed(attempt(status, error_text(&error, timeout)), kind); count]
        }
    }
}

/// What a code of `PutEvents` means, of a request or of one of its entries.
fn failure(code: &str) -> Failure {
    match code {
        "ThrottlingException" | "ThrottledException" | "RequestLimitExceeded" | "LimitExceededException" => {
            Failure::Busy(None)
        }
        "InternalFailure" | "InternalException" | "InternalServerError" | "ServiceUnavailable" => Failure::Unreachable,
        "InvalidArgument" | "MalformedDetail" => Failure::Rejected,
        _ => Failure::Refused,
    }
}

/// What AWS said, or why it could not be asked, in words for the customer.
fn error_text<E>(error: &SdkError<E, HttpResponse>, timeout: Duration) -> String
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    match error {
        SdkError::ServiceError(refusal) => {
            let refusal = refusal.err();
            let message = refusal.message().unwrap_or_default();
            // For a wrong signature AWS repeats the request, with the session token in its headers.
            let message = message.split("The Canonical String").next().unwrap_or_default();
            let message: String = message.trim().chars().take(MAX_RESPONSE_CHARS).collect();
            format!("{}: {message}", refusal.code().unwrap_or("UnknownError"))
        }
        SdkError::TimeoutError(_) => format!("no answer within {} seconds", timeout.as_secs()),
        SdkError::DispatchFailure(_) => "no connection to AWS".to_owned(),
        other => {
            tracing::warn!(error = %ErrorChain(other), "an unexpected answer of EventBridge");
            "an unexpected answer".to_owned()
        }
    }
}
