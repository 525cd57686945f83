//! Serves the function that performs the steps of replays.

fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::invoke(functions::workers::replay::replay_step).run()
}
