//! Errors of credentials.

use super::Problem;
use crate::store::credentials::CreateCredentialError;

impl From<CreateCredentialError> for Problem {
    fn from(error: CreateCredentialError) -> Self {
        match error {
            CreateCredentialError::UserNotFound => Self::not_found("user"),
            CreateCredentialError::Store(error) => error.into(),
        }
    }
}
