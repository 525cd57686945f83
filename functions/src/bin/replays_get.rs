//! Serves `GET /replays/{replayId}`.

fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(functions::api::replays::get::get_replay).run()
}
