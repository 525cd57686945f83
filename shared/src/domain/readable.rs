//! Items of which some may be unreadable.

/// Items of a list that could be read. A list leaves out those that could not, but a decision that
/// depends on all of them needs [`Self::all`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readable<T> {
    /// Items, in the order of the list.
    pub items: Vec<T>,
    /// Whether all items could be read.
    pub is_complete: bool,
}

impl<T> Readable<T> {
    /// Returns the items, or none if one could not be read.
    pub fn all(&self) -> Option<&[T]> {
        self.is_complete.then_some(self.items.as_slice())
    }
}
