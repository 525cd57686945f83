//! Serves the function that sends what waits for a destination.

use functions::workers::drain;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::invoke(drain::run_drain, drain::state).await
}
