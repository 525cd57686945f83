//! Serves `DELETE /replays/{replayId}`.

use functions::api::replays::cancel;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(cancel::cancel_replay, cancel::state).await
}
