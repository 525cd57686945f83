//! Errors of integrations.

use super::{Problem, ProblemType};
use crate::store::integrations::CreateIntegrationError;

impl Problem {
    /// Returns 409: a disabled integration is not installed.
    pub fn integration_disabled() -> Self {
        Self::new(ProblemType::IntegrationDisabled, "the integration is disabled; set its `enabled` to true first")
    }
}

impl From<CreateIntegrationError> for Problem {
    fn from(error: CreateIntegrationError) -> Self {
        match error {
            CreateIntegrationError::TooMany => Self::new(ProblemType::TooManyIntegrations, error.to_string()),
            CreateIntegrationError::Exists => Self::modified_concurrently("integration"),
            CreateIntegrationError::Store(error) => error.into(),
        }
    }
}
