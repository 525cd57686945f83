//! Handwritten function with all clients that forwarding uses: DynamoDB and KMS, whose connections
//! are opened at start-up, SQS, and EventBridge, which is created when there is something to send.
//! `forward_errors` cannot start faster.

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let config = tenon::aws::config()?;
    let dynamodb = aws_sdk_dynamodb::Client::new(&config);
    let kms = aws_sdk_kms::Client::new(&config);
    let sqs = aws_sdk_sqs::Client::new(&config);
    let read = || {
        let nothing = AttributeValue::S("open".into());
        dynamodb.get_item().table_name("Directory").key("pk", nothing.clone()).key("sk", nothing).send()
    };
    let key = || kms.describe_key().key_id("key").send();
    let (item, key_is_there) = tokio::join!(read(), key());
    item?;
    key_is_there?;
    run(service_fn(async |event: LambdaEvent<Value>| {
        let text = event.payload.to_string();
        read().await?;
        key().await?;
        sqs.send_message().queue_url("queue").message_body(&text).send().await?;
        let entry = PutEventsRequestEntry::builder().source("by_hand").detail_type("event").detail(text).build();
        aws_sdk_eventbridge::Client::new(&config).put_events().entries(entry).send().await?;
        Ok::<_, Error>(())
    }))
    .await
}
