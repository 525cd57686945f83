//! The AWS SDK as every function uses it: one HTTP client for all services, credentials and region from the
//! environment that Lambda gives. `AWS_ENDPOINT_URL`, the SDK's own setting, is all that a local run needs to differ.
//!
//! The SDK's loader would ask for files and settings that no function has; what it would find is named here.

use std::{env, fs, io, time::Duration};

use aws_config::{
    BehaviorVersion, Region, SdkConfig, environment::EnvironmentVariableCredentialsProvider, identity::IdentityCache,
    timeout::TimeoutConfig,
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
    runtime_components::RuntimeComponents,
};

/// The roots that AWS's endpoints lead to. A system's bundle has some hundred and fifty more, which a start would parse in
/// more time than all else that it does.
const AMAZON_TRUST_SERVICES: &str = include_str!("../certificates/amazon-trust-services.pem");

/// What all clients share. No request is sent. Fails where the file cannot be read that `AWS_CA_BUNDLE` names: roots to
/// trust in place of Amazon's, where something else than AWS answers.
pub fn config() -> io::Result<SdkConfig> {
    let roots = match env::var_os("AWS_CA_BUNDLE").filter(|path| !path.is_empty()) {
        Some(path) => fs::read(path)?,
        None => AMAZON_TRUST_SERVICES.into(),
    };
    let trust = TrustStore::empty().with_pem_certificate(roots);
    let tls = TlsContext::builder().with_trust_store(trust).build().map_err(io::Error::other)?;
    let http = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).tls_context(tls).build_https();
    let http = SharedHttpClient::new(Unvalidated(http));
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(2))
        .operation_attempt_timeout(Duration::from_secs(3))
        .operation_timeout(Duration::from_secs(6))
        .build();
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(SharedCredentialsProvider::new(EnvironmentVariableCredentialsProvider::new()))
        .identity_cache(IdentityCache::lazy().build())
        .region(env::var("AWS_REGION").ok().map(Region::new))
        .http_client(http)
        .timeout_config(timeouts);
    Ok(match env::var("AWS_ENDPOINT_URL") {
        Ok(url) => config.endpoint_url(url).build(),
        Err(_) => config.build(),
    })
}

/// The HTTP client of all clients. The SDK's own makes a connector for every client that is made, to see whether it can,
/// and another one when it is first used: this one makes that one only.
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

/// Whether a call failed because AWS is busy or out of reach for now, by the given codes of its service.
pub fn is_transient<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>, codes: &[&str]) -> bool {
    match error {
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => true,
        SdkError::ServiceError(refusal) => refusal.err().code().is_some_and(|code| codes.contains(&code)),
        _ => false,
    }
}

/// A setting that the template did not give to the function, or that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the environment variable {name} is missing or invalid")]
pub struct SettingError {
    name: &'static str,
}

/// Reads a setting that template.yaml gives to the function as an environment variable.
pub fn setting<T: std::str::FromStr>(name: &'static str) -> Result<T, SettingError> {
    env::var(name).ok().and_then(|text| text.parse().ok()).ok_or(SettingError { name })
}
