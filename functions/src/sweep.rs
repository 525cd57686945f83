//! `sweep`, by a schedule: wakes destinations that were forgotten. AWS calls: see [`Sweep::run`].

use aws_config::SdkConfig;
use lambda_runtime::Diagnostic;
use serde::Serialize;
use serde_json::Value;
use tenon::{
    aws::setting,
    delivery::{queues::Queue, sweep::Sweep, wake::Waker},
    http::{Problem, StartError},
    store::{Table, health::Healths},
};

/// Opens the connection to the directory.
pub async fn state(config: &SdkConfig) -> Result<Sweep, StartError> {
    let healths = Healths(Table::directory(config, 1).await?);
    let queue = Queue::new(config, setting("DRAINS_QUEUE")?);
    Ok(Sweep { waker: Waker { healths: healths.clone(), queue }, healths })
}

/// What was done.
#[derive(Debug, Serialize)]
pub struct Swept {
    /// So many drains were told to run.
    woken: usize,
}

/// Looks at all destinations with pending deliveries.
pub async fn run_sweep(sweep: Sweep, _: Value) -> Result<Swept, Diagnostic> {
    let woken = sweep.run().await.map_err(|error| Diagnostic::from(Problem::from(error)))?;
    Ok(Swept { woken })
}
