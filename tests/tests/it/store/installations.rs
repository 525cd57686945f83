//! Installations against a model, with crashes, repetitions and concurrent requests.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::{FutureExt, join_all};
use rand::{Rng, seq::IndexedRandom};
use serde_json::{Value, json};
use tests::{Random, aws, keys, setting};

use super::process::{Process, installation};
use crate::endpoints::{request, text};

/// Installation as the model expects it.
#[derive(Clone, Debug, Default, PartialEq)]
struct Expected {
    credential: String,
    created: Vec<String>,
    size: Option<i64>,
    /// Whether each workflow is active, by key.
    workflows: BTreeMap<String, bool>,
}

/// State of an environment as it should be.
#[derive(Default)]
struct Model {
    /// Keys of the workflows, and whether the integration is enabled.
    catalogue: BTreeMap<&'static str, (Vec<&'static str>, bool)>,
    installations: BTreeMap<(String, &'static str), Expected>,
    /// Credentials of each user, all of which installations have created.
    credentials: BTreeMap<String, BTreeSet<String>>,
    /// Credentials that workflows of no installation name, by user and name.
    own: BTreeMap<(String, String), String>,
}

impl Model {
    fn names(&self, user: &str, integration: &str, credential: &str) -> bool {
        let by_workflow = self.own.iter().any(|((owner, _), named)| owner == user && named == credential);
        let mut others = self.installations.iter().filter(|((owner, id), _)| owner == user && *id != integration);
        let is_of =
            |other: &Expected| other.credential == credential || other.created.iter().any(|id| id == credential);
        by_workflow || others.any(|(_, other)| is_of(other))
    }

    /// Returns the status of a PUT, and applies it. `connected` is the credential of the response.
    fn put(&mut self, user: &str, id: &'static str, body: &Value, connected: &str) -> u16 {
        let Some((keys, enabled)) = self.catalogue.get(id) else { return 404 };
        if !enabled {
            return 409;
        }
        let listed: Option<Vec<&str>> =
            body["workflows"].as_array().map(|list| list.iter().map(|key| key.as_str().unwrap()).collect());
        let credentials = self.credentials.entry(user.to_owned()).or_default();
        let source = &body["credentials"]["shop"];
        let before = self.installations.get(&(user.to_owned(), id));
        let unknown_key = listed.iter().flatten().any(|key| !keys.contains(key));
        let unknown_id = source["credentialId"].as_str().is_some_and(|id| !credentials.contains(id));
        if unknown_key || unknown_id || (before.is_none() && source.is_null()) {
            return 422;
        }
        let mut after = before.cloned().unwrap_or_default();
        after.created.retain(|id| credentials.contains(id));
        if let Some(named) = source["credentialId"].as_str() {
            named.clone_into(&mut after.credential);
        } else if !source.is_null() && !credentials.contains(&after.credential) {
            assert!(credentials.insert(connected.to_owned()), "the credential is new");
            connected.clone_into(&mut after.credential);
            after.created.push(connected.to_owned());
        }
        if body["settings"].as_object().is_some_and(|settings| settings.contains_key("size")) {
            after.size = body["settings"]["size"].as_i64();
        }
        let selected = match (&listed, before) {
            (None, None) => keys.clone(),
            (None, Some(_)) => Vec::new(),
            (Some(listed), _) => {
                after.workflows.values_mut().for_each(|active| *active = false);
                listed.clone()
            }
        };
        after.workflows.extend(selected.into_iter().map(|key| (key.to_owned(), true)));
        let status = if before.is_some() { 200 } else { 201 };
        self.installations.insert((user.to_owned(), id), after);
        status
    }

    fn delete(&mut self, user: &str, id: &'static str) -> u16 {
        let Some(gone) = self.installations.remove(&(user.to_owned(), id)) else { return 404 };
        for credential in gone.created.into_iter().chain([gone.credential]) {
            if !self.names(user, id, &credential) {
                self.credentials.get_mut(user).unwrap().remove(&credential);
            }
        }
        200
    }

    /// Asserts that the process shows this state.
    async fn assert_shown(&self, process: &Process, users: &[String]) {
        for user in users {
            let shown: BTreeSet<String> = process.credentials(user).await;
            assert_eq!(shown, self.credentials.get(user).cloned().unwrap_or_default());
            let list = request("GET /users/{user}/installations").with("user", user);
            let mut installed = BTreeSet::new();
            let mut expected = BTreeMap::new();
            for one in process.list("installations_list", list).await {
                let id = text(&one["integrationId"]);
                let (_, of_model) =
                    self.installations.iter().find(|((owner, of), _)| owner == user && *of == id).unwrap();
                assert_eq!(one["credentialIds"]["shop"], of_model.credential);
                assert_eq!(one["settings"]["size"].as_i64(), of_model.size);
                for workflow in one["workflows"].as_array().unwrap() {
                    expected.insert(text(&workflow["workflowId"]), (one.clone(), workflow["active"].clone()));
                }
                let workflows = one["workflows"].as_array().unwrap().iter();
                let workflows = workflows.map(|one| (text(&one["key"]), one["active"].as_bool().unwrap()));
                assert_eq!(workflows.collect::<BTreeMap<_, _>>(), of_model.workflows);
                installed.insert(id);
            }
            let count = self.installations.keys().filter(|(owner, _)| owner == user).count();
            assert_eq!(installed.len(), count);
            // No workflow without its installation, and none that differs from it.
            for workflow in process.workflows(user).await {
                match workflow["key"].as_str() {
                    Some(_) => {
                        let (of, active) = expected.remove(&text(&workflow["workflowId"])).unwrap();
                        assert_eq!((&workflow["settings"], &workflow["active"]), (&of["settings"], &active));
                        assert_eq!(workflow["credentialIds"][0], of["credentialIds"]["shop"]);
                    }
                    None => assert!(self.own.contains_key(&(user.clone(), text(&workflow["name"])))),
                }
            }
            assert!(expected.is_empty());
        }
    }
}

const INTEGRATIONS: [&str; 3] = ["a", "b", "c"];
const KEYS: [&str; 4] = ["k0", "k1", "k2", "k3"];

fn some_keys() -> Vec<&'static str> {
    KEYS.into_iter().filter(|_| Random.random_bool(0.6)).collect()
}

#[tokio::test]
async fn installations_match_a_model_through_crashes_and_repetitions() {
    let process = Process::start().await;
    let users = [process.create_user("joe").await, process.create_user("jim").await];
    let mut model = Model::default();
    for step in 0..150 {
        let user = users.choose(&mut Random).unwrap();
        let id = *INTEGRATIONS.choose(&mut Random).unwrap();
        let credentials = model.credentials.get(user).cloned().unwrap_or_default();
        let credentials: Vec<String> = credentials.into_iter().collect();
        match Random.random_range(0..10) {
            0 | 1 => {
                let mut keys = some_keys();
                keys.push("always");
                let enabled = Random.random_bool(0.8);
                process.put_integration(id, &keys, enabled).await;
                model.catalogue.insert(id, (keys, enabled));
            }
            2 if Random.random_bool(0.3) => {
                let delete = request("DELETE /integrations/{integrationId}").with("integrationId", id);
                process.call_after_crash("integrations_delete", delete).await;
                model.catalogue.remove(id);
            }
            3 => {
                let delete = installation("DELETE /users/{user}/installations/{integrationId}", user, id);
                let (status, body) = process.call_after_crash("installations_delete", delete).await;
                // The request that crashed may have deleted it.
                assert!(model.delete(user, id) == status || status == 404, "{body}");
            }
            4 => {
                let Some(credential) = credentials.choose(&mut Random) else { continue };
                let delete = request("DELETE /users/{user}/credentials/{credentialId}");
                let delete = delete.with("user", user).with("credentialId", credential);
                process.call_after_crash("credentials_delete", delete).await;
                model.credentials.get_mut(user).unwrap().remove(credential);
            }
            5 => {
                let Some(credential) = credentials.choose(&mut Random) else { continue };
                let name = format!("Own {step}");
                let body = json!({ "userId": user, "name": name, "credentialIds": [credential] });
                let (status, _) = process.call("workflows_create", request("POST /workflows").body(body)).await;
                assert_eq!(status, 201);
                model.own.insert((user.clone(), name), credential.clone());
            }
            6 => {
                let installed: Vec<Value> = process.workflows(user).await;
                let Some(workflow) = installed.choose(&mut Random) else { continue };
                let delete = request("DELETE /workflows/{workflowId}")
                    .with("workflowId", workflow["workflowId"].as_str().unwrap());
                process.call_after_crash("workflows_delete", delete).await;
                match workflow["key"].as_str() {
                    Some(key) => {
                        let of = INTEGRATIONS.into_iter().find(|id| workflow["integrationId"] == **id).unwrap();
                        model.installations.get_mut(&(user.clone(), of)).unwrap().workflows.remove(key);
                    }
                    None => {
                        model.own.remove(&(user.clone(), text(&workflow["name"])));
                    }
                }
            }
            _ => {
                let mut body = json!({});
                match Random.random_range(0..4) {
                    0 => {}
                    1 => {
                        let known = credentials.choose(&mut Random).cloned().unwrap_or_else(|| "0".repeat(24));
                        body["credentials"]["shop"]["credentialId"] = json!(known);
                    }
                    _ => body["credentials"]["shop"]["data"] = json!({}),
                }
                if Random.random() {
                    body["settings"]["size"] =
                        if Random.random() { Value::Null } else { json!(Random.random_range(0..3)) };
                }
                if Random.random() {
                    let keys = model.catalogue.get(id).map(|(keys, _)| keys.clone()).unwrap_or_default();
                    body["workflows"] = json!(keys.into_iter().filter(|_| Random.random()).collect::<Vec<_>>());
                }
                let put = installation("PUT /users/{user}/installations/{integrationId}", user, id).body(body.clone());
                let (status, shown) = process.call_after_crash("installations_put", put).await;
                let connected = shown["credentialIds"]["shop"].as_str().unwrap_or_default();
                let expected = model.put(user, id, &body, connected);
                // The request that crashed may have created it.
                assert!(
                    status == expected || (status, expected) == (200, 201),
                    "{body}: {status}, not {expected}: {shown}"
                );
            }
        }
        model.assert_shown(&process, &users).await;
    }
}

#[tokio::test]
async fn two_hundred_equal_requests_make_one_installation() {
    let process = Process::start().await;
    let user = process.create_user("joe").await;
    process.put_integration("a", &["k0", "k1"], true).await;
    let body = json!({ "credentials": { "shop": { "data": {} } }, "settings": { "size": 1 } });
    let put = || installation("PUT /users/{user}/installations/{integrationId}", &user, "a").body(body.clone());
    let answers = join_all((0..200).map(|_| process.call("installations_put", put()))).await;
    let statuses: Vec<u16> = answers.iter().map(|(status, _)| *status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| [200, 201].contains(status)), "{statuses:?}");
    assert_eq!((process.credentials(&user).await.len(), process.workflows(&user).await.len()), (1, 2));
}

#[tokio::test]
async fn uninstalling_never_deletes_a_credential_that_a_concurrent_request_begins_to_name() {
    let process = Process::start().await;
    let user = process.create_user("joe").await;
    for id in ["a", "b"] {
        process.put_integration(id, &["k0"], true).await;
    }
    for round in 0..20 {
        let put = |id: &str, source: Value| {
            let body = json!({ "credentials": { "shop": source } });
            process.call(
                "installations_put",
                installation("PUT /users/{user}/installations/{integrationId}", &user, id).body(body),
            )
        };
        let delete = |id: &str| {
            process.call(
                "installations_delete",
                installation("DELETE /users/{user}/installations/{integrationId}", &user, id),
            )
        };
        let (_, installed) = put("a", json!({ "data": {} })).await;
        let credential = text(&installed["credentialIds"]["shop"]);
        let workflow = json!({ "userId": user, "name": format!("Own {round}"), "credentialIds": [credential] });
        // Started at random times, so that the calls of the requests interleave in many ways.
        let later = || tokio::time::sleep(std::time::Duration::from_millis(Random.random_range(0..30)));
        let (deleted, (own, _), (second, _)) = tokio::join!(
            delete("a"),
            later().then(|()| process.call("workflows_create", request("POST /workflows").body(workflow))),
            later().then(|()| put("b", json!({ "credentialId": credential }))),
        );
        assert!([200, 409].contains(&deleted.0) && [201, 422].contains(&own) && [201, 409, 422].contains(&second));
        let is_named = own == 201 || second == 201;
        assert!(!is_named || process.credentials(&user).await.contains(&credential), "{own} {second}");
        delete("a").await;
        delete("b").await;
    }
}

#[tokio::test]
async fn concurrent_requests_that_uninstall_everything_leave_no_credential() {
    let process = Process::start().await;
    let user = process.create_user("joe").await;
    let ids = ["a", "b", "c"];
    for id in ids {
        process.put_integration(id, &["k0"], true).await;
    }
    for round in 0..20 {
        let put = |id: &str, source: Value| {
            let body = json!({ "credentials": { "shop": source } });
            let put = installation("PUT /users/{user}/installations/{integrationId}", &user, id).body(body);
            process.call("installations_put", put)
        };
        let (_, installed) = put("a", json!({ "data": {} })).await;
        for id in ["b", "c"] {
            put(id, json!({ "credentialId": installed["credentialIds"]["shop"] })).await;
        }
        let deleted = join_all(ids.map(|id| {
            let delete = installation("DELETE /users/{user}/installations/{integrationId}", &user, id);
            process.call("installations_delete", delete)
        }));
        let deleted: Vec<u16> = deleted.await.into_iter().map(|(status, _)| status).collect();
        assert_eq!((deleted, process.credentials(&user).await.len()), (vec![200; 3], 0), "round {round}");
    }
}

#[tokio::test]
async fn concurrent_requests_take_effect_one_after_the_other() {
    let process = Process::start().await;
    let user = process.create_user("joe").await;
    let body = json!({ "name": "Orders", "workflows": [{ "key": "k", "name": "Orders" }],
        "credentialTypes": [{ "type": "shop", "name": "Shop", "fields": [{ "name": "t", "label": "T", "type": "secret" }] }],
        "settings": [{ "name": "s", "label": "S", "type": "text" }] });
    let put = request("PUT /integrations/{integrationId}").with("integrationId", "a").body(body);
    assert_eq!(process.call("integrations_put", put).await.0, 201);
    for round in 0..12 {
        let put = |value: String| {
            let body = json!({ "credentials": { "shop": { "data": { "t": value } } }, "settings": { "s": value } });
            let put = installation("PUT /users/{user}/installations/{integrationId}", &user, "a").body(body);
            process.call("installations_put", put)
        };
        let answers = join_all(["x", "y", "z"].map(|name| put(format!("{name}{round}")))).await;
        assert!(answers.iter().all(|(status, _)| [200, 201].contains(status)), "{answers:?}");
        let get = installation("GET /users/{user}/installations/{integrationId}", &user, "a");
        let (_, shown) = process.call("installations_get", get).await;
        let credential = text(&shown["credentialIds"]["shop"]);
        let reveal = request("POST /users/{user}/credentials/{credentialId}/reveal").with("user", &user);
        let reveal = reveal.with("credentialId", &credential).by_engine();
        let (_, revealed) = process.call("credentials_reveal", reveal).await;
        assert_eq!(revealed["data"]["t"], shown["settings"]["s"], "both stem from the same request");
    }
}

#[tokio::test]
async fn uninstalling_keeps_a_credential_that_something_unreadable_may_name() {
    for (sort_key, attribute) in [("installation#b", "revision"), ("workflow#Own", "workflowId")] {
        keeps_credential_beside_unreadable(sort_key, attribute).await;
    }
}

/// Asserts that uninstalling keeps a credential while an item of the user lacks an attribute.
async fn keeps_credential_beside_unreadable(sort_key: &str, attribute: &str) {
    let process = Process::start().await;
    let user = process.create_user("joe").await;
    for id in ["a", "b"] {
        process.put_integration(id, &["k0"], true).await;
    }
    let put = |id: &str, source: Value| {
        let body = json!({ "credentials": { "shop": source } });
        let put = installation("PUT /users/{user}/installations/{integrationId}", &user, id).body(body);
        process.call("installations_put", put)
    };
    let (_, first) = put("a", json!({ "data": {} })).await;
    assert_eq!(put("b", json!({ "credentialId": first["credentialIds"]["shop"] })).await.0, 201);
    let workflow = json!({ "userId": user, "name": "Own" });
    assert_eq!(process.call("workflows_create", request("POST /workflows").body(workflow)).await.0, 201);
    let client = aws_sdk_dynamodb::Client::new(&aws(&setting("AWS_ACCESS_KEY_ID")).await);
    let damage = client.update_item().table_name(setting("DIRECTORY_TABLE"));
    let damage = damage.update_expression(format!("REMOVE {attribute}")).condition_expression("attribute_exists(pk)");
    let partition = keys::attribute(keys::user(&process.world.environment, &user));
    damage.key("pk", partition).key("sk", keys::attribute(sort_key)).send().await.unwrap();
    let delete = installation("DELETE /users/{user}/installations/{integrationId}", &user, "a");
    assert_eq!(process.call("installations_delete", delete).await.0, 200);
    assert_eq!(process.credentials(&user).await.len(), 1);
}
