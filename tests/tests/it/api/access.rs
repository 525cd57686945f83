//! Authentication, permissions, and the isolation of environments and users.

use std::process::Stdio;

use aws_sdk_dynamodb::Client;
use serde_json::{Value, json};
use tests::{
    Api, Tenon, bus_settings, eventually, example_error, keys, python, send, setting,
    table_items::{contains, scan},
};
use tokio::io::AsyncWriteExt;

#[tokio::test]
async fn only_public_documents_are_served_without_valid_credentials() {
    let acme = Tenon::deployed().await.environment().await;
    let user = acme.create_user("joe@acme.example").await;
    let path = format!("/users/{user}");
    Api::anonymous().get(&path).await.is(401);
    let key = acme.tenon.key(&acme.id, "manage").await;
    let typo = format!("{}{}", &key[..key.len() - 1], if key.ends_with('0') { '1' } else { '0' });
    let unknown = tenon::domain::api_key::ApiKey::generate(tenon::domain::environment::EnvironmentKind::Test);
    for credential in ["x", "tn_live_", &typo, unknown.expose(), "a.b.c", ""] {
        let answer = Api::new(credential).get(&path).await.is(403);
        assert_eq!(answer.body["message"], "Forbidden", "{credential}");
    }
    Api::anonymous().get("/openapi.json").await.is(200);
    Api::anonymous().get("/.well-known/jwks.json").await.is(200);
}

#[tokio::test]
async fn jwks_is_cacheable_for_five_minutes_and_has_an_etag() {
    let set = Api::anonymous().get("/.well-known/jwks.json").await.is(200);
    assert_eq!((set.header("cache-control"), set.header("vary")), ("public, max-age=300", "Origin"));
    let again = Api::anonymous().request("GET", "/.well-known/jwks.json").header("if-none-match", set.header("etag"));
    send(again).await.is(304);
    let other = Api::anonymous().request("GET", "/.well-known/jwks.json").header("if-none-match", "\"other\"");
    send(other).await.is(200);
}

#[tokio::test]
async fn scripts_of_the_modal_can_be_cached_and_used_by_isolated_pages() {
    for path in ["/tenon.js", "/tenon.global.js"] {
        let script = Api::anonymous().get(path).await.is(200);
        for (name, value) in [
            ("content-type", "text/javascript; charset=utf-8"),
            ("cache-control", "public, max-age=300"),
            ("cross-origin-resource-policy", "cross-origin"),
            ("x-content-type-options", "nosniff"),
        ] {
            assert_eq!(script.header(name), value, "{name} of {path}");
        }
        assert!(script.header("vary").contains("Origin"), "{}", script.header("vary"));
    }
}

#[tokio::test]
async fn authorization_scheme_is_case_insensitive() {
    let acme = Tenon::deployed().await.environment().await;
    let user = acme.create_user("joe@acme.example").await;
    let key = acme.tenon.key(&acme.id, "manage").await;
    for scheme in ["bearer", "BEARER"] {
        let request = Api::anonymous().request("GET", &format!("/users/{user}"));
        send(request.header("authorization", format!("{scheme} {key}"))).await.is(200);
    }
}

#[tokio::test]
async fn api_key_cannot_access_another_environment() {
    let tenon = Tenon::deployed().await;
    let (acme, other) = (tenon.environment().await, tenon.environment().await);
    let user = acme.create_user("joe@acme.example").await;
    let workflow = acme.create_workflow(&user, "Orders").await;
    acme.record_error(&workflow, "Error").await;
    let settings = bus_settings("tenon-test-bus");
    let destination = acme.backend.post("/destinations", settings).await.is(201).text("destinationId");

    let stranger = &other.backend;
    for path in [
        format!("/users/{user}"),
        "/users/joe@acme.example".to_owned(),
        format!("/users/{user}/token"),
        format!("/workflows/{workflow}/errors"),
        format!("/destinations/{destination}"),
    ] {
        stranger.get(&path).await.is_problem(404, "not-found");
        acme.backend.get(&path).await.is(200);
    }
    let stolen = json!({ "userId": user, "name": "Stolen" });
    stranger.post("/workflows", stolen).await.is_problem(404, "not-found");
    stranger
        .patch(&format!("/destinations/{destination}"), json!({ "enabled": false }))
        .await
        .is_problem(404, "not-found");
    let errors = format!("/workflows/{workflow}/errors");
    other.engine.post(&errors, example_error("forged")).await.is_problem(404, "not-found");

    assert_eq!(acme.error_texts(&workflow).await, ["Error"]);
    let shown = acme.backend.get(&format!("/destinations/{destination}")).await.is(200);
    assert_eq!(shown.body["enabled"], true);
    // Names are unique per environment only.
    other.create_user("joe@acme.example").await;
}

#[tokio::test]
async fn keys_tokens_and_tickets_are_in_no_item() {
    let acme = Tenon::deployed().await.environment().await;
    let user = acme.create_user("joe@acme.example").await;
    let integration = json!({ "name": "Orders", "workflows": [{ "key": "a", "name": "A" }] });
    acme.backend.put("/integrations/orders", integration).await.is(201);
    let link = acme.backend.get(&format!("/users/{user}/integrations/orders/install-url")).await.is(200).text("url");
    let (_, ticket) = link.split_once("#ticket=").unwrap();
    let token = acme.user_token(&user).await;
    let items = scan(&acme.tenon.aws, &setting("TENON_STACK_DirectoryTable")).await;
    assert!(items.iter().any(|item| contains(item, &user)));
    for secret in [acme.backend.credential(), acme.engine.credential(), &token, ticket] {
        assert!(secret.len() > 20 && !items.iter().any(|item| contains(item, secret)));
    }
}

#[tokio::test]
async fn engine_key_neither_reads_users_and_destinations_nor_manages_anything() {
    let acme = Tenon::deployed().await.environment().await;
    let user = acme.create_user("joe@acme.example").await;
    let workflow = acme.create_workflow(&user, "Orders").await;
    acme.record_error(&workflow, "Error").await;
    acme.engine.get(&format!("/users/{user}")).await.is_problem(403, "forbidden");
    acme.engine.get(&format!("/users/{user}/token")).await.is_problem(403, "forbidden");
    acme.engine.get(&format!("/workflows/{workflow}/errors")).await.is_problem(403, "forbidden");
    acme.engine.get("/destinations").await.is_problem(403, "forbidden");
    acme.engine.get(&format!("/workflows/{workflow}")).await.is(200);
    acme.engine.post("/users", json!({ "email": "jim@acme.example" })).await.is_problem(403, "forbidden");
    acme.engine.post("/workflows", json!({ "userId": user, "name": "x" })).await.is_problem(403, "forbidden");
    acme.engine.post("/destinations", bus_settings("x")).await.is_problem(403, "forbidden");
}

#[tokio::test]
async fn user_token_reads_only_its_own_user() {
    let acme = Tenon::deployed().await.environment().await;
    let (joe, jim) = (acme.create_user("joe@acme.example").await, acme.create_user("jim@acme.example").await);
    let (joes, jims) = (acme.create_workflow(&joe, "Orders").await, acme.create_workflow(&jim, "Orders").await);
    acme.record_error(&joes, "Joe's error").await;
    let token = Api::new(acme.user_token(&joe).await);

    assert_eq!(token.get(&format!("/users/{joe}")).await.is(200).text("email"), "joe@acme.example");
    token.get("/users/joe@acme.example").await.is(200);
    let errors = token.get(&format!("/workflows/{joes}/errors")).await.is(200);
    assert_eq!(errors.body["errors"][0]["error"], "Joe's error");

    for path in [format!("/users/{jim}"), "/users/jim@acme.example".to_owned(), format!("/workflows/{jims}/errors")] {
        token.get(&path).await.is_problem(404, "not-found");
    }
    token.get(&format!("/users/{joe}/token")).await.is_problem(403, "forbidden");
    token.post("/users", json!({ "email": "x@acme.example" })).await.is_problem(403, "forbidden");
    token.post(&format!("/workflows/{joes}/errors"), example_error("forged")).await.is_problem(403, "forbidden");
    token.post("/destinations", bus_settings("x")).await.is_problem(403, "forbidden");
}

#[tokio::test]
async fn refused_caller_learns_who_is_admitted_and_what_it_called_with() {
    let acme = Tenon::deployed().await.environment().await;
    let user = acme.create_user("joe@acme.example").await;
    let token = Api::new(acme.user_token(&user).await);
    let options = json!({ "mode": "read" });
    let issued = acme.backend.post(&format!("/users/{user}/token"), options).await.is(200);
    let reading = Api::new(issued.text("token"));
    let new_user = json!({ "email": "jim@acme.example" });
    let refusals = [
        (
            acme.engine.post("/users", new_user.clone()).await,
            "an API key with the scope `manage` is required; the key of the request has the scope `engine`",
        ),
        (
            token.post("/users", new_user).await,
            "an API key with the scope `manage` is required; the request has a user token",
        ),
        (acme.backend.get("/session").await, "a user token is required; the key of the request has the scope `manage`"),
        (
            reading.delete(&format!("/users/{user}/installations/orders")).await,
            "a user token with the mode `manage`, or an API key with the scope `manage`, is required; \
             the token of the request has the mode `read`",
        ),
    ];
    for (refusal, detail) in refusals {
        assert_eq!(refusal.is_problem(403, "forbidden").text("detail"), detail);
    }
}

#[tokio::test]
async fn pyjwt_verifies_user_token_with_published_keys() {
    let acme = Tenon::deployed().await.environment().await;
    let user = acme.create_user("joe@acme.example").await;
    let answer = acme.backend.post(&format!("/users/{user}/token"), json!({ "ttlSeconds": 60 })).await.is(200);
    assert_eq!(answer.header("cache-control"), "no-store");

    let claims = verify_with_pyjwt(&answer.text("token")).await;

    assert_eq!(claims["payload"]["sub"], user);
    assert_eq!(claims["payload"]["env"], acme.id);
    assert_eq!(claims["payload"]["exp"].as_i64().unwrap() - claims["payload"]["iat"].as_i64().unwrap(), 60);
    assert_eq!(claims["header"]["typ"], "tenon-user+jwt");
    assert_eq!(claims["header"]["alg"], "ES256");
}

#[tokio::test]
async fn token_lifetime_is_the_requested_one_up_to_30_minutes() {
    let acme = Tenon::deployed().await.environment().await;
    let path = format!("/users/{}/token", acme.create_user("joe@acme.example").await);
    let seconds = async |path: &str| {
        let claims = verify_with_pyjwt(&acme.backend.get(path).await.is(200).text("token")).await;
        claims["payload"]["exp"].as_i64().unwrap() - claims["payload"]["iat"].as_i64().unwrap()
    };
    assert_eq!(seconds(&path).await, 1800);
    assert_eq!(seconds(&format!("{path}?ttlSeconds=90")).await, 90);
    for refused in ["59", "1801", "-1", "x", ""] {
        let answer = acme.backend.get(&format!("{path}?ttlSeconds={refused}")).await;
        answer.is_problem(422, "validation").names(&["/ttlSeconds"]);
    }
}

/// Verifies a token with PyJWT, which gets only the URL of the published key set. Returns its
/// header and claims.
async fn verify_with_pyjwt(token: &str) -> Value {
    let mut python = python("verify_user_token.py")
        .arg(format!("{}/.well-known/jwks.json", setting("TENON_URL")))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    python.stdin.take().unwrap().write_all(token.as_bytes()).await.unwrap();
    let output = python.wait_with_output().await.unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
async fn admin_functions_name_invalid_input_fields() {
    let tenon = Tenon::deployed().await;
    let refused = tenon.invoke("EnvironmentsCreate", json!({ "kind": "prod" })).await.unwrap_err();
    assert_eq!(refused["errorType"], "validation");
    assert_eq!(refused["errorMessage"], "/name is required; /kind must be `live` or `test`");
    let nowhere = json!({ "environmentId": "0".repeat(24), "name": "x", "scopes": ["manage"] });
    assert_eq!(tenon.invoke("KeysCreate", nowhere).await.unwrap_err()["errorType"], "not-found");
    let none = json!({ "environmentId": "0".repeat(24), "name": "x", "scopes": [] });
    assert_eq!(tenon.invoke("KeysCreate", none).await.unwrap_err()["errorMessage"], "/scopes must not be empty");
}

#[tokio::test]
async fn live_environment_has_keys_of_its_kind() {
    let tenon = Tenon::deployed().await;
    let made = tenon.invoke("EnvironmentsCreate", json!({ "name": "acme", "kind": "live" })).await.unwrap();
    let key = tenon.key(made["environmentId"].as_str().unwrap(), "manage").await;
    assert!(key.starts_with("tn_live_"));
    assert_eq!(Api::new(key).get("/environment").await.is(200).body["kind"], "live");
}

#[tokio::test]
async fn only_integrations_of_a_limited_token_exist_for_it() {
    let acme = Tenon::deployed().await.environment().await;
    let user = acme.create_user("joe@acme.example").await;
    let integration = json!({ "name": "Orders", "workflows": [{ "key": "a", "name": "Orders" }],
        "credentialTypes": [{ "type": "shop", "name": "Shop", "fields": [{ "name": "key", "label": "Key", "type": "secret" }] }] });
    let body = json!({ "credentials": { "shop": { "data": {} } } });
    let (mut credentials, mut workflows) = (Vec::new(), Vec::new());
    for id in ["first", "second"] {
        acme.backend.put(&format!("/integrations/{id}"), integration.clone()).await.is(201);
        let path = format!("/users/{user}/installations/{id}");
        let installed = acme.backend.put(&path, body.clone()).await.is(201).body;
        credentials.push(installed["credentialIds"]["shop"].as_str().unwrap().to_owned());
        let workflow = installed["workflows"][0]["workflowId"].as_str().unwrap().to_owned();
        acme.record_error(&workflow, id).await;
        workflows.push(workflow);
    }
    acme.create_credential(&user, json!({})).await;
    acme.create_workflow(&user, "Of no integration").await;
    let options = json!({ "integrations": ["first", "absent"] });
    let token = acme.backend.post(&format!("/users/{user}/token"), options).await.is(200).text("token");
    let limited = Api::new(token);

    let ids = |answer: &tests::Answer, list: &str, id: &str| -> Vec<String> {
        answer.body[list].as_array().unwrap().iter().map(|one| one[id].as_str().unwrap().to_owned()).collect()
    };
    let session = limited.get("/session").await.is(200);
    for (list, id, expected) in [
        ("installations", "integrationId", "first"),
        ("workflows", "workflowId", &workflows[0]),
        ("credentials", "credentialId", &credentials[0]),
    ] {
        assert_eq!(ids(&session, list, id), [expected], "{list}");
    }
    let (of_user, by_user) = (format!("/users/{user}/credentials"), format!("/credentials/users/{user}"));
    let installations = format!("/users/{user}/installations");
    for (path, id, expected) in [
        ("/integrations", "integrationId", "first"),
        (&installations, "integrationId", "first"),
        ("/workflows", "workflowId", &workflows[0]),
        (&of_user, "credentialId", &credentials[0]),
        (&by_user, "credentialId", &credentials[0]),
    ] {
        assert_eq!(ids(&limited.get(path).await.is(200), "data", id), [expected], "{path}");
    }
    let groups = limited.get("/errors/groups").await.is(200);
    assert_eq!(groups.body["groups"].as_array().unwrap().len(), 1);
    assert_eq!(groups.body["groups"][0]["example"]["error"], "first");
    for filter in ["blockType=none".to_owned(), format!("workflowId={}", workflows[1]), "integrationId=second".into()] {
        let filtered = limited.get(&format!("/errors/groups?{filter}")).await.is(200);
        assert_eq!(filtered.body["groups"], json!([]), "{filter}");
    }
    assert_eq!(
        limited.get(&format!("/workflows/{}/errors", workflows[0])).await.is(200).body["errors"][0]["error"],
        "first"
    );
    for (integration, count) in [("first", 1), ("second", 0)] {
        let errors = format!("/workflows/{}/errors?integrationId={integration}", workflows[0]);
        for api in [&acme.backend, &limited] {
            assert_eq!(api.get(&errors).await.is(200).body["errors"].as_array().unwrap().len(), count, "{integration}");
        }
    }

    for path in [
        "/integrations/second".to_owned(),
        format!("{installations}/second"),
        format!("/workflows/{}", workflows[1]),
        format!("/workflows/{}/errors", workflows[1]),
        format!("{of_user}/{}", credentials[1]),
    ] {
        limited.get(&path).await.is_problem(404, "not-found");
        acme.backend.get(&path).await.is(200);
    }
    limited.put("/workflows/deactivate", json!({ "workflowId": workflows[1] })).await.is_problem(404, "not-found");
    limited
        .put("/workflows/deactivate", json!({ "workflowName": "Of no integration" }))
        .await
        .is_problem(404, "not-found");
    limited.put(&format!("{installations}/second"), json!({})).await.is_problem(404, "not-found");
    limited.delete(&format!("{installations}/second")).await.is_problem(404, "not-found");
    limited.delete(&format!("{of_user}/{}", credentials[1])).await.is_problem(404, "not-found");
    let stolen = json!({ "credentials": { "shop": { "credentialId": credentials[1] } } });
    let refused = limited.put(&format!("{installations}/first"), stolen).await;
    refused.is_problem(422, "validation").names(&["/credentials/shop/credentialId"]);
    assert_eq!(ids(&acme.backend.get(&of_user).await.is(200), "data", "credentialId").len(), 3);
}

#[tokio::test]
async fn damaged_installation_shows_its_account_to_no_token_that_is_limited_to_another_one() {
    let acme = Tenon::deployed().await.environment().await;
    let user = acme.create_user("joe@acme.example").await;
    let field = json!({ "name": "key", "label": "Key", "type": "secret" });
    for (id, fields) in [("own", json!([])), ("other", json!([field]))] {
        let account = json!({ "type": "shop", "name": "Shop", "fields": fields });
        let body =
            json!({ "name": "Orders", "workflows": [{ "key": "a", "name": "A" }], "credentialTypes": [account] });
        acme.backend.put(&format!("/integrations/{id}"), body).await.is(201);
    }
    let installations = format!("/users/{user}/installations");
    let entered = json!({ "credentials": { "shop": { "data": { "key": "k" } } } });
    let installed = acme.backend.put(&format!("{installations}/other"), entered).await.is(201).body;
    let account = installed["credentialIds"]["shop"].as_str().unwrap();
    let damage = Client::new(&acme.tenon.aws).update_item().table_name(setting("TENON_STACK_DirectoryTable"));
    let damage = damage.update_expression("REMOVE revision").key("pk", keys::attribute(keys::user(&acme.id, &user)));
    damage.key("sk", keys::attribute(keys::installation("other"))).send().await.unwrap();

    let limited = acme.backend.post(&format!("/users/{user}/token"), json!({ "integrations": ["own"] })).await;
    let limited = Api::new(limited.is(200).text("token"));
    let of_user = format!("/users/{user}/credentials");
    assert_eq!(limited.get("/session").await.is(200).body["credentials"], json!([]));
    assert_eq!(limited.get(&of_user).await.is(200).body["data"], json!([]));
    limited.get(&format!("{of_user}/{account}")).await.is_problem(404, "not-found");
    let stolen = json!({ "credentials": { "shop": { "credentialId": account } } });
    let refused = limited.put(&format!("{installations}/own"), stolen).await;
    refused.is_problem(422, "validation").names(&["/credentials/shop/credentialId"]);
}

#[tokio::test]
async fn limited_token_can_choose_an_account_that_the_app_connected() {
    let acme = Tenon::deployed().await.environment().await;
    let user = acme.create_user("joe@acme.example").await;
    let field = json!({ "name": "key", "label": "Key", "type": "secret" });
    let mut integration = json!({ "name": "Orders", "workflows": [{ "key": "a", "name": "Orders" }], "credentialTypes": [
        { "type": "grant", "name": "Google", "fields": [] }, { "type": "shop", "name": "Shop", "fields": [field] }] });
    acme.backend.put("/integrations/orders", integration.clone()).await.is(201);
    acme.backend
        .put("/integrations/other", json!({ "name": "Other", "workflows": [{ "key": "a", "name": "A" }] }))
        .await
        .is(201);
    let of_user = format!("/users/{user}/credentials");
    let connect = async |credential_type: &str| {
        let body = json!({ "type": credential_type, "name": "Account", "data": {} });
        acme.backend.post(&of_user, body).await.is(201).text("credentialId")
    };
    let (grant, shop) = (connect("grant").await, connect("shop").await);
    let limited_to = async |id: &str| {
        let options = json!({ "integrations": [id] });
        Api::new(acme.backend.post(&format!("/users/{user}/token"), options).await.is(200).text("token"))
    };
    let seen = async |token: &Api| {
        let session = token.get("/session").await.is(200).body["credentials"].clone();
        for list in [of_user.clone(), format!("/credentials/users/{user}")] {
            assert_eq!(token.get(&list).await.is(200).body["data"], session, "{list}");
        }
        for id in [&grant, &shop] {
            let expected = if session.to_string().contains(id) { 200 } else { 404 };
            token.get(&format!("{of_user}/{id}")).await.is(expected);
        }
        let ids = session.as_array().unwrap().iter().map(|one| one["credentialId"].as_str().unwrap().to_owned());
        ids.collect::<Vec<_>>()
    };
    let (limited, other) = (limited_to("orders").await, limited_to("other").await);
    assert_eq!(seen(&limited).await, std::slice::from_ref(&grant));
    assert_eq!(seen(&other).await, Vec::<String>::new());

    let path = format!("/users/{user}/installations/orders");
    let body = |account: Value| json!({ "credentials": { "grant": { "credentialId": grant }, "shop": account } });
    let refused = limited.put(&path, body(json!({ "credentialId": shop }))).await;
    refused.is_problem(422, "validation").names(&["/credentials/shop/credentialId"]);
    // Another integration may use them.
    for id in [&grant, &shop] {
        limited.delete(&format!("{of_user}/{id}")).await.is_problem(404, "not-found");
    }
    let installed = limited.put(&path, body(json!({ "data": { "key": "k" } }))).await.is(201).body;
    assert_eq!(installed["credentialIds"]["grant"], grant.as_str());
    assert_eq!(seen(&other).await, Vec::<String>::new());
    // Neither after both integrations use it.
    let google = json!({ "type": "grant", "name": "Google", "fields": [] });
    let third = json!({ "name": "Third", "workflows": [{ "key": "a", "name": "A" }], "credentialTypes": [google] });
    acme.backend.put("/integrations/third", third).await.is(201);
    let shared = format!("/users/{user}/installations/third");
    acme.backend.put(&shared, json!({ "credentials": { "grant": { "credentialId": grant } } })).await.is(201);
    limited.delete(&format!("{of_user}/{grant}")).await.is_problem(404, "not-found");
    acme.backend.delete(&shared).await.is(200);

    // An integration that cannot be installed offers no accounts.
    acme.backend.delete(&path).await.is(200);
    integration["enabled"] = json!(false);
    acme.backend.put("/integrations/orders", integration).await.is(200);
    eventually("the accounts are hidden", async || {
        let session = limited.get("/session").await.is(200).body;
        let list = limited.get(&of_user).await.is(200).body;
        let one = limited.get(&format!("{of_user}/{grant}")).await;
        (session["credentials"] == json!([]) && list["data"] == json!([]) && one.status == 404).then_some(())
    })
    .await;
}

#[tokio::test]
async fn limited_token_does_not_change_an_account_that_something_else_uses() {
    let acme = Tenon::deployed().await.environment().await;
    let user = acme.create_user("joe@acme.example").await;
    let field = json!({ "name": "token", "label": "Token", "type": "secret" });
    let integration = json!({ "name": "Orders", "workflows": [{ "key": "a", "name": "Orders" }],
        "credentialTypes": [{ "type": "shop", "name": "Shop", "fields": [field] }] });
    let of = |id: &str| format!("/users/{user}/installations/{id}");
    let entered = |token: &str| json!({ "credentials": { "shop": { "data": { "token": token } } } });
    for id in ["first", "second"] {
        acme.backend.put(&format!("/integrations/{id}"), integration.clone()).await.is(201);
    }
    let shared =
        acme.backend.put(&of("second"), entered("of second")).await.is(201).body["credentialIds"]["shop"].clone();
    acme.backend.put(&of("first"), json!({ "credentials": { "shop": { "credentialId": shared } } })).await.is(201);
    let revealed = async |id: &Value| {
        let path = format!("/users/{user}/credentials/{}/reveal", id.as_str().unwrap());
        acme.engine.post(&path, json!({})).await.is(200).body["data"]["token"].clone()
    };
    let options = json!({ "mode": "install", "integrations": ["first"] });
    let token = acme.backend.post(&format!("/users/{user}/token"), options).await.is(200).text("token");
    let limited = Api::new(token);

    let changed = limited.put(&of("first"), entered("of first")).await.is(200).body;
    let own = &changed["credentialIds"]["shop"];
    assert_ne!(*own, shared);
    assert_eq!((revealed(&shared).await, revealed(own).await), (json!("of second"), json!("of first")));
    let other = acme.backend.get(&of("second")).await.is(200).body;
    assert_eq!((&other["credentialIds"]["shop"], &other["status"]), (&shared, &json!("active")));
    // Neither does it change what another workflow uses.
    let standalone = json!({ "userId": user, "name": "Reports", "integrationId": "reports", "credentialIds": [own] });
    let workflow = acme.backend.post("/workflows", standalone).await.is(201).text("workflowId");
    let changed = limited.put(&of("first"), entered("another")).await.is(200).body;
    assert_ne!(changed["credentialIds"]["shop"], *own);
    assert_eq!(revealed(own).await, json!("of first"));
    acme.backend.put(&of("first"), json!({ "credentials": { "shop": { "credentialId": own } } })).await.is(200);
    let options = json!({ "mode": "manage", "integrations": ["first"] });
    let token = acme.backend.post(&format!("/users/{user}/token"), options).await.is(200).text("token");
    let path = format!("/users/{user}/credentials/{}", own.as_str().unwrap());
    Api::new(token).delete(&path).await.is_problem(404, "not-found");
    acme.backend.delete(&format!("/workflows/{workflow}")).await.is(200);
    // What only its integrations use is replaced in place.
    let again = limited.put(&of("first"), entered("again")).await.is(200).body;
    assert_eq!((&again["credentialIds"]["shop"], revealed(own).await), (own, json!("again")));
}

#[tokio::test]
async fn mode_of_a_token_limits_what_it_changes() {
    let acme = Tenon::deployed().await.environment().await;
    let user = acme.create_user("joe@acme.example").await;
    let integration = json!({ "name": "Orders", "workflows": [{ "key": "a", "name": "Orders" }] });
    acme.backend.put("/integrations/orders", integration).await.is(201);
    let path = format!("/users/{user}/installations/orders");
    let token = async |mode: &str| {
        let issued = acme.backend.post(&format!("/users/{user}/token"), json!({ "mode": mode })).await.is(200);
        Api::new(issued.text("token"))
    };
    let (read, install, manage) = (token("read").await, token("install").await, token("manage").await);
    let refused = read.put(&path, json!({})).await.is_problem(403, "forbidden");
    assert!(refused.text("detail").contains("the mode `install`"), "{refused:?}");
    install.put(&path, json!({})).await.is(201);
    for api in [&read, &install] {
        api.get(&path).await.is(200);
        api.delete(&path).await.is_problem(403, "forbidden");
        api.put("/workflows/deactivate", json!({ "workflowName": "Orders" })).await.is_problem(403, "forbidden");
    }
    manage.put("/workflows/deactivate", json!({ "workflowName": "Orders" })).await.is(200);
    manage.delete(&path).await.is(200);
}

#[tokio::test]
async fn options_of_a_token_are_validated() {
    let acme = Tenon::deployed().await.environment().await;
    let path = format!("/users/{}/token", acme.create_user("joe@acme.example").await);
    let invalid = json!({ "mode": "write", "integrations": [], "origins": ["https://acme.example/"], "ttl": 60 });
    acme.backend.post(&path, invalid).await.is_problem(422, "validation").names(&[
        "/mode",
        "/integrations",
        "/origins/0",
        "/ttl",
    ]);
    acme.backend.post(&path, json!({ "origins": [] })).await.is_problem(422, "validation").names(&["/origins"]);
    acme.backend.get(&format!("{path}?mode=read")).await.is_problem(422, "validation").names(&["/mode"]);
    // The longest options still fit into a header.
    let mut integrations: Vec<String> = (0..21).map(|n| format!("{n:0>64}")).collect();
    let mut origins: Vec<String> =
        (0..6).map(|n| format!("https://{}{n}.{}.example:65535", "a".repeat(62), "b".repeat(63))).collect();
    let too_many = acme.backend.post(&path, json!({ "integrations": integrations, "origins": origins })).await;
    too_many.is_problem(422, "validation").names(&["/integrations", "/origins"]);
    integrations.pop();
    origins.pop();
    let options = json!({ "mode": "install", "integrations": integrations, "origins": origins });
    let token = acme.backend.post(&path, options).await.is(200).text("token");
    let claims = verify_with_pyjwt(&token).await;
    assert_eq!(
        (&claims["payload"]["integrations"], &claims["payload"]["origins"]),
        (&json!(integrations), &json!(origins))
    );
    assert_eq!(claims["payload"]["mode"], "install");
    assert_eq!(Api::new(token).get("/session").await.is(200).body["installations"], json!([]));
}
