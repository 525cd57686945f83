//! `GET /openapi.json`: the document of the API, made from the handlers. AWS calls: none.

use axum::http::{HeaderMap, header::IF_NONE_MATCH};
use tenon::http::Cacheable;
use utoipa::{
    Modify, OpenApi,
    openapi::{
        OpenApi as Document,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use crate::{destinations, errors, jwks, users, workflows};

/// The API of Tenon.
#[derive(Debug, OpenApi)]
#[openapi(
    info(title = "Tenon", description = "The self-hosted back end of an embedded-integrations product."),
    modifiers(&Principals),
    paths(
        users::create::create_user,
        users::get::get_user,
        users::token::create_token,
        users::token::post_token,
        workflows::create::create_workflow,
        errors::record::record_errors,
        errors::list::list_errors,
        destinations::create::create_destination,
        destinations::get::get_destination,
        destinations::patch::patch_destination,
        jwks::show_jwks,
        show_openapi,
    )
)]
pub struct Api;

/// The two kinds of credential; the scopes that a key needs stand beside each operation.
struct Principals;

impl Modify for Principals {
    fn modify(&self, document: &mut Document) {
        let bearer = |description: &str| {
            SecurityScheme::Http(
                HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(description)).build(),
            )
        };
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("apiKey", bearer("An API key: `tn_live_…` or `tn_test_…`."));
        components.add_security_scheme("userToken", bearer("A user token, made at /users/{user}/token."));
    }
}

/// Describes the API as an OpenAPI 3.1 document.
#[utoipa::path(get, path = "/openapi.json", tag = "document", security(()), responses(
    (status = 200, description = "an OpenAPI 3.1 document", body = Object),
    (status = 304, description = "the document is the one of If-None-Match"),
))]
pub async fn show_openapi(headers: HeaderMap) -> Cacheable<Document> {
    Cacheable { body: Api::openapi(), if_none_match: headers.get(IF_NONE_MATCH).cloned() }
}
