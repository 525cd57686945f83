//! Serves `GET /.well-known/jwks.json`.

use functions::api::jwks;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve_public(tenon::http::Public::Jwks, jwks::show_jwks, jwks::state).await
}
