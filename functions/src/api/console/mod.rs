//! `GET /console`: the page for operators, from files that are embedded here. AWS calls: none.
//!
//! It loads nothing but itself, and nothing of it can be loaded or framed by others: its style and its script are allowed
//! by their digests alone (Content Security Policy 3). Its files are one module, in the order of [`SCRIPT`].

use aws_config::SdkConfig;
use axum::{extract::State, response::Response};
use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderMap, HeaderValue, header};
use ring::digest::{SHA256, digest};
use tenon::http::{Cacheable, StartError};

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

/// The page as it is sent, and what it may load.
#[derive(Clone, Debug)]
pub struct Console {
    page: Cacheable,
    policy: HeaderValue,
}

/// Puts the page together.
pub async fn state(_: &SdkConfig) -> Result<Console, StartError> {
    Ok(Console { page: Cacheable::new(page()), policy: policy().try_into()? })
}

fn page() -> String {
    PAGE.replace("{style}", STYLE).replace("{script}", SCRIPT)
}

fn policy() -> String {
    format!(
        "default-src 'none'; script-src '{}'; style-src '{}'; connect-src 'self'; img-src data:; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
        source(SCRIPT),
        source(STYLE)
    )
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
pub async fn show_console(State(Console { page, policy }): State<Console>, request: HeaderMap) -> Response {
    let fixed = HeaderValue::from_static;
    let headers = [
        (header::CONTENT_TYPE, fixed("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_CONTENT_TYPE_OPTIONS, fixed("nosniff")),
        (header::REFERRER_POLICY, fixed("no-referrer")),
        (header::CACHE_CONTROL, fixed("no-cache")),
    ];
    page.respond(&request, headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_loads_nothing_external_and_never_builds_markup() {
        let page = page();
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
