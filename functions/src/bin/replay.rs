//! Serves the function that performs the steps of replays.

use functions::workers::replay;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::invoke(replay::replay_step, replay::state).await
}
