//! Handwritten function that makes given AWS calls sequentially and returns a given response: the
//! lower limit for an endpoint that makes these calls. Request bodies are prepared in advance. For
//! items that are put, it can instead prepare the items, which the SDK then serializes.

#![allow(clippy::indexing_slicing, reason = "indexing a JSON value never panics")]

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, Put, PutRequest, TransactWriteItem, WriteRequest};
use aws_smithy_runtime_api::client::{orchestrator::HttpRequest, result::SdkError};
use bytes::Bytes;
use lambda_http::{Body, Error, Request, Response, service_fn};
use lambda_runtime::LambdaEvent;
use serde_json::Value;

/// Placeholder parameters: the SDK requires them before the body is replaced.
const TABLE: &str = "Table";
const QUEUE: &str = "http://127.0.0.1/queue";

/// Sends an operation with a prepared body.
macro_rules! send {
    ($operation:expr, $body:expr) => {{
        let body: Bytes = $body.clone();
        let replace_body = move |request: &mut HttpRequest| {
            request.headers_mut().insert("content-length", body.len().to_string());
            *request.body_mut() = body.clone().into();
        };
        match $operation.customize().mutate_request(replace_body).send().await {
            // A failed condition is a response too.
            Ok(_) | Err(SdkError::ServiceError(_)) => Ok(()),
            Err(error) => Err(Error::from(error)),
        }
    }};
}

/// Prepared AWS call.
enum PreparedCall {
    /// Operation with its body.
    Body(String, Bytes),
    /// Items to put in a batch, by table.
    Batch(HashMap<String, Vec<WriteRequest>>),
    /// Items to put in a transaction.
    Transaction(Vec<TransactWriteItem>),
}

impl PreparedCall {
    fn body((operation, body): (String, String)) -> Result<Self, Error> {
        Ok(Self::Body(operation, body.into()))
    }

    /// Reads the items to put from the body of a batch or transaction. Other operations keep their
    /// body.
    fn items((operation, body): (String, String)) -> Result<Self, Error> {
        let value: Value = serde_json::from_str(&body)?;
        Ok(match operation.as_str() {
            "BatchWriteItem" => {
                let tables: HashMap<String, Vec<Value>> = serde_json::from_value(value["RequestItems"].clone())?;
                let tables = tables.into_iter().map(|(table, requests)| {
                    let requests = requests.iter().map(|request| {
                        let put =
                            PutRequest::builder().set_item(Some(item(&request["PutRequest"]["Item"])?)).build()?;
                        Ok(WriteRequest::builder().put_request(put).build())
                    });
                    Ok((table, requests.collect::<Result<_, Error>>()?))
                });
                Self::Batch(tables.collect::<Result<_, Error>>()?)
            }
            "TransactWriteItems" => {
                let actions: Vec<Value> = serde_json::from_value(value["TransactItems"].clone())?;
                let actions = actions.iter().map(|action| {
                    let put = Put::builder()
                        .table_name(TABLE)
                        .set_item(Some(item(&action["Put"]["Item"])?))
                        .condition_expression("attribute_not_exists(pk)");
                    Ok(TransactWriteItem::builder().put(put.build()?).build())
                });
                Self::Transaction(actions.collect::<Result<_, Error>>()?)
            }
            _ => Self::Body(operation, body.into()),
        })
    }
}

fn item(value: &Value) -> Result<HashMap<String, AttributeValue>, Error> {
    let item: serde_dynamo::Item = serde_json::from_value(value.clone())?;
    Ok(item.into())
}

#[derive(Clone)]
struct Aws {
    dynamodb: aws_sdk_dynamodb::Client,
    kms: aws_sdk_kms::Client,
    sqs: aws_sdk_sqs::Client,
    events: aws_sdk_eventbridge::Client,
}

impl Aws {
    async fn send(&self, call: &PreparedCall) -> Result<(), Error> {
        match call {
            PreparedCall::Body(operation, body) => self.send_body(operation, body).await?,
            PreparedCall::Batch(tables) => {
                self.dynamodb.batch_write_item().set_request_items(Some(tables.clone())).send().await?;
            }
            PreparedCall::Transaction(actions) => {
                let request = self.dynamodb.transact_write_items().set_transact_items(Some(actions.clone()));
                request.client_request_token("token").send().await?;
            }
        }
        Ok(())
    }

    async fn send_body(&self, operation: &str, body: &Bytes) -> Result<(), Error> {
        match operation {
            "GetItem" => send!(self.dynamodb.get_item().table_name(TABLE), body),
            "PutItem" => send!(self.dynamodb.put_item().table_name(TABLE), body),
            "UpdateItem" => send!(self.dynamodb.update_item().table_name(TABLE), body),
            "DeleteItem" => send!(self.dynamodb.delete_item().table_name(TABLE), body),
            "Query" => send!(self.dynamodb.query().table_name(TABLE), body),
            "BatchGetItem" => send!(self.dynamodb.batch_get_item().set_request_items(Some(HashMap::new())), body),
            "BatchWriteItem" => send!(self.dynamodb.batch_write_item().set_request_items(Some(HashMap::new())), body),
            "TransactWriteItems" => {
                send!(self.dynamodb.transact_write_items().set_transact_items(Some(Vec::new())), body)
            }
            "Decrypt" => send!(self.kms.decrypt(), body),
            "GenerateDataKey" => send!(self.kms.generate_data_key(), body),
            "SendMessage" => send!(self.sqs.send_message().queue_url(QUEUE), body),
            "SendMessageBatch" => send!(self.sqs.send_message_batch().queue_url(QUEUE), body),
            "DescribeEventBus" => send!(self.events.describe_event_bus(), body),
            "PutEvents" => send!(self.events.put_events(), body),
            other => Err(format!("unsupported operation {other}").into()),
        }
    }
}

/// Runs the function. Its script, in the file named by `MINIMAL`, has the calls and the response.
///
/// # Errors
/// An unreadable script, or an error of the runtime.
pub async fn run() -> Result<(), Error> {
    let script: Value = serde_json::from_slice(&std::fs::read(std::env::var("MINIMAL")?)?)?;
    let calls: Vec<(String, String)> = serde_json::from_value(script["calls"].clone())?;
    let read = if script["items"] == true { PreparedCall::items } else { PreparedCall::body };
    let calls: Vec<PreparedCall> = calls.into_iter().map(read).collect::<Result<_, _>>()?;
    let answer = script["answer"].as_str().unwrap_or_default().to_owned();
    let config = tenon::aws::config()?;
    let aws = Aws {
        dynamodb: aws_sdk_dynamodb::Client::new(&config),
        kms: aws_sdk_kms::Client::new(&config),
        sqs: aws_sdk_sqs::Client::new(&config),
        events: aws_sdk_eventbridge::Client::new(&config),
    };
    let (aws, calls) = (&aws, &calls);
    if script["http"] == true {
        let answer: Value = serde_json::from_str(&answer)?;
        let body = answer["body"].as_str().unwrap_or_default();
        let handler = async |_: Request| {
            for call in calls {
                aws.send(call).await?;
            }
            Ok::<_, Error>(Response::new(Body::from(body)))
        };
        return lambda_http::run(service_fn(handler)).await;
    }
    let answer: Value = serde_json::from_str(&answer)?;
    let handler = async |_: LambdaEvent<Value>| {
        for call in calls {
            aws.send(call).await?;
        }
        Ok::<_, Error>(answer.clone())
    };
    lambda_runtime::run(lambda_runtime::service_fn(handler)).await
}
