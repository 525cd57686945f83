//! Serves the function that wakes destinations and replays whose wake-up was lost.

use functions::workers::sweep;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::invoke(sweep::run_sweep, sweep::state).await
}
