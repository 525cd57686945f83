//! Serves `GET /openapi.json`.

fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve_public(tenon::http::Public::OpenApi, functions::api::openapi::show_openapi).run()
}
