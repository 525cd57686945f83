//! An EventBridge bus in the customer's account.

use std::sync::Mutex;

use aws_sdk_sqs::types::{MessageSystemAttributeName, QueueAttributeName};
use serde_json::{Value, json};

use crate::{aws, eventually, setting};

/// Event bus in the customer's account with a rule that sends its events to a queue.
#[derive(Clone, Debug)]
pub struct Bus {
    /// Name of the bus.
    pub name: String,
    sqs: aws_sdk_sqs::Client,
    queue: String,
}

impl Bus {
    /// Creates a bus that the customer's credentials may put events on.
    pub async fn new() -> Self {
        Self::in_account(&setting("TENON_CUSTOMER_ACCOUNT")).await
    }

    /// Creates a bus in the given account.
    pub async fn in_account(account: &str) -> Self {
        let aws = aws(account).await;
        let name = format!("tenon-test-{}", tenon::domain::id::UserId::new());
        let (events, sqs) = (aws_sdk_eventbridge::Client::new(&aws), aws_sdk_sqs::Client::new(&aws));
        events.create_event_bus().name(&name).send().await.unwrap();
        let queue = sqs.create_queue().queue_name(&name).send().await.unwrap().queue_url.unwrap();
        let arn = format!("arn:aws:sqs:{}:{account}:{name}", setting("AWS_REGION"));
        let policy = json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow",
            "Principal": { "Service": "events.amazonaws.com" }, "Action": "sqs:SendMessage", "Resource": arn }] });
        let allow = QueueAttributeName::Policy;
        sqs.set_queue_attributes().queue_url(&queue).attributes(allow, policy.to_string()).send().await.unwrap();
        let pattern = json!({ "source": ["tenon.errors", "tenon.events"] }).to_string();
        events.put_rule().name(&name).event_bus_name(&name).event_pattern(pattern).send().await.unwrap();
        let target = aws_sdk_eventbridge::types::Target::builder().id("queue").arn(&arn).build().unwrap();
        events.put_targets().rule(&name).event_bus_name(&name).targets(target).send().await.unwrap();
        Self { name, sqs, queue }
    }

    /// Returns the events that arrived since the previous call.
    pub async fn poll(&self) -> Vec<Value> {
        self.poll_with_times().await.into_iter().map(|(_, event)| event).collect()
    }

    /// Returns the events that arrived since the previous call, each with its arrival time in
    /// milliseconds since 1970.
    pub async fn poll_with_times(&self) -> Vec<(i64, Value)> {
        let sent_at = MessageSystemAttributeName::SentTimestamp;
        let request = self.sqs.receive_message().queue_url(&self.queue).max_number_of_messages(10);
        let answer = request.message_system_attribute_names(sent_at.clone()).send().await.unwrap();
        let mut events = Vec::new();
        for message in answer.messages.unwrap_or_default() {
            let receipt = message.receipt_handle.unwrap();
            self.sqs.delete_message().queue_url(&self.queue).receipt_handle(receipt).send().await.unwrap();
            let at = message.attributes.unwrap()[&sent_at].parse().unwrap();
            events.push((at, serde_json::from_str(&message.body.unwrap()).unwrap()));
        }
        events
    }

    /// Waits for a number of errors and ignores test events.
    pub async fn wait_for_errors(&self, count: usize) -> Vec<Value> {
        self.wait_for("Workflow Error", count).await
    }

    /// Waits for a number of events of a detail type.
    pub async fn wait_for(&self, detail_type: &str, count: usize) -> Vec<Value> {
        let events = Mutex::new(Vec::new());
        eventually("the events arrive on the bus", async || {
            let mut arrived = self.poll().await;
            arrived.retain(|event| event["detail-type"] == detail_type);
            let mut events = events.lock().unwrap();
            events.extend(arrived);
            (events.len() >= count).then_some(())
        })
        .await;
        events.into_inner().unwrap()
    }
}
