//! The catalogue of integrations.

use serde_json::{Value, json};
use tests::{Tenon, eventually, send};

fn orders() -> Value {
    json!({
        "name": "Shopify orders",
        "credentialTypes": [{ "type": "shopify", "name": "Shopify", "fields": [
            { "name": "token", "label": "Access token", "type": "secret", "required": true, "pattern": "shpat_.+" },
        ] }],
        "settings": [{ "name": "region", "label": "Region", "type": "select",
            "options": [{ "value": "eu", "label": "Europe" }] }],
        "workflows": [{ "key": "orders", "name": "Orders to Shopify" }],
    })
}

const PATH: &str = "/integrations/shopify-orders";

#[tokio::test]
async fn integration_is_created_replaced_and_deleted() {
    let acme = Tenon::deployed().await.environment().await;
    acme.backend.get(PATH).await.is_problem(404, "not-found");
    let absent = acme.backend.request("PUT", PATH).header("if-match", "*");
    send(absent.json(&orders())).await.is_problem(412, "precondition-failed");
    let only_new = || send(acme.backend.request("PUT", PATH).header("if-none-match", "*").json(&orders()));
    let created = only_new().await.is(201);
    assert_eq!(created.location(PATH), PATH);
    only_new().await.is_problem(412, "precondition-failed");
    let shown = &created.body;
    let defaults = (&shown["description"], &shown["icon"], &shown["hints"], &shown["enabled"], &shown["version"]);
    assert_eq!(defaults, (&Value::Null, &Value::Null, &json!([]), &json!(true), &json!(1)));
    let field = &shown["settings"][0];
    assert_eq!((&field["required"], &field["pattern"], &field["help"]), (&json!(false), &Value::Null, &Value::Null));
    let read = acme.engine.get(PATH).await.is(200);
    assert_eq!((&read.body, read.header("etag")), (shown, created.header("etag")));

    // What was read can be sent back: it changes nothing.
    assert_eq!(acme.backend.put(PATH, read.body.clone()).await.is(200).body, read.body);
    let mut changed = orders();
    changed["enabled"] = json!(false);
    let replaced = acme.backend.put(PATH, changed.clone()).await.is(200);
    assert_eq!((&replaced.body["version"], &replaced.body["enabled"]), (&json!(2), &json!(false)));
    assert_eq!(replaced.body["createdAt"], shown["createdAt"]);
    let stale = acme.backend.request("PUT", PATH).header("if-match", created.header("etag"));
    send(stale.json(&orders())).await.is_problem(412, "precondition-failed");
    changed["integrationId"] = json!("another");
    acme.backend.put(PATH, changed).await.is_problem(422, "validation").names(&["/integrationId"]);

    assert_eq!(acme.backend.delete(PATH).await.is(200).body, json!({ "success": true }));
    acme.backend.delete(PATH).await.is_problem(404, "not-found");
    acme.backend.get("/integrations/Not%20an%20id").await.is_problem(404, "not-found");
    let named = acme.backend.put("/integrations/Shopify", orders()).await.is_problem(422, "validation");
    named.names(&["/integrationId"]);
    let mut nameless = orders();
    nameless["name"] = json!("");
    let named = acme.backend.put("/integrations/Shopify", nameless).await.is_problem(422, "validation");
    named.names(&["/integrationId", "/name"]);
}

#[tokio::test]
async fn every_broken_rule_of_an_integration_is_named() {
    let acme = Tenon::deployed().await.environment().await;
    let field = |name: &str, kind: &str| json!({ "name": name, "label": "L", "type": kind });
    let with = |mut field: Value, member: &str, value: Value| {
        field[member] = value;
        field
    };
    let option = json!({ "value": "eu", "label": "Europe" });
    let body = json!({
        "name": "",
        "icon": "https://acme.example/icon.png",
        "credentialTypes": [
            { "type": "a", "name": "A", "fields": [field("x", "text"), field("x", "secret")] },
            { "type": "a", "name": "A", "fields": [] },
        ],
        "settings": [
            field("0", "text"),
            field("secret", "secret"),
            field("select", "select"),
            with(field("options", "text"), "options", json!([option])),
            with(field("twice", "select"), "options", json!([option, option])),
            with(field("number", "number"), "pattern", json!("[0-9]+")),
            with(field("look", "text"), "pattern", json!("(?=a)b")),
            field("kind", "colour"),
            with(field("both", "number"), "pattern", json!("(?=a)b")),
            with(field("list", "text"), "options", json!([{ "value": "", "label": "None" }])),
        ],
        "workflows": [{ "key": "a b", "name": "Orders" }, { "key": "k", "name": "K" }, { "key": "k", "name": "K" }],
        "hints": [{ "match": "401", "text": "Reconnect", "action": "retry" }],
        "enable": true,
    });
    acme.backend.put(PATH, body).await.is_problem(422, "validation").names(&[
        "/name",
        "/icon",
        "/credentialTypes/0/fields/1/name",
        "/credentialTypes/1/type",
        "/settings/0/name",
        "/settings/2/options",
        "/settings/3/options",
        "/settings/4/options/1/value",
        "/settings/5/pattern",
        "/settings/6/pattern",
        "/settings/7/type",
        "/settings/8/pattern",
        "/settings/9/options/0/value",
        "/settings/9/options",
        "/workflows/0/key",
        "/workflows/2/key",
        "/hints/0/action",
        "/settings/1/type",
        "/enable",
    ]);
    let mut secret = orders();
    secret["settings"] = json!([field("a", "text"), field("b", "secret"), field("a", "number")]);
    secret["workflows"] = json!([{ "key": "k", "name": "K" }, { "key": "k", "name": "K" }]);
    let refused = acme.backend.put(PATH, secret).await;
    refused.is_problem(422, "validation").names(&["/settings/2/name", "/workflows/1/key", "/settings/1/type"]);
    acme.backend
        .put(PATH, json!({ "name": "N", "workflows": [] }))
        .await
        .is_problem(422, "validation")
        .names(&["/workflows"]);
    acme.backend.put(PATH, json!({})).await.is_problem(422, "validation").names(&["/name", "/workflows"]);

    let mut large = orders();
    let hint = json!({ "match": "m".repeat(200), "text": "t".repeat(500), "action": "reconnect" });
    large["hints"] = json!(vec![hint; 50]);
    large["icon"] = json!(format!("data:image/png;base64,{}", "A".repeat(12_000)));
    acme.backend.put(PATH, large).await.is_problem(422, "validation").names(&[""]);
}

#[tokio::test]
async fn integration_has_a_maximum_of_everything() {
    let acme = Tenon::deployed().await.environment().await;
    let list = |count: usize, item: &dyn Fn(usize) -> Value| (0..count).map(item).collect::<Vec<_>>();
    let text = |n: usize| json!({ "name": format!("f{n}"), "label": "L", "type": "text" });
    let option = |n: usize| json!({ "value": n.to_string(), "label": "L" });
    // The maxima, exceeded by `more`, and by `inside` in the items of lists.
    let body = |more: usize, inside: usize| {
        let mut settings = list(30 + more, &text);
        settings[0]["type"] = json!("select");
        settings[0]["options"] = json!(list(100 + inside, &option));
        let account = |n: usize| {
            let fields = if n == 0 { list(30 + inside, &text) } else { Vec::new() };
            json!({ "type": format!("t{n}"), "name": "A", "fields": fields })
        };
        json!({
            "name": "Large",
            "credentialTypes": list(5 + more, &account),
            "settings": settings,
            "workflows": list(20 + more, &|n| json!({ "key": format!("k{n}"), "name": "W" })),
            "hints": list(50 + more, &|_| json!({ "match": "401", "text": "T" })),
        })
    };
    let put = async |more, inside| acme.backend.put("/integrations/large", body(more, inside)).await;
    let lists = ["/credentialTypes", "/settings", "/workflows", "/hints"];
    put(1, 0).await.is_problem(422, "validation").names(&lists);
    let inside = ["/credentialTypes/0/fields", "/settings/0/options"];
    put(0, 1).await.is_problem(422, "validation").names(&inside);
    put(0, 0).await.is(201);
}

#[tokio::test]
async fn users_see_enabled_integrations_only_and_environments_their_own() {
    let tenon = Tenon::deployed().await;
    let (acme, other) = (tenon.environment().await, tenon.environment().await);
    let user = acme.create_user("joe@acme.example").await;
    let joe = tests::Api::new(acme.user_token(&user).await);
    let mut retired = orders();
    retired["enabled"] = json!(false);
    for (id, body) in [("one", orders()), ("two", retired), ("three", orders())] {
        acme.backend.put(&format!("/integrations/{id}"), body).await.is(201);
    }
    let ids = |list: &Value| -> Vec<String> {
        list["data"].as_array().unwrap().iter().map(|one| one["integrationId"].as_str().unwrap().to_owned()).collect()
    };
    // A process keeps the catalogue for ten seconds.
    let first = eventually("the list shows the integrations", async || {
        let page = acme.engine.get("/integrations?limit=2").await.is(200).body;
        (ids(&page) == ["three", "two"]).then_some(page)
    })
    .await;
    let path = format!("/integrations?limit=2&cursor={}", first["cursor"].as_str().unwrap());
    let rest = acme.engine.get(&path).await.is(200).body;
    assert_eq!((ids(&rest), &rest["cursor"]), (vec!["one".to_owned()], &Value::Null));
    let seen = joe.get("/integrations").await.is(200).body;
    assert_eq!(ids(&seen), ["three", "one"]);
    joe.get("/integrations/one").await.is(200);
    joe.get("/integrations/two").await.is_problem(404, "not-found");
    // `userId` names the user for whom the catalogue is read.
    for path in ["/integrations", "/integrations/one"] {
        acme.backend.get(&format!("{path}?userId=joe@acme.example")).await.is(200);
        joe.get(&format!("{path}?userId={user}")).await.is(200);
        joe.get(&format!("{path}?userId=jim@acme.example")).await.is_problem(404, "not-found");
        other.backend.get(&format!("{path}?userId={user}")).await.is_problem(404, "not-found");
    }
    other.backend.get("/integrations/one").await.is_problem(404, "not-found");
    other.backend.delete("/integrations/one").await.is_problem(404, "not-found");
    assert_eq!(other.backend.get("/integrations").await.is(200).body, json!({ "data": [] }));
}
