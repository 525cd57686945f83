//! Simplification of composed schemas. Client generators read an object, or a choice of named
//! objects, but not every combination of `allOf` and `oneOf` that is derived from the types.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::completion::capitalized;

/// Schemas by name.
type Schemas = Map<String, Value>;

/// Prefix of a reference to a schema.
const SCHEMAS: &str = "#/components/schemas/";

/// Replaces each composed schema of a document by an object, or by a choice of named objects. Names
/// lists after their items: `UserList`. Removes schemas that nothing refers to, and opens those
/// that list no members.
pub(super) fn simplify(document: &mut Value) {
    let Some(Value::Object(schemas)) = document.pointer_mut("/components/schemas").map(Value::take) else { return };
    let mut simple = Schemas::new();
    for (name, schema) in &schemas {
        let is_composed = schema.get("allOf").is_some() || schema.get("oneOf").is_some();
        let schema = match objects(schema, &schemas).filter(|_| is_composed).as_deref() {
            None => schema.clone(),
            Some([object]) => object.clone().into(),
            Some(choices) => {
                let mut choice = choose(name, choices, &mut simple).unwrap_or_else(|| schema.clone());
                if let Some(description) = schema.get("description") {
                    choice["description"] = description.clone();
                }
                choice
            }
        };
        simple.insert(name.clone(), schema);
    }
    if let Some(place) = document.pointer_mut("/components/schemas") {
        *place = simple.into();
    }
    name_lists(document);
    remove_unused(document);
    open_objects(document);
}

/// Allows any member in an object without listed ones, which some generators would leave empty.
fn open_objects(document: &mut Value) {
    visit_objects(document, &mut |members| {
        if members.get("type") == Some(&json!("object")) && !members.contains_key("properties") {
            members.entry("additionalProperties").or_insert(json!(true));
        }
    });
}

/// Returns the objects of which a schema allows one, or none if it allows other values.
fn objects(schema: &Value, schemas: &Schemas) -> Option<Vec<Map<String, Value>>> {
    if let Some(reference) = schema["$ref"].as_str() {
        return objects(schemas.get(reference.strip_prefix(SCHEMAS)?)?, schemas);
    }
    let own = |mut object: Map<String, Value>| {
        object.extend(schema.get("description").map(|description| ("description".to_owned(), description.clone())));
        object
    };
    if let Some(choices) = schema["oneOf"].as_array() {
        let choices = choices.iter().map(|choice| objects(choice, schemas)).collect::<Option<Vec<_>>>()?;
        return Some(choices.concat());
    }
    if let Some(parts) = schema["allOf"].as_array() {
        let mut combined = vec![Map::new()];
        for part in parts {
            let choices = objects(part, schemas)?;
            combined =
                combined.iter().flat_map(|object| choices.iter().map(|choice| combine(object, choice))).collect();
        }
        return Some(combined.into_iter().map(own).collect());
    }
    schema.as_object().filter(|object| object.contains_key("properties")).cloned().map(|object| vec![object])
}

/// Returns the object with the properties of both.
fn combine(a: &Map<String, Value>, b: &Map<String, Value>) -> Map<String, Value> {
    let mut combined = a.clone();
    for (member, value) in b {
        match (combined.get_mut(member), value) {
            (Some(Value::Object(known)), Value::Object(more)) => known.extend(more.clone()),
            (Some(Value::Array(known)), Value::Array(more)) => known.extend(more.clone()),
            _ => {
                combined.insert(member.clone(), value.clone());
            }
        }
    }
    combined
}

/// Adds the objects to the schemas, each named after the value of the property that tells them
/// apart, and returns the choice between them. Returns none if there is no such property.
fn choose(name: &str, choices: &[Map<String, Value>], schemas: &mut Schemas) -> Option<Value> {
    let tag = |object: &Map<String, Value>, property: &str| match object["properties"][property]["enum"]
        .as_array()
        .map(Vec::as_slice)
    {
        Some([Value::String(value)]) => Some(value.clone()),
        _ => None,
    };
    let properties = choices.first()?["properties"].as_object()?;
    let property = properties.keys().find(|property| choices.iter().all(|object| tag(object, property).is_some()))?;
    let (mut references, mut mapping) = (Vec::new(), Map::new());
    for object in choices {
        let value = tag(object, property)?;
        let named = capitalized(&value) + name;
        let reference = format!("{SCHEMAS}{named}");
        references.push(json!({ "$ref": reference }));
        mapping.insert(value, reference.into());
        schemas.insert(named, object.clone().into());
    }
    Some(json!({ "oneOf": references, "discriminator": { "propertyName": property, "mapping": mapping } }))
}

/// Names the schemas of lists after their items, and makes them refer to the items.
fn name_lists(document: &mut Value) {
    let Some(schemas) = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut) else { return };
    for (name, mut schema) in std::mem::take(schemas) {
        let name = match name.strip_prefix("List_") {
            Some(item) => {
                schema["properties"]["data"]["items"] = json!({ "$ref": format!("{SCHEMAS}{item}") });
                format!("{item}List")
            }
            None => name,
        };
        schemas.insert(name, schema);
    }
    visit_references(document, &mut |reference| {
        if let Some(item) = reference.strip_prefix(SCHEMAS).and_then(|name| name.strip_prefix("List_")) {
            *reference = format!("{SCHEMAS}{item}List");
        }
    });
}

fn remove_unused(document: &mut Value) {
    loop {
        let mut used = BTreeSet::new();
        visit_references(document, &mut |reference| {
            used.insert(reference.clone());
        });
        let Some(schemas) = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut) else { return };
        let count = schemas.len();
        schemas.retain(|name, _| used.contains(&format!("{SCHEMAS}{name}")));
        if schemas.len() == count {
            return;
        }
    }
}

fn visit_references(document: &mut Value, visit: &mut impl FnMut(&mut String)) {
    visit_objects(document, &mut |members| {
        if let Some(Value::String(reference)) = members.get_mut("$ref") {
            visit(reference);
        }
    });
}

/// Visits all objects in a value, each before those that it contains.
fn visit_objects(value: &mut Value, visit: &mut impl FnMut(&mut Map<String, Value>)) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| visit_objects(item, visit)),
        Value::Object(members) => {
            visit(members);
            members.values_mut().for_each(|member| visit_objects(member, visit));
        }
        _ => {}
    }
}
