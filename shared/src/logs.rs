//! Logs: one JSON object per line, with a constant message, fields, and spans, which contain Tenon's
//! version and the request id.

use std::{error::Error, fmt};

use tracing_subscriber::filter::LevelFilter;

/// Starts logging at the level of the environment variable `LOG_LEVEL`, by default `INFO`. Later
/// calls have no effect.
///
/// Lambda's own `ApplicationLogLevel` must stay at INFO: Lambda treats lines without a level as
/// INFO, so a higher level would drop all metrics.
pub fn start() {
    let level = std::env::var("LOG_LEVEL").ok().and_then(|level| level.parse().ok()).unwrap_or(LevelFilter::INFO);
    let _ =
        tracing_subscriber::fmt().json().with_max_level(level).with_target(false).with_current_span(false).try_init();
}

/// Displays an error with all of its sources: `outer: inner: innermost`. For logs only.
pub struct ErrorChain<'a>(pub &'a (dyn Error + 'a));

impl fmt::Display for ErrorChain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut inner = self.0.source();
        while let Some(error) = inner {
            write!(f, ": {error}")?;
            inner = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreError;

    #[test]
    fn logged_error_contains_its_whole_chain() {
        let error = StoreError::Refused("AccessDeniedException".into());
        assert_eq!(ErrorChain(&error).to_string(), "the store rejected a request: AccessDeniedException");
    }
}
