//! Function binaries with their event files, run in AWS's Runtime Interface Emulator, as a
//! developer runs them without Docker.

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use tests::{event, eventually, setting};

/// Process of a function. It ends with the test.
struct Function {
    process: Child,
    url: String,
}

impl Function {
    fn start(name: &str) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        // The Runtime API needs its own port.
        let api = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let process = Command::new(setting("TENON_RIE"))
            .args(["--runtime-interface-emulator-address", &format!("127.0.0.1:{port}")])
            .args(["--runtime-api-address", &format!("127.0.0.1:{api}")])
            .arg(PathBuf::from(setting("TENON_FUNCTIONS")).join(name).join("bootstrap"))
            .env("AWS_LAMBDA_FUNCTION_NAME", name)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { process, url: format!("http://127.0.0.1:{port}/2015-03-31/functions/function/invocations") }
    }

    async fn invoke(&self, event: &Value) -> Value {
        let client = reqwest::Client::builder().timeout(Duration::from_secs(30)).build().unwrap();
        eventually("the function responds", async || {
            let answer = client.post(&self.url).body(event.to_string()).send().await.ok()?;
            answer.json().await.ok()
        })
        .await
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn endpoint_binaries_handle_their_event_files() {
    let answer = Function::start("users_create").invoke(&event("users_create")).await;
    // The user of the event file may exist from an earlier run.
    assert!([json!(201), json!(409)].contains(&answer["statusCode"]), "{answer}");
    let answer = Function::start("openapi").invoke(&event("openapi")).await;
    assert_eq!(answer["statusCode"], 200, "{answer}");
}

#[tokio::test]
async fn authorizer_binary_handles_its_event_file() {
    let answer = Function::start("authorizer").invoke(&event("authorizer")).await;
    assert_eq!(answer, json!({ "isAuthorized": false }), "the key of the event file does not exist");
}

#[tokio::test]
async fn admin_binary_handles_its_event_file() {
    let answer = Function::start("environments_create").invoke(&event("environments_create")).await;
    assert_eq!(answer["name"], "acme-production", "{answer}");
}

#[tokio::test]
async fn forwarder_binary_handles_its_event_file() {
    let answer = Function::start("forward_errors").invoke(&event("forward_errors")).await;
    assert_eq!(answer, json!({ "batchItemFailures": [] }));
}

#[tokio::test]
async fn queue_binaries_handle_their_event_files() {
    for name in ["deliver_webhooks", "drain", "replay"] {
        let answer = Function::start(name).invoke(&event(name)).await;
        // The destinations of the event files do not exist, so no message is retried.
        assert_eq!(answer, json!({ "batchItemFailures": [] }), "{name}");
    }
}
