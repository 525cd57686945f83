//! Serves `GET /console`.

tenon::main!(serve_public(tenon::http::Public::Console, functions::api::console::get_console));
