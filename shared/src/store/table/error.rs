//! Store errors, and retries.

use std::{
    error::Error,
    time::{Duration, Instant},
};

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use rand::Rng;

use crate::aws::is_transient;

/// Failure of DynamoDB or SQS. A failed condition is not a `StoreError`.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The service is busy or unreachable. A retry may succeed.
    #[error("the store is busy or unreachable")]
    Busy(#[source] Box<dyn Error + Send + Sync>),
    /// The service rejected the request.
    #[error("the store rejected a request")]
    Refused(#[source] Box<dyn Error + Send + Sync>),
    /// A stored item does not admit a write: an attribute has another type, or the item would be
    /// too large.
    #[error("a stored item does not admit a write")]
    Unfit(#[source] Box<dyn Error + Send + Sync>),
    /// An item or a message could not be parsed or serialized.
    #[error("failed to convert an item or a message")]
    Malformed(#[source] Box<dyn Error + Send + Sync>),
}

/// Cause of [`StoreError::unreadable`].
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("a {0} is not readable")]
struct Unreadable(&'static str);

impl StoreError {
    /// Wraps an error of a request that the SDK could not build or that can never succeed.
    pub(crate) fn refused(error: impl Error + Send + Sync + 'static) -> Self {
        Self::Refused(error.into())
    }

    /// Wraps an error of the conversion of an item or a message.
    pub fn malformed(error: impl Error + Send + Sync + 'static) -> Self {
        Self::Malformed(error.into())
    }

    /// Returns the error of a change that would skip a stored item because it is not readable.
    pub fn unreadable(item: &'static str) -> Self {
        Self::malformed(Unreadable(item))
    }

    /// Returns whether a retry of the same request may succeed.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Busy(_) => true,
            Self::Refused(_) | Self::Unfit(_) | Self::Malformed(_) => false,
        }
    }
}

impl<E> From<SdkError<E, HttpResponse>> for StoreError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    fn from(error: SdkError<E, HttpResponse>) -> Self {
        if is_transient(&error, &TRANSIENT_CODES) {
            Self::Busy(error.into())
        } else if error.code() == Some("ValidationException") {
            Self::Unfit(error.into())
        } else {
            Self::Refused(error.into())
        }
    }
}

/// Error codes of requests that may succeed when they are repeated.
const TRANSIENT_CODES: [&str; 10] = [
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ThrottlingException",
    // Caused by conflicts; the other reasons of a cancellation are handled before.
    "TransactionCanceledException",
    "TransactionConflictException",
    "TransactionInProgressException",
    "InternalServerError",
    "ServiceUnavailable",
    // SQS.
    "RequestThrottled",
    "InternalFailure",
];

/// Returns the output of a conditional write, or none if its condition failed.
pub(super) fn none_if_condition_failed<T, E>(
    output: Result<T, SdkError<E, HttpResponse>>,
) -> Result<Option<T>, StoreError>
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    match output {
        Ok(output) => Ok(Some(output)),
        Err(SdkError::ServiceError(refusal)) if refusal.err().code() == Some("ConditionalCheckFailedException") => {
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// Maximum number of attempts of a batch or of a conflicting write, with pauses of up to 0.1, 0.2,
/// 0.4 and 0.8 seconds.
const MAX_ATTEMPTS: u32 = 5;

/// Time after the start of the first attempt within which another one may start. An attempt may
/// take 6 seconds and a function 20 seconds in total.
const RETRY_BUDGET: Duration = Duration::from_secs(6);

/// Attempts of a request: at most [`MAX_ATTEMPTS`], started within [`RETRY_BUDGET`].
pub(in crate::store) struct Retries {
    started: Instant,
    made: u32,
}

impl Retries {
    /// Starts counting; the first attempt is in progress.
    pub(in crate::store) fn start() -> Self {
        Self { started: Instant::now(), made: 1 }
    }

    /// Returns whether another attempt may start.
    pub(super) fn have_time(&self) -> bool {
        self.started.elapsed() <= RETRY_BUDGET
    }

    /// Waits for the start of the next attempt, for a random time that grows with each attempt.
    /// Returns false immediately if the attempts are exhausted.
    pub(in crate::store) async fn wait(&mut self) -> bool {
        if self.made == MAX_ATTEMPTS || !self.have_time() {
            return false;
        }
        let max_ms = 50 << self.made;
        let pause = rand::rng().random_range(max_ms / 2..=max_ms);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        self.made += 1;
        true
    }

    /// Waits like [`Self::wait`] after a transient error. Returns the error if it is permanent or
    /// if the attempts are exhausted.
    pub(in crate::store) async fn wait_after(&mut self, error: StoreError) -> Result<(), StoreError> {
        if error.is_transient() && self.wait().await { Ok(()) } else { Err(error) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn attempts_end_after_the_maximum_or_a_permanent_error() {
        let mut attempts = Retries::start();
        assert!(attempts.wait_after(StoreError::Busy("busy".into())).await.is_ok());
        assert!(attempts.wait_after(StoreError::Refused("no".into())).await.is_err());
        attempts.made = MAX_ATTEMPTS;
        assert!(attempts.wait_after(StoreError::Busy("busy".into())).await.is_err());
    }
}
