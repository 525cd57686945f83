//! Serves the function that sends the pending deliveries of a destination.

fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::invoke(functions::workers::drain::run_drain).run()
}
