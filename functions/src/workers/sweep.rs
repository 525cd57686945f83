//! `sweep`, triggered by a schedule: wakes destinations and replays whose wake-up was lost. AWS
//! calls: see [`Sweep::run`].

use aws_config::SdkConfig;
use lambda_runtime::Diagnostic;
use serde_json::Value;
use tenon::{
    aws::setting,
    delivery::{
        drain_scheduler::DrainScheduler,
        queues::Queue,
        sweep::{Sweep, SweepResult},
    },
    http::{Problem, StartError},
    store::{Table, health::HealthStore, replays::Replays},
};

/// Connects to the directory table.
pub async fn state(config: &SdkConfig) -> Result<Sweep, StartError> {
    let health_store = HealthStore(Table::directory(config, 1).await?);
    let queue = Queue::new(config, setting("DRAINS_QUEUE")?);
    let steps = queue.with_url(setting("REPLAYS_QUEUE")?);
    let replays = Replays(health_store.0.clone());
    let scheduler = DrainScheduler { health_store: health_store.clone(), queue };
    Ok(Sweep { scheduler, health_store, replays, steps })
}

/// Wakes destinations and replays whose wake-up was lost.
pub async fn run_sweep(sweep: Sweep, _: Value) -> Result<SweepResult, Diagnostic> {
    sweep.run().await.map_err(|error| Diagnostic::from(Problem::from(error)))
}
