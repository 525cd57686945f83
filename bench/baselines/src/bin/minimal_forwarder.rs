//! The least that forwards errors: a function on the same stream that puts what it is given on a bus of its own account, by
//! tens, and writes nothing down.

use aws_lambda_events::event::dynamodb::Event;
use aws_sdk_eventbridge::{Client, types::PutEventsRequestEntry};
use lambda_runtime::{Error, LambdaEvent, run, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let client = Client::new(&tenon::aws::config()?);
    let bus = std::env::var("BUS")?;
    run(service_fn(async |event: LambdaEvent<Event>| {
        let mut entries = Vec::new();
        for record in event.payload.records {
            let error: serde_json::Value = serde_dynamo::from_item(record.change.new_image)?;
            if error["type"] == "error" {
                let entry = PutEventsRequestEntry::builder().source("tenon.errors").detail_type("Workflow Error");
                entries.push(entry.event_bus_name(&bus).detail(error.to_string()).build());
            }
        }
        for ten in entries.chunks(10) {
            client.put_events().set_entries(Some(ten.to_vec())).send().await?;
        }
        Ok::<_, Error>(())
    }))
    .await
}
