//! Serves `GET /.well-known/jwks.json`.

fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve_public(tenon::http::Public::Jwks, functions::api::jwks::show_jwks).run()
}
