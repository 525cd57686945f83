//! Errors to a customer's own Amazon EventBridge bus, with the customer's own keys.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use aws_config::{SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_eventbridge::{
    Client,
    config::{Credentials, Region},
    error::{ProvideErrorMetadata, SdkError},
    operation::put_events::PutEventsError,
    primitives::DateTime,
    types::{PutEventsRequestEntry, PutEventsResultEntry},
};
use futures_util::future::join_all;
use moka::future::Cache;

use crate::{
    domain::{
        delivery::Attempt,
        destination::{AwsCredentials, EventBridge},
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
        let timeouts = TimeoutConfig::builder().connect_timeout(TIMEOUT).operation_timeout(TIMEOUT).build();
        // The schedule of attempts is ours, so that the SDK makes none of its own.
        let config =
            config.clone().into_builder().retry_config(RetryConfig::disabled()).timeout_config(timeouts).build();
        let clients = Cache::builder().max_capacity(CACHED_CLIENTS).time_to_live(CACHED_FOR).build();
        Self { config, vault, clients }
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
            let plaintext = self.vault.open(&credentials_context(environment, destination), &bus.credentials).await?;
            let AwsCredentials { access_key_id, secret_access_key, session_token } =
                serde_json::from_slice(&plaintext).map_err(|_| VaultError::Undecryptable)?;
            let credentials = Credentials::new(
                access_key_id.as_str(),
                secret_access_key.expose(),
                session_token.map(|token| token.expose().to_owned()),
                None,
                "destination",
            );
            let config = aws_sdk_eventbridge::config::Builder::from(&self.config)
                .region(Region::new(bus.region.as_str().to_owned()))
                .credentials_provider(credentials)
                .build();
            Ok(Client::from_conf(config))
        };
        self.clients.try_get_with((destination, version), make).await
    }
}

/// The entries of all errors, in order, in batches that `PutEvents` takes.
fn batches(bus: &EventBridge, errors: &[&ErrorLog]) -> Vec<Vec<PutEventsRequestEntry>> {
    let (mut full, mut batch, mut bytes) = (Vec::new(), Vec::new(), 0);
    for error in errors {
        let detail = serde_json::to_string(&error.document()).unwrap_or_default();
        if !batch.is_empty() && (batch.len() == MAX_ENTRIES || bytes + detail.len() > MAX_BYTES) {
            full.push(std::mem::take(&mut batch));
            bytes = 0;
        }
        bytes += detail.len();
        batch.push(
            PutEventsRequestEntry::builder()
                .source(SOURCE)
                .detail_type(DETAIL_TYPE)
                .event_bus_name(bus.event_bus_name.as_str())
                .time(DateTime::from_millis(error.created_at.milliseconds()))
                .detail(detail)
                .build(),
        );
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
fn said(error: &SdkError<PutEventsError, aws_sdk_eventbridge::config::http::HttpResponse>) -> String {
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
