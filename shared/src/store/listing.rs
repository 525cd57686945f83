//! Range queries over one partition, or over several that are merged in the order of their sort
//! keys.
//!
//! Large lists are spread over several partitions to distribute writes. A page queries all of them
//! concurrently and merges the results.

use std::collections::{HashMap, VecDeque};

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::try_join_all;
use serde::de::DeserializeOwned;

use super::table::{Item, StoreError, Table, from_item};
use crate::domain::timestamp::Timestamp;

/// Position in a list: the sort key of the last item of a page.
pub type Position = String;

/// Page of a list.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// Items.
    pub items: Vec<T>,
    /// Position of the next page, or none at the end of the list. The next page may be empty.
    pub next: Option<Position>,
}

impl<T> Page<T> {
    /// Returns the only page of an empty list.
    pub(super) fn empty() -> Self {
        Self { items: Vec::new(), next: None }
    }
}

/// Table or index, with the names of its key attributes.
#[derive(Clone, Copy, Debug)]
pub(super) struct View {
    index: Option<&'static str>,
    pk: &'static str,
    sk: &'static str,
}

/// The table itself, not an index.
pub(super) const TABLE: View = View { index: None, pk: "pk", sk: "sk" };
/// Index of the Directory table that lists users, backlogged destinations, replays and jobs.
pub(super) const LISTING: View = View { index: Some("listing"), pk: "listPk", sk: "listSk" };
/// Index of errors by environment.
pub(super) const BY_ENVIRONMENT: View = View { index: Some("by-environment"), pk: "environmentPk", sk: "listSk" };
/// Index of errors by user.
pub(super) const BY_USER: View = View { index: Some("by-user"), pk: "userPk", sk: "listSk" };

/// Range of sort keys.
#[derive(Clone, Debug)]
pub(super) struct Range {
    /// Table or index.
    pub view: View,
    /// First sort key, inclusive.
    pub low: String,
    /// Last sort key, inclusive.
    pub high: String,
    /// Whether the order is descending.
    pub newest_first: bool,
}

impl Range {
    /// Returns the range of all sort keys of a view, in ascending order.
    pub(super) fn all(view: View) -> Self {
        // Sort keys are never empty.
        Self { view, low: "\u{1}".into(), high: HIGHEST.into(), newest_first: false }
    }

    /// Returns the rest of the range after a sort key, or none if it is empty.
    pub(super) fn after(&self, position: &str) -> Option<Self> {
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

/// DynamoDB filter expression.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    conditions: Vec<String>,
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
    /// Whether the filter may exclude most of the items.
    selective: bool,
}

impl Filter {
    /// Adds a comparison of an attribute with a value.
    fn and(mut self, attribute: &str, operator: &str, value: AttributeValue) -> Self {
        let number = self.conditions.len();
        self.conditions.push(format!("#f{number} {operator} :f{number}"));
        self.names.insert(format!("#f{number}"), attribute.to_owned());
        self.values.insert(format!(":f{number}"), value);
        self
    }

    /// Excludes expired items, which DynamoDB deletes some days later.
    pub(super) fn unexpired(self, now: Timestamp) -> Self {
        self.and("expiresAt", ">", AttributeValue::N(now.seconds().to_string()))
    }

    /// Excludes items that were changed after a time.
    pub(super) fn updated_by(self, at: Timestamp) -> Self {
        self.and("updatedAt", "<=", AttributeValue::S(at.to_string()))
    }

    /// Excludes items whose map attribute does not have this member.
    pub(super) fn has_member(mut self, attribute: &str, member: &str) -> Self {
        let number = self.conditions.len();
        self.conditions.push(format!("attribute_exists(#f{number}.#m{number})"));
        self.names.insert(format!("#f{number}"), attribute.to_owned());
        self.names.insert(format!("#m{number}"), member.to_owned());
        Self { selective: true, ..self }
    }

    /// Excludes items whose attribute differs from a text, if one is given.
    pub(super) fn equals(self, attribute: &str, text: Option<&str>) -> Self {
        match text {
            Some(text) => Self { selective: true, ..self.and(attribute, "=", AttributeValue::S(text.to_owned())) },
            None => self,
        }
    }
}

/// Result of one query.
struct QueryPage {
    /// Items with their sort keys.
    items: Vec<(String, Item)>,
    /// Sort key of the last item that was read, or none at the end of the range.
    read_to: Option<String>,
}

impl Table {
    /// Executes one query of at most `limit` items before the filter. Strongly consistent for a
    /// table.
    async fn query_page(&self, pk: &str, range: &Range, filter: &Filter, limit: i32) -> Result<QueryPage, StoreError> {
        let View { index, pk: pk_name, sk: sk_name } = range.view;
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let mut request = self
            .client
            .query()
            .table_name(&self.name)
            .set_index_name(index.map(str::to_owned))
            .consistent_read(index.is_none())
            .scan_index_forward(!range.newest_first)
            .limit(limit)
            .key_condition_expression("#pk = :pk AND #sk BETWEEN :low AND :high")
            .expression_attribute_names("#pk", pk_name)
            .expression_attribute_names("#sk", sk_name)
            .expression_attribute_values(":pk", text(pk))
            .expression_attribute_values(":low", text(&range.low))
            .expression_attribute_values(":high", text(&range.high));
        if !filter.conditions.is_empty() {
            request = request.filter_expression(filter.conditions.join(" AND "));
            for (name, attribute) in &filter.names {
                request = request.expression_attribute_names(name, attribute);
            }
            for (name, value) in &filter.values {
                request = request.expression_attribute_values(name, value.clone());
            }
        }
        let output = request.send().await?;
        let sort_key = |item: &Item| item.get(sk_name).and_then(|key| key.as_s().ok()).cloned().unwrap_or_default();
        let read_to = output.last_evaluated_key.as_ref().map(sort_key);
        let items = output.items.unwrap_or_default();
        Ok(QueryPage { items: items.into_iter().map(|item| (sort_key(&item), item)).collect(), read_to })
    }

    /// Returns the first `limit` items of each partition, and whether these are all. One query per
    /// partition, all concurrently.
    pub(super) async fn first<T: DeserializeOwned>(
        &self,
        partitions: &[String],
        range: &Range,
        limit: usize,
    ) -> Result<(Vec<T>, bool), StoreError> {
        let (items, all) = self.first_items(partitions, range, limit).await?;
        Ok((items.into_iter().map(from_item).collect::<Result<_, _>>()?, all))
    }

    /// Returns items like [`Self::first`] without parsing them.
    pub(super) async fn first_items(
        &self,
        partitions: &[String],
        range: &Range,
        limit: usize,
    ) -> Result<(Vec<Item>, bool), StoreError> {
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        let filter = Filter::default();
        let pages = partitions.iter().map(|pk| self.query_page(pk, range, &filter, limit));
        let pages = try_join_all(pages).await?;
        let all = pages.iter().all(|page| page.read_to.is_none());
        Ok((pages.into_iter().flat_map(|page| page.items).map(|(_, item)| item).collect(), all))
    }

    /// Returns a page of several partitions that are merged in the order of their sort keys. The
    /// page is full unless [`MAX_QUERIES`] queries do not find enough items; in that case `next`
    /// continues after the items that were read.
    pub(super) async fn page<T: DeserializeOwned>(
        &self,
        partitions: &[String],
        range: &Range,
        filter: &Filter,
        (after, limit): (Option<&str>, usize),
    ) -> Result<Page<T>, StoreError> {
        let range = match after {
            None => range.clone(),
            Some(position) => match range.after(position) {
                Some(rest) => rest,
                None => return Ok(Page::empty()),
            },
        };
        // A filter that is not selective excludes few items. Each partition reads its share of the
        // page and a reserve for an uneven distribution.
        let share = if partitions.len() > 1 { limit / partitions.len() * 3 / 2 + 8 } else { limit + 1 };
        let query_limit =
            i32::try_from(if filter.selective { share.max(SELECTIVE_QUERY_LIMIT) } else { share }).unwrap_or(i32::MAX);
        let mut sources: Vec<Source> = partitions.iter().map(|pk| Source::new(pk, &range)).collect();
        let is_before = |a: &str, b: &str| if range.newest_first { a > b } else { a < b };
        let earlier = |a: String, b: String| if is_before(&a, &b) { a } else { b };
        let max_queries = MAX_QUERIES.max(partitions.len());
        let (mut queries, mut items, mut last) = (0, Vec::new(), None);
        loop {
            // If the buffer of a partition is empty, its items are unknown beyond the last key that
            // was read.
            let known_to = sources.iter().filter(|source| source.needs_fetch()).map(|source| source.read_to.clone());
            let known_to = known_to.reduce(|a, b| Some(earlier(a?, b?)));
            let next = sources.iter_mut().filter(|source| !source.buffered.is_empty()).reduce(|a, b| {
                if a.next_key().zip(b.next_key()).is_some_and(|(a, b)| is_before(b, a)) { b } else { a }
            });
            let next_is_known = match (&known_to, next.as_ref().and_then(|source| source.next_key())) {
                (None, _) => true,
                (Some(Some(known_to)), Some(key)) => is_before(key, known_to),
                (Some(_), _) => false,
            };
            if next_is_known {
                let Some((key, item)) = next.and_then(|source| source.buffered.pop_front()) else {
                    return Ok(Page { items, next: None });
                };
                if items.len() == limit {
                    return Ok(Page { items, next: last });
                }
                items.push(from_item(item)?);
                last = Some(key);
                continue;
            }
            let exhausted: Vec<&mut Source> = sources.iter_mut().filter(|source| source.needs_fetch()).collect();
            if queries + exhausted.len() > max_queries {
                return Ok(Page { items, next: known_to.flatten().or(last) });
            }
            queries += exhausted.len();
            try_join_all(exhausted.into_iter().map(|source| source.fetch_next(self, filter, query_limit))).await?;
        }
    }
}

/// Minimum number of items per query with a selective filter.
const SELECTIVE_QUERY_LIMIT: usize = 250;
/// Maximum number of queries per page, or one per partition if there are more partitions.
const MAX_QUERIES: usize = 32;

/// Partition while a page is assembled.
struct Source<'a> {
    pk: &'a str,
    /// Items that were read but not used, with their sort keys.
    buffered: VecDeque<(String, Item)>,
    /// Range that was not read, or none at its end.
    unread: Option<Range>,
    /// Sort key up to which the partition was read.
    read_to: Option<String>,
}

impl<'a> Source<'a> {
    fn new(pk: &'a str, range: &Range) -> Self {
        Self { pk, buffered: VecDeque::new(), unread: Some(range.clone()), read_to: None }
    }

    /// Returns whether the buffer is empty and the partition may have more items.
    fn needs_fetch(&self) -> bool {
        self.buffered.is_empty() && self.unread.is_some()
    }

    /// Returns the sort key of the first buffered item.
    fn next_key(&self) -> Option<&str> {
        self.buffered.front().map(|(key, _)| key.as_str())
    }

    /// Reads the next items into the empty buffer. One query.
    async fn fetch_next(&mut self, table: &Table, filter: &Filter, limit: i32) -> Result<(), StoreError> {
        if let Some(rest) = self.unread.take() {
            let page = table.query_page(self.pk, &rest, filter, limit).await?;
            self.unread = page.read_to.as_ref().and_then(|read_to| rest.after(read_to));
            self.read_to = page.read_to;
            self.buffered = page.items.into();
        }
        Ok(())
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
