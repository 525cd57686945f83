//! AWS in memory: what recording and delivering errors uses of the tables and queues.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard},
    time::{Duration, Instant},
};

use axum::body::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value, json, value::RawValue};
use tokio::sync::mpsc::UnboundedSender;

/// Item of a table as JSON.
pub type Item = Box<RawValue>;

/// Tables and queues.
pub struct Memory {
    state: Mutex<State>,
    /// Receives each recorded error.
    stream: UnboundedSender<Item>,
    /// Receives the body of each message.
    queue: UnboundedSender<String>,
}

#[derive(Default)]
struct State {
    /// Destinations and their health.
    directory: HashMap<Key, Map<String, Value>>,
    /// Errors that were not read yet, by id.
    errors: HashMap<String, Item>,
    /// Start of the request that records errors.
    started: Option<Instant>,
    /// Errors that have neither arrived nor become pending, with the start of their request.
    outstanding: HashMap<String, Instant>,
    flow: Flow,
}

/// Recorded errors and their deliveries.
#[derive(Clone, Debug, Default)]
pub struct Flow {
    /// Number of errors that were recorded.
    pub recorded: usize,
    /// Number of errors whose delivery is pending.
    pub pending: usize,
    /// Time from the start of the request to the arrival of each error that has arrived.
    pub lags: Vec<Duration>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
struct Text {
    #[serde(rename = "S")]
    text: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
struct Key {
    pk: Text,
    sk: Text,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    r#type: Text,
    error_id: Option<Text>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BatchWrite<'a> {
    #[serde(borrow)]
    request_items: HashMap<String, Vec<WriteRequest<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WriteRequest<'a> {
    #[serde(borrow)]
    put_request: PutRequest<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutRequest<'a> {
    #[serde(borrow)]
    item: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BatchGet {
    request_items: HashMap<String, Keys>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Keys {
    keys: Vec<Key>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Query {
    expression_attribute_values: HashMap<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Update {
    key: Key,
    update_expression: String,
    expression_attribute_names: HashMap<String, String>,
    expression_attribute_values: HashMap<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Messages {
    entries: Vec<Message>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Message {
    id: String,
    message_body: String,
}

impl Memory {
    /// Creates an AWS with these destinations and their health.
    pub fn new(directory: Vec<Value>, stream: UnboundedSender<Item>, queue: UnboundedSender<String>) -> Self {
        let keyed = directory.into_iter().map(|item| match (Key::deserialize(&item), item) {
            (Ok(key), Value::Object(attributes)) => (key, attributes),
            (_, item) => panic!("no item: {item}"),
        });
        let state = State { directory: keyed.collect(), ..State::default() };
        Self { state: Mutex::new(state), stream, queue }
    }

    /// Sets the start of the request that records the next errors.
    pub fn start_request(&self, at: Instant) {
        self.state().started = Some(at);
    }

    /// Notes that an error has arrived at its webhook.
    pub fn arrived(&self, id: &str) {
        let mut state = self.state();
        if let Some(started) = state.outstanding.remove(id) {
            state.flow.lags.push(started.elapsed());
        }
    }

    /// Returns the number of errors that have neither arrived nor become pending.
    pub fn outstanding(&self) -> usize {
        self.state().outstanding.len()
    }

    /// Returns the recorded errors.
    pub fn flow(&self) -> Flow {
        self.state().flow.clone()
    }

    /// Returns the response to a request, or none for operations and items that are not in memory.
    pub fn answer(&self, operation: &str, body: &Bytes) -> Option<String> {
        let answer = match operation {
            "BatchWriteItem" => {
                self.write(&read(body));
                json!({ "UnprocessedItems": {} })
            }
            "BatchGetItem" => return Some(self.get(read(body))),
            "Query" => self.query(&read(body))?,
            "UpdateItem" => self.update(&read(body)),
            "SendMessageBatch" => {
                let Messages { entries } = read(body);
                let sent = entries.into_iter().map(|message| {
                    let _ = self.queue.send(message.message_body);
                    json!({ "Id": message.id, "MessageId": "sent", "MD5OfMessageBody": "" })
                });
                json!({ "Successful": sent.collect::<Value>(), "Failed": [] })
            }
            // Wakes a drain.
            "SendMessage" => json!({ "MessageId": "sent", "MD5OfMessageBody": "" }),
            _ => return None,
        };
        Some(answer.to_string())
    }

    fn write(&self, BatchWrite { request_items }: &BatchWrite<'_>) {
        let mut state = self.state();
        for request in request_items.values().flatten() {
            let item = request.put_request.item;
            let Ok(Written { r#type, error_id }) = serde_json::from_str(item.get()) else {
                panic!("no item: {item}");
            };
            let id = error_id.map(|id| id.text);
            match (r#type.text.as_str(), id, state.started) {
                ("error", Some(id), Some(started)) => {
                    state.flow.recorded += 1;
                    state.outstanding.insert(id.clone(), started);
                    state.errors.insert(id, item.to_owned());
                    let _ = self.stream.send(item.to_owned());
                }
                ("pendingDelivery", Some(id), _) => {
                    if state.outstanding.remove(&id).is_some() {
                        state.flow.pending += 1;
                    }
                    // Nothing reads the error before the webhook works again.
                    state.errors.remove(&id);
                }
                _ => {}
            }
        }
    }

    /// Returns items. An error is read once: each has one destination.
    fn get(&self, BatchGet { request_items }: BatchGet) -> String {
        let mut state = self.state();
        let tables = request_items.into_iter().map(|(table, Keys { keys })| {
            let found = keys.iter().filter_map(|key| {
                let stored = state.directory.get(key).map(|item| json!(item).to_string());
                stored.or_else(|| state.errors.remove(&key.sk.text).map(|item| item.get().to_owned()))
            });
            format!("\"{table}\":[{}]", found.collect::<Vec<_>>().join(","))
        });
        format!("{{\"Responses\":{{{}}},\"UnprocessedKeys\":{{}}}}", tables.collect::<Vec<_>>().join(","))
    }

    /// Returns the destinations of an environment, with their health.
    fn query(&self, Query { expression_attribute_values }: &Query) -> Option<Value> {
        let state = self.state();
        let is_queried = |key: &Key| expression_attribute_values.values().any(|value| value["S"] == key.pk.text);
        let found = state.directory.iter().filter(|(key, _)| is_queried(key)).map(|(_, item)| json!(item));
        let found: Vec<Value> = found.collect();
        let count = found.len();
        (count > 0).then(|| json!({ "Items": found, "Count": count, "ScannedCount": count }))
    }

    /// Sets attributes of the health of a destination. Returns the health before.
    fn update(&self, update: &Update) -> Value {
        let mut state = self.state();
        let Some(item) = state.directory.get_mut(&update.key) else { return json!({}) };
        let before = json!({ "Attributes": item });
        let words: Vec<&str> = update.update_expression.split([' ', ',']).filter(|word| !word.is_empty()).collect();
        for assignment in words.windows(3) {
            if let [name, "=", value] = assignment
                && let (Some(name), Some(value)) =
                    (update.expression_attribute_names.get(*name), update.expression_attribute_values.get(*value))
            {
                item.insert(name.clone(), value.clone());
            }
        }
        before
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("the lock is not poisoned")
    }
}

fn read<'a, T: Deserialize<'a>>(body: &'a Bytes) -> T {
    serde_json::from_slice(body).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(body)))
}
