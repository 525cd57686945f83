//! Serves the function that forwards recorded errors and events to destinations.

tenon::main!(invoke(functions::workers::forward_errors::forward_errors));
