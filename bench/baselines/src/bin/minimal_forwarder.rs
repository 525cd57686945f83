//! Minimal forwarder: a function on the same stream that puts its events on a bus of its own
//! account, ten at a time. Its bus is configured; it reads no destinations and records no results.

use aws_lambda_events::event::dynamodb::Event;
use aws_sdk_eventbridge::{Client, types::PutEventsRequestEntry};
use baselines::Document;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::{json, value::RawValue};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let client = Client::new(&tenon::aws::config()?);
    let bus = std::env::var("BUS")?;
    run(service_fn(async |event: LambdaEvent<Box<RawValue>>| {
        let event: Event = serde_json::from_str(event.payload.get())?;
        let mut entries = Vec::new();
        for record in event.records {
            let error: Document = serde_dynamo::from_item(record.change.new_image)?;
            let entry = PutEventsRequestEntry::builder().source("tenon.errors").detail_type("Workflow Error");
            entries.push(entry.event_bus_name(&bus).detail(serde_json::to_string(&error)?).build());
        }
        while !entries.is_empty() {
            let ten = entries.drain(..entries.len().min(10)).collect();
            let response = client.put_events().set_entries(Some(ten)).send().await?;
            if response.failed_entry_count() > 0 {
                return Err("the bus refused an entry".into());
            }
        }
        Ok::<_, Error>(json!({ "batchItemFailures": [] }))
    }))
    .await
}
