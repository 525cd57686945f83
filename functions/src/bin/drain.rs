//! Serves the function that sends the pending deliveries of a destination.

use functions::workers::drain;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::invoke(drain::run_drain, drain::state).await
}
