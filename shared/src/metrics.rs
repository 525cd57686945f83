//! Metrics for the operator, in CloudWatch's embedded metric format: a line of the log that CloudWatch counts.

use std::io::Write;

use serde_json::{Map, Value, json};

use crate::domain::timestamp::Timestamp;

/// The namespace of all metrics.
const NAMESPACE: &str = "Tenon";

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// Errors that a destination has taken.
    Delivered,
    /// Attempts that failed.
    FailedAttempts,
    /// Attempts that were not the first.
    Retried,
    /// Deliveries that have come to the end of their attempts.
    Failed,
    /// The milliseconds from the record of the oldest error of a batch to its first attempt.
    Lag,
    /// The seconds for which the oldest undelivered error has waited, at most.
    OldestUndelivered,
    /// The destinations whose circuit is open.
    OpenCircuits,
    /// The seconds for which the oldest removal is under way: of what a deleted user owned, or of a user's errors.
    OldestJob,
}

impl Metric {
    fn unit(self) -> &'static str {
        match self {
            Self::Delivered | Self::FailedAttempts | Self::Retried | Self::Failed | Self::OpenCircuits => "Count",
            Self::Lag => "Milliseconds",
            Self::OldestUndelivered | Self::OldestJob => "Seconds",
        }
    }
}

/// Writes a line with these metrics. The stack is the only dimension: destinations are told of in the logs, since every
/// value of a dimension costs as a metric of its own.
pub fn emit(metrics: &[(Metric, i64)]) {
    if metrics.is_empty() {
        return;
    }
    let stack = std::env::var("STACK").unwrap_or_default();
    let line = line(&stack, Timestamp::now(), metrics);
    // A log that cannot be written to is nothing that a function could tell of.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

fn line(stack: &str, now: Timestamp, metrics: &[(Metric, i64)]) -> Value {
    let definitions: Vec<Value> =
        metrics.iter().map(|(metric, _)| json!({ "Name": format!("{metric:?}"), "Unit": metric.unit() })).collect();
    let mut line: Map<String, Value> =
        metrics.iter().map(|(metric, value)| (format!("{metric:?}"), json!(value))).collect();
    line.insert("Stack".into(), json!(stack));
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
        let line = line("tenon", now, &[(Metric::Delivered, 3), (Metric::Lag, 80)]);
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
                "Stack": "tenon",
                "Delivered": 3,
                "Lag": 80,
            })
        );
    }
}
