//! Serves the function that sees that no destination is forgotten.

use functions::workers::sweep;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::invoke(sweep::run_sweep, sweep::state).await
}
