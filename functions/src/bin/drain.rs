//! Serves the function that sends the pending deliveries of a destination.

tenon::main!(invoke(functions::workers::drain::run_drain));
