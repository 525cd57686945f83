//! Access and AWS calls of every endpoint. A new endpoint needs a row in both tables, and its
//! handler in [`handlers`]. The first row of a function is also its event file in `tests/events`.

use std::collections::{BTreeMap, BTreeSet};

use aws_config::SdkConfig;
use axum::handler::Handler;
use expect_test::expect_file;
use functions::api::{
    credentials, destinations, environments, errors, events, installations, integrations, replays, session, tickets,
    users, workflows,
};
use futures_util::future::LocalBoxFuture;
use http::StatusCode;
use serde_json::{Value, json};
use tenon::start::{FromAws, connect};
use tests::example_error;

use crate::api::handlers::answer;

/// Request with the expected status for each kind of caller.
pub(crate) struct Access {
    /// Method, path and body.
    pub(crate) request: fn(&World) -> Request,
    /// Back-end key of another environment.
    pub(crate) other: u16,
    pub(crate) engine: u16,
    pub(crate) backend: u16,
    /// Token of the user named by the path or body.
    pub(crate) user: u16,
    /// Token of another user of the environment.
    pub(crate) another_user: u16,
}

impl Access {
    /// Status for a token of the user that is limited to an integration which the user has not
    /// installed.
    pub(crate) fn limited(&self) -> u16 {
        let path = (self.request)(&World::example()).path;
        let is_limited = ["/credentials/{", "/installations/{", "{workflowId}", "{integrationId}"];
        let is_limited = is_limited.iter().any(|part| path.contains(part)) || path.starts_with("/workflows/");
        match self.user {
            200 | 201 if is_limited => 404,
            status => status,
        }
    }
}

/// Request with the AWS calls that it makes.
pub(crate) struct AwsCalls {
    /// Name of the function's binary and event file.
    pub(crate) function: &'static str,
    /// Request by a caller that the endpoint admits.
    pub(crate) request: fn(&World) -> Request,
    /// Expected status.
    pub(crate) status: u16,
    /// Expected AWS calls in order, with the number of repetitions: `8*Query GetItem`.
    pub(crate) calls: &'static str,
    /// Assertions on the body, and ids for later rows.
    pub(crate) body: fn(&mut World, &Value),
}

/// Resources that the rows share, in the paths and bodies.
#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) environment: String,
    pub(crate) user: String,
    pub(crate) credential: String,
    pub(crate) workflow: String,
    pub(crate) error: String,
    pub(crate) event: String,
    pub(crate) destination: String,
    pub(crate) webhook: String,
    pub(crate) replay: String,
    pub(crate) ticket: String,
    /// Settings of an EventBridge destination.
    pub(crate) bus: Value,
}

impl World {
    /// Returns the resources of the event files.
    fn example() -> Self {
        Self {
            environment: "6b052e433aadb2a32613736a".into(),
            user: "6b052e434ec0c91bf3a2267f".into(),
            credential: "6b052e4698e88b6aac667a52".into(),
            workflow: "6b052e444875c4e017915798".into(),
            error: "6155ac246093840013297377".into(),
            event: "6b052e4498e88b6aac667a54".into(),
            destination: "6b052e4498e88b6aac667a50".into(),
            webhook: "6b052e4498e88b6aac667a53".into(),
            replay: "6b052e4698e88b6aac667a51".into(),
            ticket: "3q2-7wEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".into(),
            bus: json!({ "type": "eventbridge", "region": "us-east-1", "eventBusName": "errors", "credentials": {
                "accessKeyId": "AKIAIOSFODNN7EXAMPLE",
                "secretAccessKey": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            } }),
        }
    }

    /// Returns the value of a path parameter.
    fn parameter(&self, name: &str) -> &str {
        match name {
            "user" => &self.user,
            "credentialId" => &self.credential,
            "integrationId" => "shopify-orders",
            "workflowId" => &self.workflow,
            "errorId" => &self.error,
            "eventId" => &self.event,
            "destinationId" => &self.destination,
            "replayId" => &self.replay,
            _ => panic!("add the parameter {name} to World"),
        }
    }
}

/// Kind of caller of an event file.
#[derive(Clone, Copy)]
enum Caller {
    Backend,
    Engine,
    User,
    /// User with a token that is limited to the integration.
    LimitedUser,
}

/// Request to an endpoint.
pub(crate) struct Request {
    pub(crate) method: &'static str,
    /// Path template of the OpenAPI document.
    pub(crate) path: &'static str,
    pub(crate) body: Option<Value>,
    query: String,
    /// Path parameters other than those of [`World`].
    parameters: BTreeMap<&'static str, String>,
    caller: Caller,
}

/// Returns a request by a back end to a route such as `GET /users/{user}`.
pub(crate) fn request(route: &'static str) -> Request {
    let (method, path) = route.split_once(' ').unwrap();
    let (query, parameters) = Default::default();
    Request { method, path, body: None, query, parameters, caller: Caller::Backend }
}

impl Request {
    pub(crate) fn with(mut self, parameter: &'static str, value: &str) -> Self {
        self.parameters.insert(parameter, value.to_owned());
        self
    }

    pub(crate) fn body(self, body: Value) -> Self {
        Self { body: Some(body), ..self }
    }

    pub(crate) fn query(self, query: &str) -> Self {
        Self { query: query.to_owned(), ..self }
    }

    pub(crate) fn by_engine(self) -> Self {
        Self { caller: Caller::Engine, ..self }
    }

    fn by_user(self) -> Self {
        Self { caller: Caller::User, ..self }
    }

    fn by_limited_user(self) -> Self {
        Self { caller: Caller::LimitedUser, ..self }
    }

    fn parameters(&self, world: &World) -> BTreeMap<&'static str, String> {
        let names = self.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        let of_world = names.map(|name| (name, world.parameter(name).to_owned()));
        of_world.chain(self.parameters.clone()).collect()
    }

    /// Returns the path with its parameters.
    pub(crate) fn path(&self, world: &World) -> String {
        let parameters = self.parameters(world);
        parameters.iter().fold(self.path.to_owned(), |path, (name, value)| path.replace(&format!("{{{name}}}"), value))
    }

    /// Returns the event with which API Gateway invokes the function (payload format 2.0).
    pub(crate) fn event(&self, world: &World) -> Value {
        let (path, route) = (self.path(world), format!("{} {}", self.method, self.path));
        let key = |scopes| json!({ "principal": "key", "keyId": "6b052e430000000000000001", "scopes": scopes });
        let mut caller = match self.caller {
            Caller::Backend => key("manage"),
            Caller::Engine => key("engine"),
            Caller::User | Caller::LimitedUser => {
                json!({ "principal": "user", "userId": world.user, "exp": "4102444800", "mode": "manage" })
            }
        };
        if let Caller::LimitedUser = self.caller {
            caller["allowed"] = json!(world.parameter("integrationId"));
        }
        caller["environment"] = json!(world.environment);
        let mut event = json!({
            "version": "2.0",
            "routeKey": route,
            "rawPath": path,
            "rawQueryString": self.query,
            "headers": { "host": "localhost" },
            "requestContext": {
                "accountId": "111111111111",
                "apiId": "local",
                "authorizer": { "lambda": caller },
                "domainName": "localhost",
                "domainPrefix": "localhost",
                "http": {
                    "method": self.method,
                    "path": path,
                    "protocol": "HTTP/1.1",
                    "sourceIp": "127.0.0.1",
                    "userAgent": "local",
                },
                "requestId": "local-request",
                "routeKey": route,
                "stage": "$default",
                "time": "24/Nov/2026:05:30:00 +0000",
                "timeEpoch": 1_795_498_200_000_u64,
            },
            "isBase64Encoded": false,
        });
        let parameters = self.parameters(world);
        if !parameters.is_empty() {
            event["pathParameters"] = json!(parameters);
        }
        if let Some(body) = &self.body {
            event["headers"]["content-type"] = json!("application/json");
            event["body"] = json!(body.to_string());
        }
        event
    }
}

const ANY_BODY: fn(&mut World, &Value) = |_, _| {};

fn unique(prefix: &str) -> String {
    format!("{prefix}-{}", tenon::domain::id::UserId::new())
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("not a string: {value}")).to_owned()
}

fn users(count: usize) -> Vec<Value> {
    (0..count).map(|n| json!({ "email": format!("{n}-of-{count}@acme.example") })).collect()
}

fn integration() -> Value {
    json!({
        "name": "Shopify orders",
        "credentialTypes": [{ "type": "shopify", "name": "Shopify", "fields": [
            { "name": "shop", "label": "Shop", "type": "url", "required": true },
            { "name": "token", "label": "Access token", "type": "secret", "required": true, "pattern": "shpat_.+" },
        ] }],
        "settings": [{ "name": "region", "label": "Region", "type": "select",
            "options": [{ "value": "eu", "label": "Europe" }, { "value": "us", "label": "America" }] }],
        "workflows": [{ "key": "orders", "name": "Orders to Shopify" }, { "key": "stock", "name": "Stock levels" }],
        "hints": [{ "match": "401", "text": "The shop no longer accepts the token.", "action": "reconnect" }],
    })
}

fn installation() -> Value {
    json!({
        "credentials": { "shopify": { "data": { "shop": "https://acme.example", "token": "shpat_1" } } },
        "settings": { "region": "eu" },
    })
}

fn error_with_id() -> Value {
    let mut error = example_error("with an id");
    error["_id"] = json!("6155ac246093840013297377");
    error
}

fn assert_full_page(_: &mut World, page: &Value) {
    assert_eq!(page["errors"].as_array().unwrap().len(), 50);
}

/// Access to each operation of the OpenAPI document, in the order of the requests.
#[rustfmt::skip]
pub(crate) const ACCESS: &[Access] = &[
    Access { request: |_| request("POST /users").body(json!({ "username": unique("user") })),
        other: 201, engine: 403, backend: 201, user: 403, another_user: 403 },
    Access { request: |_| request("GET /users/{user}"),
        other: 404, engine: 403, backend: 200, user: 200, another_user: 404 },
    Access { request: |_| request("GET /users/{user}/token"),
        other: 404, engine: 403, backend: 200, user: 403, another_user: 403 },
    Access { request: |_| request("POST /users/{user}/token"),
        other: 404, engine: 403, backend: 200, user: 403, another_user: 403 },
    Access { request: |world| request("POST /workflows")
            .body(json!({ "userId": world.user, "name": unique("workflow") })),
        other: 404, engine: 403, backend: 201, user: 403, another_user: 403 },
    Access { request: |_| request("POST /workflows/{workflowId}/errors").body(example_error("Error")),
        other: 404, engine: 202, backend: 202, user: 403, another_user: 403 },
    Access { request: |_| request("GET /workflows/{workflowId}/errors"),
        other: 404, engine: 403, backend: 200, user: 200, another_user: 404 },
    Access { request: |world| request("POST /destinations").body(world.bus.clone()),
        other: 201, engine: 403, backend: 201, user: 403, another_user: 403 },
    Access { request: |_| request("GET /destinations/{destinationId}"),
        other: 404, engine: 403, backend: 200, user: 403, another_user: 403 },
    Access { request: |_| request("PATCH /destinations/{destinationId}").body(json!({ "enabled": false })),
        other: 404, engine: 403, backend: 200, user: 403, another_user: 403 },
    Access { request: |_| request("GET /destinations"),
        other: 200, engine: 403, backend: 200, user: 403, another_user: 403 },
    Access { request: |_| request("POST /destinations/{destinationId}/test"),
        other: 404, engine: 403, backend: 200, user: 403, another_user: 403 },
    Access { request: |_| request("GET /destinations/{destinationId}/deliveries"),
        other: 404, engine: 403, backend: 200, user: 403, another_user: 403 },
    Access { request: |_| request("POST /destinations/{destinationId}/rotate-secret"),
        other: 404, engine: 403, backend: 409, user: 403, another_user: 403 },
    Access { request: |_| request("PATCH /destinations/{destinationId}").body(json!({ "enabled": true })),
        other: 404, engine: 403, backend: 200, user: 403, another_user: 403 },
    Access { request: |_| request("POST /destinations/{destinationId}/replay").body(json!({ "failed": true })),
        other: 404, engine: 403, backend: 202, user: 403, another_user: 403 },
    Access { request: |_| request("GET /destinations/{destinationId}/replays"),
        other: 404, engine: 403, backend: 200, user: 403, another_user: 403 },
    Access { request: |_| request("GET /replays/{replayId}"),
        other: 404, engine: 403, backend: 200, user: 403, another_user: 403 },
    Access { request: |_| request("DELETE /replays/{replayId}"),
        other: 404, engine: 403, backend: 200, user: 403, another_user: 403 },
    // The back end is the last caller.
    Access { request: |_| request("DELETE /destinations/{destinationId}"),
        other: 404, engine: 403, backend: 200, user: 403, another_user: 403 },
    Access { request: |_| request("POST /users/batch").body(json!([{ "username": unique("user") }])),
        other: 200, engine: 403, backend: 200, user: 403, another_user: 403 },
    Access { request: |_| request("GET /users"),
        other: 200, engine: 403, backend: 200, user: 403, another_user: 403 },
    Access { request: |_| request("PUT /users/{user}").body(json!({})),
        other: 404, engine: 403, backend: 200, user: 403, another_user: 403 },
    Access { request: |_| request("PATCH /users/{user}").body(json!({})),
        other: 404, engine: 403, backend: 200, user: 403, another_user: 403 },
    Access { request: |_| request("POST /users/{user}/credentials")
            .body(json!({ "type": "shopify", "name": "Shop", "data": {} })),
        other: 404, engine: 403, backend: 201, user: 403, another_user: 403 },
    Access { request: |_| request("GET /users/{user}/credentials"),
        other: 404, engine: 403, backend: 200, user: 200, another_user: 404 },
    Access { request: |_| request("GET /credentials/users/{user}"),
        other: 404, engine: 403, backend: 200, user: 200, another_user: 404 },
    Access { request: |_| request("GET /users/{user}/credentials/{credentialId}"),
        other: 404, engine: 403, backend: 200, user: 200, another_user: 404 },
    Access { request: |_| request("POST /users/{user}/credentials/{credentialId}/reveal"),
        other: 403, engine: 200, backend: 403, user: 403, another_user: 403 },
    Access { request: |_| request("POST /users/{user}/credentials/{credentialId}/status")
            .body(json!({ "status": "invalid", "reason": "401 from the shop" })),
        other: 404, engine: 200, backend: 200, user: 403, another_user: 403 },
    Access { request: |_| request("PUT /users/{user}/credentials/{credentialId}")
            .body(json!({ "data": { "token": "shpat_new" } })),
        other: 404, engine: 200, backend: 200, user: 403, another_user: 403 },
    // The user deletes it before the back end calls.
    Access { request: |_| request("DELETE /users/{user}/credentials/{credentialId}"),
        other: 404, engine: 403, backend: 404, user: 200, another_user: 404 },
    Access { request: |_| request("PUT /integrations/{integrationId}").body(integration()),
        other: 201, engine: 403, backend: 201, user: 403, another_user: 403 },
    Access { request: |_| request("GET /integrations/{integrationId}"),
        other: 200, engine: 200, backend: 200, user: 200, another_user: 200 },
    Access { request: |_| request("GET /integrations"),
        other: 200, engine: 200, backend: 200, user: 200, another_user: 200 },
    Access { request: |_| request("GET /users/{user}/integrations/{integrationId}/install-url"),
        other: 404, engine: 403, backend: 200, user: 403, another_user: 403 },
    // The user installs it before the back end calls.
    Access { request: |_| request("PUT /users/{user}/installations/{integrationId}").body(installation()),
        other: 404, engine: 403, backend: 200, user: 201, another_user: 404 },
    Access { request: |_| request("GET /users/{user}/installations/{integrationId}"),
        other: 404, engine: 200, backend: 200, user: 200, another_user: 404 },
    Access { request: |_| request("GET /users/{user}/installations"),
        other: 404, engine: 200, backend: 200, user: 200, another_user: 404 },
    Access { request: |_| request("GET /installations"),
        other: 200, engine: 200, backend: 200, user: 200, another_user: 200 },
    // The user uninstalls it before the back end calls.
    Access { request: |_| request("DELETE /users/{user}/installations/{integrationId}"),
        other: 404, engine: 403, backend: 404, user: 200, another_user: 404 },
    Access { request: |_| request("DELETE /integrations/{integrationId}"),
        other: 200, engine: 403, backend: 200, user: 403, another_user: 403 },
    Access { request: |_| request("GET /workflows"),
        other: 200, engine: 200, backend: 200, user: 200, another_user: 200 },
    Access { request: |_| request("PATCH /workflows/{workflowId}").body(json!({ "name": "Orders to Shopify" })),
        other: 404, engine: 403, backend: 200, user: 403, another_user: 403 },
    Access { request: |_| request("GET /workflows/{workflowId}"),
        other: 404, engine: 200, backend: 200, user: 200, another_user: 404 },
    Access { request: |world| request("PUT /workflows/activate")
            .body(json!({ "userId": world.user, "workflowId": world.workflow })),
        other: 404, engine: 403, backend: 200, user: 200, another_user: 404 },
    Access { request: |world| request("PUT /workflows/deactivate")
            .body(json!({ "userId": world.user, "workflowId": world.workflow })),
        other: 404, engine: 403, backend: 200, user: 200, another_user: 404 },
    Access { request: |_| request("PUT /users/{user}/deactivate-workflows"),
        other: 404, engine: 403, backend: 200, user: 403, another_user: 403 },
    Access { request: |_| request("DELETE /workflows/{workflowId}"),
        other: 404, engine: 403, backend: 200, user: 403, another_user: 403 },
    Access { request: |_| request("GET /logs"),
        other: 200, engine: 403, backend: 200, user: 403, another_user: 403 },
    Access { request: |_| request("GET /errors/groups"),
        other: 200, engine: 403, backend: 200, user: 200, another_user: 200 },
    Access { request: |_| request("GET /errors/{errorId}"),
        other: 404, engine: 403, backend: 200, user: 403, another_user: 403 },
    Access { request: |_| request("GET /events"),
        other: 200, engine: 403, backend: 200, user: 403, another_user: 403 },
    Access { request: |_| request("GET /events/{eventId}"),
        other: 404, engine: 403, backend: 200, user: 403, another_user: 403 },
    Access { request: |_| request("GET /environment"),
        other: 200, engine: 403, backend: 200, user: 403, another_user: 403 },
    Access { request: |_| request("PATCH /environment").body(json!({ "modal": { "lang": "de" } })),
        other: 200, engine: 403, backend: 200, user: 403, another_user: 403 },
    Access { request: |_| request("GET /session"),
        other: 403, engine: 403, backend: 403, user: 200, another_user: 200 },
    // Always 202: a user of another environment has no errors here.
    Access { request: |_| request("DELETE /users/{user}/logs"),
        other: 202, engine: 403, backend: 202, user: 403, another_user: 403 },
    // These are last: the user's token is no longer valid after them.
    Access { request: |_| request("POST /users/{user}/enable"),
        other: 404, engine: 403, backend: 200, user: 403, another_user: 403 },
    Access { request: |_| request("POST /users/{user}/disable"),
        other: 404, engine: 403, backend: 200, user: 403, another_user: 403 },
    Access { request: |_| request("DELETE /users/{user}"),
        other: 404, engine: 403, backend: 200, user: 403, another_user: 403 },
];

/// AWS calls of each function.
#[rustfmt::skip]
pub(crate) const AWS_CALLS: &[AwsCalls] = &[
    AwsCalls { function: "environments_get", request: |_| request("GET /environment"), status: 200, calls: "GetItem",
        body: |world, shown| {
            let modal = json!({ "origins": [], "theme": null, "lang": null });
            let expected = json!({ "environmentId": world.environment, "name": "acme", "kind": "test",
                "version": tenon::domain::VERSION, "modal": modal, "scope": "manage" });
            assert_eq!(*shown, expected);
        } },
    AwsCalls { function: "environments_patch",
        request: |_| request("PATCH /environment").body(json!({ "modal": { "origins": ["https://app.acme.example"] } })),
        status: 200, calls: "GetItem UpdateItem",
        body: |_, shown| assert_eq!(shown["modal"]["origins"][0], "https://app.acme.example") },
    AwsCalls { function: "users_create",
        request: |_| request("POST /users").body(json!({ "email": "joe.smoe@acme.example", "fullName": "Joe Smoe" })),
        status: 201, calls: "TransactWriteItems",
        body: |world, user| world.user = text(&user["userId"]) },
    AwsCalls { function: "users_get", request: |_| request("GET /users/{user}"),
        status: 200, calls: "GetItem", body: ANY_BODY },
    AwsCalls { function: "users_get", request: |_| request("GET /users/{user}").with("user", "joe.smoe@acme.example"),
        status: 200, calls: "2*GetItem", body: ANY_BODY },
    AwsCalls { function: "users_update",
        request: |_| request("PATCH /users/{user}").body(json!({ "fullName": "Joe" })),
        status: 200, calls: "GetItem TransactWriteItems", body: ANY_BODY },
    AwsCalls { function: "users_update",
        request: |_| request("PATCH /users/{user}")
            .with("user", "joe.smoe@acme.example").body(json!({ "metadata": { "a": "1" } })),
        status: 200, calls: "2*GetItem TransactWriteItems", body: ANY_BODY },
    AwsCalls { function: "users_update",
        request: |_| request("PATCH /users/{user}").body(json!({})),
        status: 200, calls: "GetItem", body: ANY_BODY },
    AwsCalls { function: "users_list", request: |_| request("GET /users")
            , status: 200, calls: "4*Query", body: ANY_BODY },
    AwsCalls { function: "users_batch", request: |_| request("POST /users/batch").body(json!({ "users": users(2) })),
        status: 200, calls: "TransactWriteItems", body: ANY_BODY },
    AwsCalls { function: "users_batch",
        request: |_| request("POST /users/batch").body(json!({ "users": users(1000) })),
        status: 200, calls: "40*TransactWriteItems",
        body: |_, batch| assert_eq!(batch["invalidUsers"], json!([])) },
    AwsCalls { function: "credentials_create",
        request: |_| request("POST /users/{user}/credentials")
            .body(json!({ "type": "shopify", "name": "Shop", "data": { "token": "shpat_example" } })),
        status: 201, calls: "GetItem GenerateDataKey TransactWriteItems",
        body: |world, credential| world.credential = text(&credential["credentialId"]) },
    AwsCalls { function: "credentials_reveal",
        request: |_| request("POST /users/{user}/credentials/{credentialId}/reveal").by_engine(),
        status: 200, calls: "2*GetItem Decrypt",
        body: |_, revealed| assert_eq!(revealed["data"]["token"], "shpat_example") },
    AwsCalls { function: "credentials_list", request: |_| request("GET /users/{user}/credentials"),
        status: 200, calls: "GetItem Query", body: ANY_BODY },
    AwsCalls { function: "credentials_get",
        request: |_| request("GET /users/{user}/credentials/{credentialId}"),
        status: 200, calls: "2*GetItem", body: ANY_BODY },
    AwsCalls { function: "credentials_status",
        request: |_| request("POST /users/{user}/credentials/{credentialId}/status")
            .body(json!({ "status": "invalid", "reason": "401 from the shop" })).by_engine(),
        status: 200, calls: "2*GetItem TransactWriteItems",
        body: |_, credential| assert_eq!(credential["statusReason"], "401 from the shop") },
    AwsCalls { function: "credentials_replace",
        request: |_| request("PUT /users/{user}/credentials/{credentialId}")
            .body(json!({ "data": { "token": "shpat_new" } })).by_engine(),
        status: 200, calls: "2*GetItem GenerateDataKey TransactWriteItems",
        body: |_, credential| assert_eq!(credential["status"], "valid") },
    AwsCalls { function: "credentials_delete",
        request: |_| request("DELETE /users/{user}/credentials/{credentialId}"),
        status: 200, calls: "2*GetItem TransactWriteItems",
        body: ANY_BODY },
    AwsCalls { function: "users_token",
        request: |_| request("POST /users/{user}/token").body(json!({ "ttlSeconds": 600 })),
        status: 200, calls: "GetItem", body: ANY_BODY },
    AwsCalls { function: "users_status", request: |_| request("POST /users/{user}/disable"),
        status: 200, calls: "GetItem TransactWriteItems", body: |_, user| assert_eq!(user["status"], "disabled") },
    AwsCalls { function: "users_status", request: |_| request("POST /users/{user}/disable"),
        status: 200, calls: "GetItem", body: |_, user| assert_eq!(user["status"], "disabled") },
    AwsCalls { function: "users_status", request: |_| request("POST /users/{user}/enable"),
        status: 200, calls: "GetItem TransactWriteItems", body: |_, user| assert_eq!(user["status"], "active") },
    AwsCalls { function: "users_status", request: |_| request("POST /users/{user}/enable").with("user", "joe.smoe@acme.example"),
        status: 200, calls: "2*GetItem", body: |_, user| assert_eq!(user["status"], "active") },
    AwsCalls { function: "integrations_put",
        request: |_| request("PUT /integrations/{integrationId}").body(integration()),
        status: 201, calls: "GetItem TransactWriteItems",
        body: |_, integration| assert_eq!(integration["version"], 1) },
    AwsCalls { function: "integrations_put",
        request: |_| request("PUT /integrations/{integrationId}").body(json!({ "name": "Orders",
            "workflows": [{ "key": "orders", "name": "Orders" }] })),
        status: 200, calls: "GetItem PutItem",
        body: |_, integration| assert_eq!(integration["version"], 2) },
    AwsCalls { function: "integrations_list", request: |_| request("GET /integrations").by_user(),
        status: 200, calls: "2*Query",
        body: |_, list| assert_eq!(list["data"][0]["installation"], Value::Null) },
    AwsCalls { function: "integrations_get", request: |_| request("GET /integrations/{integrationId}").by_engine(),
        status: 200, calls: "GetItem", body: |_, integration| assert!(integration.get("installation").is_none()) },
    AwsCalls { function: "installations_put",
        request: |_| request("PUT /users/{user}/installations/{integrationId}")
            .body(json!({ "workflows": ["orders"] })).by_user(),
        status: 201, calls: "3*GetItem TransactWriteItems",
        body: |_, installation| assert_eq!(installation["status"], "active") },
    AwsCalls { function: "integrations_put",
        request: |_| request("PUT /integrations/{integrationId}").body(integration()),
        status: 200, calls: "GetItem PutItem", body: ANY_BODY },
    AwsCalls { function: "installations_get",
        request: |_| request("GET /users/{user}/installations/{integrationId}").by_engine(),
        status: 200, calls: "3*GetItem BatchGetItem",
        body: |_, installation| assert_eq!(installation["status"], "needs-attention") },
    AwsCalls { function: "installations_put",
        request: |_| request("PUT /users/{user}/installations/{integrationId}").body(installation()).by_user(),
        status: 200, calls: "3*GetItem BatchGetItem GenerateDataKey TransactWriteItems",
        body: |world, installation| {
            assert_eq!(installation["status"], "active");
            world.credential = text(&installation["credentialIds"]["shopify"]);
        } },
    // Nothing changes.
    AwsCalls { function: "installations_put",
        request: |_| request("PUT /users/{user}/installations/{integrationId}").body(json!({ "settings": { "region": "eu" } })),
        status: 200, calls: "3*GetItem 2*BatchGetItem",
        body: |_, installation| assert_eq!(installation["status"], "active") },
    AwsCalls { function: "installations_list",
        request: |_| request("GET /users/{user}/installations").with("user", "joe.smoe@acme.example"),
        status: 200, calls: "2*GetItem 2*Query 2*BatchGetItem",
        body: |_, list| assert_eq!(list["data"].as_array().unwrap().len(), 1) },
    AwsCalls { function: "installations_list_all", request: |_| request("GET /installations").by_engine(),
        status: 200, calls: "5*Query 3*BatchGetItem",
        body: |_, list| assert_eq!(list["data"].as_array().unwrap().len(), 1) },
    AwsCalls { function: "installations_list_all", request: |_| request("GET /installations").by_user(),
        // The catalogue is known from the previous request.
        status: 200, calls: "GetItem Query 2*BatchGetItem",
        body: |_, list| assert_eq!(list["data"].as_array().unwrap().len(), 1) },
    AwsCalls { function: "credentials_list", request: |_| request("GET /users/{user}/credentials").by_limited_user(),
        status: 200, calls: "GetItem 3*Query",
        body: |world, list| assert_eq!(list["data"][0]["credentialId"], *world.credential) },
    AwsCalls { function: "credentials_get",
        request: |_| request("GET /users/{user}/credentials/{credentialId}").by_limited_user(),
        status: 200, calls: "2*GetItem 2*Query", body: ANY_BODY },
    AwsCalls { function: "credentials_get",
        request: |_| request("GET /users/{user}/credentials/{credentialId}").by_limited_user(),
        // The catalogue is cached.
        status: 200, calls: "2*GetItem Query", body: ANY_BODY },
    AwsCalls { function: "credentials_delete",
        request: |_| request("DELETE /users/{user}/credentials/{credentialId}")
            .with("credentialId", "000000000000000000000000").by_limited_user(),
        status: 404, calls: "2*GetItem", body: ANY_BODY },
    AwsCalls { function: "installations_put",
        request: |world| request("PUT /users/{user}/installations/{integrationId}")
            .body(json!({ "credentials": { "shopify": { "credentialId": world.credential } } })).by_limited_user(),
        status: 200, calls: "3*GetItem 2*BatchGetItem 2*Query BatchGetItem", body: ANY_BODY },
    AwsCalls { function: "integrations_get", request: |_| request("GET /integrations/{integrationId}").by_user(),
        status: 200, calls: "2*GetItem 2*BatchGetItem",
        body: |_, integration| assert_eq!(integration["installation"]["status"], "active") },
    AwsCalls { function: "integrations_list", request: |_| request("GET /integrations").query("userId=joe.smoe@acme.example"),
        // The catalogue is cached.
        status: 200, calls: "2*GetItem Query 2*BatchGetItem",
        body: |_, list| assert!(list["data"][0]["installation"]["status"].is_string()) },
    AwsCalls { function: "integrations_install_url",
        request: |_| request("GET /users/{user}/integrations/{integrationId}/install-url"),
        status: 200, calls: "2*GetItem PutItem",
        body: |world, link| {
            let url = text(&link["url"]);
            let (page, ticket) = url.split_once("#ticket=").unwrap();
            assert!(page.ends_with("/modal"));
            world.ticket = ticket.to_owned();
        } },
    AwsCalls { function: "tickets",
        request: |world| request("POST /tickets").body(json!({ "ticket": world.ticket })),
        status: 200, calls: "3*GetItem TransactWriteItems", body: |_, token| assert!(token["token"].is_string()) },
    AwsCalls { function: "tickets",
        request: |world| request("POST /tickets").body(json!({ "ticket": world.ticket })),
        status: 410, calls: "GetItem", body: ANY_BODY },
    AwsCalls { function: "credentials_delete",
        request: |_| request("DELETE /users/{user}/credentials/{credentialId}").by_limited_user(),
        status: 200, calls: "2*GetItem 2*Query BatchGetItem TransactWriteItems", body: ANY_BODY },
    AwsCalls { function: "installations_put",
        request: |_| request("PUT /users/{user}/installations/{integrationId}").body(installation()).by_user(),
        status: 200, calls: "3*GetItem 2*BatchGetItem GenerateDataKey TransactWriteItems", body: ANY_BODY },
    AwsCalls { function: "installations_delete",
        request: |_| request("DELETE /users/{user}/installations/{integrationId}").by_user(),
        status: 200, calls: "3*GetItem 3*BatchGetItem 2*Query TransactWriteItems", body: ANY_BODY },
    AwsCalls { function: "integrations_delete", request: |_| request("DELETE /integrations/{integrationId}"),
        status: 200, calls: "TransactWriteItems", body: ANY_BODY },
    AwsCalls { function: "workflows_create",
        request: |world| request("POST /workflows").body(json!({ "userId": world.user, "name": "Orders" })),
        status: 201, calls: "GetItem TransactWriteItems",
        body: |world, workflow| world.workflow = text(&workflow["workflowId"]) },
    AwsCalls { function: "workflows_list", request: |_| request("GET /workflows").query("userId=joe.smoe@acme.example"),
        status: 200, calls: "2*GetItem Query BatchGetItem", body: ANY_BODY },
    AwsCalls { function: "workflows_list", request: |_| request("GET /workflows").by_engine(),
        status: 200, calls: "4*Query BatchGetItem",
        body: |_, list| assert_eq!(list["data"].as_array().unwrap().len(), 1) },
    AwsCalls { function: "workflows_update",
        request: |_| request("PATCH /workflows/{workflowId}").body(json!({ "settings": { "shop": 7 } })),
        status: 200, calls: "2*GetItem TransactWriteItems",
        body: |_, workflow| assert_eq!(workflow["settings"]["shop"], 7) },
    AwsCalls { function: "workflows_get", request: |_| request("GET /workflows/{workflowId}"),
        status: 200, calls: "2*GetItem", body: ANY_BODY },
    AwsCalls { function: "workflows_activate",
        request: |world| request("PUT /workflows/deactivate")
            .body(json!({ "userId": world.user, "workflowId": world.workflow })),
        status: 200, calls: "GetItem BatchGetItem TransactWriteItems", body: ANY_BODY },
    AwsCalls { function: "workflows_activate",
        request: |world| request("PUT /workflows/deactivate")
            .body(json!({ "userId": world.user, "workflowName": "Orders" })),
        // It is inactive already.
        status: 200, calls: "2*GetItem BatchGetItem", body: ANY_BODY },
    AwsCalls { function: "workflows_activate",
        request: |world| request("PUT /workflows/activate")
            .body(json!({ "userId": world.user, "workflowName": "Orders" })),
        status: 200, calls: "2*GetItem BatchGetItem TransactWriteItems", body: ANY_BODY },
    AwsCalls { function: "workflows_deactivate_all", request: |_| request("PUT /users/{user}/deactivate-workflows"),
        status: 200, calls: "GetItem Query BatchGetItem TransactWriteItems", body: ANY_BODY },
    AwsCalls { function: "session",
        request: |_| request("GET /session").by_user(),
        status: 200, calls: "BatchGetItem 2*GetItem 4*Query",
        body: |_, session| assert_eq!(session["workflows"].as_array().unwrap().len(), 1) },
    AwsCalls { function: "errors_record",
        request: |_| request("POST /workflows/{workflowId}/errors").body(example_error("one")).by_engine(),
        status: 202, calls: "2*GetItem BatchWriteItem", body: ANY_BODY },
    AwsCalls { function: "errors_record",
        // The workflow is known from the previous request.
        request: |_| request("POST /workflows/{workflowId}/errors").body(error_with_id()).by_engine(),
        status: 202, calls: "BatchGetItem GetItem BatchWriteItem", body: ANY_BODY },
    AwsCalls { function: "errors_record",
        request: |_| request("POST /workflows/{workflowId}/errors")
            .body(json!({ "errors": vec![example_error("many"); 100] })).by_engine(),
        status: 202, calls: "4*BatchWriteItem", body: ANY_BODY },
    AwsCalls { function: "errors_list", request: |_| request("GET /workflows/{workflowId}/errors").query("limit=10"),
        status: 200, calls: "2*GetItem Query", body: ANY_BODY },
    AwsCalls { function: "errors_logs", request: |_| request("GET /logs"),
        status: 200, calls: "8*Query BatchGetItem", body: assert_full_page },
    AwsCalls { function: "errors_logs",
        request: |world| request("GET /logs").query(&format!("userId={}", world.user)),
        status: 200, calls: "Query BatchGetItem", body: assert_full_page },
    AwsCalls { function: "errors_logs",
        request: |_| request("GET /logs").query("userId=joe.smoe@acme.example"),
        status: 200, calls: "GetItem Query BatchGetItem", body: assert_full_page },
    AwsCalls { function: "errors_logs",
        request: |world| request("GET /logs").query(&format!("workflowId={}", world.workflow)),
        status: 200, calls: "Query", body: assert_full_page },
    AwsCalls { function: "errors_groups",
        request: |_| request("GET /errors/groups"),
        status: 200, calls: "8*Query BatchGetItem",
        body: |world, groups| {
            assert_eq!(groups["complete"], true);
            world.error = text(&groups["groups"][0]["example"]["_id"]);
        } },
    AwsCalls { function: "errors_groups", request: |_| request("GET /errors/groups").by_user(),
        status: 200, calls: "Query BatchGetItem", body: ANY_BODY },
    AwsCalls { function: "errors_groups", request: |_| request("GET /errors/groups").query("userId=joe.smoe@acme.example"),
        status: 200, calls: "GetItem Query BatchGetItem", body: ANY_BODY },
    AwsCalls { function: "destinations_create",
        request: |world| request("POST /destinations").body(world.bus.clone()),
        status: 201, calls: "DescribeEventBus PutEvents GenerateDataKey TransactWriteItems",
        body: |world, destination| world.destination = text(&destination["destinationId"]) },
    AwsCalls { function: "errors_get", request: |_| request("GET /errors/{errorId}"),
        status: 200, calls: "3*Query 2*BatchGetItem Query",
        body: |_, error| assert_eq!(error["deliveries"], json!([])) },
    AwsCalls { function: "events_list", request: |_| request("GET /events"),
        status: 200, calls: "8*Query BatchGetItem",
        body: |world, list| {
            let [newest, ..] = &list["data"].as_array().unwrap()[..] else { panic!("{list}") };
            assert_eq!(newest["userId"], world.user);
            world.event = text(&newest["_id"]);
        } },
    AwsCalls { function: "events_list",
        request: |_| request("GET /events").query("userId=joe.smoe@acme.example&type=workflow.deactivated"),
        status: 200, calls: "GetItem Query",
        body: |_, list| assert_eq!(list["data"].as_array().unwrap().len(), 2) },
    AwsCalls { function: "events_get", request: |_| request("GET /events/{eventId}"),
        status: 200, calls: "3*Query 2*BatchGetItem Query",
        body: |_, event| assert_eq!(event["deliveries"], json!([])) },
    AwsCalls { function: "destinations_create",
        request: |_| request("POST /destinations")
            .body(json!({ "type": "webhook", "url": "https://example.com/errors" })),
        status: 201, calls: "GenerateDataKey TransactWriteItems",
        body: |world, webhook| world.webhook = text(&webhook["destinationId"]) },
    AwsCalls { function: "destinations_rotate_secret",
        request: |world| request("POST /destinations/{destinationId}/rotate-secret")
            .with("destinationId", &world.webhook),
        status: 200, calls: "2*GetItem GenerateDataKey PutItem", body: ANY_BODY },
    AwsCalls { function: "destinations_patch",
        request: |_| request("PATCH /destinations/{destinationId}")
            .body(json!({ "filter": { "blockType": ["shopify"] } })),
        status: 200, calls: "2*GetItem PutItem", body: ANY_BODY },
    AwsCalls { function: "destinations_patch",
        request: |_| request("PATCH /destinations/{destinationId}")
            .body(json!({ "filter": { "userId": ["joe.smoe@acme.example"] } })),
        status: 200, calls: "3*GetItem PutItem", body: ANY_BODY },
    AwsCalls { function: "destinations_patch",
        request: |_| request("PATCH /destinations/{destinationId}").body(json!({ "enabled": false })),
        status: 200, calls: "2*GetItem PutItem", body: ANY_BODY },
    // Nothing changes.
    AwsCalls { function: "destinations_patch",
        request: |_| request("PATCH /destinations/{destinationId}").body(json!({ "enabled": false })),
        status: 200, calls: "2*GetItem", body: ANY_BODY },
    AwsCalls { function: "destinations_patch",
        request: |_| request("PATCH /destinations/{destinationId}").body(json!({ "enabled": true })),
        status: 200, calls: "2*GetItem TransactWriteItems GetItem", body: ANY_BODY },
    AwsCalls { function: "destinations_patch",
        request: |_| request("PATCH /destinations/{destinationId}").body(json!({ "eventBusName": "tenon-test-x" })),
        status: 200, calls: "2*GetItem Decrypt DescribeEventBus PutEvents TransactWriteItems GetItem", body: ANY_BODY },
    AwsCalls { function: "destinations_test",
        request: |_| request("POST /destinations/{destinationId}/test"),
        status: 200, calls: "GetItem Decrypt PutEvents",
        body: |_, tested| assert_eq!(tested["delivered"], true) },
    // The data key of the credentials is cached.
    AwsCalls { function: "destinations_test",
        request: |_| request("POST /destinations/{destinationId}/test"),
        status: 200, calls: "GetItem PutEvents",
        body: |_, tested| assert_eq!(tested["delivered"], true) },
    AwsCalls { function: "destinations_deliveries",
        request: |_| request("GET /destinations/{destinationId}/deliveries"),
        status: 200, calls: "GetItem 8*Query",
        body: |_, page| assert_eq!(page["data"], json!([])) },
    AwsCalls { function: "destinations_replay",
        request: |_| request("POST /destinations/{destinationId}/replay").body(json!({ "failed": true })),
        status: 202, calls: "GetItem PutItem SendMessage",
        body: |world, replay| world.replay = text(&replay["replayId"]) },
    AwsCalls { function: "replays_get", request: |_| request("GET /replays/{replayId}"),
        status: 200, calls: "GetItem", body: |_, replay| assert_eq!(replay["status"], "running") },
    AwsCalls { function: "replays_list", request: |_| request("GET /destinations/{destinationId}/replays"),
        status: 200, calls: "GetItem Query",
        body: |world, list| assert_eq!(list["data"][0]["replayId"], world.replay) },
    AwsCalls { function: "replays_cancel", request: |_| request("DELETE /replays/{replayId}"),
        status: 200, calls: "UpdateItem", body: |_, replay| assert_eq!(replay["status"], "cancelled") },
    AwsCalls { function: "destinations_get",
        request: |_| request("GET /destinations/{destinationId}"),
        status: 200, calls: "2*GetItem", body: ANY_BODY },
    AwsCalls { function: "destinations_list",
        request: |_| request("GET /destinations"),
        status: 200, calls: "Query", body: ANY_BODY },
    AwsCalls { function: "destinations_delete",
        request: |_| request("DELETE /destinations/{destinationId}"),
        status: 200, calls: "TransactWriteItems", body: ANY_BODY },
    AwsCalls { function: "workflows_delete", request: |_| request("DELETE /workflows/{workflowId}"),
        status: 200, calls: "2*GetItem TransactWriteItems", body: ANY_BODY },
    AwsCalls { function: "users_erase_logs", request: |_| request("DELETE /users/{user}/logs"),
        status: 202, calls: "PutItem", body: |_, erased| assert_eq!(erased["success"], true) },
    AwsCalls { function: "users_erase_logs",
        request: |_| request("DELETE /users/{user}/logs").with("user", "joe.smoe@acme.example"),
        status: 202, calls: "GetItem PutItem", body: |_, erased| assert_eq!(erased["success"], true) },
    AwsCalls { function: "users_delete", request: |_| request("DELETE /users/{user}"),
        status: 200, calls: "GetItem TransactWriteItems", body: ANY_BODY },
];

/// Handler with its state.
pub(crate) type Endpoint = Box<dyn Fn(Value) -> LocalBoxFuture<'static, (StatusCode, Value)>>;

/// Starts a function and returns its handler with its state.
async fn started<H, T, S>(config: &SdkConfig, handler: H) -> Endpoint
where
    H: Handler<T, S>,
    T: 'static,
    S: FromAws + Clone + Send + Sync + 'static,
{
    let state = connect(config, S::from_aws).await.unwrap();
    Box::new(move |event| {
        let (handler, state) = (handler.clone(), state.clone());
        Box::pin(async move { answer(handler, &state, &event).await })
    })
}

macro_rules! endpoints {
    ($config:expr, $($name:literal => $($module:ident)::+ . $handler:ident;)*) => {
        BTreeMap::from([$(
            ($name, started($config, tenon::http::Endpoint($($module)::+::$handler)).await),
        )*])
    };
}

/// Starts the endpoints. Returns them by the names of their functions, in the pairs that
/// `functions/src/bin` serves.
pub(crate) async fn handlers(config: &SdkConfig) -> BTreeMap<&'static str, Endpoint> {
    let mut handlers = endpoints! { config,
        "credentials_create" => credentials::create.create_credential;
        "credentials_delete" => credentials::delete.delete_credential;
        "credentials_get" => credentials::get.get_credential;
        "credentials_list" => credentials::list.list_credentials;
        "credentials_replace" => credentials::replace.replace_credential;
        "credentials_reveal" => credentials::reveal.reveal_credential;
        "credentials_status" => credentials::status.set_status;
        "destinations_create" => destinations::create.create_destination;
        "destinations_delete" => destinations::delete.delete_destination;
        "destinations_deliveries" => destinations::deliveries.list_deliveries;
        "destinations_get" => destinations::get.get_destination;
        "destinations_list" => destinations::list.list_destinations;
        "destinations_patch" => destinations::patch.patch_destination;
        "destinations_replay" => destinations::replay.start_replay;
        "destinations_rotate_secret" => destinations::rotate_secret.rotate_secret;
        "destinations_test" => destinations::test.test_destination;
        "environments_patch" => environments::patch.patch_environment;
        "environments_get" => environments::get.get_environment;
        "errors_get" => errors::get.get_error;
        "errors_groups" => errors::groups.group_errors;
        "errors_list" => errors::list.list_errors;
        "errors_logs" => errors::logs.list_logs;
        "errors_record" => errors::record.record_errors;
        "events_get" => events::get.get_event;
        "events_list" => events::list.list_events;
        "replays_cancel" => replays::cancel.cancel_replay;
        "replays_get" => replays::get.get_replay;
        "replays_list" => replays::list.list_replays;
        "session" => session.get_session;
        "users_batch" => users::batch.create_users;
        "users_create" => users::create.create_user;
        "users_delete" => users::delete.delete_user;
        "users_erase_logs" => users::erase_logs.erase_logs;
        "users_get" => users::get.get_user;
        "users_list" => users::list.list_users;
        "users_status" => users::status.set_status;
        "users_token" => users::token.create_token;
        "users_update" => users::update.update_user;
        "installations_delete" => installations::delete.delete_installation;
        "installations_get" => installations::get.get_installation;
        "installations_list" => installations::list.list_installations_of_user;
        "installations_list_all" => installations::list.list_installations;
        "installations_put" => installations::put.put_installation;
        "integrations_delete" => integrations::delete.delete_integration;
        "integrations_install_url" => integrations::install_url.create_install_url;
        "integrations_get" => integrations::get.get_integration;
        "integrations_list" => integrations::list.list_integrations;
        "integrations_put" => integrations::put.put_integration;
        "workflows_activate" => workflows::activate.set_active;
        "workflows_create" => workflows::create.create_workflow;
        "workflows_deactivate_all" => workflows::deactivate_all.deactivate_workflows;
        "workflows_delete" => workflows::delete.delete_workflow;
        "workflows_get" => workflows::get.get_workflow;
        "workflows_list" => workflows::list.list_workflows;
        "workflows_update" => workflows::update.patch_workflow;
    };
    handlers.insert("tickets", started(config, tickets::exchange_ticket).await);
    handlers
}

#[test]
fn event_files_match_the_first_row_of_each_function() {
    let mut seen = BTreeSet::new();
    for row in AWS_CALLS.iter().filter(|row| seen.insert(row.function)) {
        let world = World::example();
        let event = serde_json::to_string_pretty(&(row.request)(&world).event(&world)).unwrap();
        expect_file![format!("../../events/{}.json", row.function)].assert_eq(&(event + "\n"));
    }
}
