//! Serves `DELETE /replays/{replayId}`.

fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(functions::api::replays::cancel::cancel_replay).run()
}
