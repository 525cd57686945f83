//! The deployed stack and its environments.

use std::collections::HashMap;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};

use crate::{
    Api, aws, bus_settings, eventually, example_error, invoke, keys, python, setting, table_items,
    webhook_receiver::Receiver,
};

/// Deployed stack.
#[derive(Clone, Debug)]
pub struct Tenon {
    /// Configuration with the root credentials of the stack's account.
    pub aws: SdkConfig,
}

impl Tenon {
    /// Returns the stack deployed by `make test`.
    pub async fn deployed() -> Self {
        Self { aws: aws(&setting("AWS_ACCESS_KEY_ID")).await }
    }

    /// Invokes an IAM-only function by the name of its stack output. Returns its payload, or that
    /// of its error.
    pub async fn invoke(&self, output: &str, payload: Value) -> Result<Value, Value> {
        let answer = invoke(&setting(&format!("TENON_STACK_{output}")), payload.to_string()).await;
        let is_error = answer.headers().contains_key("x-amz-function-error");
        let body = answer.json().await.unwrap();
        if is_error { Err(body) } else { Ok(body) }
    }

    /// Creates an environment with a back-end key and an engine key.
    pub async fn environment(&self) -> Environment {
        let made = self.invoke("EnvironmentsCreate", json!({ "name": "acme", "kind": "test" })).await.unwrap();
        let id = made["environmentId"].as_str().unwrap().to_owned();
        let backend = Api::new(self.key(&id, "manage").await);
        let engine = Api::new(self.key(&id, "engine").await);
        Environment { tenon: self.clone(), id, backend, engine }
    }

    /// Creates an API key with one scope.
    pub async fn key(&self, environment: &str, scope: &str) -> String {
        let payload = json!({ "environmentId": environment, "name": scope, "scopes": [scope] });
        let made = self.invoke("KeysCreate", payload).await.unwrap();
        made["key"].as_str().unwrap().to_owned()
    }

    /// Returns the lines of the functions' logs that contain a text.
    pub async fn logs(&self, text: &str) -> String {
        let output = python("function_logs.py").args([&setting("TENON_STACK_LogGroup"), text]).output().await.unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Returns the items of a partition of a table, which is named by its stack output.
    pub async fn items(&self, table: &str, pk: &str) -> Vec<HashMap<String, AttributeValue>> {
        table_items::query(&self.aws, &setting(&format!("TENON_STACK_{table}")), pk).await
    }
}

/// Environment of the stack, with a client for each of its callers.
#[derive(Clone, Debug)]
pub struct Environment {
    /// Stack of the environment.
    pub tenon: Tenon,
    /// Environment id.
    pub id: String,
    /// Client with a back-end key.
    pub backend: Api,
    /// Client with an engine key.
    pub engine: Api,
}

impl Environment {
    /// Creates a user. Returns its id.
    pub async fn create_user(&self, email: &str) -> String {
        self.backend.post("/users", json!({ "email": email })).await.is(201).text("userId")
    }

    /// Creates a workflow of a user. Returns its id.
    pub async fn create_workflow(&self, user: &str, name: &str) -> String {
        self.backend.post("/workflows", json!({ "userId": user, "name": name })).await.is(201).text("workflowId")
    }

    /// Creates a credential of a user. Returns its id.
    pub async fn create_credential(&self, user: &str, data: Value) -> String {
        let body = json!({ "type": "shopify", "name": "Shop", "data": data });
        self.backend.post(&format!("/users/{user}/credentials"), body).await.is(201).text("credentialId")
    }

    /// Deletes a user.
    pub async fn delete_user(&self, user: &str) {
        self.backend.delete(&format!("/users/{user}")).await.is(200);
    }

    /// Issues a user token.
    pub async fn user_token(&self, user: &str) -> String {
        self.backend.get(&format!("/users/{user}/token")).await.is(200).text("token")
    }

    /// Disables a user.
    pub async fn disable_user(&self, user: &str) {
        let answer = self.backend.post(&format!("/users/{user}/disable"), json!({})).await.is(200);
        assert_eq!(answer.body["status"], "disabled");
    }

    /// Enables a user.
    pub async fn enable_user(&self, user: &str) {
        let answer = self.backend.post(&format!("/users/{user}/enable"), json!({})).await.is(200);
        assert_eq!(answer.body["status"], "active");
    }

    /// Records an error of a workflow. Returns its id.
    pub async fn record_error(&self, workflow: &str, error: &str) -> String {
        let answer = self.engine.post(&format!("/workflows/{workflow}/errors"), example_error(error)).await.is(202);
        answer.body["ids"][0].as_str().unwrap().to_owned()
    }

    /// Records an error of the same id in two new workflows of a user, and waits until the
    /// deliveries to a failing destination are pending.
    pub async fn fail_with_equal_ids(&self, user: &str, destination: &str) {
        for name in ["Orders", "Stock"] {
            let workflow = self.create_workflow(user, name).await;
            let mut error = example_error(name);
            error["_id"] = json!("6155ac246093840013297377");
            self.engine.post(&format!("/workflows/{workflow}/errors"), error).await.is(202);
        }
        eventually("both deliveries are pending", async || {
            (self.deliveries(destination, "pending").await.len() == 2).then_some(())
        })
        .await;
    }

    /// Returns the texts of a workflow's errors, newest first.
    pub async fn error_texts(&self, workflow: &str) -> Vec<String> {
        let page = self.backend.get(&format!("/workflows/{workflow}/errors?limit=100")).await.is(200).body;
        page["errors"].as_array().unwrap().iter().map(|error| error["error"].as_str().unwrap().to_owned()).collect()
    }

    /// Creates an EventBridge destination. Returns its id.
    pub async fn create_bus_destination(&self, bus: &str) -> String {
        self.backend.post("/destinations", bus_settings(bus)).await.is(201).text("destinationId")
    }

    /// Creates a webhook destination. Returns its id and its secret.
    pub async fn create_webhook(&self, url: &str) -> (String, String) {
        let created = self.backend.post("/destinations", json!({ "type": "webhook", "url": url })).await.is(201);
        (created.text("destinationId"), created.text("secret"))
    }

    /// Creates a webhook that accepts everything. An error that arrived there was forwarded to all
    /// destinations that existed at that time.
    pub async fn control_webhook(&self) -> Receiver {
        let receiver = Receiver::new().await;
        self.create_webhook(&receiver.url).await;
        receiver
    }

    /// Returns a destination from the API.
    pub async fn get_destination(&self, destination: &str) -> Value {
        self.backend.get(&format!("/destinations/{destination}")).await.is(200).body
    }

    /// Returns the deliveries of a destination with this status.
    pub async fn deliveries(&self, destination: &str, status: &str) -> Vec<Value> {
        let path = format!("/destinations/{destination}/deliveries?limit=100&status={status}");
        self.backend.get(&path).await.is(200).body["data"].as_array().unwrap().clone()
    }

    /// Makes all pending deliveries of a destination due, ends its back-off and its drain's lease,
    /// and wakes its drain.
    pub async fn fast_forward(&self, destination: &str) {
        let tables = [setting("TENON_STACK_DirectoryTable"), setting("TENON_STACK_ErrorsTable")];
        table_items::fast_forward(&self.tenon.aws, [&tables[0], &tables[1]], &self.id, destination).await;
        self.wake_drain(destination).await;
    }

    /// Waits until it is stored that a destination asked for a pause.
    pub async fn wait_for_retry_after(&self, destination: &str) {
        let health = keys::health(destination);
        eventually("the pause is stored", async || {
            let items = self.tenon.items("DirectoryTable", &keys::destinations(&self.id)).await;
            let health = items.iter().find(|item| item["sk"].as_s().unwrap() == &health)?;
            health.contains_key("retryAfter").then_some(())
        })
        .await;
    }

    /// Sends a wake-up to a destination's drain.
    pub async fn wake_drain(&self, destination: &str) {
        let message = json!({ "message": "DrainV1", "environmentId": self.id, "destinationId": destination });
        let request = aws_sdk_sqs::Client::new(&self.tenon.aws).send_message();
        let request = request.queue_url(setting("TENON_STACK_Drains")).message_body(message.to_string());
        request.send().await.unwrap();
    }

    /// Points a destination at a bus that its credentials may not use, as if the customer had
    /// revoked the permission.
    pub async fn revoke_bus_permission(&self, destination: &str) {
        let (region, account) = (setting("AWS_REGION"), setting("TENON_CUSTOMER_ACCOUNT"));
        let forbidden = format!("arn:aws:events:{region}:{account}:event-bus/somebody-elses");
        let request = aws_sdk_dynamodb::Client::new(&self.tenon.aws).update_item();
        request
            .table_name(setting("TENON_STACK_DirectoryTable"))
            .key("pk", keys::attribute(keys::destinations(&self.id)))
            .key("sk", keys::attribute(keys::destination(destination)))
            .update_expression("SET target.eventbridge.eventBusName = :bus ADD version :one")
            .expression_attribute_values(":bus", AttributeValue::S(forbidden))
            .expression_attribute_values(":one", AttributeValue::N("1".into()))
            .send()
            .await
            .unwrap();
    }

    /// Returns the stored pending deliveries of a destination.
    pub async fn pending_items(&self, destination: &str) -> Vec<HashMap<String, AttributeValue>> {
        let mut found = Vec::new();
        for shard in 0..keys::DELIVERY_SHARDS {
            let pk = keys::pending_deliveries(&self.id, destination, shard);
            found.extend(self.tenon.items("ErrorsTable", &pk).await);
        }
        found
    }
}
