//! `GET /.well-known/jwks.json`. AWS calls: one DynamoDB read.

use axum::{extract::State, http::HeaderMap, response::Response};
use tenon::{
    http::{Cacheable, JSON_FOR_FIVE_MINUTES, Problem},
    store::{ReadOnly, signing_keys::SigningKeys},
    tokens::Jwks,
};

/// Returns the public keys that verify user tokens, as a JWK set.
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "tokens", security(()),
    responses((status = 200, body = Jwks), (status = 304, description = "the key set matches If-None-Match")))]
pub async fn get_jwks(State(keys): State<SigningKeys<ReadOnly>>, request: HeaderMap) -> Result<Response, Problem> {
    let keys = Jwks::new(&keys.list().await?);
    Ok(Cacheable::json(&keys)?.respond(&request, JSON_FOR_FIVE_MINUTES))
}
