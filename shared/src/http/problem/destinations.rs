//! Errors of destinations.

use super::{Problem, ProblemType};
use crate::{
    delivery::connections::ConnectionError,
    store::destinations::{CreateDestinationError, UpdateDestinationError},
};

impl From<ConnectionError> for Problem {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::Refused { refusal, policy } => {
                let detail = refusal.to_string();
                let problem = Self::new(ProblemType::ConnectionRefused, &*detail);
                Self { policy: Some(policy), ..problem.with_error(refusal.pointer, &detail) }
            }
            ConnectionError::Unavailable(error) => Self::busy(&error),
            ConnectionError::Vault(error) => error.into(),
        }
    }
}

impl From<CreateDestinationError> for Problem {
    fn from(error: CreateDestinationError) -> Self {
        match error {
            CreateDestinationError::TooMany => Self::new(ProblemType::TooManyDestinations, error.to_string()),
            CreateDestinationError::Deleted => Self::new(ProblemType::DestinationDeleted, error.to_string()),
            CreateDestinationError::Store(error) => error.into(),
        }
    }
}

impl From<UpdateDestinationError> for Problem {
    fn from(error: UpdateDestinationError) -> Self {
        match error {
            UpdateDestinationError::Conflict => Self::modified_concurrently("destination"),
            UpdateDestinationError::Store(error) => error.into(),
        }
    }
}
