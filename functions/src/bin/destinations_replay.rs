//! Serves `POST /destinations/{destinationId}/replay`.

tenon::main!(serve(functions::api::destinations::replay::start_replay).idempotent());
