//! Serves `DELETE /replays/{replayId}`.

tenon::main!(serve(functions::api::replays::cancel::cancel_replay));
