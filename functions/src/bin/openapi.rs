//! Serves `GET /openapi.json`.

tenon::main!(serve_public(tenon::http::Public::OpenApi, functions::api::openapi::get_openapi));
