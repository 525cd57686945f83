//! A function written by hand that reads one item of DynamoDB and answers with its name: what an endpoint that reads one
//! item cannot do without.

use aws_sdk_dynamodb::{Client, types::AttributeValue};
use lambda_http::{Body, Error, Request, RequestExt, Response, run, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let client = Client::new(&tenon::aws::config().await);
    let table = std::env::var("DIRECTORY_TABLE")?;
    let read = async |id: String| {
        let key = AttributeValue::S(id);
        client.get_item().table_name(&table).key("pk", key).key("sk", AttributeValue::S("user".into())).send().await
    };
    read("open".into()).await?;
    run(service_fn(async |request: Request| {
        let id = request.path_parameters().first("user").unwrap_or_default().to_owned();
        let item = read(id).await?.item.unwrap_or_default();
        let name = item.get("username").and_then(|name| name.as_s().ok()).cloned().unwrap_or_default();
        Ok::<_, Error>(Response::new(Body::from(serde_json::json!({ "username": name }).to_string())))
    }))
    .await
}
