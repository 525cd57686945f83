//! The AWS SDK as every function uses it: one HTTP client for all services, credentials and region from the
//! environment that Lambda gives. `AWS_ENDPOINT_URL`, the SDK's own setting, is all that a local run needs to differ.

use std::time::Duration;

use aws_config::{
    SdkConfig,
    environment::{EnvironmentVariableCredentialsProvider, EnvironmentVariableRegionProvider},
    timeout::TimeoutConfig,
};
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, rustls_provider::CryptoMode},
};

/// Loads what all clients share. No request is sent.
pub async fn config() -> SdkConfig {
    let http = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(2))
        .operation_attempt_timeout(Duration::from_secs(3))
        .operation_timeout(Duration::from_secs(6))
        .build();
    aws_config::from_env()
        .credentials_provider(EnvironmentVariableCredentialsProvider::new())
        .region(EnvironmentVariableRegionProvider::new())
        .http_client(http)
        .timeout_config(timeouts)
        .load()
        .await
}

/// Whether a call failed because AWS is busy or out of reach for now, by the given codes of its service.
pub fn is_passing<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>, codes: &[&str]) -> bool {
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
    std::env::var(name).ok().and_then(|text| text.parse().ok()).ok_or(SettingError { name })
}
