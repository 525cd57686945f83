//! `sweep`, triggered by a schedule: wakes destinations and replays whose wake-up was lost. AWS
//! calls: see [`Sweep::run`].

use lambda_runtime::Diagnostic;
use serde_json::Value;
use tenon::{
    delivery::sweep::{Sweep, SweepResult},
    http::Problem,
};

/// Wakes destinations and replays whose wake-up was lost.
pub async fn run_sweep(sweep: Sweep, _: Value) -> Result<SweepResult, Diagnostic> {
    sweep.run().await.map_err(|error| Diagnostic::from(Problem::from(error)))
}
