//! `GET /openapi.json`: the OpenAPI document, generated from the handlers and stored in
//! `docs/openapi.json`, so that no function generates it at run time. AWS calls: none.

mod completion;
#[expect(clippy::indexing_slicing, reason = "generates the document, never in a function")]
mod composition;
mod examples;
#[expect(clippy::indexing_slicing, reason = "generates the document, never in a function")]
mod requests;
#[expect(clippy::indexing_slicing, reason = "generates the document, never in a function")]
mod responses;

use axum::{extract::State, http::HeaderMap, response::Response};
use serde_json::Value;
use tenon::{
    http::{Cacheable, JSON_FOR_FIVE_MINUTES},
    start::{Aws, FromAws, StartError},
};
use utoipa::{
    Modify, OpenApi,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};

use self::completion::Completion;
use super::{
    console, credentials, destinations, environments, errors, events, installations, integrations, jwks, modal,
    replays, session, tickets, users, workflows,
};

/// Returns the OpenAPI document of the Tenon API.
pub fn document() -> Value {
    let mut document = serde_json::to_value(Api::openapi()).unwrap_or_default();
    composition::simplify(&mut document);
    requests::complete(&mut document);
    responses::complete(&mut document);
    examples::add(&mut document);
    // The order depends on the features of serde_json in the build.
    document.sort_all_objects();
    document
}

/// Document before its schemas are simplified.
#[derive(Debug, OpenApi)]
#[openapi(
    info(title = "Tenon", description = "Self-hosted back end for embedded integrations."),
    servers((url = ".", description = "Stack that serves this document")),
    modifiers(&SecuritySchemes, &Resources, &Completion),
    paths(session::get_session, console::get_console, modal::get_modal, modal::sdk::get_tenon_js,
        modal::sdk::get_tenon_global_js, jwks::get_jwks, get_openapi),
)]
struct Api;

/// Operations of the resources, which each resource lists.
struct Resources;

impl Modify for Resources {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        document.merge(users::Operations::openapi());
        document.merge(credentials::Operations::openapi());
        document.merge(integrations::Operations::openapi());
        document.merge(installations::Operations::openapi());
        document.merge(tickets::Operations::openapi());
        document.merge(workflows::Operations::openapi());
        document.merge(errors::Operations::openapi());
        document.merge(events::Operations::openapi());
        document.merge(destinations::Operations::openapi());
        document.merge(replays::Operations::openapi());
        document.merge(environments::Operations::openapi());
    }
}

/// Security schemes: API keys and user tokens. Each operation lists the scopes that a key needs.
struct SecuritySchemes;

impl Modify for SecuritySchemes {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let bearer = |description: &str| {
            SecurityScheme::Http(
                HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(description)).build(),
            )
        };
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("apiKey", bearer("API key: `tn_live_…` or `tn_test_…`."));
        components.add_security_scheme("userToken", bearer("User token, created at /users/{user}/token."));
    }
}

/// Response with the document.
#[derive(Clone, Debug)]
pub struct Document(Cacheable);

impl FromAws for Document {
    async fn from_aws(_: &Aws) -> Result<Self, StartError> {
        Ok(Self(Cacheable::new(include_str!("../../../docs/openapi.json").trim_end())))
    }
}

/// Returns the OpenAPI 3.1 document of the API.
#[utoipa::path(get, path = "/openapi.json", tag = "document", security(()),
    responses((status = 200, description = "OpenAPI 3.1 document", body = Object),
        (status = 304, description = "the document matches If-None-Match")))]
pub async fn get_openapi(State(Document(document)): State<Document>, request: HeaderMap) -> Response {
    document.respond(&request, JSON_FOR_FIVE_MINUTES)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use expect_test::expect_file;
    use serde_json::Value;

    use super::document;

    const GATEWAY_ERROR: &str = "#/components/schemas/GatewayError";

    /// Returns the properties of all functions in the template. Tags such as `!Ref` are ignored.
    fn functions() -> Vec<Value> {
        let template: Value = serde_saphyr::from_str(include_str!("../../../template.yaml")).unwrap();
        let resources = template["Resources"].as_object().unwrap().values();
        let functions = resources.filter(|resource| resource["Type"] == "AWS::Serverless::Function");
        functions.map(|function| function["Properties"].clone()).collect()
    }

    /// Returns the routes of the template and whether each is public.
    fn routes_of_the_template() -> BTreeMap<(String, String), bool> {
        let functions = functions();
        let events = functions.iter().filter_map(|function| function["Events"].as_object()).flatten();
        let routes = events.filter(|(_, event)| event["Type"] == "HttpApi").map(|(_, event)| &event["Properties"]);
        routes
            .map(|route| {
                let text = |name: &str| route[name].as_str().unwrap().to_owned();
                ((text("Method").to_lowercase(), text("Path")), route["Auth"]["Authorizer"] == "NONE")
            })
            .collect()
    }

    /// Returns the operations of the document and whether each is public.
    fn operations_of_the_document() -> BTreeMap<(String, String), bool> {
        let document = document();
        let paths = document["paths"].as_object().unwrap().clone();
        let operations = paths.into_iter().flat_map(|(path, operations)| {
            let operations = operations.as_object().unwrap().clone();
            operations.into_iter().map(move |(method, operation)| {
                let security =
                    operation["security"].as_array().unwrap_or_else(|| panic!("{method} {path}: no security"));
                ((method, path.clone()), security.contains(&Value::Object(Default::default())))
            })
        });
        operations.collect()
    }

    #[test]
    fn served_document_matches_the_handlers() {
        expect_file!["../../../docs/openapi.json"].assert_eq(&format!("{}\n", document()));
    }

    #[test]
    fn document_is_complete() {
        let document = document();
        let mut references = BTreeSet::new();
        collect_references(&document, &mut references);
        let dangling = references
            .iter()
            .filter(|reference| reference.strip_prefix('#').and_then(|pointer| document.pointer(pointer)).is_none());
        assert_eq!(dangling.collect::<Vec<_>>(), Vec::<&String>::new());
        let operations = document["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap());
        for (_, operation) in operations {
            for (status, response) in operation["responses"].as_object().unwrap() {
                let response = response["$ref"]
                    .as_str()
                    .map_or(response, |path| document.pointer(path.trim_start_matches('#')).unwrap());
                assert!(response["description"].is_string(), "{status} {operation}");
                let problem = &response["content"]["application/problem+json"];
                let other = &response["content"]["application/json"]["schema"];
                let is_error = status.starts_with(['4', '5']);
                assert_eq!(problem.is_object() || other["$ref"] == GATEWAY_ERROR, is_error, "{status} {operation}");
                assert!(!is_error || other.is_null() || other["$ref"] == GATEWAY_ERROR, "{status} {operation}");
            }
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                assert!(!parameter["schema"].to_string().contains("\"null\""), "{parameter}");
            }
        }
        let names = document["components"]["schemas"].to_string();
        assert!(!names.contains("_name\""), "members are in camel case");
    }

    fn collect_references(value: &Value, references: &mut BTreeSet<String>) {
        if let Some(reference) = value["$ref"].as_str() {
            references.insert(reference.to_owned());
        }
        match value {
            Value::Array(items) => items.iter().for_each(|item| collect_references(item, references)),
            Value::Object(members) => members.values().for_each(|member| collect_references(member, references)),
            _ => {}
        }
    }

    #[test]
    fn document_and_template_agree_on_operations_and_access() {
        assert_eq!(operations_of_the_document(), routes_of_the_template());
    }

    #[test]
    fn only_listed_routes_are_public() {
        let public = routes_of_the_template().into_iter().filter(|(_, public)| *public).map(|((_, path), _)| path);
        assert_eq!(
            public.collect::<Vec<_>>(),
            [
                "/.well-known/jwks.json",
                "/console",
                "/modal",
                "/openapi.json",
                "/tenon.global.js",
                "/tenon.js",
                "/tickets"
            ]
        );
    }

    #[test]
    fn every_function_has_a_binary_event_file_and_resource() {
        let names = |folder: &str| -> BTreeSet<String> {
            let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
            let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
            files.map(|file| file.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
        };
        let folders = functions().into_iter().map(|function| function["CodeUri"].as_str().unwrap().to_owned());
        let deployed: BTreeSet<String> = folders
            .map(|folder| folder.strip_prefix("target/lambda/").unwrap().trim_end_matches('/').to_owned())
            .collect();
        assert_eq!(names("src/bin"), deployed);
        assert_eq!(names("../tests/events"), deployed);
    }
}
