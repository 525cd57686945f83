//! Serves `GET /replays/{replayId}`.

use functions::api::replays::get;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(get::get_replay, get::state).await
}
