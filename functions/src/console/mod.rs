//! `GET /console`: the page for operators, from files that are embedded here. AWS calls: none.
//!
//! It loads nothing but itself, and nothing of it can be loaded or framed by others: its style and its script are allowed
//! by their digests alone (Content Security Policy 3). Its files are one module, in the order of [`SCRIPT`].

use aws_config::SdkConfig;
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderMap, StatusCode, header};
use ring::digest::{SHA256, digest};
use tenon::http::StartError;

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = concat!(
    include_str!("dom.js"),
    include_str!("api.js"),
    include_str!("errors.js"),
    include_str!("settings.js"),
    include_str!("users.js"),
    include_str!("main.js"),
);

/// The page as it is sent.
#[derive(Clone, Debug)]
pub struct Console {
    page: String,
    policy: String,
    etag: String,
}

/// Puts the page together.
pub async fn state(_: &SdkConfig) -> Result<Console, StartError> {
    Ok(Console::new())
}

impl Console {
    fn new() -> Self {
        let page = PAGE.replace("{style}", STYLE).replace("{script}", SCRIPT);
        let policy = format!(
            "default-src 'none'; script-src '{}'; style-src '{}'; connect-src 'self'; img-src data:; base-uri 'none'; \
             form-action 'none'; frame-ancestors 'none'",
            source(SCRIPT),
            source(STYLE)
        );
        let etag = format!("\"{}\"", source(&page));
        Self { page, policy, etag }
    }
}

/// How a policy names a text by its digest.
fn source(text: &str) -> String {
    format!("sha256-{}", BASE64_STANDARD.encode(digest(&SHA256, text.as_bytes())))
}

/// Shows the page for operators.
#[utoipa::path(get, path = "/console", tag = "document", security(()), responses(
    (status = 200, description = "the page", content_type = "text/html"),
    (status = 304, description = "the page is the one of If-None-Match"),
))]
pub async fn show_console(State(Console { page, policy, etag }): State<Console>, request: HeaderMap) -> Response {
    let known = request.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == etag.as_bytes());
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8".to_owned()),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (header::REFERRER_POLICY, "no-referrer".to_owned()),
        (header::CACHE_CONTROL, "no-cache".to_owned()),
        (header::ETAG, etag),
    ];
    if known { (StatusCode::NOT_MODIFIED, headers).into_response() } else { (headers, page).into_response() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_loads_nothing_from_elsewhere_and_makes_no_markup_of_data() {
        let Console { page, .. } = Console::new();
        for word in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "localStorage",
            "sessionStorage",
            "document.cookie",
        ] {
            assert!(!page.replace("no innerHTML here", "").contains(word), "{word}");
        }
        let addresses: Vec<&str> =
            page.split('"').filter(|text| text.starts_with("http") && text.contains("://")).collect();
        assert_eq!(addresses, ["http://www.w3.org/2000/svg"], "a name, which nothing is loaded from");
        assert!(!SCRIPT.contains("</script") && !STYLE.contains("</style") && !page.contains(" style=\""));
    }
}
