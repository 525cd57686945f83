//! Serves `GET /events/{eventId}`.

tenon::main!(serve(functions::api::events::get::get_event));
