//! Key ranges, filters, and queries of single partitions.

use std::iter;

use aws_sdk_dynamodb::{operation::query::builders::QueryFluentBuilder, types::Select};
use futures_util::future::try_join_all;

use super::{
    client::{Access, Table},
    condition::{Condition, Placeholders},
    error::StoreError,
    item::{Item, number, text},
};
use crate::domain::timestamp::Timestamp;

/// Table or index, with the names of its key attributes.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct View {
    index: Option<&'static str>,
    pk: &'static str,
    sk: &'static str,
}

impl View {
    /// Returns whether this is an index.
    pub(in crate::store) fn is_index(self) -> bool {
        self.index.is_some()
    }
}

/// The table itself, not an index.
pub(in crate::store) const TABLE: View = View { index: None, pk: "pk", sk: "sk" };
/// Index of the Directory table that lists users, workflows, installations, backlogged
/// destinations, replays and jobs.
pub(in crate::store) const LISTING: View = View { index: Some("listing"), pk: "listPk", sk: "listSk" };
/// Index of errors and events by environment.
pub(in crate::store) const BY_ENVIRONMENT: View =
    View { index: Some("by-environment"), pk: "environmentPk", sk: "listSk" };
/// Index of errors by user.
pub(in crate::store) const BY_USER: View = View { index: Some("by-user"), pk: "userPk", sk: "listSk" };

/// Range of sort keys.
#[derive(Clone, Debug)]
pub(in crate::store) struct Range {
    /// Table or index.
    pub(in crate::store) view: View,
    /// First sort key, inclusive.
    pub(in crate::store) low: String,
    /// Last sort key, inclusive.
    pub(in crate::store) high: String,
    /// `true` for descending order.
    pub(in crate::store) newest_first: bool,
}

impl Range {
    /// Returns the range of all sort keys of a view, in ascending order.
    pub(in crate::store) fn all(view: View) -> Self {
        // Sort keys are never empty.
        Self { view, low: "\u{1}".into(), high: HIGHEST.into(), newest_first: false }
    }

    /// Returns the range of the table's sort keys with a prefix, in ascending order.
    pub(in crate::store) fn of_prefix(prefix: &str) -> Self {
        Self { low: prefix.into(), high: format!("{prefix}{HIGHEST}"), ..Self::all(TABLE) }
    }

    /// Returns the rest of the range after a sort key, or none if it is empty.
    pub(in crate::store) fn after(&self, position: &str) -> Option<Self> {
        let mut rest = self.clone();
        if self.newest_first {
            rest.high = rest.high.min(just_below(position));
        } else {
            rest.low = rest.low.max(format!("{position}\u{1}"));
        }
        (rest.low <= rest.high).then_some(rest)
    }
}

/// Text that sorts after every sort key.
const HIGHEST: &str = "\u{10ffff}";

/// Returns a text that sorts before this sort key and after all lower ones.
fn just_below(key: &str) -> String {
    let mut characters = key.chars();
    let before = characters.next_back().and_then(|last| ('\u{1}'..last).next_back());
    let start = characters.as_str();
    before.map_or_else(|| start.to_owned(), |before| format!("{start}{before}{HIGHEST}"))
}

/// Filter of a query.
#[derive(Clone, Debug, Default)]
pub(in crate::store) struct Filter {
    conditions: Vec<Condition>,
    /// `true` if the filter may exclude most of the items.
    pub(super) selective: bool,
}

impl Filter {
    fn and(mut self, condition: Condition) -> Self {
        self.conditions.push(condition);
        self
    }

    /// Excludes expired items, which DynamoDB deletes some days later, and items without an expiry.
    pub(in crate::store) fn unexpired(self, now: Timestamp) -> Self {
        self.and(Condition::compare("expiresAt", ">", number(now.seconds())))
    }

    /// Excludes items with a time attribute after a time.
    pub(in crate::store) fn not_after(self, attribute: &str, at: Timestamp) -> Self {
        self.and(Condition::compare(attribute, "<=", text(at)))
    }

    /// Excludes items whose attribute equals a text.
    pub(in crate::store) fn differs(self, attribute: &str, excluded: &str) -> Self {
        self.and(Condition::compare(attribute, "<>", text(excluded)))
    }

    /// Excludes items whose map attribute does not have this member.
    pub(in crate::store) fn has_member(self, attribute: &str, member: &str) -> Self {
        Self { selective: true, ..self.and(Condition::exists(&format!("{attribute}.{member}"))) }
    }

    /// Excludes items whose attribute is none of these texts, if they are given.
    pub(in crate::store) fn one_of<'a>(self, attribute: &str, wanted: Option<impl Iterator<Item = &'a str>>) -> Self {
        let Some(wanted) = wanted else { return self };
        let conditions = wanted.map(|wanted| Condition::equals(attribute, text(wanted)));
        // No item has this attribute, so that nothing matches an empty list.
        let nothing = Condition::exists("none");
        let any = Condition::Any(iter::once(nothing).chain(conditions).collect());
        Self { selective: true, ..self.and(any) }
    }

    /// Excludes items whose attribute differs from a text, if one is given.
    pub(in crate::store) fn equals(self, attribute: &str, wanted: Option<&str>) -> Self {
        match wanted {
            Some(wanted) => Self { selective: true, ..self.and(Condition::equals(attribute, text(wanted))) },
            None => self,
        }
    }
}

/// Result of one query.
pub(super) struct QueryPage {
    /// Items with their sort keys.
    pub(super) items: Vec<(String, Item)>,
    /// Sort key of the last item that was read, or none at the end of the range.
    pub(super) read_to: Option<String>,
}

impl<A: Access> Table<A> {
    /// Returns the number of items of a partition whose sort keys start with `prefix`. Strongly
    /// consistent. One query per megabyte.
    pub(in crate::store) async fn count_prefix(&self, pk: &str, prefix: &str) -> Result<usize, StoreError> {
        let pages = self.prefix_query(pk, prefix).select(Select::Count).into_paginator().send();
        let pages: Vec<_> = pages.collect::<Result<_, _>>().await?;
        let count = pages.iter().map(|page| usize::try_from(page.count()).unwrap_or_default());
        Ok(count.sum())
    }

    /// Returns all items of a partition whose sort keys start with `prefix`, in the order of their
    /// sort keys. Strongly consistent. One query per megabyte.
    pub(in crate::store) async fn list_prefix(&self, pk: String, prefix: &str) -> Result<Vec<Item>, StoreError> {
        Ok(self.prefix_query(&pk, prefix).into_paginator().items().send().collect::<Result<_, _>>().await?)
    }

    fn prefix_query(&self, pk: &str, prefix: &str) -> QueryFluentBuilder {
        self.client
            .query()
            .table_name(&self.name)
            .consistent_read(true)
            .key_condition_expression("pk = :pk AND begins_with(sk, :prefix)")
            .expression_attribute_values(":pk", text(pk))
            .expression_attribute_values(":prefix", text(prefix))
    }

    /// Returns all items of a partition, in descending order of their sort keys. Strongly
    /// consistent. One query per megabyte.
    pub(in crate::store) async fn list_descending(&self, pk: String) -> Result<Vec<Item>, StoreError> {
        let query = self
            .client
            .query()
            .table_name(&self.name)
            .consistent_read(true)
            .scan_index_forward(false)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", text(pk));
        Ok(query.into_paginator().items().send().collect::<Result<_, _>>().await?)
    }

    /// Reads one page of at most `limit` items, counted before the filter. Strongly consistent for
    /// the table, eventually consistent for an index.
    pub(super) async fn query_page(
        &self,
        pk: &str,
        range: &Range,
        filter: &Filter,
        limit: i32,
    ) -> Result<QueryPage, StoreError> {
        let View { index, pk: pk_name, sk: sk_name } = range.view;
        let mut placeholders = Placeholders::default();
        let conditions = Condition::All(filter.conditions.clone()).render(&mut placeholders);
        let (names, values) = placeholders.into_maps();
        let request = self
            .client
            .query()
            .table_name(&self.name)
            .set_index_name(index.map(str::to_owned))
            .consistent_read(index.is_none())
            .scan_index_forward(!range.newest_first)
            .limit(limit)
            .key_condition_expression("#pk = :pk AND #sk BETWEEN :low AND :high")
            .set_filter_expression((!conditions.is_empty()).then_some(conditions))
            .set_expression_attribute_names(names)
            .set_expression_attribute_values(values)
            .expression_attribute_names("#pk", pk_name)
            .expression_attribute_names("#sk", sk_name)
            .expression_attribute_values(":pk", text(pk))
            .expression_attribute_values(":low", text(&range.low))
            .expression_attribute_values(":high", text(&range.high));
        let output = request.send().await?;
        let sort_key = |item: &Item| item.get(sk_name).and_then(|key| key.as_s().ok()).cloned().unwrap_or_default();
        let read_to = output.last_evaluated_key.as_ref().map(sort_key);
        let items = output.items.unwrap_or_default();
        Ok(QueryPage { items: items.into_iter().map(|item| (sort_key(&item), item)).collect(), read_to })
    }

    /// Returns up to `limit` items of each partition without parsing them, and the last sort keys
    /// that were read of the partitions that have more. One query per partition, all concurrently.
    pub(in crate::store) async fn first_items(
        &self,
        partitions: &[String],
        range: &Range,
        limit: usize,
    ) -> Result<(Vec<Item>, Vec<String>), StoreError> {
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        let filter = Filter::default();
        let pages = partitions.iter().map(|pk| self.query_page(pk, range, &filter, limit));
        let pages = try_join_all(pages).await?;
        let ends = pages.iter().filter_map(|page| page.read_to.clone()).collect();
        Ok((pages.into_iter().flat_map(|page| page.items).map(|(_, item)| item).collect(), ends))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn predecessor_is_between_all_lower_keys_and_the_key(key in "[0-9a-f#]{1,30}", other in "[0-9a-f#]{1,30}") {
            let below = just_below(&key);
            prop_assert!(below < key);
            if other < key {
                prop_assert!(other <= below);
            }
        }
    }
}
