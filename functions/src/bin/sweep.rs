//! Serves the function that wakes destinations and replays whose wake-up was lost.

fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::invoke(functions::workers::sweep::run_sweep).run()
}
