//! Serves `POST /destinations/{destinationId}/replay`.

use functions::destinations::replay;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve_once(replay::start_replay, replay::state).await
}
