//! Serves the function that wakes destinations and replays whose wake-up was lost.

tenon::main!(invoke(functions::workers::sweep::run_sweep));
