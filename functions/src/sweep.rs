//! `sweep`, by a schedule: wakes destinations that were forgotten. AWS calls: see [`Sweep::run`].

use aws_config::SdkConfig;
use lambda_runtime::Diagnostic;
use serde::Serialize;
use serde_json::Value;
use tenon::{
    aws::setting,
    delivery::{
        queues::Queue,
        sweep::{Sweep, Woken},
        wake::Waker,
    },
    http::{Problem, StartError},
    store::{Table, health::Healths, replays::Replays},
};

/// Opens the connection to the directory.
pub async fn state(config: &SdkConfig) -> Result<Sweep, StartError> {
    let healths = Healths(Table::directory(config, 1).await?);
    let queue = Queue::new(config, setting("DRAINS_QUEUE")?);
    let steps = queue.beside(setting("REPLAYS_QUEUE")?);
    let replays = Replays(healths.0.clone());
    Ok(Sweep { waker: Waker { healths: healths.clone(), queue }, healths, replays, steps })
}

/// What was done.
#[derive(Debug, Serialize)]
pub struct Swept {
    /// Number of drains that were woken.
    drains: usize,
    /// Number of replays that were woken.
    replays: usize,
}

/// Wakes destinations and replays whose wake-up was lost.
pub async fn run_sweep(sweep: Sweep, _: Value) -> Result<Swept, Diagnostic> {
    let Woken { drains, replays } = sweep.run().await.map_err(|error| Diagnostic::from(Problem::from(error)))?;
    Ok(Swept { drains, replays })
}
