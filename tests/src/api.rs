//! HTTP client of the API, as a customer would use it.

use serde_json::{Value, json};

use crate::setting;

/// Returns an error in the form in which an engine records it.
pub fn example_error(error: &str) -> Value {
    json!({
        "executionId": "6155ac246093840013297377",
        "blockId": "edb4e8e8-1e0e-4fac-84fd-9f9d4855ce93",
        "blockType": "alloy.shopify",
        "error": error,
    })
}

/// Returns the settings of an EventBridge destination with the customer's credentials.
pub fn bus_settings(bus: &str) -> Value {
    json!({
        "type": "eventbridge",
        "region": setting("AWS_REGION"),
        "eventBusName": bus,
        "credentials": {
            "accessKeyId": setting("TENON_CUSTOMER_KEY_ID"),
            "secretAccessKey": setting("TENON_CUSTOMER_SECRET"),
        },
    })
}

/// API client with the credential of one caller.
#[derive(Clone, Debug)]
pub struct Api {
    credential: Option<String>,
    client: reqwest::Client,
}

impl Api {
    /// Creates a client that sends an API key or a user token.
    pub fn new(credential: impl Into<String>) -> Self {
        Self { credential: Some(credential.into()), client: reqwest::Client::new() }
    }

    /// Returns the API key or user token, empty if there is none.
    pub fn credential(&self) -> &str {
        self.credential.as_deref().unwrap_or_default()
    }

    /// Creates a client that sends no `Authorization` header.
    pub fn anonymous() -> Self {
        Self { credential: None, client: reqwest::Client::new() }
    }

    /// Builds a request.
    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let request = self.client.request(method.parse().unwrap(), format!("{}{path}", setting("TENON_URL")));
        match &self.credential {
            Some(credential) => request.bearer_auth(credential),
            None => request,
        }
    }

    /// Sends a GET request.
    pub async fn get(&self, path: &str) -> Answer {
        send(self.request("GET", path)).await
    }

    /// Sends a POST request with a JSON body.
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        send(self.request("POST", path).json(&body)).await
    }

    /// Sends a DELETE request.
    pub async fn delete(&self, path: &str) -> Answer {
        send(self.request("DELETE", path)).await
    }

    /// Sends a PUT request with a JSON body.
    pub async fn put(&self, path: &str, body: Value) -> Answer {
        send(self.request("PUT", path).json(&body)).await
    }

    /// Sends a PATCH request with a JSON body.
    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        send(self.request("PATCH", path).json(&body)).await
    }
}

/// Sends a request and reads the whole response.
pub async fn send(request: reqwest::RequestBuilder) -> Answer {
    let answer = request.send().await.unwrap();
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let text = answer.text().await.unwrap();
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Answer { status, headers, body }
}

/// Response of the API. A failed expectation prints all of it.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Response headers.
    pub headers: http::HeaderMap,
    /// Body: parsed JSON, or a string if it is not JSON.
    pub body: Value,
}

impl Answer {
    /// Returns the path of the created resource, for a request to this path.
    pub fn location(&self, requested: &str) -> String {
        let base = reqwest::Url::parse("http://localhost").unwrap().join(requested).unwrap();
        base.join(self.header("location")).unwrap().path().to_owned()
    }

    /// Asserts the status.
    #[track_caller]
    pub fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:#?}");
        self
    }

    /// Asserts a problem document of this status and type.
    #[track_caller]
    pub fn is_problem(self, status: u16, kind: &str) -> Self {
        let answer = self.is(status);
        assert_eq!(answer.header("content-type"), "application/problem+json", "{answer:#?}");
        assert_eq!(answer.body["type"], format!("urn:tenon:problem:{kind}"), "{answer:#?}");
        assert_eq!(answer.body["status"], status, "{answer:#?}");
        assert_eq!(answer.body["message"], answer.body["detail"], "{answer:#?}");
        assert!(!answer.body["instance"].as_str().unwrap_or_default().is_empty(), "{answer:#?}");
        answer
    }

    /// Asserts that a problem names exactly these fields.
    #[track_caller]
    pub fn names(self, pointers: &[&str]) -> Self {
        let errors = self.body["errors"].as_array().cloned().unwrap_or_default();
        let named: Vec<&str> = errors.iter().filter_map(|error| error["pointer"].as_str()).collect();
        assert_eq!(named, pointers, "{self:#?}");
        self
    }

    /// Returns a header's value, empty if the header is absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    /// Returns a string member of the body.
    #[track_caller]
    pub fn text(&self, member: &str) -> String {
        self.body[member].as_str().unwrap_or_else(|| panic!("no {member}: {self:#?}")).to_owned()
    }
}
