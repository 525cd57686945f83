//! Handwritten function that reads an item with one SDK client, configured as in the functions.
//! Opens its connection at start-up if `OPEN` is set. An endpoint with DynamoDB cannot start
//! faster.

use aws_sdk_dynamodb::{Client, types::AttributeValue};
use lambda_http::{Body, Error, Request, Response, run, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let client = Client::new(&tenon::aws::config()?);
    let read = || {
        let nothing = AttributeValue::S("open".into());
        client.get_item().table_name("Directory").key("pk", nothing.clone()).key("sk", nothing).send()
    };
    if std::env::var_os("OPEN").is_some() {
        read().await?;
    }
    run(service_fn(async |_: Request| {
        let item = read().await?.item;
        Ok::<_, Error>(Response::new(Body::from(if item.is_some() { "{}" } else { "[]" })))
    }))
    .await
}
