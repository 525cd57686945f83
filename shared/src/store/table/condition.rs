//! Conditions, and the placeholders of names and values in generated expressions. Placeholders keep
//! reserved words and values out of the expression text. Key conditions of queries use fixed
//! placeholders (`query`).

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::item::{Item, text};

/// Condition on the attributes of an item.
#[derive(Clone, Debug)]
pub(in crate::store) enum Condition {
    /// The attribute exists.
    Exists(String),
    /// The attribute does not exist.
    Absent(String),
    /// The attribute has this relation to the value.
    Compare(String, &'static str, AttributeValue),
    /// The attribute exists and is not a number.
    NotANumber(String),
    /// All conditions hold.
    All(Vec<Self>),
    /// At least one condition holds.
    Any(Vec<Self>),
}

impl Condition {
    /// The attribute exists.
    pub(in crate::store) fn exists(path: &str) -> Self {
        Self::Exists(path.to_owned())
    }

    /// The attribute does not exist.
    pub(in crate::store) fn absent(path: &str) -> Self {
        Self::Absent(path.to_owned())
    }

    /// The attribute exists and is not a number.
    pub(in crate::store) fn not_a_number(path: &str) -> Self {
        Self::NotANumber(path.to_owned())
    }

    /// The item exists.
    pub(in crate::store) fn item_exists() -> Self {
        Self::exists("pk")
    }

    /// The item does not exist.
    pub(in crate::store) fn item_absent() -> Self {
        Self::absent("pk")
    }

    /// The attribute equals the value.
    pub(in crate::store) fn equals(path: &str, value: AttributeValue) -> Self {
        Self::compare(path, "=", value)
    }

    /// The attribute has a relation to the value: `=`, `<>`, `<`, `<=`, `>` or `>=`.
    pub(in crate::store) fn compare(path: &str, operator: &'static str, value: AttributeValue) -> Self {
        Self::Compare(path.to_owned(), operator, value)
    }

    /// Both conditions hold.
    pub(in crate::store) fn and(self, other: Self) -> Self {
        Self::All(vec![self, other])
    }

    /// At least one of the conditions holds.
    pub(in crate::store) fn or(self, other: Self) -> Self {
        Self::Any(vec![self, other])
    }

    /// Returns the expression, with its names and values as placeholders.
    pub(super) fn render(self, placeholders: &mut Placeholders) -> String {
        let mut join = |conditions: Vec<Self>, word: &str| {
            let conditions = conditions.into_iter().map(|condition| match condition {
                nested @ (Self::All(_) | Self::Any(_) | Self::NotANumber(_)) => {
                    format!("({})", nested.render(placeholders))
                }
                single => single.render(placeholders),
            });
            conditions.collect::<Vec<_>>().join(word)
        };
        match self {
            Self::All(conditions) => join(conditions, " AND "),
            Self::Any(conditions) => join(conditions, " OR "),
            Self::Exists(path) => format!("attribute_exists({})", placeholders.name(&path)),
            Self::Absent(path) => format!("attribute_not_exists({})", placeholders.name(&path)),
            Self::NotANumber(path) => {
                let (name, number) = (placeholders.name(&path), placeholders.value(text("N")));
                format!("attribute_exists({name}) AND NOT attribute_type({name}, {number})")
            }
            Self::Compare(path, operator, value) => {
                format!("{} {operator} {}", placeholders.name(&path), placeholders.value(value))
            }
        }
    }
}

/// Attribute names by placeholder.
pub(super) type Names = HashMap<String, String>;

/// Placeholders of the expressions of a request.
#[derive(Clone, Debug, Default)]
pub(super) struct Placeholders {
    names: Names,
    values: Item,
}

impl Placeholders {
    /// Returns the placeholder of an attribute, or of a member of a map: `verification.verified`.
    pub(super) fn name(&mut self, path: &str) -> String {
        let names = path.split('.').map(|name| {
            let placeholder = format!("#{name}");
            self.names.insert(placeholder.clone(), name.to_owned());
            placeholder
        });
        names.collect::<Vec<_>>().join(".")
    }

    /// Returns the placeholder of a value.
    pub(super) fn value(&mut self, value: AttributeValue) -> String {
        let placeholder = format!(":v{}", self.values.len());
        self.values.insert(placeholder.clone(), value);
        placeholder
    }

    /// Returns names and values. DynamoDB rejects empty maps.
    pub(super) fn into_maps(self) -> (Option<Names>, Option<Item>) {
        let Self { names, values } = self;
        ((!names.is_empty()).then_some(names), (!values.is_empty()).then_some(values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_conditions_are_parenthesized() {
        let free = Condition::absent("leasedUntil").or(Condition::compare("leasedUntil", "<=", text("now")));
        let mut placeholders = Placeholders::default();
        assert_eq!(
            Condition::item_exists().and(free).render(&mut placeholders),
            "attribute_exists(#pk) AND (attribute_not_exists(#leasedUntil) OR #leasedUntil <= :v0)"
        );
    }
}
