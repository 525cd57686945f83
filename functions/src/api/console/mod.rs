//! `GET /console`: the page for operators, from files that are embedded here. AWS calls: none.
//!
//! It loads nothing but itself, and nothing of it can be loaded or framed by others: its style and its script are allowed
//! by their digests alone (Content Security Policy 3). Its files are sent as one module, in the order of `MODULES`.

use std::sync::LazyLock;

use aws_config::SdkConfig;
use axum::{extract::State, response::Response};
use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderMap, HeaderValue, header};
use ring::digest::{SHA256, digest};
use tenon::http::{Cacheable, StartError};

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("style.css");
/// The modules of the script, each after those that it uses while it is loaded.
const MODULES: [(&str, &str); 6] = [
    ("dom.js", include_str!("dom.js")),
    ("api.js", include_str!("api.js")),
    ("errors.js", include_str!("errors.js")),
    ("settings.js", include_str!("settings.js")),
    ("users.js", include_str!("users.js")),
    ("main.js", include_str!("main.js")),
];

static SCRIPT: LazyLock<String> = LazyLock::new(|| MODULES.map(|(_, module)| in_shared_scope(module)).concat());

/// Returns a module without its import and export statements, since all modules are sent as one.
fn in_shared_scope(module: &str) -> String {
    let lines = module.lines().filter(|line| !line.starts_with("import {") && !line.starts_with("export {"));
    lines.flat_map(|line| [line, "\n"]).collect()
}

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
    PAGE.replace("{style}", STYLE).replace("{script}", &SCRIPT)
}

fn policy() -> String {
    format!(
        "default-src 'none'; script-src '{}'; style-src '{}'; connect-src 'self'; img-src data:; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
        source(&SCRIPT),
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
    use std::collections::BTreeMap;

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

    /// The names in a module's statements of this kind, such as `import { call, query } from "./api.js";`, by what follows.
    fn names<'a>(module: &'a str, keyword: &str) -> BTreeMap<&'a str, Vec<&'a str>> {
        let statements = module.lines().filter_map(|line| line.strip_prefix(keyword)?.split_once(" }"));
        statements.map(|(names, rest)| (rest, names.split(", ").collect())).collect()
    }

    #[test]
    fn modules_import_what_others_export() {
        let modules = BTreeMap::from(MODULES);
        for (name, module) in MODULES {
            for (from, imported) in names(module, "import { ") {
                let from = from.strip_prefix(" from \"./").and_then(|from| from.strip_suffix("\";")).unwrap();
                let exported = names(modules[from], "export { ").remove(";").unwrap_or_default();
                for import in imported {
                    assert!(exported.contains(&import), "{name} imports {import}, which {from} does not export");
                }
            }
        }
    }

    #[test]
    fn script_contains_no_import_or_export() {
        assert!(!SCRIPT.lines().any(|line| line.starts_with("import") || line.starts_with("export")));
        assert_eq!(
            in_shared_scope("// A\nimport { b } from \"./b.js\";\nexport { a };\nconst a = b;"),
            "// A\nconst a = b;\n"
        );
    }
}
