//! Minimal webhook sender: a function on the same queue that reads the errors, signs each one, and
//! posts all of them concurrently. URL and secret are configured; it reads no destinations and
//! records no results.

use std::collections::HashMap;

use aws_lambda_events::event::sqs::SqsEvent;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use base64::{Engine, prelude::BASE64_STANDARD};
use baselines::Document;
use bytes::Bytes;
use futures_util::future::try_join_all;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::rt::TokioExecutor;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use ring::hmac;
use serde::Deserialize;
use serde_json::json;

/// Message with the workflow and id of each error.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message {
    environment_id: String,
    records: Vec<ErrorKey>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ErrorKey {
    workflow_id: String,
    error_id: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let dynamodb = aws_sdk_dynamodb::Client::new(&tenon::aws::config()?);
    let connector = HttpsConnectorBuilder::new().with_webpki_roots().https_or_http().enable_http1().build();
    let client = hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(connector);
    let (table, url) = (std::env::var("ERRORS_TABLE")?, std::env::var("URL")?);
    let key = hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]);
    run(service_fn(async |event: LambdaEvent<SqsEvent>| {
        let mut keys = Vec::new();
        for record in event.payload.records {
            let message: Message = serde_json::from_str(&record.body.unwrap_or_default())?;
            keys.extend(message.records.into_iter().map(|ErrorKey { workflow_id, error_id }| {
                (format!("env#{}#workflow#{workflow_id}", message.environment_id), error_id)
            }));
        }
        let requested = keys.len();
        let keys = keys.into_iter().map(|(pk, sk)| {
            HashMap::from([("pk".to_owned(), AttributeValue::S(pk)), ("sk".to_owned(), AttributeValue::S(sk))])
        });
        let keys = keys.collect();
        let keys = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true).build()?;
        let response = dynamodb.batch_get_item().request_items(&table, keys).send().await?;
        let items = response.responses.unwrap_or_default().remove(&table).unwrap_or_default();
        if items.len() < requested {
            return Err("an error is missing from the response".into());
        }
        try_join_all(items.into_iter().map(async |item| {
            let error: Document = serde_dynamo::from_item(item)?;
            let body = serde_json::to_vec(&error)?;
            // The receiver ignores the timestamp.
            let mut content = hmac::Context::with_key(&key);
            content.update(format!("{}.0.", error.id).as_bytes());
            content.update(&body);
            let signature = format!("v1,{}", BASE64_STANDARD.encode(content.sign()));
            let request = Request::post(&url)
                .header("content-type", "application/json")
                .header("webhook-id", error.id)
                .header("webhook-timestamp", "0")
                .header("webhook-signature", signature)
                .header("x-tenon-workflow-id", error.workflow_id)
                .header("x-tenon-user-id", error.user_id)
                .header("x-tenon-block-type", error.block_type)
                .header("x-tenon-execution-id", error.execution_id)
                .body(Full::new(Bytes::from(body)))?;
            let response = client.request(request).await?;
            if !response.status().is_success() {
                return Err(Error::from("the receiver refused an error"));
            }
            response.into_body().collect().await?;
            Ok::<_, Error>(())
        }))
        .await?;
        Ok::<_, Error>(json!({ "batchItemFailures": [] }))
    }))
    .await
}
