//! Conversions between items and entities.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Serialize, de::DeserializeOwned};

use super::error::StoreError;
use crate::{
    domain::{readable::Readable, timestamp::Timestamp},
    logs::ErrorChain,
    metrics::{self, Metric},
    store::keys::Key,
};

/// Item as DynamoDB represents it.
pub(in crate::store) type Item = HashMap<String, AttributeValue>;

/// Converts an entity to an item with its key, its `type` and further attributes for the indexes.
pub(in crate::store) fn to_item<T: Serialize>(
    kind: &str,
    key: &Key,
    entity: &T,
    more: &[(&str, String)],
) -> Result<Item, StoreError> {
    let mut item: Item = serde_dynamo::to_item(entity).map_err(StoreError::malformed)?;
    item.extend(key.attributes());
    item.insert("type".into(), text(kind));
    item.extend(more.iter().map(|(name, value)| ((*name).to_owned(), text(value))));
    Ok(item)
}

/// Converts an item to an entity. Ignores unknown attributes.
pub(in crate::store) fn from_item<T: DeserializeOwned>(item: Item) -> Result<T, StoreError> {
    serde_dynamo::from_item(item).map_err(StoreError::malformed)
}

/// Converts an item of a list to an entity. One that cannot be converted is logged, counted and
/// left out, so that it does not hide the others.
pub(in crate::store) fn readable<T: DeserializeOwned>(item: Item) -> Option<T> {
    readable_as(item, from_item).ok()
}

/// Converts the items of a list like [`readable`].
pub(in crate::store) fn all_readable<T: DeserializeOwned>(items: Vec<Item>) -> Readable<T> {
    let count = items.len();
    let items: Vec<T> = items.into_iter().filter_map(readable).collect();
    Readable { is_complete: items.len() == count, items }
}

impl<T> Readable<T> {
    /// Returns the items of a change, which must skip none. `item` names them for the error.
    pub fn require_all(self, item: &'static str) -> Result<Vec<T>, StoreError> {
        if self.is_complete { Ok(self.items) } else { Err(StoreError::unreadable(item)) }
    }
}

/// Converts an item like [`readable`], with a function. Returns the key of an item that cannot be
/// converted.
pub(super) fn readable_as<T>(item: Item, parse: impl Fn(Item) -> Result<T, StoreError>) -> Result<T, Key> {
    let key = item_key(&item);
    parse(item).map_err(|error| {
        let Key { pk, sk } = &key;
        tracing::error!(error = %ErrorChain(&error), pk, sk, "unreadable item");
        metrics::emit(&[(Metric::UnreadableItems, 1)]);
        key
    })
}

/// Converts a value to an attribute.
pub(in crate::store) fn to_value(value: impl Serialize) -> Result<AttributeValue, StoreError> {
    serde_dynamo::to_attribute_value(value).map_err(StoreError::malformed)
}

/// Returns a text attribute.
pub(in crate::store) fn text(text: impl ToString) -> AttributeValue {
    AttributeValue::S(text.to_string())
}

/// Returns a numeric attribute.
pub(in crate::store) fn number(number: impl ToString) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

/// Returns the text of an attribute, or an empty text if there is none.
pub(in crate::store) fn attribute_text(item: &Item, attribute: &str) -> String {
    item.get(attribute).and_then(|value| value.as_s().ok()).cloned().unwrap_or_default()
}

/// Returns the key of an item, with an empty text for a missing attribute.
pub(in crate::store) fn item_key(item: &Item) -> Key {
    Key { pk: attribute_text(item, "pk"), sk: attribute_text(item, "sk") }
}

/// Returns whether an item has not expired. Items without an expiry never expire.
pub(in crate::store) fn is_unexpired(item: &Item, now: Timestamp) -> bool {
    let expires_at = item.get("expiresAt").and_then(|time| time.as_n().ok()).and_then(|time| time.parse::<i64>().ok());
    expires_at.is_none_or(|expires_at| now.seconds() < expires_at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn item_is_read_until_it_expires() {
        let now: Timestamp = "2026-11-25T12:00:00.500Z".parse().unwrap();
        let item = |expires_at: AttributeValue| Item::from([("expiresAt".to_owned(), expires_at)]);
        let at = |seconds: i64| item(number(now.seconds() + seconds));
        assert!(is_unexpired(&at(1), now));
        assert!(!is_unexpired(&at(0), now));
        assert!(!is_unexpired(&at(-1), now));
        assert!(is_unexpired(&Item::new(), now));
        // An invalid expiry is ignored here and fails when the item is parsed.
        assert!(is_unexpired(&item(text("soon")), now));
    }
}
