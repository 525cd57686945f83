//! `GET /tenon.js` and `GET /tenon.global.js`: the script with which a page opens the modal, as a
//! module and as a classic script. AWS calls: none.

use axum::{extract, response::Response};
use http::{HeaderMap, HeaderValue, header};
use tenon::{
    http::{Cacheable, FromRoute, Routed},
    start::{Aws, FromAws, StartError},
};

use crate::api::page::CROSS_ORIGIN_RESOURCE_POLICY;

/// State of the function.
#[derive(Clone, Debug)]
pub struct State {
    module: Cacheable,
    classic: Cacheable,
}

impl FromAws for State {
    async fn from_aws(_: &Aws) -> Result<Self, StartError> {
        let [module, classic] =
            [include_str!("../../../../sdk/tenon.js"), include_str!("../../../../sdk/tenon.global.js")]
                .map(|script| Cacheable::new(served(script)));
        Ok(Self { module, classic })
    }
}

/// Removes indentation and the lines that are comments, which are a sixth of what pages would load.
/// Inserts the URL of the module, which is useless in the copies of other servers and bundles.
fn served(script: &str) -> String {
    let lines = script.lines().map(str::trim_start).filter(|line| !line.starts_with("//"));
    let text: String = lines.flat_map(|line| [line, "\n"]).collect();
    text.replace(r#"const SCRIPT_URL = "";"#, "const SCRIPT_URL = import.meta.url;")
}

/// Build of the script.
#[derive(Clone, Copy, Debug)]
pub enum Script {
    /// ES module.
    Module,
    /// Classic script, which defines `window.Tenon`.
    Classic,
}

impl FromRoute for Script {
    const ROUTES: &'static [(&'static str, Self)] =
        &[("GET /tenon.js", Self::Module), ("GET /tenon.global.js", Self::Classic)];
}

/// Returns the script that opens the modal, as an ES module.
#[utoipa::path(get, path = "/tenon.js", tag = "document", security(()),
    responses((status = 200, description = "script", content_type = "text/javascript"),
        (status = 304, description = "the script matches If-None-Match")))]
pub async fn get_tenon_js(
    extract::State(state): extract::State<State>,
    Routed(script): Routed<Script>,
    request: HeaderMap,
) -> Response {
    let fixed = HeaderValue::from_static;
    let headers = [
        (header::CONTENT_TYPE, fixed("text/javascript; charset=utf-8")),
        (header::CACHE_CONTROL, fixed("public, max-age=300")),
        (header::X_CONTENT_TYPE_OPTIONS, fixed("nosniff")),
        // API Gateway adds the CORS headers if the request has an origin.
        (header::VARY, fixed("Origin")),
        (CROSS_ORIGIN_RESOURCE_POLICY, fixed("cross-origin")),
    ];
    let script = match script {
        Script::Module => state.module,
        Script::Classic => state.classic,
    };
    script.respond(&request, headers)
}

/// Returns the script that opens the modal, as a classic script.
#[utoipa::path(get, path = "/tenon.global.js", tag = "document", security(()), operation_id = "get_tenon_global_js",
    responses((status = 200, description = "script that defines window.Tenon", content_type = "text/javascript"),
        (status = 304, description = "the script matches If-None-Match")))]
#[expect(dead_code, reason = "documents the second route of the handler")]
fn get_tenon_global_js() {}
