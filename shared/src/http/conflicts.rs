//! Conflicts between requests that change the same resource at the same time.

use std::time::Duration;

use rand::Rng;

use super::Problem;

/// Maximum number of attempts of a change, unless an endpoint needs more.
const MAX_ATTEMPTS: u32 = 5;

/// Attempts of a change that is made only if its resource is as it was read. After a conflict with
/// another request, the handler reads the resource again and repeats the change.
#[derive(Debug)]
pub struct Conflicts {
    /// Kind of the resource, for the error message.
    resource: &'static str,
    max_attempts: u32,
    /// Number of attempts, including the one in progress.
    attempts: u32,
}

impl Conflicts {
    /// Starts the first of at most five attempts to change a resource.
    pub fn new(resource: &'static str) -> Self {
        Self::up_to(MAX_ATTEMPTS, resource)
    }

    /// Starts the first of at most `max_attempts` attempts to change a resource.
    pub fn up_to(max_attempts: u32, resource: &'static str) -> Self {
        Self { resource, max_attempts, attempts: 1 }
    }

    /// Waits before the next attempt, for a random time that grows with each, up to 0.3 seconds.
    /// Rejects the request with 409 after the last attempt.
    pub async fn retry(&mut self) -> Result<(), Problem> {
        if self.attempts >= self.max_attempts {
            return Err(Problem::modified_concurrently(self.resource));
        }
        let max_ms = 10 << self.attempts.min(5);
        self.attempts += 1;
        let pause = rand::rng().random_range(0..=max_ms);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn conflict_of_the_last_attempt_is_a_409() {
        let mut conflicts = Conflicts::up_to(3, "user");
        assert!(conflicts.retry().await.is_ok() && conflicts.retry().await.is_ok());
        assert_eq!(conflicts.retry().await, Err(Problem::modified_concurrently("user")));
    }
}
