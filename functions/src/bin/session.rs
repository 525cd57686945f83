//! Serves `GET /session`.

tenon::main!(serve(functions::api::session::show_session));
