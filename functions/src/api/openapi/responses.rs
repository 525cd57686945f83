//! Rules of response bodies that the types of the handlers do not express.

use serde_json::{Value, json};

/// Documents that webhooks always have a secret, and buses never do.
pub(super) fn complete(document: &mut Value) {
    let schemas = &mut document["components"]["schemas"];
    let webhook = &mut schemas["WebhookDestinationWithSecret"];
    if let Some(required) = webhook["required"].as_array_mut() {
        required.push(json!("secret"));
    }
    webhook["properties"]["secret"]["description"] = json!("Secret that signs the requests, `whsec_…`.");
    let bus = &mut schemas["EventbridgeDestinationWithSecret"];
    if let Some(members) = bus["properties"].as_object_mut() {
        members.remove("secret");
    }
    bus["description"] = json!("New bus.");
    let rotated = &mut document["paths"]["/destinations/{destinationId}/rotate-secret"]["post"]["responses"]["200"];
    rotated["content"]["application/json"]["schema"] =
        json!({ "$ref": "#/components/schemas/WebhookDestinationWithSecret" });
}
