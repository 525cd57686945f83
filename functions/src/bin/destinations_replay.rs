//! Serves `POST /destinations/{destinationId}/replay`.

use functions::api::destinations::replay;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve_idempotent(replay::start_replay, replay::state).await
}
