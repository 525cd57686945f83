//! Merge of partitions in the order of their sort keys.

use std::collections::VecDeque;

use super::{
    client::{Access, Table},
    error::StoreError,
    item::Item,
    page::Position,
    query::{Filter, Range},
};

/// Partitions that are merged.
pub(super) struct Merge<'a> {
    sources: Vec<Source<'a>>,
    newest_first: bool,
}

/// Next step of a merge.
pub(super) enum Step<'m, 'a> {
    /// An item, with its sort key, was taken: the first one of those that are left.
    Take(Position, Item),
    /// These partitions must be read, because their next items may be the first ones. Until then,
    /// all items up to a sort key are known, or none are if a partition was not read at all.
    Read { sources: Vec<&'m mut Source<'a>>, known_to: Option<Position> },
    /// No items are left.
    End,
}

impl<'a> Merge<'a> {
    /// Merges a range of partitions, of which nothing was read.
    pub(super) fn new(partitions: &'a [String], range: &Range) -> Self {
        let source =
            |pk: &'a String| Source { pk, buffered: VecDeque::new(), unread: Some(range.clone()), read_to: None };
        Self { sources: partitions.iter().map(source).collect(), newest_first: range.newest_first }
    }

    /// Takes the next item, or returns the partitions that must be read first.
    pub(super) fn step(&mut self) -> Step<'_, 'a> {
        let newest_first = self.newest_first;
        let is_before = |a: &str, b: &str| if newest_first { a > b } else { a < b };
        // The items of a partition without buffered ones are unknown beyond the last key that was
        // read.
        let gaps = || self.sources.iter().filter(|source| source.needs_read()).map(|source| source.read_to.as_deref());
        let is_known = |key: &str| gaps().all(|gap| gap.is_some_and(|read_to| is_before(key, read_to)));
        let buffered = self.sources.iter().enumerate().filter_map(|(at, source)| Some((at, source.next_key()?)));
        let first = buffered.reduce(|a, b| if is_before(b.1, a.1) { b } else { a });
        if let Some((at, key)) = first
            && is_known(key)
        {
            let taken = self.sources.get_mut(at).and_then(|source| source.buffered.pop_front());
            return taken.map_or(Step::End, |(key, item)| Step::Take(key, item));
        }
        let known_to = gaps().reduce(|a, b| a.zip(b).map(|(a, b)| if is_before(a, b) { a } else { b }));
        let Some(known_to) = known_to.map(|known_to| known_to.map(str::to_owned)) else { return Step::End };
        let sources = self.sources.iter_mut().filter(|source| source.needs_read()).collect();
        Step::Read { sources, known_to }
    }
}

/// Partition that is merged.
pub(super) struct Source<'a> {
    pk: &'a str,
    /// Items that were read and not taken, with their sort keys.
    buffered: VecDeque<(Position, Item)>,
    /// Range that was not read, or none at its end.
    unread: Option<Range>,
    /// Sort key up to which the partition was read.
    read_to: Option<Position>,
}

impl Source<'_> {
    /// Returns whether no items are buffered and the partition may have more.
    fn needs_read(&self) -> bool {
        self.buffered.is_empty() && self.unread.is_some()
    }

    /// Returns the sort key of the first buffered item.
    fn next_key(&self) -> Option<&str> {
        self.buffered.front().map(|(key, _)| key.as_str())
    }

    /// Reads the next items. One query.
    pub(super) async fn read<A: Access>(
        &mut self,
        table: &Table<A>,
        filter: &Filter,
        limit: i32,
    ) -> Result<(), StoreError> {
        if let Some(rest) = self.unread.take() {
            let page = table.query_page(self.pk, &rest, filter, limit).await?;
            self.unread = page.read_to.as_ref().and_then(|read_to| rest.after(read_to));
            self.read_to = page.read_to;
            self.buffered = page.items.into();
        }
        Ok(())
    }
}
