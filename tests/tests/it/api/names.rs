//! Names of users: every name is rejected, or leads to its own user by path, query and body.

use std::collections::BTreeMap;

use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use serde_json::json;
use tests::Tenon;

/// Encodes every byte of a path segment or parameter.
fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Names that are likely to be confused with each other, and arbitrary ones.
fn names() -> impl Strategy<Value = String> {
    let special = prop::sample::select(vec![
        "%",
        "%25",
        "%2F",
        "/",
        "?",
        "#",
        "\\",
        ".",
        "..",
        "@",
        " ",
        "+",
        "&",
        "=",
        ":",
        "~",
        "\u{202e}",
        "\u{7f}",
        "é",
        "e\u{301}",
        "ß",
        "ss",
        "संपर्क",
        "’",
        "🙂",
        "\u{200d}",
        "A",
        "a",
        "İ",
        "ı",
    ]);
    let local = prop::collection::vec(special, 1..4).prop_map(|parts| parts.concat());
    let text = prop_oneof![local, "\\PC{1,12}", "[a-z.%]{1,5}"];
    let domain = prop::sample::select(vec!["", "@acme.example", "@ACME.example", "@bücher.example", "@a/b.example"]);
    (text, domain).prop_map(|(text, domain)| text + domain)
}

#[tokio::test]
async fn any_name_is_rejected_or_leads_to_its_own_user() {
    let acme = Tenon::deployed().await.environment().await;
    let mut runner = TestRunner::deterministic();
    // Users by the names with which they were created.
    let mut users: BTreeMap<String, String> = BTreeMap::new();
    for _ in 0..70 {
        let name = names().new_tree(&mut runner).unwrap().current();
        let created = acme.backend.post("/users", json!({ "username": name })).await;
        match created.status {
            201 => {
                let id = created.text("userId");
                assert!(!users.values().any(|known| *known == id), "{name:?}");
                users.insert(name.clone(), id);
            }
            // Another spelling of a name that is taken leads to its user.
            409 => {}
            status => {
                assert_eq!(status, 422, "{name:?}: {created:?}");
                // What cannot be a name leads to nobody.
                let found = acme.backend.get(&format!("/users/{}", encoded(&name))).await;
                assert!([400, 404, 422].contains(&found.status), "{name:?}: {found:?}");
                let deleted = acme.backend.delete(&format!("/users/{}", encoded(&name))).await;
                assert!([400, 404, 422].contains(&deleted.status), "{name:?}: {deleted:?}");
                continue;
            }
        }
        let found = acme.backend.get(&format!("/users/{}", encoded(&name))).await.is(200);
        let id = found.text("userId");
        assert!(users.values().any(|known| *known == id), "{name:?}");
        let listed = acme.backend.get(&format!("/users?username={}", encoded(&name))).await.is(200);
        assert_eq!(listed.body["data"][0]["userId"], json!(id), "{name:?}");
        let workflow = json!({ "userId": name, "name": format!("Workflow {}", users.len()) });
        let workflow = acme.backend.post("/workflows", workflow).await;
        if workflow.status == 201 {
            assert_eq!(workflow.body["userId"], json!(id), "{name:?}");
        } else {
            assert_eq!(workflow.status, 409, "{name:?}: {workflow:?}");
        }
    }
    assert!(users.len() > 10, "{}", users.len());
    for (name, id) in &users {
        let found = acme.backend.get(&format!("/users/{}", encoded(name))).await.is(200);
        assert_eq!(found.text("userId"), *id, "{name:?}");
    }
}
