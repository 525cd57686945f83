//! Metrics for the operator, in CloudWatch's embedded metric format: log lines from which
//! CloudWatch extracts metrics.

use std::io::Write;

use serde_json::{Map, Value, json};

use crate::domain::timestamp::Timestamp;

/// Namespace of all metrics.
const NAMESPACE: &str = "Tenon";

/// Metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// Number of records that a destination accepted.
    Delivered,
    /// Number of failed attempts.
    FailedAttempts,
    /// Number of attempts after the first.
    Retried,
    /// Number of deliveries that ended without success: attempts exhausted, not retryable, expired
    /// or unreadable.
    Failed,
    /// Milliseconds from the recording of the oldest record of a batch to its first attempt.
    Lag,
    /// Age of the oldest backlog, in seconds.
    OldestUndelivered,
    /// Number of destinations with an open circuit.
    OpenCircuits,
    /// Number of destinations that Tenon disabled.
    DisabledDestinations,
    /// Number of stored items that could not be read.
    UnreadableItems,
    /// Age of the oldest unfinished deletion, status change or erasure, in seconds.
    OldestJob,
}

impl Metric {
    fn unit(self) -> &'static str {
        match self {
            Self::Delivered
            | Self::FailedAttempts
            | Self::Retried
            | Self::Failed
            | Self::OpenCircuits
            | Self::DisabledDestinations
            | Self::UnreadableItems => "Count",
            Self::Lag => "Milliseconds",
            Self::OldestUndelivered | Self::OldestJob => "Seconds",
        }
    }
}

/// Writes a log line with these metrics.
pub fn emit(metrics: &[(Metric, i64)]) {
    emit_with(metrics, &[]);
}

/// Writes a log line with these metrics and with properties that describe their subject.
///
/// The stack is the only dimension, because CloudWatch bills each dimension value as a separate
/// metric. Properties are only in the log.
pub fn emit_with(metrics: &[(Metric, i64)], properties: &[(&str, String)]) {
    if metrics.is_empty() {
        return;
    }
    let stack = std::env::var("STACK").unwrap_or_default();
    let line = line(&stack, Timestamp::now(), metrics, properties);
    // A function has no way to report that its log is not writable.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

fn line(stack: &str, now: Timestamp, metrics: &[(Metric, i64)], properties: &[(&str, String)]) -> Value {
    let definitions: Vec<Value> =
        metrics.iter().map(|(metric, _)| json!({ "Name": format!("{metric:?}"), "Unit": metric.unit() })).collect();
    let mut line: Map<String, Value> =
        metrics.iter().map(|(metric, value)| (format!("{metric:?}"), json!(value))).collect();
    line.extend(properties.iter().map(|(name, value)| ((*name).to_owned(), json!(value))));
    line.insert("Stack".into(), json!(stack));
    line.insert("version".into(), json!(crate::domain::VERSION));
    line.insert(
        "_aws".into(),
        json!({
            "Timestamp": now.milliseconds(),
            "CloudWatchMetrics": [{ "Namespace": NAMESPACE, "Dimensions": [["Stack"]], "Metrics": definitions }],
        }),
    );
    Value::Object(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metric_line_has_the_embedded_metric_format() {
        let now = "2026-11-24T05:30:00Z".parse().unwrap();
        let properties = [("destination", "des_1".to_owned())];
        let line = line("tenon", now, &[(Metric::Delivered, 3), (Metric::Lag, 80)], &properties);
        assert_eq!(
            line,
            json!({
                "_aws": {
                    "Timestamp": 1_795_498_200_000_i64,
                    "CloudWatchMetrics": [{
                        "Namespace": "Tenon",
                        "Dimensions": [["Stack"]],
                        "Metrics": [
                            { "Name": "Delivered", "Unit": "Count" },
                            { "Name": "Lag", "Unit": "Milliseconds" },
                        ],
                    }],
                },
                "destination": "des_1",
                "Stack": "tenon",
                "version": crate::domain::VERSION,
                "Delivered": 3,
                "Lag": 80,
            })
        );
    }
}
