//! Errors of integrations.

use super::Problem;
use crate::store::integrations::CreateIntegrationError;

impl From<CreateIntegrationError> for Problem {
    fn from(error: CreateIntegrationError) -> Self {
        match error {
            CreateIntegrationError::TooMany => Self::conflict("too-many-integrations", error.to_string()),
            CreateIntegrationError::Exists => Self::modified_concurrently("integration"),
            CreateIntegrationError::Store(error) => error.into(),
        }
    }
}
