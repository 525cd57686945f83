//! Rules of response bodies that the types of the handlers do not express.

use serde_json::{Value, json};

/// Documents that exactly webhooks have a secret.
pub(super) fn complete(document: &mut Value) {
    let schemas = &mut document["components"]["schemas"];
    if let Some(required) = schemas["WebhookDestinationWithSecret"]["required"].as_array_mut() {
        required.push(json!("secret"));
    }
    if let Some(members) = schemas["EventbridgeDestinationWithSecret"]["properties"].as_object_mut() {
        members.remove("secret");
    }
    let rotated = &mut document["paths"]["/destinations/{destinationId}/rotate-secret"]["post"]["responses"]["200"];
    rotated["content"]["application/json"]["schema"] =
        json!({ "$ref": "#/components/schemas/WebhookDestinationWithSecret" });
}
