//! `GET /modal`: the embedded modal, in which an end user connects accounts, installs and
//! configures integrations, and sees what went wrong. AWS calls: none.
//!
//! A page of the customer's app contains it in a frame and talks to it as docs/modal.md describes;
//! the script of that page is `sdk/tenon.js`. Without `origin` it is the page of an install link.

use axum::{extract, response::Response};
use http::HeaderMap;
use tenon::{
    aws::setting,
    domain::modal::{MAX_ANCESTORS, Origin},
    http::{ApiUrl, FieldErrors, HtmlQuery, Problem},
    start::{Aws, FromAws, StartError},
};
use utoipa::IntoParams;

use super::page::{Page, Sources};

pub mod sdk;

/// Files of the page.
pub const SOURCES: Sources = Sources {
    markup: include_str!("page.html"),
    style: include_str!("style.css"),
    modules: &[
        ("texts.en.js", include_str!("texts.en.js")),
        ("texts.de.js", include_str!("texts.de.js")),
        ("texts.fr.js", include_str!("texts.fr.js")),
        ("texts.es.js", include_str!("texts.es.js")),
        ("texts.pt.js", include_str!("texts.pt.js")),
        ("texts.ja.js", include_str!("texts.ja.js")),
        ("texts.js", include_str!("texts.js")),
        ("theme.js", include_str!("theme.js")),
        ("port.js", include_str!("port.js")),
        ("api.js", include_str!("api.js")),
        ("dom.js", include_str!("dom.js")),
        ("state.js", include_str!("state.js")),
        ("form.js", include_str!("form.js")),
        ("errors.js", include_str!("errors.js")),
        ("catalogue.js", include_str!("catalogue.js")),
        ("changes.js", include_str!("changes.js")),
        ("sections.js", include_str!("sections.js")),
        ("accounts.js", include_str!("accounts.js")),
        ("workflows.js", include_str!("workflows.js")),
        ("installation.js", include_str!("installation.js")),
        ("view.js", include_str!("view.js")),
        ("views.js", include_str!("views.js")),
        ("main.js", include_str!("main.js")),
    ],
};

/// Version of the protocol between the page and its host.
const PROTOCOL: &str = "1";

/// State of the function.
#[derive(Clone, Debug)]
pub struct State {
    public_url: String,
    page: Page,
}

impl FromAws for State {
    async fn from_aws(_: &Aws) -> Result<Self, StartError> {
        Ok(Self { public_url: setting("PUBLIC_URL")?, page: Page::new(SOURCES) })
    }
}

/// Query of the page's URL.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "documents the query, which may have unknown parameters")]
struct ModalQuery {
    /// Version of the protocol: 1. Required with `origin`.
    v: Option<String>,
    /// Origin of the page that contains the frame, then of the pages above it. Without it, the page
    /// cannot be framed.
    #[param(max_items = 3)]
    origin: Option<Vec<Origin>>,
}

/// Returns the embedded modal.
#[utoipa::path(get, path = "/modal", tag = "document", security(()), params(ModalQuery),
    responses((status = 200, description = "web page", content_type = "text/html"),
        (status = 304, description = "the page matches If-None-Match"),
        (status = 422, description = "an origin or the version is invalid")))]
pub async fn get_modal(
    extract::State(State { public_url, page }): extract::State<State>,
    ApiUrl(api): ApiUrl,
    query: HtmlQuery,
    request: HeaderMap,
) -> Result<Response, Problem> {
    let origins = read_origins(&query, &[&api, &public_url])?;
    let ancestors: Vec<&str> = origins.iter().map(|origin| origin.as_str()).collect();
    page.respond(&request, if ancestors.is_empty() { "'none'".to_owned() } else { ancestors.join(" ") })
}

/// Returns the origins in the query of the page's URL. Those of this API are invalid: its pages
/// would share the origin of the frame.
fn read_origins(query: &HtmlQuery, own: &[&str]) -> Result<Vec<Origin>, Problem> {
    let (origins, versions) = (query.all("origin"), query.all("v"));
    let mut errors = FieldErrors::default();
    if origins.len() > MAX_ANCESTORS {
        errors.push(&["origin"], format!("must be at most {MAX_ANCESTORS} origins"));
    }
    let is_version_needed = !origins.is_empty() || !versions.is_empty();
    if is_version_needed && versions != [PROTOCOL] {
        errors.push(&["v"], format!("must be {PROTOCOL}"));
    }
    let mut valid = Vec::new();
    for (index, origin) in origins.into_iter().enumerate().take(MAX_ANCESTORS) {
        let index = index.to_string();
        match origin.parse::<Origin>() {
            Ok(origin) if own.iter().any(|url| origin.is_of(url)) => {
                errors.push(&["origin", &index], "must not be the origin of this API");
            }
            Ok(origin) => valid.push(origin),
            Err(error) => errors.push(&["origin", &index], error),
        }
    }
    errors.check().map(|()| valid)
}

#[cfg(test)]
mod tests {
    use tenon::domain::modal;

    use super::*;

    const OWN: [&str; 2] = ["https://abc.execute-api.eu-west-1.amazonaws.com", "https://api.acme.example/v1"];

    fn origins(query: &str) -> Result<Vec<String>, Vec<String>> {
        let parameters = query.split('&').map(|parameter| parameter.split_once('=').unwrap_or((parameter, "")));
        match read_origins(&parameters.collect(), &OWN) {
            Ok(origins) => Ok(origins.iter().map(ToString::to_string).collect()),
            Err(problem) => {
                let (errors, _) = problem.into_parts().1.into_parts();
                Err(errors.into_iter().map(|error| error.pointer).collect())
            }
        }
    }

    /// Returns the keys of a dictionary with the names of the values in their texts.
    fn texts(dictionary: &str) -> Vec<(String, Vec<String>)> {
        let lines = dictionary.lines().filter_map(|line| line.strip_prefix("  ")?.split_once(": \""));
        let values = |text: &str| {
            let names = text.split('{').skip(1).filter_map(|part| part.split_once('}'));
            let mut values: Vec<String> = names.map(|(name, _)| name.to_owned()).collect();
            values.sort();
            values
        };
        lines.map(|(key, text)| (key.trim_matches('"').to_owned(), values(text))).collect()
    }

    #[test]
    fn every_language_has_every_text_with_the_same_values() {
        let english = texts(include_str!("texts.en.js"));
        assert!(english.len() > 80);
        for language in ["de", "fr", "es", "pt", "ja"] {
            let name = format!("texts.{language}.js");
            let (_, dictionary) = SOURCES.modules.iter().find(|(module, _)| *module == name).unwrap();
            assert_eq!(texts(dictionary), english, "{name}");
        }
    }

    #[test]
    fn page_has_the_default_colors_of_the_api() {
        let script = module("theme.js").split_whitespace().collect::<Vec<_>>().join(" ");
        let (light, dark) = SOURCES.style.split_once(":root[data-scheme=\"dark\"]").unwrap();
        let names = ["accent", "onAccent", "background", "surface", "text", "mutedText", "danger"];
        for (palette, colors, style) in [("light", modal::LIGHT, light), ("dark", modal::DARK, dark)] {
            let members: Vec<String> =
                names.iter().zip(colors).map(|(name, color)| format!("{name}: \"{color}\"")).collect();
            let expected = format!("{palette}: {{ {}, }}", members.join(", "));
            assert!(script.contains(&expected), "theme.js has other colors than {expected}");
            for (name, color) in names.iter().zip(colors) {
                let property: String = name
                    .chars()
                    .flat_map(|c| [c.is_uppercase().then_some('-'), Some(c.to_ascii_lowercase())])
                    .flatten()
                    .collect();
                let declaration = format!("  --{property}: {color};");
                assert!(style.contains(&declaration), "style.css lacks {declaration} in {palette}");
            }
        }
    }

    fn module(name: &str) -> &'static str {
        SOURCES.modules.iter().find(|(module, _)| *module == name).unwrap().1
    }

    #[test]
    fn problems_of_fields_are_recognized_by_messages_of_the_api() {
        let api = [
            include_str!("../../../../shared/src/domain/form.rs"),
            include_str!("../../../../shared/src/domain/installation.rs"),
            include_str!("../installations/change/checks.rs"),
        ];
        let list = module("form.js").split_once("const FOUND = [").unwrap().1.split_once("];").unwrap().0;
        let starts: Vec<&str> = list.lines().filter_map(|line| line.split('"').nth(1)).collect();
        assert!(starts.len() > 5);
        for start in starts {
            assert!(api.iter().any(|source| source.contains(&format!("\"{start}"))), "no message starts with {start}");
        }
    }

    #[test]
    fn preview_of_the_console_divides_a_form_as_the_page_does() {
        let limit = |script: &str| {
            let (_, rest) = script.split_once("const MAX_IN_ONE_FORM = ").unwrap();
            rest.split_once(';').unwrap().0.to_owned()
        };
        let preview = crate::api::console::SOURCES.modules.iter().find(|(name, _)| *name == "preview.js").unwrap().1;
        assert_eq!(limit(preview), limit(module("installation.js")));
    }

    #[test]
    fn scripts_ask_for_texts_that_exist_and_for_each_of_them() {
        let keys: Vec<String> = texts(include_str!("texts.en.js")).into_iter().map(|(key, _)| key).collect();
        let scripts = SOURCES.modules.iter().filter(|(_, module)| !module.contains("typos:off"));
        let script: String = scripts.filter(|(name, _)| *name != "texts.en.js").map(|(_, module)| *module).collect();
        let asked = script.split("text(\"").skip(1).filter_map(|rest| rest.split_once('"')).map(|(key, _)| key);
        let asked: Vec<&str> = asked.collect();
        assert!(asked.len() > 50);
        for key in asked {
            assert!(keys.iter().any(|known| known == key), "{key}");
        }
        for key in keys {
            // The last part of a key with a dot is added by the script.
            let named = key.split_once('.').map_or(key.as_str(), |(family, _)| family);
            let is_asked = [format!("\"{key}\""), format!("\"{named}\""), format!("`{named}.")];
            assert!(is_asked.iter().any(|part| script.contains(part)), "{key} is not used");
        }
    }

    #[test]
    fn url_names_the_pages_that_may_frame_the_modal() {
        assert_eq!(origins(""), Ok(vec![]), "the page of an install link");
        assert_eq!(origins("utm_source=mail&v=1"), Ok(vec![]));
        let framed = "v=1&origin=https://app.acme.example&origin=http://localhost:3000&x=y";
        assert_eq!(origins(framed), Ok(vec!["https://app.acme.example".into(), "http://localhost:3000".into()]));
    }

    #[test]
    fn invalid_origins_are_refused_with_the_place_of_each() {
        for (query, pointers) in [
            ("origin=https://a.example", vec!["/v"]),
            ("v=2&origin=https://a.example", vec!["/v"]),
            ("v=2", vec!["/v"]),
            ("v=1&v=1&origin=https://a.example", vec!["/v"]),
            ("v=1&origin=", vec!["/origin/0"]),
            ("v=1&origin=*", vec!["/origin/0"]),
            ("v=1&origin=https://*.example", vec!["/origin/0"]),
            ("v=1&origin=https://a.example;script-src *", vec!["/origin/0"]),
            ("v=1&origin=https://a.example\r\nset-cookie: a", vec!["/origin/0"]),
            ("v=1&origin=https://a.example&origin=http://b.example", vec!["/origin/1"]),
            ("v=1&origin=https://a.example/path&origin=null", vec!["/origin/0", "/origin/1"]),
            ("v=1&origin=https://api.acme.example", vec!["/origin/0"]),
            ("v=1&origin=https://abc.execute-api.eu-west-1.amazonaws.com", vec!["/origin/0"]),
            ("origin=a&origin=b&origin=c&origin=d", vec!["/origin", "/v", "/origin/0", "/origin/1", "/origin/2"]),
        ] {
            assert_eq!(origins(query), Err(pointers.into_iter().map(str::to_owned).collect()), "{query}");
        }
    }
}
