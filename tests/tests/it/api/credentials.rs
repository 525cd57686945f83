//! Credentials of users.

use futures_util::future::join_all;
use serde_json::{Map, Value, json};
use tests::{Api, Tenon, eventually, keys, send, setting, table_items::contains};

const SECRET: &str = "shpat_6f1c2b9a7d3e4f50";

#[tokio::test]
async fn only_the_engine_can_reveal_credential_data() {
    let acme = Tenon::deployed().await.environment().await;
    let user = acme.create_user("joe@acme.example").await;
    let body = json!({ "type": "shopify", "name": "Shop", "data": { "token": SECRET, "shop": { "id": 7 } } });
    let created = acme.backend.post("/users/joe@acme.example/credentials", body).await.is(201);
    let id = created.text("credentialId");
    let path = created.location("/users/joe@acme.example/credentials");
    assert_eq!(path, format!("/users/joe@acme.example/credentials/{id}"));
    let shown = acme.backend.get(&path).await.is(200);
    let list = acme.backend.get("/users/joe@acme.example/credentials").await.is(200);
    let alias = acme.backend.get(&format!("/credentials/users/{user}")).await.is(200);
    assert_eq!(list.body, json!({ "data": [shown.body] }));
    assert_eq!(alias.body, list.body);
    for answer in [&created, &shown, &list] {
        assert!(!answer.body.to_string().contains(SECRET) && answer.body["data"]["token"] == Value::Null, "{answer:?}");
    }
    let revealed = acme.engine.post(&format!("{path}/reveal"), json!({})).await.is(200);
    assert_eq!(revealed.header("cache-control"), "no-store");
    assert_eq!(
        revealed.body,
        json!({ "credentialId": id, "type": "shopify", "data": { "token": SECRET, "shop": { "id": 7 } } })
    );
    assert_eq!(revealed.header("etag"), shown.header("etag"));

    let items = acme.tenon.items("DirectoryTable", &keys::user(&acme.id, &user)).await;
    assert!(items.len() >= 2);
    for item in &items {
        assert!(!contains(item, SECRET), "{item:?}");
    }
    assert_eq!(acme.backend.delete(&path).await.is(200).body, json!({ "success": true }));
    acme.backend.get(&path).await.is_problem(404, "not-found");
    acme.engine.post(&format!("{path}/reveal"), json!({})).await.is_problem(404, "not-found");
}

#[tokio::test]
async fn every_reveal_is_logged_without_the_data() {
    let acme = Tenon::deployed().await.environment().await;
    let user = acme.create_user("joe@acme.example").await;
    let credential = acme.create_credential(&user, json!({ "token": SECRET })).await;
    acme.engine.post(&format!("/users/{user}/credentials/{credential}/reveal"), json!({})).await.is(200);
    let line = eventually("the reveal is logged", async || {
        let lines = acme.tenon.logs(&credential).await;
        lines.lines().find(|line| line.contains("credential revealed")).map(str::to_owned)
    })
    .await;
    assert!(
        line.contains(&acme.id) && line.contains(&user) && line.contains("WARN") && !line.contains(SECRET),
        "{line}"
    );
}

#[tokio::test]
async fn ciphertext_moved_to_another_credential_is_rejected() {
    let acme = Tenon::deployed().await.environment().await;
    let user = acme.create_user("joe@acme.example").await;
    let (one, other) = (
        acme.create_credential(&user, json!({ "a": 1 })).await,
        acme.create_credential(&user, json!({ "b": 2 })).await,
    );
    let dynamodb = aws_sdk_dynamodb::Client::new(&acme.tenon.aws);
    let pk = keys::user(&acme.id, &user);
    let items = acme.tenon.items("DirectoryTable", &pk).await;
    let of = |id: &str| items.iter().find(|item| item["sk"].as_s().unwrap() == &keys::credential(id)).unwrap();
    let mut moved = of(&other).clone();
    moved.insert("data".into(), of(&one)["data"].clone());
    let table = setting("TENON_STACK_DirectoryTable");
    dynamodb.put_item().table_name(table).set_item(Some(moved)).send().await.unwrap();
    let reveal = async |id: &str| acme.engine.post(&format!("/users/{user}/credentials/{id}/reveal"), json!({})).await;
    reveal(&other).await.is_problem(500, "internal");
    reveal(&one).await.is(200);
}

#[tokio::test]
async fn invalid_credential_fields_are_named_without_values() {
    let acme = Tenon::deployed().await.environment().await;
    let user = acme.create_user("joe@acme.example").await;
    let path = format!("/users/{user}/credentials");
    let body = json!({ "type": "", "data": SECRET });
    let refused = acme.backend.post(&path, body).await.is_problem(422, "validation");
    assert!(!refused.body.to_string().contains(SECRET));
    refused.names(&["/type", "/name", "/data"]);
    let long = json!({ "type": "x", "name": "x", "data": { "long": "x".repeat(16 * 1024) } });
    acme.backend.post(&path, long).await.is_problem(422, "validation").names(&["/data"]);
}

#[tokio::test]
async fn status_is_set_by_the_engine_and_changes_the_revision() {
    let acme = Tenon::deployed().await.environment().await;
    let user = acme.create_user("joe@acme.example").await;
    let credential = acme.create_credential(&user, json!({ "token": SECRET })).await;
    let path = format!("/users/{user}/credentials/{credential}");
    let created = acme.backend.get(&path).await.is(200);
    assert_eq!((&created.body["status"], &created.body["statusReason"]), (&json!("valid"), &Value::Null));
    let status = format!("{path}/status");
    let invalid = json!({ "status": "invalid", "reason": "401 from the shop" });
    let set = acme.engine.post(&status, invalid.clone()).await.is(200);
    assert_eq!((&set.body["status"], &set.body["statusReason"]), (&json!("invalid"), &invalid["reason"]));
    assert!(set.body["revision"].as_u64() > created.body["revision"].as_u64(), "{set:?}");
    assert_eq!(acme.backend.get(&path).await.is(200).body, set.body);
    assert_eq!(acme.engine.post(&status, invalid).await.is(200).body, set.body, "setting it again changes nothing");
    // An invalid credential can still be revealed.
    assert_eq!(acme.engine.post(&format!("{path}/reveal"), json!({})).await.is(200).body["data"]["token"], SECRET);

    // The ETag is that of the data, which the status does not change.
    let stale = acme.backend.request("POST", &status).header("if-match", "\"1\"");
    send(stale.json(&json!({ "status": "valid" }))).await.is_problem(412, "precondition-failed");
    let current = acme.backend.request("POST", &status).header("if-match", created.header("etag"));
    let valid = send(current.json(&json!({ "status": "valid", "reason": "ignored" }))).await.is(200);
    assert_eq!((&valid.body["status"], &valid.body["statusReason"]), (&json!("valid"), &Value::Null));
    let wrong = json!({ "status": "broken", "reason": "x".repeat(513) });
    acme.engine.post(&status, wrong).await.is_problem(422, "validation").names(&["/status", "/reason"]);
}

#[tokio::test]
async fn replaced_data_is_revealed_and_an_older_refresh_cannot_overwrite_it() {
    let acme = Tenon::deployed().await.environment().await;
    let user = acme.create_user("joe@acme.example").await;
    let credential = acme.create_credential(&user, json!({ "token": "old" })).await;
    let path = format!("/users/{user}/credentials/{credential}");
    let reveal = async || acme.engine.post(&format!("{path}/reveal"), json!({})).await.is(200);
    let before = reveal().await;
    acme.engine.post(&format!("{path}/status"), json!({ "status": "invalid", "reason": "401" })).await.is(200);

    let replace = async |etag: &str, body: Value| {
        send(acme.engine.request("PUT", &path).header("if-match", etag).json(&body)).await
    };
    let body = json!({ "data": { "token": SECRET }, "name": "Second shop" });
    let replaced = replace(before.header("etag"), body).await.is(200);
    let expected = (&json!("valid"), &Value::Null, &json!("Second shop"), &json!(credential));
    let shown = &replaced.body;
    assert_eq!((&shown["status"], &shown["statusReason"], &shown["name"], &shown["credentialId"]), expected);
    assert!(!shown.to_string().contains(SECRET));
    let after = reveal().await;
    assert_eq!(after.body["data"], json!({ "token": SECRET }));
    assert_eq!(after.header("etag"), replaced.header("etag"));
    assert_ne!(after.header("etag"), before.header("etag"));

    replace(before.header("etag"), json!({ "data": {} })).await.is_problem(412, "precondition-failed");
    let kept = acme.backend.put(&path, json!({ "data": { "token": "x" } })).await.is(200);
    assert_eq!(kept.body["name"], "Second shop", "the name stays");
    acme.engine
        .put(&path, json!({ "data": 1, "type": "x" }))
        .await
        .is_problem(422, "validation")
        .names(&["/data", "/type"]);
    acme.backend.delete(&path).await.is(200);
    acme.engine.put(&path, json!({ "data": {} })).await.is_problem(404, "not-found");
}

#[tokio::test]
async fn concurrent_replacements_each_seal_data_that_opens() {
    let acme = Tenon::deployed().await.environment().await;
    let user = acme.create_user("joe@acme.example").await;
    let credential = acme.create_credential(&user, json!({ "n": 0 })).await;
    let path = format!("/users/{user}/credentials/{credential}");
    let bodies: Vec<Value> = (1..=8).map(|n| json!({ "data": { "n": n } })).collect();
    let answers = join_all(bodies.into_iter().map(|body| acme.engine.put(&path, body))).await;
    // One that loses every race is rejected as a whole.
    let (replaced, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
    for answer in lost {
        answer.is_problem(409, "concurrent-modification");
    }
    let mut revisions: Vec<u64> = replaced.iter().map(|answer| answer.body["revision"].as_u64().unwrap()).collect();
    revisions.sort_unstable();
    assert!(!revisions.is_empty() && revisions.is_sorted_by(|one, next| one < next), "{revisions:?}");
    let revealed = acme.engine.post(&format!("{path}/reveal"), json!({})).await.is(200);
    assert_eq!(revealed.header("etag"), format!("\"{}\"", revisions.last().unwrap()));
}

#[tokio::test]
async fn numbers_of_any_precision_are_revealed_as_they_were_written() {
    let acme = Tenon::deployed().await.environment().await;
    let user = acme.create_user("joe@acme.example").await;
    let data =
        r#"{"a":117.63331139400017,"b":1e-400,"c":12345678901234567890123,"d":0.1234567890123456789,"e":-0,"f":1E5}"#;
    let body = format!(r#"{{"type":"shopify","name":"Shop","data":{data}}}"#);
    let request = acme.backend.request("POST", &format!("/users/{user}/credentials"));
    let created = send(request.header("content-type", "application/json").body(body)).await.is(201);
    let path = format!("/users/{user}/credentials/{}/reveal", created.text("credentialId"));
    let revealed = acme.engine.request("POST", &path).send().await.unwrap().text().await.unwrap();
    assert!(revealed.contains(data), "{revealed}");
}

/// Returns the ids of all pages of a list. Its cursor is refused at another path and by another
/// caller.
async fn pages(api: &Api, path: &str, other: (&Api, &str)) -> Vec<String> {
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = api.get(&format!("{path}?limit=2{cursor}")).await.is(200).body;
        ids.extend(page["data"].as_array().unwrap().iter().map(|one| one["credentialId"].as_str().unwrap().to_owned()));
        let Some(next) = page["cursor"].as_str() else { return ids };
        cursor = format!("&cursor={next}");
        let (another, elsewhere) = other;
        for (api, path) in [(api, elsewhere), (another, path)] {
            api.get(&format!("{path}?limit=2{cursor}")).await.is_problem(400, "invalid-cursor");
        }
    }
}

#[tokio::test]
async fn pages_hold_each_visible_credential_once_newest_first_for_every_caller() {
    let acme = Tenon::deployed().await.environment().await;
    let user = acme.create_user("joe@acme.example").await;
    let fields = json!([{ "name": "key", "label": "Key", "type": "secret" }]);
    let types: Vec<Value> =
        (0..5).map(|number| json!({ "type": format!("t{number}"), "name": "Shop", "fields": fields })).collect();
    let integration = json!({ "name": "Orders", "credentialTypes": types,
        "workflows": [{ "key": "a", "name": "Orders" }] });
    acme.backend.put("/integrations/orders", integration).await.is(201);
    let data: Map<String, Value> = (0..5).map(|number| (format!("t{number}"), json!({ "data": {} }))).collect();
    let path = format!("/users/{user}/installations/orders");
    let installed = acme.backend.put(&path, json!({ "credentials": data })).await.is(201).body;
    let mut visible: Vec<String> =
        installed["credentialIds"].as_object().unwrap().values().map(|id| id.as_str().unwrap().to_owned()).collect();
    let own = acme.create_credential(&user, json!({})).await;
    let options = json!({ "integrations": ["orders"] });
    let limited = acme.backend.post(&format!("/users/{user}/token"), options).await.is(200).text("token");
    let (limited, token) = (Api::new(limited), Api::new(acme.user_token(&user).await));

    let (of_user, by_user) = (format!("/users/{user}/credentials"), format!("/credentials/users/{user}"));
    visible.sort_by(|a, b| b.cmp(a));
    assert_eq!(pages(&limited, &of_user, (&acme.backend, &by_user)).await, visible);
    visible.push(own);
    visible.sort_by(|a, b| b.cmp(a));
    assert_eq!(pages(&token, &by_user, (&acme.backend, &of_user)).await, visible);
    assert_eq!(pages(&acme.backend, &of_user, (&token, &by_user)).await, visible);

    // A cursor of another list is refused before a user that does not exist.
    for user in ["nobody", "%20", &"0".repeat(24)] {
        for list in [format!("/users/{user}/credentials"), format!("/users/{user}/installations")] {
            acme.backend.get(&format!("{list}?cursor=AQIDBAUGBwgJCgsM")).await.is_problem(400, "invalid-cursor");
        }
    }

    // A cursor of one token continues the list of another token of the user.
    let first = token.get(&format!("{of_user}?limit=2")).await.is(200).text("cursor");
    let rest = limited.get(&format!("{of_user}?limit=100&cursor={first}")).await.is(200).body;
    let rest: Vec<&str> =
        rest["data"].as_array().unwrap().iter().map(|one| one["credentialId"].as_str().unwrap()).collect();
    let expected: Vec<&String> = visible.iter().skip(2).filter(|id| installed.to_string().contains(*id)).collect();
    assert_eq!(rest, expected);
}
