//! Credentials of users.

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use tests::{Tenon, eventually, keys, setting};

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
    assert_eq!(revealed.body, json!({ "data": { "token": SECRET, "shop": { "id": 7 } } }));

    let items = acme.tenon.items("DirectoryTable", &keys::user(&acme.id, &user)).await;
    assert!(items.len() >= 2);
    for item in &items {
        let mut bytes = Vec::new();
        flatten(&AttributeValue::M(item.clone()), &mut bytes);
        assert!(!bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes()), "{item:?}");
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

/// Collects the bytes of all strings, numbers and binaries of a value.
fn flatten(value: &AttributeValue, bytes: &mut Vec<u8>) {
    match value {
        AttributeValue::S(text) | AttributeValue::N(text) => bytes.extend(text.as_bytes()),
        AttributeValue::B(blob) => bytes.extend(blob.as_ref()),
        AttributeValue::L(list) => list.iter().for_each(|value| flatten(value, bytes)),
        AttributeValue::M(members) => members.values().for_each(|value| flatten(value, bytes)),
        _ => {}
    }
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
