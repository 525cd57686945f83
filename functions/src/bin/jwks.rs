//! Serves `GET /.well-known/jwks.json`.

tenon::main!(serve_public(tenon::http::Public::Jwks, functions::api::jwks::get_jwks));
