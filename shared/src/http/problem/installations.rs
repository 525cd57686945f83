//! Errors of installations.

use super::Problem;
use crate::store::installations::ChangeInstallationError;

impl From<ChangeInstallationError> for Problem {
    fn from(error: ChangeInstallationError) -> Self {
        match error {
            ChangeInstallationError::NameTaken | ChangeInstallationError::Conflict => {
                Self::modified_concurrently("installation")
            }
            ChangeInstallationError::Store(error) => error.into(),
        }
    }
}
