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
        delivery::Attempt,
        destination::{self, AwsCredentials, EventBridge, Verification},
        error_log::ErrorLog,
        id::{DestinationId, EnvironmentId},
        secret::Sealed,
        timestamp::Timestamp,
    },
    logs::Chain,
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
const MAX_SAID: usize = 512;
/// How long a bus may take to answer.
const TIMEOUT: Duration = Duration::from_secs(2);
/// How many clients are kept, and how long: a connection's worth of time, bounded so that keys do not stay for ever.
const CACHED_CLIENTS: u64 = 200;
const CACHED_FOR: Duration = Duration::from_secs(5 * 60);

/// What the keys of a destination are sealed for.
pub fn credentials_context(environment: EnvironmentId, destination: DestinationId) -> Context {
    Context { environment: environment.to_string(), owner: destination.to_string(), purpose: "destination-credentials" }
}

/// Seals the keys of a destination. One KMS call.
pub async fn seal_credentials(
    vault: &Vault,
    environment: EnvironmentId,
    destination: DestinationId,
    version: u32,
    credentials: &AwsCredentials,
) -> Result<Sealed, VaultError> {
    let plaintext = zeroize::Zeroizing::new(serde_json::to_vec(credentials).map_err(|_| VaultError::Undecryptable)?);
    vault.seal(&credentials_context(environment, destination), version, &plaintext).await
}

/// Opens the keys of a destination. One KMS call the first time.
pub async fn open_credentials(
    vault: &Vault,
    environment: EnvironmentId,
    destination: DestinationId,
    sealed: &Sealed,
) -> Result<AwsCredentials, VaultError> {
    let plaintext = vault.open(&credentials_context(environment, destination), sealed).await?;
    serde_json::from_slice(&plaintext).map_err(|_| VaultError::Undecryptable)
}

/// Sends errors to buses. Its clients share one HTTP client; they are cached by the version of their destination.
#[derive(Clone, Debug)]
pub struct Buses {
    config: SdkConfig,
    vault: Vault,
    clients: Cache<(DestinationId, u32), Client>,
}

impl Buses {
    /// A sender that opens keys with this vault.
    pub fn new(config: &SdkConfig, vault: Vault) -> Self {
        let clients = Cache::builder().max_capacity(CACHED_CLIENTS).time_to_live(CACHED_FOR).build();
        Self { config: with_own_schedule(config), vault, clients }
    }

    /// Sends a test event now. Answers with nothing where the bus took it, else with the failed attempt.
    pub async fn send_test(
        &self,
        environment: EnvironmentId,
        identity: (DestinationId, u32),
        bus: &EventBridge,
    ) -> Result<Option<Attempt>, Arc<VaultError>> {
        let client = self.client(environment, identity, bus).await?;
        Ok(put_test(&client, environment, bus.event_bus_name.as_str()).await.err().map(|failure| failure.attempt))
    }

    /// Makes one attempt to send each error. The answer has one entry per error, in order: nothing where the bus took
    /// it, else the failed attempt.
    pub async fn send(
        &self,
        environment: EnvironmentId,
        (destination, version): (DestinationId, u32),
        bus: &EventBridge,
        errors: &[&ErrorLog],
    ) -> Vec<Option<Attempt>> {
        let at = Timestamp::now();
        let client = match self.client(environment, (destination, version), bus).await {
            Ok(client) => client,
            Err(error) => {
                tracing::error!(error = %Chain(&*error), %destination, "the keys of a destination cannot be opened");
                let response = "the stored keys could not be decrypted".to_owned();
                return errors
                    .iter()
                    .map(|_| Some(Attempt { at, status: None, latency_ms: 0, response: response.clone() }))
                    .collect();
            }
        };
        // All at once: ten batches to a bus that does not answer take no longer than one.
        let batches = batches(bus, errors).into_iter().map(|entries| put(&client, entries));
        join_all(batches).await.into_iter().flatten().collect()
    }

    async fn client(
        &self,
        environment: EnvironmentId,
        (destination, version): (DestinationId, u32),
        bus: &EventBridge,
    ) -> Result<Client, Arc<VaultError>> {
        let make = async {
            let credentials = open_credentials(&self.vault, environment, destination, &bus.credentials).await?;
            Ok(client(&self.config, &bus.region, &credentials))
        };
        self.clients.try_get_with((destination, version), make).await
    }
}

/// The schedule of attempts is ours, so that the SDK makes none of its own.
fn with_own_schedule(config: &SdkConfig) -> SdkConfig {
    let timeouts = TimeoutConfig::builder().connect_timeout(TIMEOUT).operation_timeout(TIMEOUT).build();
    config.clone().into_builder().retry_config(RetryConfig::disabled()).timeout_config(timeouts).build()
}

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
#[error("{explanation} (AWS answered {said})")]
pub struct Refusal {
    /// The setting that is wrong, as a JSON pointer.
    pub pointer: &'static str,
    /// What that means.
    pub explanation: &'static str,
    /// What AWS said.
    pub said: String,
}

impl Refusal {
    /// What a code of AWS's means for the settings; none where it is not their fault.
    fn of(code: &str, said: &str) -> Option<Self> {
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
                "these keys may not put events on this bus: give them the policy that is shown with it",
            ),
            "ResourceNotFoundException" => ("/eventBusName", "there is no such bus in this account and region"),
            _ => return None,
        };
        Some(Self { pointer, explanation, said: said.to_owned() })
    }
}

/// Checks a connection before it is saved: two calls to the customer's AWS. `DescribeEventBus` first, where the keys allow
/// it, because `PutEvents` to a bus that does not exist is reported to succeed (aws/aws-cli#9186); then a test event.
pub async fn check(
    config: &SdkConfig,
    environment: EnvironmentId,
    (region, bus): (&destination::Region, &destination::BusName),
    credentials: &AwsCredentials,
) -> Result<Verification, Refusal> {
    let client = client(&with_own_schedule(config), region, credentials);
    let described = match client.describe_event_bus().name(bus.as_str()).send().await {
        Ok(_) => Ok(()),
        Err(error) => {
            let (code, said) = (error.code().unwrap_or_default().to_owned(), said(&error));
            match Refusal::of(&code, &said) {
                // They need not be allowed to describe it.
                Some(_) if code.starts_with("AccessDenied") => Err(said),
                Some(refusal) => return Err(refusal),
                None => Err(said),
            }
        }
    };
    let unproven = |reason: String| Ok(Verification { verified: false, reason });
    match (put_test(&client, environment, bus.as_str()).await, described) {
        (Ok(()), Ok(())) => {
            Ok(Verification { verified: true, reason: "the bus is there and took a test event".into() })
        }
        (Ok(()), Err(said)) => unproven(format!(
            "a test event was taken, which AWS also reports for a bus that does not exist, and whether this one exists could \
             not be asked: allow events:DescribeEventBus to prove it (AWS answered {said})"
        )),
        (Err(failure), _) => match Refusal::of(&failure.code, &failure.attempt.response) {
            Some(refusal) => Err(refusal),
            None => unproven(format!("the test event was not taken: {}", failure.attempt.response)),
        },
    }
}

/// A failed attempt with AWS's code for it, empty where AWS was not reached.
struct Failure {
    code: String,
    attempt: Attempt,
}

async fn put_test(client: &Client, environment: EnvironmentId, bus: &str) -> Result<(), Failure> {
    let entry = entry(bus, TEST_DETAIL_TYPE, &ErrorLog::test_event(environment, Timestamp::now()));
    match put(client, vec![entry]).await.into_iter().next().flatten() {
        None => Ok(()),
        Some(attempt) => {
            let code = attempt.response.split(':').next().unwrap_or_default().to_owned();
            Err(Failure { code, attempt })
        }
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
fn batches(bus: &EventBridge, errors: &[&ErrorLog]) -> Vec<Vec<PutEventsRequestEntry>> {
    let (mut full, mut batch, mut bytes) = (Vec::new(), Vec::new(), 0);
    for error in errors {
        let entry = entry(bus.event_bus_name.as_str(), DETAIL_TYPE, error);
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
async fn put(client: &Client, entries: Vec<PutEventsRequestEntry>) -> Vec<Option<Attempt>> {
    let (at, started, count) = (Timestamp::now(), Instant::now(), entries.len());
    let answer = client.put_events().set_entries(Some(entries)).send().await;
    let latency_ms = u32::try_from(started.elapsed().as_millis()).unwrap_or(u32::MAX);
    let attempt = |status, response| Some(Attempt { at, status, latency_ms, response });
    match answer {
        Ok(answer) if answer.failed_entry_count == 0 => vec![None; count],
        Ok(answer) => {
            let results = answer.entries.unwrap_or_default();
            let refused = |result: Option<&PutEventsResultEntry>| match result {
                Some(PutEventsResultEntry { error_code: None, event_id: Some(_), .. }) => None,
                Some(PutEventsResultEntry { error_code: Some(code), error_message, .. }) => {
                    attempt(Some(200), format!("{code}: {}", error_message.as_deref().unwrap_or_default()))
                }
                _ => attempt(Some(200), "the answer does not tell of this entry".into()),
            };
            (0..count).map(|index| refused(results.get(index))).collect()
        }
        Err(error) => {
            let status = error.raw_response().map(|response| response.status().as_u16());
            vec![attempt(status, said(&error)); count]
        }
    }
}

/// What AWS said, or why it could not be asked, in words for the customer.
fn said<E>(error: &SdkError<E, HttpResponse>) -> String
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    match error {
        SdkError::ServiceError(refusal) => {
            let refusal = refusal.err();
            let message = refusal.message().unwrap_or_default();
            // For a wrong signature AWS repeats the request, with the session token in its headers.
            let message = message.split("The Canonical String").next().unwrap_or_default();
            let message: String = message.trim().chars().take(MAX_SAID).collect();
            format!("{}: {message}", refusal.code().unwrap_or("UnknownError"))
        }
        SdkError::TimeoutError(_) => format!("no answer within {} seconds", TIMEOUT.as_secs()),
        SdkError::DispatchFailure(_) => "no connection to AWS".to_owned(),
        other => {
            tracing::warn!(error = %Chain(other), "an unexpected answer of EventBridge");
            "an unexpected answer".to_owned()
        }
    }
}
