//! `GET /console`: the web page for operators, built from embedded files. AWS calls: none.
//!
//! The page loads no other resources and cannot be framed: the Content Security Policy allows its
//! style and script by their digests only. The script files are sent as one module, in the order of
//! `MODULES`.

use std::sync::LazyLock;

use axum::{extract::State, response::Response};
use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderMap, HeaderValue, header};
use ring::digest::{SHA256, digest};
use tenon::{
    http::Cacheable,
    start::{Aws, FromAws, StartError},
};

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("style.css");
/// Modules of the script. Each follows the modules that it uses while it loads.
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

/// Page and its Content Security Policy.
#[derive(Clone, Debug)]
pub struct Console {
    page: Cacheable,
    policy: HeaderValue,
}

impl FromAws for Console {
    async fn from_aws(_: &Aws) -> Result<Self, StartError> {
        Ok(Self { page: Cacheable::new(page()), policy: policy().try_into()? })
    }
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

/// Returns the source expression of the Content Security Policy that allows a text by its digest.
fn source(text: &str) -> String {
    format!("sha256-{}", BASE64_STANDARD.encode(digest(&SHA256, text.as_bytes())))
}

/// Returns the web page for operators.
#[utoipa::path(get, path = "/console", tag = "document", security(()),
    responses((status = 200, description = "web page", content_type = "text/html"),
        (status = 304, description = "the page matches If-None-Match")))]
pub async fn get_console(State(Console { page, policy }): State<Console>, request: HeaderMap) -> Response {
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
        assert_eq!(addresses, ["http://www.w3.org/2000/svg"], "an XML namespace, from which nothing is loaded");
        assert!(!SCRIPT.contains("</script") && !STYLE.contains("</style") && !page.contains(" style=\""));
    }

    /// Returns the names in the statements of a module that start with `keyword`, by the text that
    /// follows them. Example: `import { call, query } from "./api.js";`
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
