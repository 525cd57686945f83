//! Serves `GET /session`.

tenon::main!(serve(functions::api::session::get_session));
