//! Serves the function that performs the steps of replays.

tenon::main!(invoke(functions::workers::replay::replay_step));
