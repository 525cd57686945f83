//! Writes of items, with their expressions.

use aws_sdk_dynamodb::types::{self, AttributeValue, ConditionCheck, TransactWriteItem};

use super::{
    condition::{Condition, Names, Placeholders},
    error::StoreError,
    item::Item,
};
use crate::store::keys::Key;

/// Expressions of a write.
pub(super) struct Rendered {
    /// Condition expression.
    pub(super) condition: Option<String>,
    /// Names of the expressions.
    pub(super) names: Option<Names>,
    /// Values of the expressions.
    pub(super) values: Option<Item>,
}

impl Rendered {
    fn new(condition: Option<Condition>, mut placeholders: Placeholders) -> Self {
        let condition = condition.map(|condition| condition.render(&mut placeholders));
        let (names, values) = placeholders.into_maps();
        Self { condition, names, values }
    }
}

/// Write of a whole item.
#[derive(Clone, Debug)]
pub(in crate::store) struct Put {
    item: Item,
    condition: Option<Condition>,
}

impl Put {
    /// Writes the item, replacing any existing one.
    pub(in crate::store) fn new(item: Item) -> Self {
        Self { item, condition: None }
    }

    /// Writes the item unless one with its key exists.
    pub(in crate::store) fn if_absent(item: Item) -> Self {
        Self::new(item).when(Condition::item_absent())
    }

    /// Requires a condition on the existing item. Replaces an earlier condition.
    pub(in crate::store) fn when(self, condition: Condition) -> Self {
        Self { condition: Some(condition), ..self }
    }

    pub(super) fn render(self) -> (Item, Rendered) {
        (self.item, Rendered::new(self.condition, Placeholders::default()))
    }
}

/// Deletion of an item.
#[derive(Clone, Debug)]
pub(in crate::store) struct Delete {
    key: Key,
    condition: Option<Condition>,
}

impl Delete {
    /// Deletes the item with this key, if there is one.
    pub(in crate::store) fn of(key: &Key) -> Self {
        Self { key: key.clone(), condition: None }
    }

    /// Deletes the item with this key, which must exist.
    pub(in crate::store) fn existing(key: &Key) -> Self {
        Self::of(key).when(Condition::item_exists())
    }

    /// Requires a condition on the item. Replaces an earlier condition.
    pub(in crate::store) fn when(self, condition: Condition) -> Self {
        Self { condition: Some(condition), ..self }
    }

    pub(super) fn render(self) -> (Item, Rendered) {
        (self.key.attributes(), Rendered::new(self.condition, Placeholders::default()))
    }
}

/// Update of attributes. Creates the item if it does not exist.
#[derive(Clone, Debug)]
pub(in crate::store) struct Update {
    key: Key,
    set: Vec<String>,
    add: Vec<String>,
    remove: Vec<String>,
    placeholders: Placeholders,
    condition: Option<Condition>,
}

impl Update {
    /// Starts an update of the item with this key.
    pub(in crate::store) fn of(key: &Key) -> Self {
        let (set, add, remove) = (Vec::new(), Vec::new(), Vec::new());
        Self { key: key.clone(), set, add, remove, placeholders: Placeholders::default(), condition: None }
    }

    /// Sets an attribute.
    pub(in crate::store) fn set(mut self, path: &str, value: AttributeValue) -> Self {
        let (name, value) = (self.placeholders.name(path), self.placeholders.value(value));
        self.set.push(format!("{name} = {value}"));
        self
    }

    /// Sets an attribute unless it exists.
    pub(in crate::store) fn set_if_absent(mut self, path: &str, value: AttributeValue) -> Self {
        let (name, value) = (self.placeholders.name(path), self.placeholders.value(value));
        self.set.push(format!("{name} = if_not_exists({name}, {value})"));
        self
    }

    /// Appends the elements of a list to a list, which is created if it does not exist.
    pub(in crate::store) fn append(mut self, path: &str, list: AttributeValue) -> Self {
        let (name, list) = (self.placeholders.name(path), self.placeholders.value(list));
        let empty = self.placeholders.value(AttributeValue::L(Vec::new()));
        self.set.push(format!("{name} = list_append(if_not_exists({name}, {empty}), {list})"));
        self
    }

    /// Adds to a number; a missing one counts as zero. Not idempotent: a repeated request adds
    /// twice.
    pub(in crate::store) fn add(mut self, path: &str, value: AttributeValue) -> Self {
        let (name, value) = (self.placeholders.name(path), self.placeholders.value(value));
        self.add.push(format!("{name} {value}"));
        self
    }

    /// Removes an attribute.
    pub(in crate::store) fn remove(mut self, path: &str) -> Self {
        let name = self.placeholders.name(path);
        self.remove.push(name);
        self
    }

    /// Requires a condition on the item. Replaces an earlier condition.
    pub(in crate::store) fn when(self, condition: Condition) -> Self {
        Self { condition: Some(condition), ..self }
    }

    /// Returns the key, the update expression, and the other expressions.
    pub(super) fn render(self) -> (Item, String, Rendered) {
        let Self { key, set, add, remove, placeholders, condition } = self;
        let clauses = [("SET", set), ("ADD", add), ("REMOVE", remove)];
        let clauses = clauses.into_iter().filter(|(_, list)| !list.is_empty());
        let update = clauses.map(|(word, list)| format!("{word} {}", list.join(", "))).collect::<Vec<_>>().join(" ");
        (key.attributes(), update, Rendered::new(condition, placeholders))
    }
}

/// Write within a transaction.
#[derive(Clone, Debug)]
pub(in crate::store) enum Write {
    /// Write of a whole item.
    Put(Put),
    /// Update of attributes.
    Update(Update),
    /// Deletion.
    Delete(Delete),
    /// Check of a condition, which changes nothing.
    Check(Key, Condition),
}

impl From<Put> for Write {
    fn from(put: Put) -> Self {
        Self::Put(put)
    }
}

impl From<Update> for Write {
    fn from(update: Update) -> Self {
        Self::Update(update)
    }
}

impl From<Delete> for Write {
    fn from(delete: Delete) -> Self {
        Self::Delete(delete)
    }
}

impl Write {
    /// Checks that the item with this key exists.
    pub(in crate::store) fn check_exists(key: &Key) -> Self {
        Self::Check(key.clone(), Condition::item_exists())
    }

    /// Checks that no item with this key exists.
    pub(in crate::store) fn check_absent(key: &Key) -> Self {
        Self::Check(key.clone(), Condition::item_absent())
    }

    /// Returns the action of a transaction.
    pub(super) fn into_action(self, table: &str) -> Result<TransactWriteItem, StoreError> {
        let action = TransactWriteItem::builder();
        let action = match self {
            Self::Put(put) => {
                let (item, Rendered { condition, names, values }) = put.render();
                let put = types::Put::builder()
                    .table_name(table)
                    .set_item(Some(item))
                    .set_condition_expression(condition)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values);
                action.put(put.build().map_err(StoreError::refused)?)
            }
            Self::Update(update) => {
                let (key, expression, Rendered { condition, names, values }) = update.render();
                let update = types::Update::builder()
                    .table_name(table)
                    .set_key(Some(key))
                    .update_expression(expression)
                    .set_condition_expression(condition)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values);
                action.update(update.build().map_err(StoreError::refused)?)
            }
            Self::Delete(delete) => {
                let (key, Rendered { condition, names, values }) = delete.render();
                let delete = types::Delete::builder()
                    .table_name(table)
                    .set_key(Some(key))
                    .set_condition_expression(condition)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values);
                action.delete(delete.build().map_err(StoreError::refused)?)
            }
            Self::Check(key, condition) => {
                let Rendered { condition, names, values } = Rendered::new(Some(condition), Placeholders::default());
                let check = ConditionCheck::builder()
                    .table_name(table)
                    .set_key(Some(key.attributes()))
                    .set_condition_expression(condition)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values);
                action.condition_check(check.build().map_err(StoreError::refused)?)
            }
        };
        Ok(action.build())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::table::{number, text};

    fn key() -> Key {
        Key { pk: "a".into(), sk: "b".into() }
    }

    #[test]
    fn update_has_a_placeholder_for_every_name_and_value() {
        let update = Update::of(&key())
            .set("status", text("done"))
            .set_if_absent("since", text("now"))
            .append("attempts", AttributeValue::L(Vec::new()))
            .set("verification.verified", AttributeValue::Bool(true))
            .add("version", number(1))
            .remove("lease")
            .remove("listPk")
            .when(Condition::item_exists().and(Condition::compare("status", "<>", text("done"))));
        let (key, expression, Rendered { condition, names, values }) = update.render();
        assert_eq!(key.len(), 2);
        assert_eq!(
            expression,
            "SET #status = :v0, #since = if_not_exists(#since, :v1), \
             #attempts = list_append(if_not_exists(#attempts, :v3), :v2), #verification.#verified = :v4 \
             ADD #version :v5 REMOVE #lease, #listPk"
        );
        assert_eq!(condition.unwrap(), "attribute_exists(#pk) AND #status <> :v6");
        let names = names.unwrap();
        assert_eq!(names.len(), 9);
        assert!(names.iter().all(|(placeholder, name)| *placeholder == format!("#{name}")));
        let values = values.unwrap();
        assert_eq!((values.len(), &values[":v5"], &values[":v6"]), (7, &number(1), &text("done")));
    }

    #[test]
    fn write_without_placeholders_sends_no_empty_maps() {
        let (_, Rendered { condition, names, values }) = Put::new(Item::new()).render();
        assert!(condition.is_none() && names.is_none() && values.is_none());
        let (_, Rendered { condition, names, values }) = Put::if_absent(Item::new()).render();
        assert_eq!(condition.unwrap(), "attribute_not_exists(#pk)");
        assert!(names.is_some() && values.is_none());
    }
}
