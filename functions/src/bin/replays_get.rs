//! Serves `GET /replays/{replayId}`.

tenon::main!(serve(functions::api::replays::get::get_replay));
