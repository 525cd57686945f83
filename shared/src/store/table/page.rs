//! Pages over one partition, or over several that are merged in the order of their sort keys.
//!
//! Large lists are spread over several partitions to distribute writes. A page queries all of them
//! concurrently and merges the results.

use futures_util::future::try_join_all;
use serde::de::DeserializeOwned;

use super::{
    client::{Access, Table},
    error::StoreError,
    item::{Item, readable},
    merge::{Merge, Step},
    query::{Filter, Range},
};

/// Position in a list: the sort key up to which its partitions were read. Sort keys must be unique
/// across the partitions.
pub type Position = String;

/// Page to read: where it starts and how long it is.
#[derive(Clone, Copy, Debug)]
pub struct PageRequest<'a> {
    /// Position after which the page starts, or none for the start of the list.
    after: Option<&'a str>,
    /// Maximum number of items.
    limit: usize,
}

impl<'a> PageRequest<'a> {
    /// Requests the page after a position.
    pub fn new(after: Option<&'a str>, limit: usize) -> Self {
        Self { after, limit }
    }

    /// Requests the first page.
    pub fn first(limit: usize) -> Self {
        Self { after: None, limit }
    }
}

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
    pub(in crate::store) fn empty() -> Self {
        Self { items: Vec::new(), next: None }
    }

    /// Converts the items.
    pub fn map<U>(self, convert: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(convert).collect(), next: self.next }
    }
}

/// Maximum size of the items of a page in a response, in bytes. A function may return 6 MB (AWS
/// limit).
const MAX_PAGE_BYTES: usize = 4_000_000;

impl<T> Page<(Position, T)> {
    /// Ends the page before its items exceed 4 MB in a response. It keeps at least one. `size`
    /// returns the size of an item in bytes.
    pub fn fit(self, size: impl Fn(&T) -> usize) -> Page<T> {
        let Self { mut items, mut next } = self;
        let mut total = 0;
        let fits = items.iter().take_while(|(_, item)| {
            total += size(item);
            total <= MAX_PAGE_BYTES
        });
        let count = fits.count().max(1);
        if count < items.len() {
            items.truncate(count);
            next = items.last().map(|(position, _)| position.clone());
        }
        Page { items: items.into_iter().map(|(_, item)| item).collect(), next }
    }
}

impl<A: Access> Table<A> {
    /// Returns a page of several partitions, merged in the order of their sort keys. The page has
    /// fewer than `limit` items at the end of the list, if a bounded number of queries did not find
    /// enough, or if items cannot be read.
    pub(in crate::store) async fn page<T: DeserializeOwned>(
        &self,
        partitions: &[String],
        range: &Range,
        filter: &Filter,
        request: PageRequest<'_>,
    ) -> Result<Page<T>, StoreError> {
        let Page { items, next } = self.page_of_items(partitions, range, filter, request).await?;
        Ok(Page { items: items.into_iter().filter_map(readable).collect(), next })
    }

    /// Returns a page like [`Self::page`] without parsing its items.
    pub(in crate::store) async fn page_of_items(
        &self,
        partitions: &[String],
        range: &Range,
        filter: &Filter,
        PageRequest { after, limit }: PageRequest<'_>,
    ) -> Result<Page<Item>, StoreError> {
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
        let max_queries = if range.view.is_index() { MAX_INDEX_QUERIES } else { MAX_TABLE_QUERIES };
        let max_queries = max_queries.max(partitions.len());
        let mut merge = Merge::new(partitions, &range);
        let (mut queries, mut items, mut last) = (0, Vec::new(), None);
        loop {
            match merge.step() {
                Step::Take(..) if items.len() == limit => return Ok(Page { items, next: last }),
                Step::Take(key, item) => {
                    items.push(item);
                    last = Some(key);
                }
                Step::Read { sources, known_to } => {
                    if queries + sources.len() > max_queries {
                        return Ok(Page { items, next: known_to.or(last) });
                    }
                    queries += sources.len();
                    try_join_all(sources.into_iter().map(|source| source.read(self, filter, query_limit))).await?;
                }
                Step::End => return Ok(Page { items, next: None }),
            }
        }
    }
}

/// Minimum number of items per query with a selective filter.
const SELECTIVE_QUERY_LIMIT: usize = 250;
/// Maximum number of queries of an index per page, or one per partition if there are more
/// partitions.
const MAX_INDEX_QUERIES: usize = 32;
/// Maximum number of queries of a table per page. Items of a table are longer and read with strong
/// consistency: a query takes up to 256 of the 3,000 read units per second that a partition has.
const MAX_TABLE_QUERIES: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::text::response_bytes;

    #[test]
    fn page_ends_before_the_response_is_too_large_and_holds_at_least_one_item() {
        let page = |sizes: &[usize]| Page {
            items: sizes.iter().enumerate().map(|(at, size)| (at.to_string(), "\"".repeat(*size))).collect(),
            next: Some("next".to_owned()),
        };
        // A quotation mark takes four bytes: it is escaped as JSON and in the response of the
        // function.
        for (sizes, count, next) in [
            (vec![100, 200], 2, "next"),
            (vec![400_000, 400_000, 400_000], 2, "1"),
            (vec![2_000_000, 1], 1, "0"),
            (vec![1, 2_000_000], 1, "0"),
        ] {
            let found = page(&sizes).fit(response_bytes);
            assert_eq!((found.items.len(), found.next.as_deref()), (count, Some(next)), "{sizes:?}");
        }
    }
}
