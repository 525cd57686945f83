//! Examples of the OpenAPI document.

use serde_json::{Value, json};

/// Adds an example to each schema of a text or a request body.
pub(super) fn add(document: &mut Value) {
    for (name, example) in examples() {
        if let Some(schema) = document.pointer_mut(&format!("/components/schemas/{name}")) {
            schema["examples"] = json!([example]);
        }
    }
}

/// Returns examples by the name of their schema.
fn examples() -> Vec<(&'static str, Value)> {
    let (user, workflow, credential) =
        ("6155ac246093840013297377", "6155ac31fe17fb0013c4f0d8", "6155ac2eb8f4a70013d1e5c2");
    let (webhook, error) = ("https://hooks.acme.example/tenon", "6155ac5d3a9f2e0013b7c641");
    let (bus, region, key) = ("errors", "eu-central-1", "AKIAIOSFODNN7EXAMPLE");
    let ticket = "3q2-7wEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    let recorded = json!({ "executionId": "run-4711", "blockId": "block-3", "blockType": "alloy.shopify",
        "error": "403 Forbidden: the token has no scope read_orders" });
    vec![
        ("AccessKeyId", json!(key)),
        ("BusName", json!(bus)),
        ("CredentialId", json!(credential)),
        ("DestinationId", json!("6155ac4f7d2b910013a8e3f6")),
        ("Email", json!("joe@acme.example")),
        ("EnvironmentId", json!("6155ab0f2c8e5d0013f7a914")),
        ("ErrorId", json!(error)),
        ("KeyId", json!("6155ab3c4d1e2f0013a6b7c8")),
        ("EventId", json!("6155ac7f2b6d4a0013c5e8b2")),
        ("Fingerprint", json!("0d5f0fd2b8a94cf5a3be52b0c9a2a5f1")),
        ("ExternalId", json!("7a1f0c9e3b52d4860e6f9a1b2c3d4e5f60718293")),
        ("RoleArn", json!("arn:aws:iam::222222222222:role/tenon-errors")),
        ("Principal", json!("arn:aws:iam::111111111111:root")),
        ("FieldName", json!("shop")),
        ("Icon", json!("data:image/svg+xml;base64,PHN2ZyB4bWxucz0iaHR0cDovL3d3dy53My5vcmcvMjAwMC9zdmciLz4=")),
        ("Color", json!("#0b5cad")),
        ("Font", json!("Inter, sans-serif")),
        ("Origin", json!("https://app.acme.example")),
        ("IntegrationId", json!("shopify-orders")),
        ("Pattern", json!("shpat_[0-9a-f]+")),
        ("WorkflowKey", json!("orders")),
        ("Region", json!(region)),
        ("ReplayId", json!("6155ac6e91c4b80013e2d7a5")),
        ("Secret", json!(secret)),
        ("Ticket", json!(ticket)),
        ("Timestamp", json!("2026-11-24T05:30:00.000Z")),
        ("UserId", json!(user)),
        ("UserRef", json!("joe@acme.example")),
        ("Username", json!("joe")),
        ("WebhookUrl", json!(webhook)),
        ("WorkflowId", json!(workflow)),
        (
            "CreateCredential",
            json!({ "type": "shopify", "name": "Main shop",
            "data": { "shop": "acme.example", "accessToken": "shpat_EXAMPLE" } }),
        ),
        (
            "CreateDestination",
            json!({ "type": "webhook", "name": "On-call", "url": webhook, "events": ["error", "workflow.*"],
            "filter": { "blockType": ["alloy.shopify"] } }),
        ),
        ("CreateToken", json!({ "ttlSeconds": 600 })),
        ("CreateUser", json!({ "email": "joe@acme.example", "fullName": "Joe Doe", "metadata": { "plan": "pro" } })),
        ("CreateUserList", json!({ "users": [{ "email": "joe@acme.example" }, { "username": "anna" }] })),
        ("CreateWorkflow", json!({ "userId": user, "name": "Sync orders", "credentialIds": [credential] })),
        ("PatchEnvironment", json!({ "modal": { "origins": ["https://app.acme.example"], "lang": "de" } })),
        ("PatchDestination", json!({ "enabled": false })),
        (
            "PutIntegration",
            json!({ "name": "Shopify orders", "workflows": [{ "key": "orders", "name": "Orders to Shopify" }],
            "credentialTypes": [{ "type": "shopify", "name": "Shopify account", "fields": [
                { "name": "token", "label": "Access token", "type": "secret", "required": true }] }],
            "settings": [{ "name": "region", "label": "Region", "type": "text" }] }),
        ),
        (
            "PutInstallation",
            json!({ "credentials": { "shopify": { "data": { "token": "shpat_EXAMPLE" } } }, "settings": { "region": "eu" } }),
        ),
        ("ExchangeTicket", json!({ "ticket": ticket })),
        ("RecordError", recorded.clone()),
        ("ErrorList", json!({ "errors": [recorded] })),
        ("ReplaceCredential", json!({ "data": { "token": "shpat_refreshed" } })),
        ("SetCredentialStatus", json!({ "status": "invalid", "reason": "the refresh token was revoked" })),
        ("StartReplay", json!({ "errorIds": [error] })),
        ("UpdateUser", json!({ "fullName": "Joe Doe" })),
        ("PatchWorkflow", json!({ "settings": { "shop": "main" }, "active": true })),
        ("WorkflowSelector", json!({ "userId": user, "workflowName": "Sync orders" })),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::openapi::document;

    #[test]
    fn every_request_body_and_text_has_an_example() {
        let document = document();
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let is_request = |schema: &Value| schema["additionalProperties"] == false;
        let is_text = |schema: &Value| schema["type"] == "string" && schema["enum"].is_null();
        let known: Vec<&str> = examples().into_iter().map(|(name, _)| name).collect();
        for name in &known {
            assert!(schemas.contains_key(*name), "{name} is not a schema");
        }
        for (name, schema) in schemas.iter().filter(|(_, schema)| is_request(schema) || is_text(schema)) {
            let has_no_meaning = name.starts_with("Text");
            let is_nested = [
                "NewCredentials",
                "CredentialInput",
                "NewFilter",
                "CredentialTypeInput",
                "FieldInput",
                "HintInput",
                "OptionInput",
                "PaletteInput",
                "PalettesInput",
                "PatchModal",
                "WorkflowInput",
            ]
            .contains(&name.as_str());
            assert!(schema["examples"].is_array() || has_no_meaning || is_nested, "{name} has no example");
        }
    }
}
