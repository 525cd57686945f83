//! Endpoints behind API Gateway, one file per endpoint.

pub mod console;
pub mod credentials;
pub mod destinations;
pub mod environments;
pub mod errors;
pub mod events;
pub mod installations;
pub mod integrations;
pub mod jwks;
pub mod modal;
pub mod openapi;
pub mod page;
pub mod records;
pub mod replays;
pub mod session;
pub mod success;
pub mod tickets;
pub mod users;
pub mod workflows;

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::openapi::document;

    /// Adds the schemas below `schema` that list their properties and still allow others.
    fn open_schemas(document: &Value, schema: &Value, open: &mut Vec<String>) {
        if let Some(reference) = schema["$ref"].as_str() {
            return open_schemas(document, document.pointer(reference.trim_start_matches('#')).unwrap(), open);
        }
        if schema["properties"].is_object() && schema["additionalProperties"] != false {
            open.push(schema.to_string());
        }
        let parts = ["oneOf", "anyOf", "allOf"].iter().filter_map(|list| schema[*list].as_array()).flatten();
        let members = schema["properties"].as_object().into_iter().flat_map(|members| members.values());
        parts.chain(members).chain(schema.get("items")).for_each(|schema| open_schemas(document, schema, open));
    }

    #[test]
    fn request_bodies_allow_no_additional_properties() {
        let document = document();
        let mut open = Vec::new();
        let operations = document["paths"].as_object().unwrap().values().flat_map(|path| path.as_object().unwrap());
        let bodies =
            operations.map(|(_, operation)| &operation["requestBody"]["content"]["application/json"]["schema"]);
        let bodies: Vec<&Value> = bodies.filter(|schema| !schema.is_null()).collect();
        assert!(bodies.len() > 10);
        for schema in bodies {
            open_schemas(&document, schema, &mut open);
        }
        assert!(open.is_empty(), "add #[serde(deny_unknown_fields)]: {open:#?}");
    }
}
