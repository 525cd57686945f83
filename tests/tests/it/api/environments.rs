//! The defaults of the modal, which belong to the environment.

use serde_json::{Value, json};
use tests::{Tenon, send};

#[tokio::test]
async fn defaults_of_the_modal_are_changed_and_cleared() {
    let acme = Tenon::deployed().await.environment().await;
    let first = acme.backend.get("/environment").await.is(200);
    let patch = async |modal: Value| acme.backend.patch("/environment", json!({ "modal": modal })).await.is(200);
    let theme = json!({ "light": { "accent": "#0b5cad", "radius": 8, "font": "Inter, sans-serif" } });
    let origins = json!(["https://app.acme.example", "http://localhost:3000", "https://app.acme.example"]);
    let changed = patch(json!({ "origins": origins, "theme": theme, "lang": "de" })).await;
    let origins = json!(["https://app.acme.example", "http://localhost:3000"]);
    assert_eq!(changed.body["modal"], json!({ "origins": origins, "theme": theme, "lang": "de" }));
    let read = acme.backend.get("/environment").await.is(200);
    assert_eq!((&read.body, read.header("etag")), (&changed.body, changed.header("etag")));

    let stale = acme.backend.request("PATCH", "/environment").header("if-match", first.header("etag"));
    send(stale.json(&json!({ "modal": { "lang": "fr" } }))).await.is_problem(412, "precondition-failed");
    assert_eq!(patch(json!({})).await.body, read.body, "no change");
    let cleared = patch(json!({ "theme": null, "lang": null })).await;
    assert_eq!(cleared.body["modal"], json!({ "origins": origins, "theme": null, "lang": null }));
    assert_eq!(patch(json!({ "theme": "dark" })).await.body["modal"]["theme"], "dark");
    let nothing = patch(Value::Null).await;
    assert_eq!(nothing.body["modal"], json!({ "origins": [], "theme": null, "lang": null }));
    assert_eq!(nothing.body["name"], first.body["name"]);
}

#[tokio::test]
async fn every_invalid_default_of_the_modal_is_named() {
    let acme = Tenon::deployed().await.environment().await;
    let body = json!({ "name": "other", "modal": {
        "origins": ["https://app.acme.example/", "https://*.acme.example", "http://acme.example", "https://ok.example"],
        "theme": { "light": { "text": "red", "radius": 25, "font": "a;b" }, "contrast": {} },
        "lang": "it",
    } });
    acme.backend.patch("/environment", body).await.is_problem(422, "validation").names(&[
        "/modal/origins/0",
        "/modal/origins/1",
        "/modal/origins/2",
        "/modal/theme/light/text",
        "/modal/theme/light/radius",
        "/modal/theme/light/font",
        "/modal/theme/contrast",
        "/modal/lang",
        "/name",
    ]);
    let faint = json!({ "modal": { "theme": { "dark": { "text": "#555555", "accent": "#203040" } } } });
    let refused = acme.backend.patch("/environment", faint).await;
    refused.is_problem(422, "validation").names(&["/modal/theme/dark/onAccent", "/modal/theme/dark/text"]);
    let both = json!({ "modal": { "theme": { "light": { "accent": "red" }, "dark": { "text": "#000000" } } } });
    let refused = acme.backend.patch("/environment", both).await;
    refused.is_problem(422, "validation").names(&["/modal/theme/light/accent", "/modal/theme/dark/text"]);
    for theme in [json!("bright"), json!(7), json!([])] {
        let refused = acme.backend.patch("/environment", json!({ "modal": { "theme": theme } })).await;
        refused.is_problem(422, "validation").names(&["/modal/theme"]);
    }
}
