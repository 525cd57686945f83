//! Configuration of the AWS SDK, and helpers for its errors and for settings.
//!
//! All services share one HTTP client. Credentials and region come from the environment variables
//! that Lambda sets. A local run differs only in the SDK's own setting `AWS_ENDPOINT_URL`, with
//! which calls may take longer.
//!
//! The configuration is built by hand because the SDK's loader also looks for files and settings
//! that no function has.

use std::{env, fs, io, time::Duration};

use aws_config::{
    BehaviorVersion, Region, SdkConfig, environment::EnvironmentVariableCredentialsProvider, identity::IdentityCache,
    stalled_stream_protection::StalledStreamProtectionConfig, timeout::TimeoutConfig,
};
use aws_sdk_dynamodb::{
    config::SharedCredentialsProvider,
    error::{ProvideErrorMetadata, SdkError},
};
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::{
    connector_metadata::ConnectorMetadata,
    http::{HttpClient, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector},
    orchestrator::HttpResponse,
    runtime_components::RuntimeComponents,
};

/// Root certificates of the AWS endpoints. A system bundle has about 150 more, and parsing them
/// would dominate the start of a function.
const AMAZON_TRUST_SERVICES: &str = include_str!("../certificates/amazon-trust-services.pem");

/// Returns the configuration that all clients share, without sending a request.
///
/// If `AWS_CA_BUNDLE` is set, trusts the roots in that file instead of Amazon's, for endpoints
/// other than AWS. Fails if the file cannot be read.
pub fn config() -> io::Result<SdkConfig> {
    let roots = match env::var_os("AWS_CA_BUNDLE").filter(|path| !path.is_empty()) {
        Some(path) => fs::read(path)?,
        None => AMAZON_TRUST_SERVICES.into(),
    };
    let trust = TrustStore::empty().with_pem_certificate(roots);
    let tls = TlsContext::builder().with_trust_store(trust).build().map_err(io::Error::other)?;
    let http = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).tls_context(tls).build_https();
    let http = SharedHttpClient::new(Unvalidated(http));
    let endpoint = env::var("AWS_ENDPOINT_URL").ok();
    // A local AWS shares the processor with the functions, and may answer late on a busy machine.
    let patience = if endpoint.is_some() { 3 } else { 1 };
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(patience * Duration::from_secs(2))
        .operation_attempt_timeout(patience * Duration::from_secs(3))
        .operation_timeout(patience * Duration::from_secs(6))
        .build();
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(SharedCredentialsProvider::new(EnvironmentVariableCredentialsProvider::new()))
        .identity_cache(IdentityCache::lazy().build())
        .region(env::var("AWS_REGION").ok().map(Region::new))
        .http_client(http)
        // The timeouts limit every call, and no body is streamed.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .timeout_config(timeouts);
    Ok(match endpoint {
        Some(url) => config.endpoint_url(url).build(),
        None => config.build(),
    })
}

/// Maximum time of a step of a start-up that calls AWS. With two steps, the start-up ends before
/// Lambda stops it after ten seconds, and before the authorizer's timeout.
const START_UP_STEP: Duration = Duration::from_secs(3);

/// Runs a step of the start-up of a function that calls AWS, for a limited time. Returns none if
/// AWS does not respond: then the first request repeats what it needs.
pub(crate) async fn start_up_step<T>(step: impl Future<Output = T>) -> Option<T> {
    let done = tokio::time::timeout(START_UP_STEP, step).await;
    if done.is_err() {
        tracing::warn!("no response from AWS at start-up");
    }
    done.ok()
}

/// HTTP client that skips the SDK's validation. The SDK would create an extra connector for every
/// client, only to validate that it can.
#[derive(Debug)]
struct Unvalidated(SharedHttpClient);

impl HttpClient for Unvalidated {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        self.0.http_connector(settings, components)
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.0.connector_metadata()
    }
}

/// Returns whether a call failed because the service is busy or unreachable. `codes` are the error
/// codes of the service that mean so. A status of 500 or above means so too: its response may have
/// no code.
pub fn is_transient<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>, codes: &[&str]) -> bool {
    match error {
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => true,
        SdkError::ServiceError(refusal) => {
            let code = refusal.err().code();
            refusal.raw().status().as_u16() >= 500 || code.is_some_and(|code| codes.contains(&code))
        }
        _ => false,
    }
}

/// Error for an environment variable that is missing or invalid.
#[derive(Debug, thiserror::Error)]
#[error("environment variable {name} is missing or invalid")]
pub struct SettingError {
    /// Name of the variable.
    pub(crate) name: &'static str,
}

/// Reads a setting from an environment variable, which template.yaml sets.
pub fn setting<T: std::str::FromStr>(name: &'static str) -> Result<T, SettingError> {
    env::var(name).ok().and_then(|text| text.parse().ok()).ok_or(SettingError { name })
}
