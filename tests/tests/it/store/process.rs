//! Endpoints without a deployment, in a process that can crash at any AWS call.

use std::collections::{BTreeMap, BTreeSet};

use aws_config::SdkConfig;
use rand::Rng;
use serde_json::{Value, json};
use tenon::domain::id::EnvironmentId;
use tests::{Random, aws, crash::Crash, setting};

use crate::endpoints::{Endpoint, Request, World, handlers, request, text};

/// Endpoints of one process, which can crash, and an environment.
pub(super) struct Process {
    pub(super) endpoints: BTreeMap<&'static str, Endpoint>,
    pub(super) config: SdkConfig,
    pub(super) crash: Crash,
    pub(super) world: World,
}

impl Process {
    pub(super) async fn start() -> Self {
        let (config, crash) = Crash::wrap(&aws(&setting("AWS_ACCESS_KEY_ID")).await);
        let world = World { environment: EnvironmentId::new().to_string(), ..World::default() };
        Self { endpoints: handlers(&config).await, config, crash, world }
    }

    pub(super) async fn call(&self, function: &str, request: Request) -> (u16, Value) {
        let (status, body) = self.endpoints[function](request.event(&self.world)).await;
        (status.as_u16(), body)
    }

    /// Crashes at a random AWS call, then repeats the request until it is answered.
    pub(super) async fn call_after_crash(&self, function: &str, request: Request) -> (u16, Value) {
        let event = request.event(&self.world);
        let running = self.endpoints[function](event.clone());
        match self.crash.at(Random.random_range(0..8), Random.random(), running).await {
            Some((status, body)) => (status.as_u16(), body),
            None => self.call(function, request).await,
        }
    }

    pub(super) async fn create_user(&self, name: &str) -> String {
        let (status, user) = self.call("users_create", request("POST /users").body(json!({ "username": name }))).await;
        assert_eq!(status, 201);
        text(&user["userId"])
    }

    pub(super) async fn put_integration(&self, id: &str, keys: &[&str], enabled: bool) {
        let workflows: Vec<Value> = keys.iter().map(|key| json!({ "key": key, "name": "Orders" })).collect();
        let body = json!({ "name": "Orders", "workflows": workflows, "enabled": enabled,
            "credentialTypes": [{ "type": "shop", "name": "Shop",
                "fields": [{ "name": "token", "label": "Token", "type": "secret" }] }],
            "settings": [{ "name": "size", "label": "Size", "type": "number" }] });
        let put = request("PUT /integrations/{integrationId}").with("integrationId", id).body(body);
        let (status, body) = self.call_after_crash("integrations_put", put).await;
        assert!([200, 201].contains(&status), "{body}");
    }

    pub(super) async fn list(&self, function: &str, request: Request) -> Vec<Value> {
        let (status, body) = self.call(function, request).await;
        assert_eq!((status, &body["cursor"]), (200, &Value::Null), "{body}");
        body["data"].as_array().unwrap().clone()
    }

    pub(super) async fn credentials(&self, user: &str) -> BTreeSet<String> {
        let list = request("GET /users/{user}/credentials").with("user", user).query("limit=100");
        self.list("credentials_list", list).await.iter().map(|one| text(&one["credentialId"])).collect()
    }

    pub(super) async fn workflows(&self, user: &str) -> Vec<Value> {
        self.list("workflows_list", request("GET /workflows").query(&format!("limit=100&userId={user}"))).await
    }
}

const INSTALLATION: &str = "/users/{user}/installations/{integrationId}";

/// Request about an installation.
pub(super) fn installation(route: &'static str, user: &str, integration: &str) -> Request {
    assert!(route.ends_with(INSTALLATION));
    request(route).with("user", user).with("integrationId", integration)
}
