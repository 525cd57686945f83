//! Errors of integrations.

use super::Problem;
use crate::store::integrations::CreateIntegrationError;

impl Problem {
    /// Returns 409: a disabled integration is not installed.
    pub fn integration_disabled() -> Self {
        Self::conflict("integration-disabled", "the integration is disabled; set its `enabled` to true first")
    }
}

impl From<CreateIntegrationError> for Problem {
    fn from(error: CreateIntegrationError) -> Self {
        match error {
            CreateIntegrationError::TooMany => Self::conflict("too-many-integrations", error.to_string()),
            CreateIntegrationError::Exists => Self::modified_concurrently("integration"),
            CreateIntegrationError::Store(error) => error.into(),
        }
    }
}
