//! Logs: one JSON object a line, with constant messages and fields, and the request's id on every line.

use std::{error::Error, fmt};

use tracing_subscriber::filter::LevelFilter;

/// Starts the logs at the level that the setting `LOG_LEVEL` names; default `INFO`. A second start in one process keeps
/// the first one's.
///
/// Lambda's own `ApplicationLogLevel` stays at INFO: it takes a line without a level for INFO, so that a higher one would
/// drop every metric.
pub fn start() {
    let level = std::env::var("LOG_LEVEL").ok().and_then(|level| level.parse().ok()).unwrap_or(LevelFilter::INFO);
    let _ =
        tracing_subscriber::fmt().json().with_max_level(level).with_target(false).with_current_span(false).try_init();
}

/// An error with all that led to it, for the logs only: `outer: inner: innermost`.
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
        assert_eq!(ErrorChain(&error).to_string(), "the store refused a request: AccessDeniedException");
    }
}
