//! Function binaries with their event files, run in AWS's Runtime Interface Emulator, as a
//! developer runs them without Docker.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use tenon::domain::event_bus::AwsCredentials;
use tests::{
    bus::Bus,
    delivery_harness::{DeliveryHarness, stream_event},
    event, eventually, free_port, setting,
};

/// Process of a function. It ends with the test.
struct Function {
    process: Child,
    url: String,
}

impl Function {
    fn start(name: &str) -> Self {
        // The Runtime API needs its own port.
        let port = free_port();
        let api = std::iter::repeat_with(free_port).find(|api| *api != port).unwrap();
        let process = Command::new(setting("TENON_RIE"))
            .args(["--runtime-interface-emulator-address", &format!("127.0.0.1:{port}")])
            .args(["--runtime-api-address", &format!("127.0.0.1:{api}")])
            .arg(PathBuf::from(setting("TENON_FUNCTIONS")).join(name).join("bootstrap"))
            .env("AWS_LAMBDA_FUNCTION_NAME", name)
            .env_remove("TENON_CUSTOMER_SECRET")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { process, url: format!("http://127.0.0.1:{port}/2015-03-31/functions/function/invocations") }
    }

    /// Returns the id of the function's own process, which the emulator starts.
    fn function_process(&self) -> u32 {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.process.id())).unwrap();
        let children = tasks.map(|task| fs::read_to_string(task.unwrap().path().join("children")).unwrap());
        children.collect::<String>().trim().parse().unwrap()
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

/// Returns whether the writable memory of a process contains these bytes.
fn memory_contains(process: u32, bytes: &[u8]) -> bool {
    let memory = File::open(format!("/proc/{process}/mem")).unwrap();
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    maps.lines().filter(|line| line.contains(" rw")).any(|line| {
        let (start, end) = line.split_once(' ').unwrap().0.split_once('-').unwrap();
        let [start, end] = [start, end].map(|address| u64::from_str_radix(address, 16).unwrap());
        let mut region = vec![0; usize::try_from(end - start).unwrap()];
        // Some regions of the kernel cannot be read.
        memory.read_exact_at(&mut region, start).is_ok() && memchr::memmem::find(&region, bytes).is_some()
    })
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

#[tokio::test]
async fn forwarder_keeps_no_credentials_of_a_customer() {
    let (harness, bus) = (DeliveryHarness::new().await, Bus::new().await);
    let (key_id, secret) = (setting("TENON_CUSTOMER_KEY_ID"), setting("TENON_CUSTOMER_SECRET"));
    let credentials = AwsCredentials {
        access_key_id: key_id.parse().unwrap(),
        secret_access_key: secret.parse().unwrap(),
        session_token: None,
    };
    let route = harness.create_bus(&bus.name, &credentials).await;
    let function = Function::start("forward_errors");
    let errors = harness.record_errors(10).await;
    assert_eq!(function.invoke(&stream_event(&errors, 0)).await, json!({ "batchItemFailures": [] }));
    bus.wait_for_errors(10).await;
    harness.delete_destination(route).await;
    assert_eq!(function.invoke(&stream_event(&errors, 0)).await, json!({ "batchItemFailures": [] }));

    let process = function.function_process();
    assert!(memory_contains(process, setting("AWS_SECRET_ACCESS_KEY").as_bytes()), "the function has its own secret");
    assert!(!memory_contains(process, secret.as_bytes()), "the customer's secret is still in memory");
}
