//! Users: batches, lists, lookup by name, updates and preconditions.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::stream::{self, StreamExt};
use serde_json::{Value, json};
use tests::{Answer, Api, Tenon, eventually, send};

fn names(page: &Value) -> Vec<String> {
    page["data"].as_array().unwrap().iter().map(|user| user["username"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn batch_reports_the_result_of_each_item_in_order() {
    let acme = Tenon::deployed().await.environment().await;
    acme.create_user("joe@acme.example").await;
    let users = json!([
        { "username": "anna", "fullName": "Anna A" },
        { "email": "JOE@acme.example" },
        { "email": "not an address", "metadata": { "a": 1 } },
        { "email": "jim@acme.example", "username": "jim" },
        { "username": "Anna" },
        { "email": "jim@acme.example" },
        7,
        { "email": "kim@acme.example" },
        { "username": "ANNA", "email": "jim@acme.example" },
    ]);
    let answer = acme.backend.post("/users/batch", json!({ "users": users })).await.is(200).body;
    assert_eq!(answer["message"], "success");
    let results = answer["results"].as_array().unwrap();
    let statuses: Vec<&str> = results.iter().map(|result| result["status"].as_str().unwrap()).collect();
    assert_eq!(
        statuses,
        ["created", "conflict", "invalid", "created", "conflict", "conflict", "invalid", "created", "conflict"]
    );
    assert_eq!(results[0]["user"]["fullName"], "Anna A");
    let pointers = |index: usize| -> Vec<&str> {
        results[index]["errors"].as_array().unwrap().iter().map(|error| error["pointer"].as_str().unwrap()).collect()
    };
    assert_eq!(
        (pointers(1), pointers(2), pointers(4), pointers(8)),
        (vec!["/email"], vec!["/email", "/metadata/a"], vec!["/username"], vec!["/username", "/email"])
    );
    let invalid: Vec<u64> =
        answer["invalidUsers"].as_array().unwrap().iter().map(|one| one["index"].as_u64().unwrap()).collect();
    assert_eq!(invalid, [1, 2, 4, 5, 6, 8]);
    for name in ["anna", "jim", "kim@acme.example"] {
        acme.backend.get(&format!("/users/{name}")).await.is(200);
    }
    for body in [json!([]), json!({}), json!({ "users": 1 }), json!(vec![json!({ "username": "x" }); 1001])] {
        acme.backend.post("/users/batch", body).await.is_problem(422, "validation");
    }
}

#[tokio::test]
async fn batch_of_1000_users_is_created_and_paged() {
    let acme = Tenon::deployed().await.environment().await;
    let wanted: BTreeSet<String> = (0..1000).map(|n| format!("user-{n}")).collect();
    let users: Vec<Value> = wanted.iter().map(|name| json!({ "username": name, "fullName": name })).collect();
    let answer = acme.backend.post("/users/batch", json!(users)).await.is(200).body;
    assert_eq!(answer["invalidUsers"], json!([]));
    let order: Vec<&str> =
        answer["results"].as_array().unwrap().iter().map(|r| r["user"]["username"].as_str().unwrap()).collect();
    assert!(order.iter().copied().eq(wanted.iter().map(String::as_str)), "in order");

    let (mut found, mut path) = (Vec::new(), "/users?limit=100".to_owned());
    loop {
        let page = acme.backend.get(&path).await.is(200).body;
        found.extend(names(&page));
        // Users created between two pages do not shift the pages.
        acme.create_user(&format!("late-{}@acme.example", found.len())).await;
        match page["cursor"].as_str() {
            Some(cursor) => path = format!("/users?limit=100&cursor={cursor}"),
            None => break,
        }
    }
    found.retain(|name| name.starts_with("user-"));
    assert_eq!(found.len(), 1000);
    assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), wanted);
}

#[tokio::test]
async fn only_one_of_200_concurrent_creations_succeeds() {
    let acme = Tenon::deployed().await.environment().await;
    let creating = (0..200).map(|_| async {
        loop {
            // Concurrent creations may conflict with 503, which asks the caller to retry.
            let answer = acme.backend.post("/users", json!({ "email": "joe@acme.example" })).await;
            if answer.status != 503 {
                return answer.status;
            }
        }
    });
    let mut statuses: Vec<u16> = stream::iter(creating).buffer_unordered(20).collect().await;
    statuses.sort();
    assert_eq!((statuses[0], &statuses[1..]), (201, &[409; 199][..]));
    eventually("one is listed", async || {
        (acme.backend.get("/users").await.is(200).body["data"].as_array().unwrap().len() == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn users_are_found_by_name_and_listed_by_status() {
    let acme = Tenon::deployed().await.environment().await;
    let joe = acme.backend.post("/users", json!({ "username": "joe", "email": "joe@acme.example" })).await.is(201);
    acme.create_user("jim@acme.example").await;
    for (query, expected) in [
        ("email=JOE@acme.example", 1),
        ("username=JOE", 1),
        ("username=joe&email=joe@acme.example", 1),
        ("username=joe&email=jim@acme.example", 0),
        ("email=nobody@acme.example", 0),
        // The name finds the user, but it is not the user's email address.
        ("username=joe@acme.example", 0),
        ("username=joe&status=disabled", 0),
    ] {
        let page = acme.backend.get(&format!("/users?{query}")).await.is(200).body;
        assert_eq!(page["data"].as_array().unwrap().len(), expected, "{query}: {page}");
    }
    acme.disable_user(&joe.text("userId")).await;
    for (status, name) in [("disabled", "joe"), ("active", "jim@acme.example")] {
        eventually("the list follows", async || {
            let page = acme.backend.get(&format!("/users?status={status}")).await.is(200).body;
            let emails: Vec<&str> =
                page["data"].as_array().unwrap().iter().map(|u| u["email"].as_str().unwrap()).collect();
            (emails.len() == 1 && emails[0].starts_with(&name[..3])).then_some(())
        })
        .await;
    }
    acme.backend.get("/users?status=gone&limit=0").await.is_problem(422, "validation").names(&["/status", "/limit"]);
}

#[tokio::test]
async fn update_frees_old_names_and_claims_new_ones() {
    let acme = Tenon::deployed().await.environment().await;
    let body = json!({ "username": "joe", "email": "joe@acme.example", "fullName": "Joe", "metadata": { "a": "1", "b": "2" } });
    let id = acme.backend.post("/users", body).await.is(201).text("userId");
    acme.backend.post("/users", json!({ "username": "jim" })).await.is(201);

    let patched = acme
        .backend
        .patch(
            &format!("/users/{id}"),
            json!({ "username": "joseph", "fullName": null, "metadata": { "a": null, "c": "3" } }),
        )
        .await
        .is(200)
        .body;
    assert_eq!((&patched["username"], &patched["fullName"]), (&json!("joseph"), &Value::Null));
    assert_eq!((&patched["email"], &patched["metadata"]), (&json!("joe@acme.example"), &json!({ "b": "2", "c": "3" })));
    acme.backend.get("/users/joe").await.is_problem(404, "not-found");
    assert_eq!(acme.backend.get("/users/JOSEPH").await.is(200).body["userId"], id);
    let put = acme.backend.put("/users/joseph", json!({ "metadata": { "d": "4" }, "email": null })).await.is(200).body;
    assert_eq!((&put["metadata"], &put["email"]), (&json!({ "d": "4" }), &Value::Null));
    // The names are available again.
    acme.create_user("joe@acme.example").await;
    acme.backend.post("/users", json!({ "username": "joe" })).await.is(201);

    let taken = json!({ "username": "JIM", "email": "joe@acme.example" });
    acme.backend.patch("/users/joseph", taken).await.is_problem(409, "user-exists").names(&["/username", "/email"]);
    for (body, pointers) in [
        (json!({ "username": null }), vec!["/username"]),
        (json!({ "username": "x@acme.example", "email": "y@acme.example" }), vec!["/username"]),
        (
            json!({ "username": 1, "fullName": "" , "metadata": { "a": 1 } }),
            vec!["/username", "/fullName", "/metadata/a"],
        ),
        (json!({ "username": null, "email": "x", "metadata": { "": "a" } }), vec!["/email", "/username", "/metadata"]),
        (json!({ "username": "x@acme.example", "email": null }), vec!["/email"]),
        (json!({ "metadata": null }), vec!["/metadata"]),
    ] {
        for path in ["/users/joseph", "/users/nobody"] {
            let stale = acme.backend.request("PATCH", path).header("if-match", "\"0\"").json(&body);
            send(stale).await.is_problem(422, "validation").names(&pointers);
        }
    }
    // A username that is an email address is also claimed as the email address.
    let renamed = acme.backend.patch("/users/joseph", json!({ "username": "jo@acme.example" })).await.is(200).body;
    assert_eq!(renamed["email"], "jo@acme.example");
    acme.backend
        .patch("/users/jo@acme.example", json!({ "email": null }))
        .await
        .is_problem(422, "validation")
        .names(&["/email"]);
    // Limits hold for all pairs after a merge.
    let pairs = |from: usize, count: usize| -> Value {
        (from..from + count).map(|number| (format!("k{number}"), json!("v"))).collect::<serde_json::Map<_, _>>().into()
    };
    acme.backend.put("/users/jo@acme.example", json!({ "metadata": pairs(0, 50) })).await.is(200);
    let more = json!({ "email": null, "metadata": pairs(50, 1) });
    acme.backend
        .patch("/users/jo@acme.example", more)
        .await
        .is_problem(422, "validation")
        .names(&["/email", "/metadata"]);
    let exchanged = json!({ "metadata": { "k0": null, "k50": "v" } });
    let merged = acme.backend.patch("/users/jo@acme.example", exchanged).await.is(200).body;
    assert_eq!(merged["metadata"], pairs(1, 50));
}

#[tokio::test]
async fn etag_of_a_deleted_user_does_not_match_its_successor_of_the_same_name() {
    let acme = Tenon::deployed().await.environment().await;
    let user = acme.create_user("joe@acme.example").await;
    let etag = acme.backend.get("/users/joe@acme.example").await.is(200).header("etag").to_owned();
    acme.delete_user(&user).await;
    acme.create_user("joe@acme.example").await;
    let request = acme.backend.request("PATCH", "/users/joe@acme.example").header("if-match", &etag);
    send(request.json(&json!({ "fullName": "Joe Smoe" }))).await.is_problem(412, "precondition-failed");
}

#[tokio::test]
async fn if_match_rejects_stale_updates() {
    let acme = Tenon::deployed().await.environment().await;
    let user = acme.create_user("joe@acme.example").await;
    let path = format!("/users/{user}");
    let etag = acme.backend.get(&path).await.is(200).header("etag").to_owned();
    let change = async |etag: &str, name: &str| {
        send(acme.backend.request("PATCH", &path).header("if-match", etag).json(&json!({ "fullName": name }))).await
    };
    let changed = change(&etag, "Joe").await.is(200);
    assert_ne!(changed.header("etag"), etag);
    change(&etag, "Jim").await.is_problem(412, "precondition-failed");
    change(&format!("\"other\", {}", changed.header("etag")), "Jack").await.is(200);
    change("*", "John").await.is(200);
    // Only one of several concurrent updates from the same state succeeds.
    let etag = acme.backend.get(&path).await.is(200).header("etag").to_owned();
    let mut running = tokio::task::JoinSet::new();
    for n in 0..10 {
        let request =
            acme.backend.request("PATCH", &path).header("if-match", &etag).json(&json!({ "fullName": n.to_string() }));
        running.spawn(async move { send(request).await.status });
    }
    let statuses = running.join_all().await;
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| [200, 412].contains(status)), "{statuses:?}");
}

#[tokio::test]
async fn reasons_to_refuse_a_request_are_named_in_order() {
    let acme = Tenon::deployed().await.environment().await;
    let (joe, jim) = (acme.create_user("joe@acme.example").await, acme.create_user("jim@acme.example").await);
    let change = async |api: &Api, user: &str, body: Value| {
        send(api.request("PATCH", &format!("/users/{user}")).header("if-match", "\"other\"").json(&body)).await
    };
    let (taken, invalid) = (json!({ "email": "jim@acme.example" }), json!({ "email": 7 }));
    change(&acme.engine, "nobody", invalid.clone()).await.is_problem(403, "forbidden");
    change(&acme.backend, "nobody", invalid).await.is_problem(422, "validation");
    change(&acme.backend, "nobody", taken.clone()).await.is_problem(404, "not-found");
    // Only with the pairs of the user are these too many.
    let pairs = |from: usize, to: usize| -> Value {
        json!({ "metadata": (from..to).map(|n| (format!("k{n}"), "v".into())).collect::<BTreeMap<_, String>>() })
    };
    acme.backend.patch(&format!("/users/{joe}"), pairs(0, 50)).await.is(200);
    change(&acme.backend, &joe, pairs(50, 51)).await.is_problem(422, "validation").names(&["/metadata"]);
    change(&acme.backend, &joe, taken.clone()).await.is_problem(412, "precondition-failed");
    acme.backend.patch(&format!("/users/{joe}"), taken).await.is_problem(409, "user-exists");
    acme.backend.get(&format!("/users/{jim}")).await.is(200);
}

#[tokio::test]
async fn response_to_a_creation_or_status_has_the_etag_for_the_next_change() {
    let acme = Tenon::deployed().await.environment().await;
    let change = async |method: &str, path: &str, answer: &Answer, body: Value| {
        let request = acme.backend.request(method, path).header("if-match", answer.header("etag"));
        assert!(!answer.header("etag").is_empty(), "{answer:?}");
        send(request.json(&body)).await.is(200)
    };
    let user = acme.backend.post("/users", json!({ "username": "joe" })).await.is(201);
    let path = format!("/users/{}", user.text("userId"));
    change("PATCH", &path, &user, json!({ "fullName": "Joe" })).await;
    let disabled = acme.backend.post(&format!("{path}/disable"), json!({})).await.is(200);
    change("PATCH", &path, &disabled, json!({ "fullName": "Jim" })).await;
    acme.backend.post(&format!("{path}/enable"), json!({})).await.is(200);

    let body = json!({ "type": "shop", "name": "Shop", "data": {} });
    let credential = acme.backend.post(&format!("{path}/credentials"), body).await.is(201);
    let of_credential = format!("{path}/credentials/{}", credential.text("credentialId"));
    change("PUT", &of_credential, &credential, json!({ "data": { "token": "x" } })).await;

    let body = json!({ "userId": user.text("userId"), "name": "Orders" });
    let workflow = acme.backend.post("/workflows", body).await.is(201);
    let id = workflow.text("workflowId");
    change("PATCH", &format!("/workflows/{id}"), &workflow, json!({ "settings": { "a": 1 } })).await;
    let body = json!({ "userId": user.text("userId"), "workflowId": id });
    let activated = acme.backend.put("/workflows/activate", body).await.is(200);
    change("PATCH", &format!("/workflows/{id}"), &activated, json!({ "active": false })).await;
}

#[tokio::test]
async fn requests_of_existing_clients_work() {
    let acme = Tenon::deployed().await.environment().await;
    let call = async |method: &str, path: &str, body: Option<Value>| {
        let request = acme.backend.request(method, path).header("x-api-version", "2025-09");
        let answer = match body {
            Some(body) => send(request.json(&body)).await,
            None => send(request).await,
        };
        let expected = match (method, path) {
            ("POST", "/users") => 201,
            ("DELETE", path) if path.ends_with("/logs") => 202,
            _ => 200,
        };
        answer.is(expected).body
    };
    let user = call("POST", "/users", Some(json!({ "username": "localUser", "fullName": "Local User" }))).await;
    let id = user["userId"].as_str().unwrap().to_owned();
    assert!(call("GET", "/users", Some(json!({}))).await["data"].is_array());
    assert_eq!(call("GET", "/users/localUser", Some(json!({}))).await["userId"], id);
    assert_eq!(call("PUT", &format!("/users/{id}"), Some(json!({ "fullName": "Other" }))).await["userId"], id);
    let batch = json!({ "users": [{ "username": "a", "fullName": "A" }, { "username": "b", "fullName": "B" }] });
    let batch = call("POST", "/users/batch", Some(batch)).await;
    assert_eq!((&batch["message"], &batch["invalidUsers"]), (&json!("success"), &json!([])));
    assert!(call("GET", "/users/localUser/token", None).await["token"].is_string());
    assert_eq!(call("PUT", &format!("/users/{id}/deactivate-workflows"), None).await["message"], "Success");
    assert_eq!(call("GET", &format!("/users/{id}/credentials"), None).await["data"], json!([]));
    assert_eq!(call("GET", "/credentials/users/localUser", None).await["data"], json!([]));
    let credential = acme.create_credential(&id, json!({})).await;
    assert_eq!(call("DELETE", &format!("/users/localUser/credentials/{credential}"), None).await["success"], true);
    let workflow = acme.create_workflow(&id, "Orders").await;
    assert_eq!(call("GET", "/workflows?userId=localUser", None).await["data"][0]["workflowId"], workflow);
    assert_eq!(call("GET", &format!("/workflows/{workflow}?userId={id}"), None).await["workflowId"], workflow);
    let which = json!({ "userId": id, "workflowId": workflow });
    assert_eq!(call("PUT", "/workflows/deactivate", Some(which)).await["active"], false);
    let which = json!({ "userId": "localUser", "workflowName": "Orders" });
    assert_eq!(call("PUT", "/workflows/activate", Some(which)).await["active"], true);
    assert_eq!(call("GET", &format!("/workflows/{workflow}/errors?userId={id}"), None).await["errors"], json!([]));
    assert!(call("GET", "/logs", None).await["errors"].is_array());
    let integration = json!({ "name": "Shopify", "workflows": [{ "key": "orders", "name": "Orders" }] });
    acme.backend.put("/integrations/shopify", integration).await.is(201);
    let integrations = call("GET", "/integrations?userId=localUser", Some(json!({}))).await;
    assert_eq!(integrations["data"][0]["integrationId"], "shopify");
    assert_eq!(call("GET", &format!("/integrations/shopify?userId={id}"), None).await["installation"], Value::Null);
    let link = call("GET", "/users/localUser/integrations/shopify/install-url", Some(json!({}))).await;
    assert!(link["url"].as_str().unwrap().starts_with("http"));
    call("DELETE", "/users/localUser/logs", None).await;
    call("DELETE", &format!("/workflows/{workflow}?userId={id}"), None).await;
    assert_eq!(call("DELETE", "/users/localUser", None).await["success"], true);
    let refused = acme.backend.get("/users/localUser").await.is(404);
    assert!(refused.body["message"].is_string());
}
