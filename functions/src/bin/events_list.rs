//! Serves `GET /events`.

tenon::main!(serve(functions::api::events::list::list_events));
