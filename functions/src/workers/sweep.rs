//! `sweep`, by a schedule: wakes destinations that were forgotten. AWS calls: see [`Sweep::run`].

use aws_config::SdkConfig;
use lambda_runtime::Diagnostic;
use serde::Serialize;
use serde_json::Value;
use tenon::{
    aws::setting,
    delivery::{drain_scheduler::DrainScheduler, queues::Queue, sweep::Sweep},
    http::{Problem, StartError},
    store::{Table, health::HealthStore},
};

/// Opens the connection to the directory.
pub async fn state(config: &SdkConfig) -> Result<Sweep, StartError> {
    let health_store = HealthStore(Table::directory(config, 1).await?);
    let queue = Queue::new(config, setting("DRAINS_QUEUE")?);
    Ok(Sweep { scheduler: DrainScheduler { health_store: health_store.clone(), queue }, health_store })
}

/// What was done.
#[derive(Debug, Serialize)]
pub struct SweepResult {
    /// So many drains were told to run.
    scheduled: usize,
}

/// Looks at all destinations with pending deliveries.
pub async fn run_sweep(sweep: Sweep, _: Value) -> Result<SweepResult, Diagnostic> {
    let scheduled = sweep.run().await.map_err(|error| Diagnostic::from(Problem::from(error)))?;
    Ok(SweepResult { scheduled })
}
