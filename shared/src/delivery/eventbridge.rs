//! Sends records to EventBridge buses in customers' accounts, with the customers' access keys or
//! roles.

use std::time::{Duration, Instant};

use aws_config::{SdkConfig, identity::IdentityCache, retry::RetryConfig, timeout::TimeoutConfig};
use aws_runtime::retries::classifiers::{THROTTLING_ERRORS, TRANSIENT_ERRORS};
use aws_sdk_eventbridge::{
    Client,
    config::{
        self, Credentials, Region,
        http::HttpResponse,
        retry::{RetryPartition, TokenBucket},
    },
    error::{ProvideErrorMetadata, SdkError},
    primitives::DateTime,
    types::{PutEventsRequestEntry, PutEventsResultEntry},
};
use aws_smithy_runtime_api::client::{
    interceptors::context::InterceptorContext,
    retries::classifiers::{ClassifyRetry, RetryAction},
};
use futures_util::future::join_all;

use self::{
    credentials::open_credentials,
    roles::{AssumeError, Roles},
};
use super::senders::{Sender, failed_to_decrypt, milliseconds_since};
use crate::{
    domain::{
        delivery::{Attempt, Failure, Outcome, Route},
        destination::{Destination, Target},
        error_log::ErrorLog,
        event_bus::{self, AwsCredentials, BusAccess, BusName, EventBridge},
        id::EnvironmentId,
        record::Record,
        timestamp::Timestamp,
    },
    logs::{ErrorChain, without_signed_request},
    vault::Vault,
};

pub mod check;
pub mod credentials;
pub mod roles;

/// `Source` of an error.
pub const SOURCE: &str = "tenon.errors";
/// `Source` of an event. Its `DetailType` is the title of its type, such as `Workflow Activated`.
pub const EVENT_SOURCE: &str = "tenon.events";
/// `DetailType` of an error.
pub const DETAIL_TYPE: &str = "Workflow Error";
/// `DetailType` of a test event.
pub const TEST_DETAIL_TYPE: &str = "Workflow Error Test";

/// Maximum number of entries per `PutEvents` (AWS limit).
const MAX_ENTRIES: usize = 10;
/// Maximum size of the details of a `PutEvents`, in bytes. The AWS limit is 1 MiB for whole
/// entries, and 256 KiB in the regions of China; the difference to the latter is reserved for their
/// other fields.
const MAX_BYTES: usize = 250_000;
/// Maximum number of characters of an AWS response that an attempt stores.
const MAX_RESPONSE_CHARS: usize = 512;
/// Timeout of a first attempt, which holds up a batch of the stream.
pub const FIRST_ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);
/// Timeout of all other attempts.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// Sender to EventBridge buses. Decrypts access keys for each batch and keeps none of them; the
/// credentials of roles are cached.
#[derive(Clone, Debug)]
pub struct EventBridgeSender {
    vault: Vault,
    roles: Roles,
    client: Client,
    timeout: Duration,
}

impl EventBridgeSender {
    /// Creates a sender that decrypts credentials with `vault` and waits up to `timeout` for a
    /// response.
    pub fn new(config: &SdkConfig, vault: Vault, timeout: Duration) -> Self {
        Self { vault, roles: Roles::new(config, timeout), client: client(config, timeout), timeout }
    }

    /// Sends a test event.
    pub async fn send_test(&self, route: Route, bus: &EventBridge) -> Outcome {
        let entries = vec![test_entry(&bus.event_bus_name, route.environment)];
        self.put_all(route, bus, entries).await.pop().unwrap_or(Outcome::Skipped)
    }

    async fn put_all(&self, route: Route, bus: &EventBridge, entries: Vec<PutEventsRequestEntry>) -> Vec<Outcome> {
        let customer = match self.credentials(route, bus).await {
            Ok(credentials) => customer(&bus.region, credentials),
            Err(outcome) => return vec![outcome; entries.len()],
        };
        // Concurrently: several batches to an unresponsive bus must not take longer than one.
        let batches =
            batches(entries).into_iter().map(|batch| put_events(&self.client, &customer, batch, self.timeout));
        let outcomes: Vec<Outcome> = join_all(batches).await.into_iter().flatten().collect();
        if outcomes.iter().any(|outcome| matches!(outcome, Outcome::Failed(_, Failure::Refused))) {
            // The customer may have revoked the sessions of the role.
            self.roles.forget(route);
        }
        outcomes
    }

    /// Returns the credentials of a bus, or the outcome of an attempt without any. At most one call
    /// to KMS or STS.
    async fn credentials(&self, route: Route, bus: &EventBridge) -> Result<Credentials, Outcome> {
        match &bus.access {
            BusAccess::Keys { credentials, .. } => {
                let opened = open_credentials(&self.vault, route, credentials).await;
                opened.map(|keys| access_keys(&keys)).map_err(|error| failed_to_decrypt(route, &error))
            }
            BusAccess::Role { role_arn } => {
                let assumed = self.roles.credentials(route, bus, role_arn).await;
                assumed.map_err(AssumeError::outcome)
            }
        }
    }
}

impl Sender for EventBridgeSender {
    async fn send(&self, route: Route, destination: &Destination, records: &[&Record]) -> Vec<Outcome> {
        match &destination.target {
            Target::EventBridge(bus) => {
                let entries = records.iter().map(|record| record_entry(&bus.event_bus_name, record)).collect();
                self.put_all(route, bus, entries).await
            }
            Target::Webhook(_) => vec![Outcome::Skipped; records.len()],
        }
    }
}

/// Creates a client for all customers. Every call must be made as a [`customer`].
///
/// Without the cache of the SDK, which would keep the credentials of customers until the process
/// ends.
fn client(config: &SdkConfig, timeout: Duration) -> Client {
    let mut config = with_short_timeouts(config, timeout).into_builder();
    // A call without a customer must not be made with the credentials of the function.
    config.set_credentials_provider(None);
    let config = config.identity_cache(IdentityCache::no_cache()).build();
    let config = config::Builder::from(&config).retry_classifier(RetryWithoutResponse);
    Client::from_conf(config.retry_partition(unlimited_retries()).build())
}

/// Returns the configuration of a client whose calls end after `timeout` and are repeated at most
/// twice, immediately, as far as a classifier such as [`RetryWithoutResponse`] permits.
fn with_short_timeouts(config: &SdkConfig, timeout: Duration) -> SdkConfig {
    let timeouts = TimeoutConfig::builder().connect_timeout(timeout).operation_timeout(timeout).build();
    let retries = RetryConfig::standard().with_max_attempts(3).with_initial_backoff(Duration::from_millis(20));
    config.clone().into_builder().retry_config(retries).timeout_config(timeouts).build()
}

/// Returns a partition in which retries are not limited by those of other calls: the calls of one
/// customer must not use up the retries of another. The number and the time of a call's own
/// attempts are limited.
fn unlimited_retries() -> RetryPartition {
    RetryPartition::custom("unanswered").token_bucket(TokenBucket::unlimited()).build()
}

/// Retry classifier of the SDK that permits retries of calls without a response only: AWS may have
/// closed the connection while the function was frozen. Calls with a response follow Tenon's own
/// retry schedule.
#[derive(Debug)]
struct RetryWithoutResponse;

impl ClassifyRetry for RetryWithoutResponse {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        if context.response().is_some() { RetryAction::RetryForbidden } else { RetryAction::NoActionIndicated }
    }

    fn name(&self) -> &'static str {
        "RetryWithoutResponse"
    }
}

/// Returns access keys as credentials of the SDK.
fn access_keys(AwsCredentials { access_key_id, secret_access_key, session_token }: &AwsCredentials) -> Credentials {
    let token = session_token.as_ref().map(|token| token.expose().to_owned());
    Credentials::new(access_key_id.as_str(), secret_access_key.expose(), token, None, "destination")
}

/// Returns the configuration of a call with a customer's credentials.
fn customer(region: &event_bus::Region, credentials: Credentials) -> config::Builder {
    config::Builder::new().region(Region::new(region.as_str().to_owned())).credentials_provider(credentials)
}

fn record_entry(bus: &BusName, record: &Record) -> PutEventsRequestEntry {
    let (source, detail_type) = match record {
        Record::Error(_) => (SOURCE, DETAIL_TYPE),
        Record::Event(event) => (EVENT_SOURCE, event.event_type.title()),
    };
    entry(bus, (source, detail_type), record)
}

fn test_entry(bus: &BusName, environment: EnvironmentId) -> PutEventsRequestEntry {
    let event = ErrorLog::for_test(environment, Timestamp::now());
    entry(bus, (SOURCE, TEST_DETAIL_TYPE), &event.into())
}

fn entry(bus: &BusName, (source, detail_type): (&str, &str), record: &Record) -> PutEventsRequestEntry {
    PutEventsRequestEntry::builder()
        .source(source)
        .detail_type(detail_type)
        .event_bus_name(bus.as_str())
        .time(DateTime::from_millis(record.created_at().milliseconds()))
        .detail(serde_json::to_string(&record.document()).unwrap_or_default())
        .build()
}

/// Splits entries, in order, into batches within the limits of `PutEvents`.
fn batches(entries: Vec<PutEventsRequestEntry>) -> Vec<Vec<PutEventsRequestEntry>> {
    let (mut full, mut batch, mut bytes) = (Vec::new(), Vec::new(), 0);
    for entry in entries {
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

/// Makes one `PutEvents` call. Returns one outcome per entry.
async fn put_events(
    client: &Client,
    customer: &config::Builder,
    entries: Vec<PutEventsRequestEntry>,
    timeout: Duration,
) -> Vec<Outcome> {
    let (at, started, count) = (Timestamp::now(), Instant::now(), entries.len());
    let request = client.put_events().set_entries(Some(entries)).customize().config_override(customer.clone());
    let response = request.send().await;
    let latency_ms = milliseconds_since(started);
    let attempt = |status, response| Attempt { at, status, latency_ms, response };
    match response {
        Ok(response) => {
            let results = response.entries.unwrap_or_default();
            let outcome = |result: Option<&PutEventsResultEntry>| match result {
                Some(PutEventsResultEntry { error_code: None, event_id: Some(id), .. }) => {
                    Outcome::Delivered(attempt(Some(200), format!("event {id}")))
                }
                Some(PutEventsResultEntry { error_code: Some(code), error_message, .. }) => {
                    let message = refusal_text(code, error_message.as_deref().unwrap_or_default());
                    Outcome::Failed(attempt(Some(200), message), failure(code))
                }
                _ => {
                    let message = "the response has no result for this entry".to_owned();
                    Outcome::Failed(attempt(Some(200), message), Failure::Unreachable)
                }
            };
            (0..count).map(|index| outcome(results.get(index))).collect()
        }
        Err(error) => {
            let status = error.raw_response().map(|response| response.status().as_u16());
            vec![Outcome::Failed(attempt(status, error_text(&error, timeout)), sdk_failure(&error)); count]
        }
    }
}

/// Classifies a failed call of STS or EventBridge.
fn sdk_failure<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Failure {
    let status = error.raw_response().map(|response| response.status().as_u16());
    match error.code() {
        Some(code) if status.is_none_or(|status| status < 500) => failure(code),
        _ => Failure::Unreachable,
    }
}

/// Classifies an error code of STS or of `PutEvents`, for a request or for one of its entries.
fn failure(code: &str) -> Failure {
    match code {
        code if THROTTLING_ERRORS.contains(&code) => Failure::Busy(None),
        code if TRANSIENT_ERRORS.contains(&code) => Failure::Unreachable,
        "InternalFailure" | "InternalException" | "InternalServerError" | "ServiceUnavailable" => Failure::Unreachable,
        "InvalidArgument" | "MalformedDetail" => Failure::Rejected,
        _ => Failure::Refused,
    }
}

/// Returns an error code of AWS with its message, shortened, as an attempt stores it.
fn refusal_text(code: &str, message: &str) -> String {
    let message: String = message.chars().take(MAX_RESPONSE_CHARS).collect();
    format!("{code}: {message}")
}

/// Returns the response of AWS, or the reason for its absence, as a text for the customer.
fn error_text<E>(error: &SdkError<E, HttpResponse>, timeout: Duration) -> String
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    match error {
        SdkError::ServiceError(refusal) => {
            let refusal = refusal.err();
            let message = without_signed_request(refusal.message().unwrap_or_default());
            refusal_text(refusal.code().unwrap_or("UnknownError"), message.trim())
        }
        SdkError::TimeoutError(_) => format!("no response within {} seconds", timeout.as_secs()),
        SdkError::DispatchFailure(_) => "no connection to AWS".to_owned(),
        other => {
            tracing::warn!(error = %ErrorChain(other), "unexpected AWS response");
            "unexpected response".to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_eventbridge::config::SharedCredentialsProvider;

    use super::*;

    #[tokio::test]
    async fn call_without_a_customer_has_no_credentials() {
        let own = Credentials::new("AKIAIOSFODNN7EXAMPLE", "secret", None, None, "function");
        let config = SdkConfig::builder()
            .behavior_version(aws_config::BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            // Nothing listens on this port.
            .endpoint_url("http://127.0.0.1:9")
            .credentials_provider(SharedCredentialsProvider::new(own))
            .build();
        let client = client(&config, Duration::from_secs(1));
        let error = client.describe_event_bus().send().await.unwrap_err();
        assert!(format!("{error:?}").contains("NoIdentityResolver"), "{error:?}");
    }
}
