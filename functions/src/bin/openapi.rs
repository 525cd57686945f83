//! Serves `GET /openapi.json`.

use functions::api::openapi;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve_public(tenon::http::Public::OpenApi, openapi::show_openapi, openapi::state).await
}
