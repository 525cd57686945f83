//! Rules of request bodies that hold for all operations.

use serde_json::{Value, json};

/// Members that may be absent but not null.
const NEVER_NULL: [(&str, &str); 2] = [("UpdateUser", "metadata"), ("UpdateUser", "username")];

/// Operations that require one of several optional members.
const NEED_ONE_OF_SOME: [&str; 4] = ["activateWorkflow", "createUser", "deactivateWorkflow", "startReplay"];

/// Documents that an absent body means `{}`, and that `null` means an absent member.
pub(super) fn complete(document: &mut Value) {
    let mut schemas = document.pointer_mut("/components/schemas").map(Value::take).unwrap_or_default();
    let operations = document["paths"].as_object_mut().into_iter().flat_map(|paths| paths.values_mut());
    for operation in operations.filter_map(Value::as_object_mut).flat_map(|methods| methods.values_mut()) {
        let id = operation["operationId"].as_str().unwrap_or_default().to_owned();
        let Some(body) = operation.get_mut("requestBody") else { continue };
        let reference = body["content"]["application/json"]["schema"]["$ref"].as_str().unwrap_or_default();
        let schema = &schemas[reference.rsplit('/').next().unwrap_or_default()];
        let can_be_empty = schema["properties"].is_object() && schema["required"].is_null();
        body["required"] = json!(!can_be_empty || NEED_ONE_OF_SOME.contains(&id.as_str()));
    }
    let schemas_of_requests = schemas.as_object_mut().into_iter().flatten();
    for (schema_name, schema) in schemas_of_requests.filter(|(_, schema)| schema["additionalProperties"] == false) {
        let required = schema["required"].clone();
        let is_required = |name: &str| required.as_array().is_some_and(|names| names.contains(&json!(name)));
        let properties = schema["properties"].as_object_mut().into_iter().flatten();
        for (name, property) in properties {
            if NEVER_NULL.contains(&(schema_name, name)) {
                forbid_null(property);
            } else if !is_required(name) {
                allow_null(property);
            }
        }
    }
    document["components"]["schemas"] = schemas;
}

/// Removes `null`, the second of the types that a schema allows.
fn forbid_null(schema: &mut Value) {
    match schema.get_mut("type") {
        Some(kind) => *kind = kind[0].take(),
        None => *schema = schema["oneOf"][0].take(),
    }
}

/// Adds `null` to the values that a schema allows. A schema without a limit allows it already.
fn allow_null(schema: &mut Value) {
    let nothing = json!({ "type": "null" });
    let has_default = schema.get("default").is_some();
    let is_limited = ["$ref", "enum", "const", "anyOf", "allOf"].iter().any(|limit| schema.get(limit).is_some());
    let Some(members) = schema.as_object_mut() else { return };
    if let Some(Value::Array(choices)) = members.get_mut("oneOf") {
        if !choices.contains(&nothing) {
            choices.push(nothing);
        }
        return;
    }
    match members.get_mut("type") {
        Some(Value::Array(_)) => {}
        // To some client generators, a member with a default in its own schema is required.
        Some(kind @ Value::String(_)) if !has_default => *kind = json!([kind.take(), "null"]),
        None if !is_limited => {}
        _ => *schema = json!({ "oneOf": [schema.take(), nothing] }),
    }
}
