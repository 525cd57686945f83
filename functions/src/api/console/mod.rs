//! `GET /console`: the web page for operators. AWS calls: none.

use axum::{extract, response::Response};
use http::HeaderMap;
use tenon::{
    http::Problem,
    start::{Aws, FromAws, StartError},
};

use super::page::{Page, Sources};

/// Files of the page.
pub const SOURCES: Sources = Sources {
    markup: include_str!("page.html"),
    style: include_str!("style.css"),
    modules: &[
        ("dom.js", include_str!("dom.js")),
        ("api.js", include_str!("api.js")),
        ("errors.js", include_str!("errors.js")),
        ("role.js", include_str!("role.js")),
        ("settings.js", include_str!("settings.js")),
        ("users.js", include_str!("users.js")),
        ("main.js", include_str!("main.js")),
    ],
};

/// State of the function.
#[derive(Clone, Debug)]
pub struct State {
    page: Page,
}

impl FromAws for State {
    async fn from_aws(_: &Aws) -> Result<Self, StartError> {
        Ok(Self { page: Page::new(SOURCES) })
    }
}

/// Returns the web page for operators.
#[utoipa::path(get, path = "/console", tag = "document", security(()),
    responses((status = 200, description = "web page", content_type = "text/html"),
        (status = 304, description = "the page matches If-None-Match")))]
pub async fn get_console(
    extract::State(State { page }): extract::State<State>,
    request: HeaderMap,
) -> Result<Response, Problem> {
    page.respond(&request, "'none'")
}
