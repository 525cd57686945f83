//! Unknown members and parameters are rejected by every operation of the OpenAPI document.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tests::{Answer, Api, Environment, Tenon, send};

/// Public documents, which ignore unknown parameters: mail tools append some to links.
const IGNORE_PARAMETERS: [&str; 6] =
    ["/.well-known/jwks.json", "/console", "/modal", "/openapi.json", "/tenon.global.js", "/tenon.js"];

/// Operation: method, path template, names of the query parameters and the kinds of callers that it
/// admits.
struct Operation {
    method: String,
    path: String,
    parameters: BTreeSet<String>,
    security: Value,
}

fn operations() -> Vec<Operation> {
    let document = functions::api::openapi::document();
    let paths = document["paths"].as_object().unwrap().clone();
    let operations = paths.into_iter().flat_map(|(path, methods)| {
        let methods = methods.as_object().unwrap().clone();
        methods.into_iter().map(move |(method, operation)| Operation {
            method: method.to_uppercase(),
            path: path.clone(),
            parameters: query_parameters(&operation),
            security: operation["security"].clone(),
        })
    });
    operations.collect()
}

fn query_parameters(operation: &Value) -> BTreeSet<String> {
    let parameters = operation["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
    let query = parameters.iter().filter(|parameter| parameter["in"] == "query");
    query.map(|parameter| parameter["name"].as_str().unwrap().to_owned()).collect()
}

impl Operation {
    /// Returns the path of resources that need not exist: input is validated first.
    fn path(&self) -> String {
        self.path_of("nobody", &"0".repeat(24))
    }

    /// Returns the path of resources with malformed names and ids.
    fn malformed_path(&self) -> String {
        self.path_of("%20", "-")
    }

    fn path_of(&self, user: &str, id: &str) -> String {
        let segments = self.path.split('/').map(|segment| match segment {
            "{user}" => user,
            segment if segment.starts_with('{') => id,
            segment => segment,
        });
        segments.collect::<Vec<_>>().join("/")
    }

    fn is_public(&self) -> bool {
        self.security.as_array().unwrap().contains(&json!({}))
    }

    fn has_body(&self) -> bool {
        !["GET", "DELETE"].contains(&self.method.as_str())
    }

    /// Returns a caller that may request the operation.
    fn caller<'a>(&self, acme: &'a Environment, token: &'a Api) -> &'a Api {
        let allows = |scheme: &Value| self.security.as_array().unwrap().contains(scheme);
        if allows(&json!({ "apiKey": ["manage"] })) {
            &acme.backend
        } else if allows(&json!({ "apiKey": ["engine"] })) {
            &acme.engine
        } else {
            token
        }
    }
}

/// Returns the detail of the error at a pointer.
fn detail<'a>(answer: &'a Answer, pointer: &str) -> &'a str {
    let errors = answer.body["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    let error = errors.iter().find(|error| error["pointer"] == pointer);
    error.and_then(|error| error["detail"].as_str()).unwrap_or_default()
}

/// Returns the names that an error lists as defined, in backticks.
fn expected_names(detail: &str) -> Vec<String> {
    detail.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[tokio::test]
async fn every_operation_rejects_unknown_members_and_parameters() {
    let acme = Tenon::deployed().await.environment().await;
    let user = acme.create_user("joe@acme.example").await;
    let token = Api::new(acme.user_token(&user).await);
    let mut wrong = Vec::new();
    let (mut parameters, mut members) = (0, 0);
    for operation in operations().into_iter().filter(|operation| !operation.is_public()) {
        let (method, api) = (operation.method.as_str(), operation.caller(&acme, &token));
        for path in [operation.path(), operation.malformed_path()] {
            let answer = send(api.request(method, &format!("{path}?surplus=1"))).await;
            let error = detail(&answer, "/surplus");
            let (names, defined) = (expected_names(error), &operation.parameters);
            let is_complete = names.len() == defined.len() && names.iter().all(|name| defined.contains(name));
            if answer.status != 422 || !error.starts_with("unknown parameter") || !is_complete {
                wrong.push(format!("{method} {path}: parameter: {} {}", answer.status, answer.body));
            }
            parameters += 1;
            if !operation.has_body() {
                continue;
            }
            let answer = send(api.request(method, &path).json(&json!({ "surplus": 1 }))).await;
            let error = detail(&answer, "/surplus");
            let names = expected_names(error);
            let is_distinct = names.iter().collect::<BTreeSet<_>>().len() == names.len();
            if answer.status != 422 || !error.starts_with("unknown field") || !is_distinct {
                wrong.push(format!("{method} {path}: member: {} {}", answer.status, answer.body));
            }
            members += 1;
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(parameters > 80 && members > 30, "{parameters} {members}");
}

#[tokio::test]
async fn bodies_of_get_and_delete_are_ignored() {
    let acme = Tenon::deployed().await.environment().await;
    let user = acme.create_user("joe@acme.example").await;
    let token = Api::new(acme.user_token(&user).await);
    let mut methods = BTreeSet::new();
    for operation in operations().into_iter().filter(|operation| !operation.has_body()) {
        let (method, path) = (operation.method.as_str(), operation.path());
        let request = || operation.caller(&acme, &token).request(method, &path);
        let without = send(request()).await;
        for body in ["{\"surplus\": 1}", "{", ""] {
            let with = send(request().header("content-type", "text/plain").body(body)).await;
            assert_eq!(with.status, without.status, "{method} {path}: {}", with.body);
        }
        methods.insert(operation.method);
    }
    assert_eq!(methods, ["DELETE", "GET"].map(str::to_owned).into());
}

#[tokio::test]
async fn public_documents_ignore_unknown_parameters() {
    let public: BTreeSet<String> =
        operations().into_iter().filter(|one| one.is_public() && !one.has_body()).map(|one| one.path).collect();
    assert_eq!(public, IGNORE_PARAMETERS.map(str::to_owned).into());
    for path in public {
        Api::anonymous().get(&format!("{path}?utm_source=mail")).await.is(200);
    }
}

#[tokio::test]
async fn unknown_names_are_reported_with_the_nearest_name() {
    let acme = Tenon::deployed().await.environment().await;
    let misspelt = acme.backend.get("/logs?workflow_id=x&limit=5").await.is_problem(422, "validation");
    assert_eq!(detail(&misspelt, "/workflow_id"), "unknown parameter; did you mean `workflowId`?");

    let webhook = json!({ "type": "webhook", "url": "https://example.com/errors", "region": "us-east-1",
        "filter": { "workflowIds": [] }, "desciption": "the value is not repeated" });
    let refused = acme.backend.post("/destinations", webhook).await.is_problem(422, "validation");
    assert_eq!(detail(&refused, "/region"), "applies only to EventBridge destinations");
    assert_eq!(detail(&refused, "/filter/workflowIds"), "unknown field; did you mean `workflowId`?");
    assert_eq!(detail(&refused, "/desciption"), "unknown field; did you mean `description`?");
    assert!(!refused.body.to_string().contains("not repeated"), "{refused:?}");
    refused.names(&["/region", "/filter/workflowIds", "/desciption"]);

    let tenon = acme.tenon;
    let payload = json!({ "environmentID": acme.id, "environmentId": acme.id });
    let refused = tenon.invoke("KeysList", payload).await.unwrap_err();
    assert_eq!(refused["errorMessage"], "/environmentID unknown field; did you mean `environmentId`?");
}

#[tokio::test]
async fn unknown_member_invalidates_only_its_item_of_a_batch() {
    let acme = Tenon::deployed().await.environment().await;
    let users = json!([{ "username": "anna" }, { "username": "jim", "fulName": "Jim" }]);
    let answer = acme.backend.post("/users/batch", json!({ "users": users })).await.is(200).body;
    let results = answer["results"].as_array().unwrap();
    assert_eq!((&results[0]["status"], &results[1]["status"]), (&json!("created"), &json!("invalid")));
    let errors = json!([{ "pointer": "/fulName", "detail": "unknown field; did you mean `fullName`?" }]);
    assert_eq!(results[1]["errors"], errors);
    acme.backend.get("/users/jim").await.is_problem(404, "not-found");
}

#[tokio::test]
async fn responses_with_many_errors_stay_small() {
    let acme = Tenon::deployed().await.environment().await;
    let members: serde_json::Map<String, Value> = (0..50_000).map(|n| (format!("m{n}"), Value::Null)).collect();
    let refused = acme.backend.post("/users", Value::Object(members)).await.is_problem(422, "validation");
    assert_eq!(refused.body["errors"].as_array().unwrap().len(), 100);
    // One more, because neither `email` nor `username` is given.
    assert_eq!(refused.body["moreErrors"], 50_001 - 100);

    let item = json!({ "//////////////////////////////////////////////////////////": 1, "b": 1, "c": 1, "d": 1, "e": 1, "f": 1, "g": 1 });
    let answer = acme.backend.post("/users/batch", json!(vec![item; 1000])).await.is(200).body;
    let first = &answer["results"][0];
    assert_eq!((first["errors"].as_array().unwrap().len(), &first["moreErrors"]), (5, &json!(3)));
}

#[tokio::test]
async fn operations_without_body_accept_an_empty_one() {
    let acme = Tenon::deployed().await.environment().await;
    let user = acme.create_user("joe@acme.example").await;
    let path = format!("/users/{user}/enable");
    let post = |media_type: &str, body: &str| {
        send(acme.backend.request("POST", &path).header("content-type", media_type).body(body.to_owned()))
    };
    post("text/plain", "").await.is(200);
    post("application/x-www-form-urlencoded", "").await.is(200);
    post("application/json", "{}").await.is(200);
    post("text/plain", "{}").await.is_problem(415, "unsupported-media-type");
    post("application/json", "[]").await.is_problem(422, "validation").names(&[""]);
    let get = acme.backend.request("GET", &format!("/users/{user}")).json(&json!({ "surplus": 1 }));
    send(get).await.is(200);
}
