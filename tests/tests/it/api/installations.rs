//! Installations: validation, changes and uninstalling.

use std::collections::HashSet;

use aws_sdk_dynamodb::Client;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tests::{Answer, Api, Environment, Tenon, eventually, keys, send, setting, table_items::contains};

fn integration(keys: &[&str]) -> Value {
    let workflows: Vec<Value> = keys.iter().map(|key| json!({ "key": key, "name": "Orders to Shopify" })).collect();
    json!({
        "name": "Shopify orders",
        "credentialTypes": [{ "type": "shopify", "name": "Shopify", "fields": [
            { "name": "shop", "label": "Shop", "type": "url", "required": true },
            { "name": "token", "label": "Access token", "type": "secret", "required": true, "pattern": "shpat_.+" },
        ] }],
        "settings": [
            { "name": "region", "label": "Region", "type": "select", "options": [{ "value": "eu", "label": "Europe" }] },
            { "name": "batch", "label": "Batch size", "type": "number" },
        ],
        "workflows": workflows,
    })
}

fn connected(token: &str) -> Value {
    json!({ "shopify": { "data": { "shop": "https://acme.example", "token": token } } })
}

/// Environment with an integration and a user.
struct Installed {
    acme: Environment,
    user: String,
    path: String,
}

impl Installed {
    async fn new(keys: &[&str]) -> Self {
        let acme = Tenon::deployed().await.environment().await;
        acme.backend.put("/integrations/orders", integration(keys)).await.is(201);
        let user = acme.create_user("joe@acme.example").await;
        let path = format!("/users/{user}/installations/orders");
        Self { acme, user, path }
    }

    async fn put(&self, body: Value) -> Answer {
        self.acme.backend.put(&self.path, body).await
    }

    async fn credentials(&self) -> Vec<Value> {
        let list = self.acme.backend.get(&format!("/users/{}/credentials", self.user)).await.is(200);
        list.body["data"].as_array().unwrap().clone()
    }

    async fn workflows(&self) -> Vec<Value> {
        let list = self.acme.backend.get(&format!("/workflows?userId={}", self.user)).await.is(200);
        list.body["data"].as_array().unwrap().clone()
    }
}

/// Returns the keys of the workflows of an installation, those of inactive ones in parentheses.
fn keys(installation: &Value) -> Vec<String> {
    let workflows = installation["workflows"].as_array().unwrap().iter();
    let key = |workflow: &Value| workflow["key"].as_str().unwrap().to_owned();
    let keys = workflows.map(|one| if one["active"] == true { key(one) } else { format!("({})", key(one)) });
    let mut keys: Vec<String> = keys.collect();
    keys.sort();
    keys
}

#[tokio::test]
async fn user_installs_changes_and_uninstalls() {
    let here = Installed::new(&["new", "paid"]).await;
    let joe = Api::new(here.acme.user_token(&here.user).await);
    let created = joe
        .put(&here.path, json!({ "credentials": connected("shpat_1"), "settings": { "region": "eu" } }))
        .await
        .is(201);
    assert_eq!(created.location(&here.path), here.path);
    let shown = &created.body;
    assert_eq!(
        (&shown["status"], &shown["attention"], &shown["integrationVersion"]),
        (&json!("active"), &json!([]), &json!(1))
    );
    assert_eq!((keys(shown), &shown["userId"]), (vec!["new".to_owned(), "paid".to_owned()], &json!(here.user)));
    assert_eq!(shown["workflows"][1]["name"], "Orders to Shopify (2)");
    assert_eq!(joe.get(&here.path).await.is(200).body, *shown);
    let credential = &here.credentials().await[0];
    assert_eq!((&credential["name"], &credential["type"]), (&json!("Shopify"), &json!("shopify")));
    assert_eq!(shown["credentialIds"], json!({ "shopify": credential["credentialId"] }));
    for workflow in here.workflows().await {
        assert_eq!(
            (&workflow["settings"], &workflow["credentialIds"][0]),
            (&json!({ "region": "eu" }), &credential["credentialId"])
        );
        assert_eq!((&workflow["integrationId"], &workflow["active"]), (&json!("orders"), &json!(true)));
    }
    let session = joe.get("/session").await.is(200);
    assert_eq!(session.body["installations"], json!([shown]));
    let catalogue = joe.get("/integrations/orders").await.is(200);
    assert_eq!(catalogue.body["installation"], json!({ "status": "active", "installedAt": shown["installedAt"] }));

    // Settings are merged; workflows that are not listed are deactivated.
    let changed = joe
        .put(&here.path, json!({ "settings": { "region": null, "batch": 50 }, "workflows": ["paid"] }))
        .await
        .is(200);
    assert_eq!(
        (&changed.body["settings"], keys(&changed.body)),
        (&json!({ "batch": 50 }), vec!["(new)".to_owned(), "paid".to_owned()])
    );
    assert!(changed.body["revision"].as_u64() > shown["revision"].as_u64());
    assert!(here.workflows().await.iter().all(|workflow| workflow["settings"] == json!({ "batch": 50 })));
    // A repetition changes nothing.
    let repeated = joe.put(&here.path, json!({ "settings": { "batch": 50 }, "workflows": ["paid"] })).await.is(200);
    assert_eq!(repeated.body, changed.body);

    // New data stays in the same credential.
    joe.put(&here.path, json!({ "credentials": connected("shpat_2") })).await.is(200);
    let replaced = &here.credentials().await[0];
    assert_eq!(replaced["credentialId"], credential["credentialId"]);
    let reveal = format!("/users/{}/credentials/{}/reveal", here.user, credential["credentialId"].as_str().unwrap());
    assert_eq!(here.acme.engine.post(&reveal, json!({})).await.is(200).body["data"]["token"], "shpat_2");

    // Unless they are for another account.
    let mut other = connected("shpat_3");
    (other["shopify"]["new"], other["shopify"]["name"]) = (json!(true), json!("Second shop"));
    let switched = joe.put(&here.path, json!({ "credentials": other })).await.is(200).body;
    assert_ne!(switched["credentialIds"]["shopify"], credential["credentialId"]);
    assert!(here.workflows().await.iter().all(|one| one["credentialIds"][0] == switched["credentialIds"]["shopify"]));
    assert_eq!(here.acme.engine.post(&reveal, json!({})).await.is(200).body["data"]["token"], "shpat_2");
    // Up to eight.
    for n in 3..=8 {
        other["shopify"]["name"] = json!(format!("Shop {n}"));
        joe.put(&here.path, json!({ "credentials": other })).await.is(200);
    }
    let refused = joe.put(&here.path, json!({ "credentials": other })).await;
    refused.is_problem(422, "validation").names(&["/credentials/shopify/new"]);
    assert_eq!(here.credentials().await.len(), 8);
    let misused = json!({ "shopify": { "credentialId": credential["credentialId"], "new": true } });
    let refused = joe.put(&here.path, json!({ "credentials": misused })).await;
    refused.is_problem(422, "validation").names(&["/credentials/shopify/new"]);

    assert_eq!(joe.delete(&here.path).await.is(200).body, json!({ "success": true }));
    assert_eq!((here.credentials().await.len(), here.workflows().await.len()), (0, 0));
    for answer in [joe.get(&here.path).await, joe.delete(&here.path).await] {
        answer.is_problem(404, "not-found");
    }
}

#[tokio::test]
async fn everything_that_the_integration_does_not_allow_is_named() {
    let here = Installed::new(&["new"]).await;
    here.put(json!({})).await.is_problem(422, "validation").names(&["/credentials/shopify"]);
    let other = json!({ "type": "other", "name": "Other", "data": {} });
    let other =
        here.acme.backend.post(&format!("/users/{}/credentials", here.user), other).await.is(201).text("credentialId");
    let body = json!({
        "credentials": {
            "shopify": { "data": { "shop": "ftp://acme.example", "tokn": "x" } },
            "slack": { "data": {} },
        },
        "settings": { "region": "mars", "batch": "many", "size": 1 },
        "workflows": ["new", "old", "new"],
    });
    here.put(body).await.is_problem(422, "validation").names(&[
        "/credentials/shopify/data/shop",
        "/credentials/shopify/data/tokn",
        "/credentials/shopify/data/token",
        "/credentials/slack",
        "/settings/batch",
        "/settings/region",
        "/settings/size",
        "/workflows/1",
        "/workflows/2",
    ]);
    let shapes = json!({ "credentials": {
        "a": {},
        "b": { "credentialId": other, "data": {} },
        "c": { "credentialId": other, "name": "x" },
        "d": { "credentialId": "x", "data": {}, "new": true },
        "e": { "credentialId": "x", "name": "", "new": true },
    } });
    here.put(shapes).await.is_problem(422, "validation").names(&[
        "/credentials/a",
        "/credentials/b/data",
        "/credentials/c/name",
        "/credentials/d/credentialId",
        "/credentials/d/data",
        "/credentials/e/credentialId",
        "/credentials/e/name",
        "/credentials/e/new",
    ]);
    for url in ["https:a.example", "https:/a.example", "https:///a.example", r"https:\\a.example", r"https://a\b"] {
        let body = json!({ "credentials": { "shopify": { "data": { "shop": url, "token": "x" } } } });
        let refused = here.put(body).await;
        refused
            .is_problem(422, "validation")
            .names(&["/credentials/shopify/data/shop", "/credentials/shopify/data/token"]);
    }
    for credential in [&other, &"0".repeat(24)] {
        let body = json!({ "credentials": { "shopify": { "credentialId": credential } } });
        here.put(body).await.is_problem(422, "validation").names(&["/credentials/shopify/credentialId"]);
    }
    // Nothing was created, and no value is repeated.
    assert_eq!((here.credentials().await.len(), here.workflows().await.len()), (1, 0));
    let secret =
        json!({ "credentials": { "shopify": { "data": { "shop": "https://a.example", "token": "hunter2" } } } });
    let refused = here.put(secret).await;
    assert!(!refused.body.to_string().contains("hunter2"));
    refused.is_problem(422, "validation").names(&["/credentials/shopify/data/token"]);
}

#[tokio::test]
async fn installation_needs_attention_until_its_credential_and_settings_are_valid() {
    let here = Installed::new(&["new"]).await;
    let installed = here.put(json!({ "credentials": connected("shpat_1") })).await.is(201);
    let credential = installed.body["credentialIds"]["shopify"].as_str().unwrap().to_owned();
    let credential = format!("/users/{}/credentials/{credential}", here.user);
    let invalid = json!({ "status": "invalid", "reason": "401 from the shop" });
    here.acme.engine.post(&format!("{credential}/status"), invalid).await.is(200);
    let attention = async |expected: Value| {
        let shown = here.acme.engine.get(&here.path).await.is(200).body;
        let status = if expected == json!([]) { "active" } else { "needs-attention" };
        assert_eq!((&shown["attention"], &shown["status"]), (&expected, &json!(status)));
    };
    attention(json!([{ "pointer": "/credentials/shopify", "detail": "is invalid: 401 from the shop" }])).await;
    here.put(json!({ "credentials": connected("shpat_2") })).await.is(200);
    attention(json!([])).await;
    here.acme.backend.delete(&credential).await.is(200);
    attention(json!([{ "pointer": "/credentials/shopify", "detail": "was deleted" }])).await;
    let connected = here.put(json!({ "credentials": connected("shpat_3") })).await.is(200);
    assert_ne!(connected.body["credentialIds"], installed.body["credentialIds"]);
    assert_eq!(here.workflows().await[0]["credentialIds"][0], connected.body["credentialIds"]["shopify"]);

    let mut changed = integration(&["new"]);
    changed["settings"][0]["required"] = json!(true);
    changed["credentialTypes"].as_array_mut().unwrap().push(json!({ "type": "slack", "name": "Slack", "fields": [] }));
    here.acme.backend.put("/integrations/orders", changed).await.is(200);
    attention(json!([
        { "pointer": "/credentials/slack", "detail": "is not connected" },
        { "pointer": "/settings/region", "detail": "is required" },
    ]))
    .await;
    let settings = json!({ "region": "eu" });
    // Only the app connects an account of a type without fields.
    let without_account = json!({ "credentials": { "slack": { "data": {} } }, "settings": settings });
    here.put(without_account).await.is_problem(422, "validation").names(&["/credentials/slack"]);
    let account = json!({ "type": "slack", "name": "Slack", "data": { "accessToken": "xoxb-1" } });
    let account = here.acme.backend.post(&format!("/users/{}/credentials", here.user), account).await.is(201);
    let account = json!({ "slack": { "credentialId": account.text("credentialId") } });
    let repaired = json!({ "credentials": account, "settings": settings });
    assert_eq!(here.put(repaired).await.is(200).body["status"], "active");
    here.acme.backend.post(&format!("/users/{}/disable", here.user), json!({})).await.is(200);
    let disabled = here.acme.engine.get(&here.path).await.is(200).body;
    assert_eq!((&disabled["status"], keys(&disabled)), (&json!("inactive"), vec!["(new)".to_owned()]));
}

#[tokio::test]
async fn disabled_user_changes_nothing_while_api_gateway_still_accepts_its_token() {
    let here = Installed::new(&["new"]).await;
    let joe = Api::new(here.acme.user_token(&here.user).await);
    let body = json!({ "credentials": connected("shpat_1"), "settings": { "region": "eu" } });
    joe.put(&here.path, body).await.is(201);
    here.acme.disable_user(&here.user).await;

    let workflow = here.workflows().await.remove(0)["workflowId"].as_str().unwrap().to_owned();
    for refused in [
        joe.put(&here.path, json!({ "settings": { "batch": 50 } })).await,
        joe.put("/workflows/deactivate", json!({ "workflowId": workflow })).await,
        joe.delete(&here.path).await,
        joe.get(&format!("/workflows/{workflow}")).await,
        joe.get("/session").await,
    ] {
        // 403 if API Gateway has asked the authorizer again.
        assert!([401, 403].contains(&refused.status), "{refused:?}");
    }
    let installed = here.acme.engine.get(&here.path).await.is(200).body;
    assert_eq!((&installed["settings"], keys(&installed)), (&json!({ "region": "eu" }), vec!["(new)".to_owned()]));
}

#[tokio::test]
async fn disabled_or_deleted_integration_keeps_running_and_can_be_uninstalled_only() {
    let here = Installed::new(&["new"]).await;
    let joe = Api::new(here.acme.user_token(&here.user).await);
    here.put(json!({ "credentials": connected("shpat_1") })).await.is(201);
    let mut disabled = integration(&["new"]);
    disabled["enabled"] = json!(false);
    here.acme.backend.put("/integrations/orders", disabled).await.is(200);
    here.put(json!({})).await.is_problem(409, "integration-disabled");
    joe.put(&here.path, json!({})).await.is_problem(404, "not-found");
    assert_eq!(joe.get(&here.path).await.is(200).body["status"], "active");
    here.acme.backend.delete("/integrations/orders").await.is(200);
    here.put(json!({})).await.is_problem(404, "not-found");
    assert_eq!(joe.get(&here.path).await.is(200).body["status"], "active");
    joe.delete(&here.path).await.is(200);
    assert!(here.workflows().await.is_empty());
}

#[tokio::test]
async fn account_that_the_app_connects_is_named_and_never_emptied() {
    let here = Installed::new(&["new"]).await;
    let oauth = json!({ "name": "Orders", "workflows": [{ "key": "new", "name": "Orders" }],
        "credentialTypes": [{ "type": "oauth", "name": "Shop", "fields": [] }] });
    here.acme.backend.put("/integrations/orders", oauth).await.is(200);
    let credentials = format!("/users/{}/credentials", here.user);
    let connect = async |grant: &str| {
        let body = json!({ "type": "oauth", "name": grant, "data": { "refreshToken": grant } });
        here.acme.backend.post(&credentials, body).await.is(201).text("credentialId")
    };
    let grant = async |credential: &str| {
        let revealed = here.acme.engine.post(&format!("{credentials}/{credential}/reveal"), json!({})).await;
        revealed.is(200).body["data"]["refreshToken"].clone()
    };
    let empty = json!({ "credentials": { "oauth": { "data": {} } } });
    here.put(empty.clone()).await.is_problem(422, "validation").names(&["/credentials/oauth"]);
    let first = connect("first").await;
    here.put(json!({ "credentials": { "oauth": { "credentialId": first } } })).await.is(201);
    here.put(empty.clone()).await.is(200);
    assert_eq!(grant(&first).await, "first");

    let invalid = json!({ "status": "invalid", "reason": "revoked" });
    here.acme.engine.post(&format!("{credentials}/{first}/status"), invalid).await.is(200);
    here.put(empty.clone()).await.is_problem(422, "validation").names(&["/credentials/oauth"]);
    let second = connect("second").await;
    let repaired = here.put(json!({ "credentials": { "oauth": { "credentialId": second } } })).await.is(200);
    assert_eq!(repaired.body["status"], "active");
    assert_eq!((grant(&first).await, grant(&second).await), (json!("first"), json!("second")));
    let new = json!({ "credentials": { "oauth": { "data": {}, "new": true } } });
    here.put(new).await.is_problem(422, "validation").names(&["/credentials/oauth"]);
    here.acme.backend.delete(&format!("{credentials}/{second}")).await.is(200);
    here.put(empty).await.is_problem(422, "validation").names(&["/credentials/oauth"]);
}

#[tokio::test]
async fn damaged_workflow_fails_each_change_that_would_skip_it_until_its_item_is_deleted() {
    let here = Installed::new(&["new", "paid"]).await;
    let installed = here.put(json!({ "credentials": connected("shpat_1") })).await.is(201).body;
    let damaged = installed["workflows"][0]["workflowId"].as_str().unwrap();
    let shown = here.acme.backend.get(&format!("/workflows/{damaged}")).await.is(200).body;
    let dynamodb = Client::new(&here.acme.tenon.aws);
    let (table, pk) = (setting("TENON_STACK_DirectoryTable"), keys::attribute(keys::workflow(&here.acme.id, damaged)));
    let sk = keys::attribute("workflow");
    let damage = dynamodb.update_item().table_name(&table).update_expression("REMOVE revision");
    damage.key("pk", pk.clone()).key("sk", sk.clone()).send().await.unwrap();

    let everything = format!("/users/{}/deactivate-workflows", here.user);
    for body in [json!({ "settings": { "region": "eu" } }), json!({ "workflows": ["new"] }), json!({ "workflows": [] })]
    {
        here.put(body).await.is_problem(500, "internal");
    }
    here.acme.backend.delete(&here.path).await.is_problem(500, "internal");
    let kept = here.workflows().await;
    assert_eq!((kept.len(), &kept[0]["active"], &kept[0]["settings"]), (1, &json!(true), &json!({})));
    // It stops what can be stopped.
    here.acme.backend.put(&everything, json!({})).await.is_problem(500, "internal");
    assert_eq!(here.workflows().await[0]["active"], false);

    let pointer = keys::attribute(keys::workflow_name(shown["name"].as_str().unwrap()));
    for (pk, sk) in [(pk, sk), (keys::attribute(keys::user(&here.acme.id, &here.user)), pointer)] {
        dynamodb.delete_item().table_name(&table).key("pk", pk).key("sk", sk).send().await.unwrap();
    }
    let changed = here.put(json!({ "workflows": ["new", "paid"] })).await.is(200).body;
    assert_eq!(keys(&changed), ["new", "paid"]);
    assert!(!changed.to_string().contains(damaged));
    here.acme.backend.put(&everything, json!({})).await.is(200);
    here.acme.backend.delete(&here.path).await.is(200);
    assert!(here.workflows().await.is_empty() && here.credentials().await.is_empty());
}

#[tokio::test]
async fn damaged_credential_stays_with_its_installation_and_is_not_left_behind() {
    let here = Installed::new(&["new"]).await;
    let installed = here.put(json!({ "credentials": connected("shpat_1") })).await.is(201).body;
    let credential = installed["credentialIds"]["shopify"].as_str().unwrap();
    let dynamodb = Client::new(&here.acme.tenon.aws);
    let (table, pk) = (setting("TENON_STACK_DirectoryTable"), keys::user(&here.acme.id, &here.user));
    let name = async |from: &str, to: &str| {
        let update = dynamodb.update_item().table_name(&table).update_expression("SET #to = #from REMOVE #from");
        let update = update.expression_attribute_names("#from", from).expression_attribute_names("#to", to);
        let update = update.key("pk", keys::attribute(&pk)).key("sk", keys::attribute(keys::credential(credential)));
        update.send().await.unwrap();
    };
    name("revision", "damaged").await;
    here.put(json!({ "settings": { "region": "eu" } })).await.is(200);
    here.acme.backend.delete(&here.path).await.is_problem(500, "internal");
    name("damaged", "revision").await;
    here.acme.backend.delete(&here.path).await.is(200);
    assert!(here.credentials().await.is_empty());
}

#[tokio::test]
async fn pages_hold_each_installation_once_newest_first_for_every_caller() {
    let acme = Tenon::deployed().await.environment().await;
    let user = acme.create_user("joe@acme.example").await;
    let joe = Api::new(acme.user_token(&user).await);
    let other = acme.create_user("ben@acme.example").await;
    let ben = Api::new(acme.user_token(&other).await);
    let limited = json!({ "integrations": ["a", "b"] });
    let limited = acme.backend.post(&format!("/users/{user}/token"), limited).await.is(200).body;
    let limited = Api::new(limited["token"].as_str().unwrap());
    let of_user = format!("/users/{user}/installations");
    for id in ["b", "c", "a"] {
        let body = json!({ "name": "Orders", "workflows": [{ "key": "new", "name": "Orders" }] });
        acme.backend.put(&format!("/integrations/{id}"), body).await.is(201);
        acme.backend.put(&format!("{of_user}/{id}"), json!({})).await.is(201);
    }
    let pages = async |api: &Api, path: &str| {
        let (mut ids, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = api.get(&format!("{path}?limit=1{cursor}")).await.is(200).body;
            let data = page["data"].as_array().unwrap();
            assert!(data.len() <= 1);
            ids.extend(data.iter().map(|one| one["integrationId"].as_str().unwrap().to_owned()));
            let Some(next) = page["cursor"].as_str() else { return ids };
            cursor = format!("&cursor={next}");
        }
    };
    let newest_first = ["a", "c", "b"];
    for api in [&acme.backend, &acme.engine, &joe] {
        assert_eq!(pages(api, &of_user).await, newest_first);
    }
    for (api, ids) in [(&joe, &newest_first[..]), (&limited, &["a", "b"]), (&ben, &[])] {
        assert_eq!(pages(api, "/installations").await, ids);
    }
    eventually("the list of the environment is complete", async || {
        (pages(&acme.engine, "/installations").await == newest_first).then_some(())
    })
    .await;
}

#[tokio::test]
async fn installations_are_filtered_by_integration_and_status() {
    let here = Installed::new(&["new"]).await;
    here.acme.backend.put("/integrations/other", integration(&["new"])).await.is(201);
    let installed = here.put(json!({ "credentials": connected("shpat_1") })).await.is(201).body;
    let of_user = format!("/users/{}/installations", here.user);
    let other = json!({ "credentials": connected("shpat_2"), "workflows": [] });
    here.acme.backend.put(&format!("{of_user}/other"), other).await.is(201);
    let broken = installed["credentialIds"]["shopify"].as_str().unwrap();
    let status = format!("/users/{}/credentials/{broken}/status", here.user);
    here.acme.engine.post(&status, json!({ "status": "invalid", "reason": "401" })).await.is(200);
    let joe = Api::new(here.acme.user_token(&here.user).await);
    for (filter, expected) in [
        ("", &["other", "orders"][..]),
        ("integrationId=orders", &["orders"]),
        ("integrationId=absent", &[]),
        ("status=needs-attention", &["orders"]),
        ("status=inactive", &["other"]),
        ("status=active", &[]),
        ("status=inactive&integrationId=orders", &[]),
    ] {
        for (api, list) in [(&here.acme.backend, "/installations"), (&joe, "/installations"), (&joe, &of_user)] {
            let list = format!("{list}?{filter}");
            eventually(&list, async || {
                let page = api.get(&list).await.is(200).body;
                let ids = page["data"].as_array().unwrap().iter().map(|one| one["integrationId"].as_str().unwrap());
                (ids.collect::<Vec<_>>() == expected).then_some(())
            })
            .await;
        }
    }
    // A page of which nothing matches has a cursor.
    let first = joe.get("/installations?limit=1&status=needs-attention").await.is(200);
    assert_eq!(first.body["data"], json!([]));
    let cursor = first.text("cursor");
    let rest = joe.get(&format!("/installations?limit=1&status=needs-attention&cursor={cursor}")).await.is(200);
    assert_eq!(rest.body["data"][0]["integrationId"], "orders");
    joe.get("/installations?status=broken").await.is_problem(422, "validation").names(&["/status"]);
}

#[tokio::test]
async fn uninstalling_leaves_what_something_else_names() {
    let here = Installed::new(&["new"]).await;
    let installed = here.put(json!({ "credentials": connected("shpat_1") })).await.is(201).body;
    let created = installed["credentialIds"]["shopify"].clone();
    here.acme.backend.put("/integrations/second", integration(&["new"])).await.is(201);
    let second = format!("/users/{}/installations/second", here.user);
    let body = json!({ "credentials": { "shopify": { "credentialId": created } } });
    let shared = here.acme.backend.put(&second, body).await.is(201).body;
    assert_eq!(shared["workflows"][0]["name"], "Orders to Shopify (2)");
    here.acme.backend.delete(&here.path).await.is(200);
    assert_eq!(here.credentials().await.len(), 1);
    assert_eq!(here.acme.backend.get(&second).await.is(200).body["status"], "active");
    here.acme.backend.delete(&second).await.is(200);
    assert!(here.credentials().await.is_empty(), "nothing names what the first installation created");

    here.put(json!({ "credentials": connected("shpat_2") })).await.is(201);
    let own = here.acme.backend.get(&here.path).await.is(200).body["credentialIds"]["shopify"].clone();
    let workflow = json!({ "userId": here.user, "name": "Own", "credentialIds": [own] });
    let workflow = here.acme.backend.post("/workflows", workflow).await.is(201).text("workflowId");
    here.acme.backend.delete(&here.path).await.is(200);
    assert_eq!(here.credentials().await.len(), 1);
    let kept = here.acme.backend.get(&format!("/workflows/{workflow}")).await.is(200);
    assert_eq!(kept.body["credentialIds"], json!([own]));
}

#[tokio::test]
async fn uninstalling_deletes_first_what_the_installation_itself_created() {
    let here = Installed::new(&["new"]).await;
    here.acme.backend.put("/integrations/second", integration(&["new"])).await.is(201);
    let second = format!("/users/{}/installations/second", here.user);
    let body = json!({ "credentials": connected("shpat_other") });
    let shared = here.acme.backend.put(&second, body).await.is(201).body["credentialIds"]["shopify"].clone();
    here.put(json!({ "credentials": connected("shpat_0") })).await.is(201);
    for number in 1..8 {
        let mut another = connected(&format!("shpat_{number}"));
        another["shopify"]["new"] = json!(true);
        here.put(json!({ "credentials": another })).await.is(200);
    }
    here.put(json!({ "credentials": { "shopify": { "credentialId": shared } } })).await.is(200);
    here.acme.backend.delete(&second).await.is(200);
    assert_eq!(here.credentials().await.len(), 9);

    here.acme.backend.delete(&here.path).await.is(200);

    let left: Vec<Value> = here.credentials().await.iter().map(|one| one["credentialId"].clone()).collect();
    assert_eq!(left, [shared], "eight are deleted at most");
}

#[tokio::test]
async fn deleting_a_workflow_also_removes_it_from_its_installation() {
    let here = Installed::new(&["new", "paid"]).await;
    let installed = here.put(json!({ "credentials": connected("shpat_1") })).await.is(201).body;
    let workflow = format!("/workflows/{}", installed["workflows"][0]["workflowId"].as_str().unwrap());
    here.acme.backend.patch(&workflow, json!({ "settings": {} })).await.is_problem(409, "workflow-installed");
    here.acme.backend.patch(&workflow, json!({ "name": "Mine" })).await.is(200);
    assert_eq!(here.acme.backend.get(&here.path).await.is(200).body["workflows"][0]["name"], "Mine");
    here.acme.backend.delete(&workflow).await.is(200);
    assert_eq!(keys(&here.acme.backend.get(&here.path).await.is(200).body), ["paid"]);
    // It is not created again before it is listed.
    assert_eq!(keys(&here.put(json!({})).await.is(200).body), ["paid"]);
    assert_eq!(keys(&here.put(json!({ "workflows": ["new"] })).await.is(200).body), ["(paid)", "new"]);
}

#[tokio::test]
async fn merged_settings_have_at_most_8_kib() {
    let here = Installed::new(&["new"]).await;
    let field = |name: &str| json!({ "name": name, "label": "L", "type": "text" });
    let settings =
        json!({ "name": "Large", "settings": [field("a"), field("b")], "workflows": [{ "key": "k", "name": "K" }] });
    here.acme.backend.put("/integrations/orders", settings).await.is(200);
    let text = "x".repeat(5000);
    here.put(json!({ "settings": { "a": text } })).await.is(201);
    here.put(json!({ "settings": { "b": text } })).await.is_problem(422, "validation").names(&["/settings"]);
    here.put(json!({ "settings": { "a": "", "b": text } })).await.is(200);
    assert_eq!(here.acme.backend.get(&here.path).await.is(200).body["settings"], json!({ "b": text }));
}

#[tokio::test]
async fn account_is_connected_again_whatever_else_the_integration_needs() {
    let here = Installed::new(&["new"]).await;
    let empty = json!({ "credentials": connected("shpat_1"), "settings": { "region": "", "batch": " " } });
    let installed = here.put(empty).await.is(201);
    assert_eq!(installed.body["settings"], json!({}));
    let mut changed = integration(&["new"]);
    changed["settings"][0]["required"] = json!(true);
    here.acme.backend.put("/integrations/orders", changed.clone()).await.is(200);
    let reconnected = here.put(json!({ "credentials": connected("shpat_2"), "workflows": [] })).await.is(200);
    assert_eq!(reconnected.body["attention"][0]["pointer"], "/settings/region");
    here.put(json!({ "settings": { "batch": 1 } })).await.is_problem(422, "validation").names(&["/settings/region"]);
    // A misspelt member that would be cleared, too.
    for empty in [json!(null), json!("")] {
        let misspelt = here.put(json!({ "settings": { "region": "eu", "bacth": empty } })).await;
        misspelt.is_problem(422, "validation").names(&["/settings/bacth"]);
    }

    // A type that the integration no longer has is disconnected.
    changed["credentialTypes"] = json!([]);
    here.acme.backend.put("/integrations/orders", changed).await.is(200);
    let disconnected = here.put(json!({ "settings": { "region": "eu" } })).await.is(200);
    assert_eq!((&disconnected.body["credentialIds"], &disconnected.body["status"]), (&json!({}), &json!("inactive")));
    assert_eq!(here.workflows().await[0]["credentialIds"], json!([]));
    here.acme.backend.delete(&here.path).await.is(200);
    assert!(here.credentials().await.is_empty());
}

#[tokio::test]
async fn outdated_etag_prevents_a_change() {
    let here = Installed::new(&["new"]).await;
    let put = |etag: &str, body: Value| {
        let request = here.acme.backend.request("PUT", &here.path).header("if-match", etag.to_owned());
        send(request.json(&body))
    };
    put("*", json!({ "credentials": connected("shpat_1") })).await.is_problem(412, "precondition-failed");
    let first = here.put(json!({ "credentials": connected("shpat_1") })).await.is(201);
    assert_eq!(here.acme.backend.get(&here.path).await.is(200).header("etag"), first.header("etag"));
    let second = put(first.header("etag"), json!({ "settings": { "batch": 1 } })).await.is(200);
    put(first.header("etag"), json!({ "settings": { "batch": 2 } })).await.is_problem(412, "precondition-failed");
    let invalid = put(first.header("etag"), json!({ "settings": { "batches": 2 } })).await;
    invalid.is_problem(422, "validation").names(&["/settings/batches"]);
    put(second.header("etag"), json!({ "settings": { "batch": 3 } })).await.is(200);
}

#[tokio::test]
async fn one_of_concurrent_requests_installs_what_must_be_new() {
    let here = Installed::new(&["new"]).await;
    let install = |n: usize| {
        let request = here.acme.backend.request("PUT", &here.path).header("if-none-match", "*");
        send(request.json(&json!({ "credentials": connected(&format!("shpat_{n}")) })))
    };
    let mut statuses: Vec<_> = join_all((0..5).map(install)).await.iter().map(|response| response.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 412, 412, 412, 412]);
    assert_eq!(here.credentials().await.len(), 1);
}

#[tokio::test]
async fn each_of_concurrent_requests_adds_the_account_for_which_it_asks() {
    let here = Installed::new(&["new"]).await;
    here.put(json!({ "credentials": connected("shpat_0") })).await.is(201);
    let added = join_all((1..=4).map(|n| {
        let mut credentials = connected(&format!("shpat_{n}"));
        credentials["shopify"]["new"] = json!(true);
        here.put(json!({ "credentials": credentials }))
    }));
    let ids: HashSet<String> =
        added.await.iter().map(|answer| answer.body["credentialIds"]["shopify"].to_string()).collect();
    assert_eq!((ids.len(), here.credentials().await.len()), (4, 5));
}

#[tokio::test]
async fn names_that_are_taken_get_a_number() {
    let here = Installed::new(&["a", "b"]).await;
    here.acme.create_workflow(&here.user, "Orders to Shopify").await;
    here.acme.create_workflow(&here.user, "Orders to Shopify (3)").await;
    let installed = here.put(json!({ "credentials": connected("shpat_1") })).await.is(201).body;
    let mut names: Vec<&str> =
        installed["workflows"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["Orders to Shopify (2)", "Orders to Shopify (4)"]);
}

#[tokio::test]
async fn largest_installation_is_created_changed_and_deleted_in_one_transaction() {
    let here = Installed::new(&["new"]).await;
    let fields = json!([{ "name": "key", "label": "Key", "type": "secret" }]);
    let types: Vec<Value> = (0..5).map(|n| json!({ "type": format!("t{n}"), "name": "T", "fields": fields })).collect();
    let version = |prefix: &str, count: usize| {
        let workflows: Vec<Value> =
            (0..count).map(|n| json!({ "key": format!("{prefix}{n}"), "name": "Orders" })).collect();
        json!({ "name": "Large", "credentialTypes": types, "workflows": workflows,
            "settings": [{ "name": "a", "label": "A", "type": "text" }] })
    };
    here.acme.backend.put("/integrations/orders", version("w", 20)).await.is(200);
    let data: Value =
        (0..5).map(|n| (format!("t{n}"), json!({ "data": {} }))).collect::<serde_json::Map<_, _>>().into();
    let installed = here.put(json!({ "credentials": data })).await.is(201).body;
    assert_eq!(installed["workflows"].as_array().unwrap().len(), 20);

    // What it creates is deleted with it, so that there are at most eight credentials.
    let mut new = data.clone();
    new.as_object_mut().unwrap().values_mut().for_each(|credential| credential["new"] = json!(true));
    let pointers: Vec<String> = (0..5).map(|n| format!("/credentials/t{n}/new")).collect();
    let refused = here.put(json!({ "credentials": new })).await;
    refused.is_problem(422, "validation").names(&pointers.iter().map(String::as_str).collect::<Vec<_>>());
    new.as_object_mut().unwrap().retain(|name, _| ["t0", "t1", "t2"].contains(&name.as_str()));
    here.put(json!({ "credentials": new })).await.is(200);
    assert_eq!(here.credentials().await.len(), 8);
    let path = format!("/users/{}/credentials/{}", here.user, installed["credentialIds"]["t3"].as_str().unwrap());
    here.acme.backend.delete(&path).await.is(200);
    let mixed = json!({ "t3": { "data": {} }, "t4": { "data": {}, "new": true } });
    let refused = here.put(json!({ "credentials": mixed })).await;
    refused.is_problem(422, "validation").names(&["/credentials/t3/credentialId", "/credentials/t4/new"]);
    here.put(json!({ "credentials": { "t3": { "data": {} } } })).await.is(200);
    assert_eq!(here.credentials().await.len(), 8);

    // Workflows that the integration no longer has stay, up to four.
    here.acme.backend.put("/integrations/orders", version("x", 5)).await.is(200);
    let all: Vec<String> = (0..5).map(|n| format!("x{n}")).collect();
    let four = json!({ "credentials": data, "settings": { "a": "b" }, "workflows": &all[..4] });
    let changed = here.put(four).await.is(200).body;
    assert_eq!(keys(&changed).iter().filter(|key| !key.starts_with('(')).count(), 4);
    assert_eq!(changed["workflows"].as_array().unwrap().len(), 24);
    here.put(json!({ "workflows": all })).await.is_problem(409, "too-many-workflows");
    here.acme.backend.delete(&here.path).await.is(200);
    assert_eq!((here.credentials().await.len(), here.workflows().await.len()), (0, 0));
}

#[tokio::test]
async fn deleting_a_user_removes_its_installations() {
    let here = Installed::new(&["new"]).await;
    here.put(json!({ "credentials": connected("shpat_1") })).await.is(201);
    let list = async || here.acme.engine.get("/installations").await.is(200).body["data"].as_array().unwrap().len();
    eventually("the installation is listed", async || (list().await == 1).then_some(())).await;
    here.acme.backend.delete(&format!("/users/{}", here.user)).await.is(200);
    here.acme.backend.get(&here.path).await.is_problem(404, "not-found");
    assert_eq!(list().await, 0);
    let partition = keys::user(&here.acme.id, &here.user);
    eventually("all items of the user are deleted", async || {
        here.acme.tenon.items("DirectoryTable", &partition).await.is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn secrets_of_an_installation_are_in_no_item_and_no_log() {
    let here = Installed::new(&["new"]).await;
    let secret = format!("shpat_{}", here.user);
    let installed = here.put(json!({ "credentials": connected(&secret) })).await.is(201);
    let refused = here.put(json!({ "credentials": connected(&secret), "settings": { "batch": "x" } })).await;
    let session = Api::new(here.acme.user_token(&here.user).await).get("/session").await.is(200);
    let path = format!("/users/{}/integrations/orders/install-url", here.user);
    let ticket = here.acme.backend.get(&path).await.is(200).text("url");
    let ticket = ticket.split_once("#ticket=").unwrap().1;
    for answer in [&installed, &refused, &session] {
        assert!(!answer.body.to_string().contains(&secret));
    }
    let items = here.acme.tenon.items("DirectoryTable", &keys::user(&here.acme.id, &here.user)).await;
    assert!(items.len() >= 4, "user, credential, installation and pointer");
    assert!(!items.iter().any(|item| contains(item, &secret)));
    let request = refused.text("instance");
    eventually("the refused request is logged", async || {
        (!here.acme.tenon.logs(&request).await.trim().is_empty()).then_some(())
    })
    .await;
    for text in [secret.as_str(), ticket] {
        assert_eq!(here.acme.tenon.logs(text).await.trim(), "", "a secret is in the logs");
    }
}
