//! Errors of destinations.

use http::StatusCode;

use super::Problem;
use crate::{
    delivery::eventbridge::ConnectionRefused,
    store::destinations::{CreateDestinationError, UpdateDestinationError},
};

impl Problem {
    /// Returns 422: the customer's AWS account refused a connection. Includes the IAM policy that
    /// the keys need.
    pub fn connection_refused(refusal: &ConnectionRefused, policy: serde_json::Value) -> Self {
        let detail = refusal.to_string();
        let problem =
            Self::new(StatusCode::UNPROCESSABLE_ENTITY, "connection-refused", "AWS refused the connection", &*detail);
        Self { policy: Some(Box::new(policy)), ..problem.with_error(refusal.pointer, &detail) }
    }
}

impl From<CreateDestinationError> for Problem {
    fn from(error: CreateDestinationError) -> Self {
        match error {
            CreateDestinationError::TooMany => Self::conflict("too-many-destinations", error.to_string()),
            CreateDestinationError::Store(error) => error.into(),
        }
    }
}

impl From<UpdateDestinationError> for Problem {
    fn from(error: UpdateDestinationError) -> Self {
        match error {
            UpdateDestinationError::Conflict => {
                Self::conflict("concurrent-modification", "the destination was changed by another request; retry")
            }
            UpdateDestinationError::Store(error) => error.into(),
        }
    }
}
