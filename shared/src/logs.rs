//! Logs: one JSON object per line, with Tenon's version, a constant message, fields, and the
//! request id.

use std::{
    error::Error,
    fmt,
    io::{self, Write},
};

use tracing_subscriber::filter::LevelFilter;

use crate::domain::VERSION;

/// Starts logging at the level of the environment variable `LOG_LEVEL`, by default `INFO`. Later
/// calls have no effect.
///
/// Lambda's own `ApplicationLogLevel` must stay at INFO: Lambda treats lines without a level as
/// INFO, so a higher level would drop all metrics.
pub fn start() {
    let level = std::env::var("LOG_LEVEL").ok().and_then(|level| level.parse().ok()).unwrap_or(LevelFilter::INFO);
    let lines = tracing_subscriber::fmt().json().with_max_level(level).with_target(false).with_current_span(false);
    let _ = lines.with_writer(|| Versioned(io::stdout())).try_init();
}

/// Writer that adds the version to each line, which it receives as a whole. A field of a span would
/// be missing from the lines of spawned tasks.
struct Versioned<W>(W);

impl<W: Write> Write for Versioned<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let version = format!("{{\"version\":\"{VERSION}\",");
        let versioned = line.strip_prefix(b"{").map(|members| [version.as_bytes(), members].concat());
        self.0.write_all(versioned.as_deref().unwrap_or(line))?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Displays an error with all of its sources: `outer: inner: innermost`. For logs only.
pub struct ErrorChain<'a>(pub &'a (dyn Error + 'a));

impl fmt::Display for ErrorChain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(without_signed_request(&self.0.to_string()))?;
        let mut inner = self.0.source();
        while let Some(error) = inner {
            write!(f, ": {}", without_signed_request(&error.to_string()))?;
            inner = error.source();
        }
        Ok(())
    }
}

/// Returns an error message of AWS without the signed request. AWS repeats it, including the
/// session token, if the signature is wrong.
pub fn without_signed_request(message: &str) -> &str {
    message.split("The Canonical String").next().unwrap_or_default().trim_end()
}

#[cfg(test)]
mod tests {
    use aws_sdk_sts::{error::ErrorMetadata, operation::assume_role::AssumeRoleError};

    use super::*;
    use crate::store::StoreError;

    #[test]
    fn each_line_begins_with_the_version() {
        let mut written = Vec::new();
        Versioned(&mut written).write_all(b"{\"level\":\"INFO\"}\n").unwrap();
        let line: serde_json::Value = serde_json::from_slice(&written).unwrap();
        assert_eq!(line, serde_json::json!({ "version": VERSION, "level": "INFO" }));
    }

    #[test]
    fn logged_error_contains_its_whole_chain() {
        let error = StoreError::Refused("AccessDeniedException".into());
        assert_eq!(ErrorChain(&error).to_string(), "the store rejected a request: AccessDeniedException");
    }

    #[test]
    fn no_logged_error_contains_the_signed_request() {
        let message = "The signature does not match.\n\nThe Canonical String for this request should have been\n\
             'POST\n/\n\nx-amz-security-token:IQoJb3JpZ2luX2Vj'";
        let metadata = || ErrorMetadata::builder().code("InvalidSignatureException").message(message).build();
        let errors: [Box<dyn Error>; 2] = [
            Box::new(AssumeRoleError::generic(metadata())),
            Box::new(StoreError::Refused(AssumeRoleError::generic(metadata()).into())),
        ];
        for error in errors {
            let logged = ErrorChain(&*error).to_string();
            assert!(logged.contains("The signature does not match."), "{logged}");
            assert!(!logged.contains("IQoJ"), "{logged}");
        }
    }
}
