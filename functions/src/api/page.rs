//! Web pages of the API. Each is one document, built from embedded files when its function starts.
//! It loads nothing else: the Content Security Policy allows its style and script by their digests
//! only.

use std::fmt::Display;

use axum::response::Response;
use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderMap, HeaderValue, header};
use ring::digest::{SHA256, digest};
use tenon::http::{Cacheable, Problem};

/// Files of a page.
#[derive(Clone, Copy, Debug)]
pub struct Sources {
    /// Markup, with `{style}` and `{script}` in its place.
    pub markup: &'static str,
    /// Style sheet.
    pub style: &'static str,
    /// Modules of the script by file name. Each follows the modules that it uses while it loads.
    pub modules: &'static [(&'static str, &'static str)],
}

/// Page as it is sent.
#[derive(Clone, Debug)]
pub struct Page {
    document: Cacheable,
    policy: String,
}

impl Page {
    /// Builds a page from its files.
    pub fn new(sources: Sources) -> Self {
        let (style, script) = (sources.style(), sources.script());
        let policy = format!(
            "default-src 'none'; script-src '{}'; style-src '{}'; connect-src 'self'; img-src data:; \
             base-uri 'none'; form-action 'none'",
            digest_source(&script),
            digest_source(&style)
        );
        Self { document: Cacheable::new(sources.document(&style, &script)), policy }
    }

    /// Returns the response to a request. `ancestors` are the pages that may frame this one, as in
    /// `frame-ancestors` of the Content Security Policy (level 3, section 6.4.2).
    pub fn respond(self, request: &HeaderMap, ancestors: impl Display) -> Result<Response, Problem> {
        let fixed = HeaderValue::from_static;
        let policy = format!("{}; frame-ancestors {ancestors}", self.policy);
        let headers = [
            (header::CONTENT_TYPE, fixed("text/html; charset=utf-8")),
            (header::CONTENT_SECURITY_POLICY, policy.try_into().map_err(|error| Problem::internal(&error))?),
            (header::X_CONTENT_TYPE_OPTIONS, fixed("nosniff")),
            (header::REFERRER_POLICY, fixed("no-referrer")),
            (header::CACHE_CONTROL, fixed("no-cache")),
            // Pages with `Cross-Origin-Embedder-Policy: require-corp` embed only what has these
            // headers.
            (CROSS_ORIGIN_EMBEDDER_POLICY, fixed("require-corp")),
            (CROSS_ORIGIN_RESOURCE_POLICY, fixed("cross-origin")),
            (CROSS_ORIGIN_OPENER_POLICY, fixed("same-origin")),
        ];
        Ok(self.document.respond(request, headers))
    }
}

const CROSS_ORIGIN_EMBEDDER_POLICY: http::HeaderName = http::HeaderName::from_static("cross-origin-embedder-policy");
const CROSS_ORIGIN_OPENER_POLICY: http::HeaderName = http::HeaderName::from_static("cross-origin-opener-policy");
/// Header with the origins that may load a resource.
pub const CROSS_ORIGIN_RESOURCE_POLICY: http::HeaderName =
    http::HeaderName::from_static("cross-origin-resource-policy");

impl Sources {
    fn document(self, style: &str, script: &str) -> String {
        self.markup.replace("{style}", style).replace("{script}", script)
    }

    /// Returns the style sheet without indentation.
    fn style(self) -> String {
        self.style.lines().flat_map(|line| [line.trim_start(), "\n"]).collect()
    }

    /// Returns the modules as one, in one scope.
    fn script(self) -> String {
        self.modules.iter().map(|(_, module)| in_shared_scope(module)).collect()
    }
}

/// Returns a module without its import and export statements, indentation, and comments, except for
/// those at its start, such as the license of a library.
fn in_shared_scope(module: &str) -> String {
    let is_comment = |line: &&str| line.starts_with("//");
    let mut is_statement = false;
    let is_sent = |line: &&str| {
        is_statement |= line.starts_with("import {") || line.starts_with("export {");
        let is_sent = !is_statement && !line.is_empty() && !is_comment(line);
        is_statement &= !line.ends_with(';');
        is_sent
    };
    let head = module.lines().take_while(is_comment);
    let rest = module.lines().skip_while(is_comment).map(str::trim_start).filter(is_sent);
    head.chain(rest).flat_map(|line| [line, "\n"]).collect()
}

/// Returns the source expression of the Content Security Policy that allows a text by its digest.
fn digest_source(text: &str) -> String {
    format!("sha256-{}", BASE64_STANDARD.encode(digest(&SHA256, text.as_bytes())))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::api::{console, modal};

    const PAGES: [Sources; 2] = [console::SOURCES, modal::SOURCES];

    /// Modules of pages that are libraries.
    const LIBRARIES: [&str; 1] = ["preact.js"];

    #[test]
    fn pages_load_nothing_external_and_never_build_markup() {
        for sources in PAGES {
            for (name, module) in sources.modules.iter().filter(|(name, _)| !LIBRARIES.contains(name)) {
                for word in ["innerHTML", "outerHTML", "insertAdjacentHTML", "dangerously", "document.write", "eval("] {
                    assert!(!module.contains(word), "{name}: {word}");
                }
            }
            let script = sources.script();
            let page = sources.document(&sources.style(), &script);
            let addresses: Vec<&str> =
                page.split('"').filter(|text| text.starts_with("http") && text.contains("://")).collect();
            assert!(
                addresses.iter().all(|url| url.starts_with("http://www.w3.org/") || *url == "https://app.example.com"),
                "not an XML namespace or an example: {addresses:?}"
            );
            assert!(!script.contains("</script") && !sources.style.contains("</style") && !page.contains(" style=\""));
            assert!(!script.lines().any(|line| line.starts_with("import") || line.starts_with("export")));
        }
    }

    #[test]
    fn only_the_session_of_the_console_is_stored() {
        for sources in PAGES {
            for (name, module) in sources.modules {
                let stored = ["localStorage", "sessionStorage", "document.cookie", "indexedDB"];
                let found: Vec<&str> = stored.into_iter().filter(|word| module.contains(word)).collect();
                let is_session = sources.markup == console::SOURCES.markup && *name == "api.js";
                assert_eq!(found, if is_session { vec!["sessionStorage"] } else { vec![] }, "{name}");
            }
        }
    }

    #[test]
    fn only_code_and_the_first_comment_of_a_module_are_sent() {
        let module = "// A\n// B\n\nimport { b } from \"./b.js\";\nexport {\n  a,\n};\n\n// C\nfunction a() {\n  // D\n  return b;\n}";
        assert_eq!(in_shared_scope(module), "// A\n// B\nfunction a() {\nreturn b;\n}\n");
        // The lines of a longer text would lose their indentation.
        for (name, module) in PAGES.iter().flat_map(|page| page.modules) {
            assert!(module.lines().all(|line| line.matches('`').count() % 2 == 0), "{name}");
        }
    }

    /// Returns the names in the statements of a module that start with `keyword`, by the text that
    /// follows them. Example: `import { call, query } from "./api.js";`
    fn names<'a>(module: &'a str, keyword: &str) -> BTreeMap<&'a str, Vec<&'a str>> {
        let statements = module.split(keyword).skip(1).filter_map(|rest| rest.split_once(';')?.0.split_once('}'));
        let listed = |names: &'a str| names.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
        statements.map(|(names, rest)| (rest, listed(names))).collect()
    }

    #[test]
    fn modules_import_what_others_export_and_names_are_unique() {
        for Sources { modules, .. } in PAGES {
            let by_name: BTreeMap<_, _> = modules.iter().copied().collect();
            let mut defined = BTreeMap::new();
            for (name, module) in modules {
                for (from, imported) in names(module, "\nimport {") {
                    let from = from.strip_prefix(" from \"./").and_then(|from| from.strip_suffix('"')).unwrap();
                    let exported = names(by_name[from], "\nexport {").remove("").unwrap_or_default();
                    for import in imported {
                        assert!(exported.contains(&import), "{name} imports {import}, which {from} does not export");
                    }
                }
                for line in module.lines() {
                    let declared = ["const ", "let ", "function ", "async function ", "class "];
                    let Some(rest) = declared.iter().find_map(|keyword| line.strip_prefix(keyword)) else { continue };
                    let is_part = |letter: &char| letter.is_alphanumeric() || *letter == '_';
                    let definition: String = rest.chars().take_while(is_part).collect();
                    let former = defined.insert(definition.clone(), name);
                    let is_destructured = definition.is_empty();
                    assert!(is_destructured || former.is_none(), "{definition} is defined twice: {name}, {former:?}");
                }
            }
        }
    }
}
