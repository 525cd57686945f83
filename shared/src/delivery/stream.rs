//! Events of the stream of the Errors table, as JSON.
//!
//! An error is read directly from the attributes of its item, because reading them into a map first
//! takes most of the time of a batch.

use std::{borrow::Cow, collections::BTreeMap, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, MapAccess, Visitor, value::MapAccessDeserializer},
    forward_to_deserialize_any,
};
use serde_json::value::RawValue;

use super::queues::UnreadableRecord;
use crate::{
    domain::{event::Event, record::Record},
    logs::ErrorChain,
};

/// Event of the stream.
#[derive(Debug, Deserialize)]
pub(super) struct StreamEvent<'a> {
    #[serde(rename = "Records", borrow)]
    pub(super) records: Vec<EventRecord<'a>>,
}

/// Inserted item. The event source mapping passes no other changes.
#[derive(Debug, Deserialize)]
pub(super) struct EventRecord<'a> {
    #[serde(borrow)]
    dynamodb: Change<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Change<'a> {
    #[serde(default)]
    sequence_number: String,
    #[serde(borrow)]
    new_image: Option<&'a RawValue>,
    #[serde(borrow)]
    keys: Option<&'a RawValue>,
}

/// Record with its position in the stream.
pub(super) struct StreamRecord {
    pub(super) sequence_number: String,
    pub(super) record: Record,
}

impl EventRecord<'_> {
    /// Parses the record. If that fails, returns the sequence number and keys of the item.
    pub(super) fn parse(self) -> Result<StreamRecord, UnreadableRecord> {
        let Change { sequence_number, new_image, keys } = self.dynamodb;
        match parse_item(new_image.map_or("{}", RawValue::get)) {
            Ok(record) => Ok(StreamRecord { sequence_number, record }),
            Err(error) => {
                tracing::error!(error = %ErrorChain(&error), sequence_number, "unreadable stream record");
                let keys: Option<Texts<BTreeMap<String, String>>> =
                    keys.and_then(|keys| serde_json::from_str(keys.get()).ok());
                Err(UnreadableRecord::UnreadableRecordV1 {
                    sequence_number,
                    keys: keys.map(|Texts(keys)| keys).unwrap_or_default(),
                })
            }
        }
    }
}

/// Parses an item in DynamoDB's JSON.
fn parse_item(item: &str) -> Result<Record, serde_json::Error> {
    // Fails for an event, which has no error id.
    match serde_json::from_str(item) {
        Ok(Texts(error)) => Ok(Record::Error(error)),
        Err(error) => {
            let item: serde_dynamo::Item = serde_json::from_str(item)?;
            match item.get("type") {
                Some(serde_dynamo::AttributeValue::S(kind)) if kind == "event" => {
                    serde_dynamo::from_item::<_, Event>(item).map(Record::from).map_err(serde_json::Error::custom)
                }
                _ => Err(error),
            }
        }
    }
}

/// Attribute of an item: a text, or none for a value of another type.
#[derive(Debug, Deserialize)]
struct Attribute<'a> {
    #[serde(rename = "S", borrow, default, deserialize_with = "borrow_text")]
    text: Option<Cow<'a, str>>,
}

/// Reads a text without copying it, unless it has escape sequences.
fn borrow_text<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Cow<'a, str>>, D::Error> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    Text::deserialize(deserializer).map(|Text(text)| Some(text))
}

/// Value whose members are the texts of an item.
struct Texts<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Texts<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ItemVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for ItemVisitor<T> {
            type Value = T;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an item")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(Members(map)))
            }
        }
        deserializer.deserialize_map(ItemVisitor(PhantomData)).map(Self)
    }
}

/// Attributes of an item as the members of an object.
struct Members<A>(A);

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Members<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        self.0.next_key_seed(seed)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        let Attribute { text } = self.0.next_value()?;
        seed.deserialize(Member(text, PhantomData))
    }
}

/// Text of an attribute as a member of an object.
struct Member<'de, E>(Option<Cow<'de, str>>, PhantomData<E>);

impl<'de, E: Error> Deserializer<'de> for Member<'de, E> {
    type Error = E;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        match self.0 {
            Some(Cow::Borrowed(text)) => visitor.visit_borrowed_str(text),
            Some(Cow::Owned(text)) => visitor.visit_string(text),
            None => visitor.visit_unit(),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        if self.0.is_some() { visitor.visit_some(self) } else { visitor.visit_none() }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, E> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::error_log::ErrorLog;

    /// Parses a stream record with this item.
    fn parse(item: &Value) -> Result<StreamRecord, UnreadableRecord> {
        let keys = json!({ "pk": { "S": "partition" }, "sk": { "S": "position" } });
        let change = json!({ "SequenceNumber": "7", "Keys": keys, "NewImage": item });
        let event = json!({ "Records": [{ "eventName": "INSERT", "dynamodb": change }] }).to_string();
        let mut event: StreamEvent<'_> = serde_json::from_str(&event).unwrap();
        event.records.remove(0).parse()
    }

    fn item() -> Value {
        json!({
            "pk": { "S": "partition" }, "sk": { "S": "position" }, "type": { "S": "error" },
            "errorId": { "S": "6155ac246093840013297377" }, "environmentId": { "S": "6b052e433aadb2a32613736a" },
            "workflowId": { "S": "6b052e444875c4e017915798" }, "userId": { "S": "6b052e434ec0c91bf3a2267f" },
            "executionId": { "S": "e" }, "blockId": { "S": "b" }, "blockType": { "S": "alloy.shopify" },
            "error": { "S": "a \"quoted\"\ntext" }, "createdAt": { "S": "2021-09-30T12:23:00.000Z" },
            "updatedAt": { "S": "2026-11-24T05:30:00.000Z" }, "fingerprint": { "S": "0123456789abcdef0123456789abcdef" },
            "expiresAt": { "N": "1798090200" }, "added later": { "M": { "a": { "L": [{ "NULL": true }] } } },
        })
    }

    #[test]
    fn error_is_read_like_from_its_table() {
        for integration in [None, Some("shopify-orders")] {
            let mut item = item();
            if let Some(id) = integration {
                item["integrationId"] = json!({ "S": id });
            }
            let stored: serde_dynamo::Item = serde_json::from_value(item.clone()).unwrap();
            let expected: ErrorLog = serde_dynamo::from_item(stored).unwrap();
            assert_eq!(expected.integration_id.as_ref().map(ToString::to_string).as_deref(), integration);
            let Ok(StreamRecord { sequence_number, record }) = parse(&item) else { panic!("not readable") };
            assert_eq!((sequence_number.as_str(), record), ("7", Record::Error(expected)));
        }
    }

    #[test]
    fn malformed_item_is_reported_with_its_keys() {
        let (mut missing, mut number) = (item(), item());
        missing.as_object_mut().unwrap().remove("error");
        number["error"] = json!({ "N": "5" });
        for item in [missing, number, json!({}), json!({ "type": { "S": "event" } })] {
            let keys = [("pk", "partition"), ("sk", "position")].map(|(name, key)| (name.to_owned(), key.to_owned()));
            let report = UnreadableRecord::UnreadableRecordV1 { sequence_number: "7".into(), keys: keys.into() };
            assert_eq!(parse(&item).err(), Some(report), "{item}");
        }
    }
}
