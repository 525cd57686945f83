//! Serves `GET /modal`.

tenon::main!(serve_public(tenon::http::Public::Modal, functions::api::modal::get_modal));
