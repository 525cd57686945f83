//! Pagination of lists: page limits and cursors.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::Serialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::{FromJson, Input, Json, Location, Problem};
use crate::store::{Page, Position};

/// Query parameters of every list.
#[derive(Clone, Debug, Input, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageParams {
    /// Maximum number of items per page.
    #[input(max = 100, min = 1, default = 50)]
    #[param(value_type = Option<u8>, minimum = 1, maximum = 100, default = 50)]
    pub limit: usize,
    /// Cursor that the previous page returned.
    #[param(value_type = Option<String>, min_length = 12, pattern = "^[A-Za-z0-9_-]+$")]
    pub cursor: Option<Cursor>,
}

impl PageParams {
    /// Returns the position after which the page starts, if the cursor belongs to the list with this
    /// scope.
    pub fn after(&self, scope: &str) -> Result<Option<Position>, Problem> {
        self.cursor.as_ref().map(|cursor| cursor.position(scope)).transpose()
    }

    /// Returns the page of a list that was read as a whole, newest first. `id` is the position of an
    /// item.
    pub fn select<T>(&self, items: Vec<T>, after: Option<&str>, id: impl Fn(&T) -> String) -> Page<T> {
        self.select_up_to(usize::MAX, |_| 0, items, after, id)
    }

    /// Returns a page like [`Self::select`] that ends before the sum of the sizes of its items exceeds
    /// `max_size`. It has at least one item if there is one.
    pub fn select_up_to<T>(
        &self,
        max_size: usize,
        size: impl Fn(&T) -> usize,
        mut items: Vec<T>,
        after: Option<&str>,
        id: impl Fn(&T) -> String,
    ) -> Page<T> {
        items.retain(|item| after.is_none_or(|after| id(item).as_str() < after));
        let mut total = 0;
        let fits = items.iter().take(self.limit).take_while(|item| {
            total += size(item);
            total <= max_size
        });
        let count = fits.count().max(1);
        let is_last = items.len() <= count;
        items.truncate(count);
        Page { next: items.last().filter(|_| !is_last).map(id), items }
    }
}

/// Page of a list, newest first.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct List<T> {
    /// Items of the page.
    data: Vec<T>,
    /// Cursor of the next page; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    cursor: Option<String>,
}

impl<T> List<T> {
    /// Builds the response for a page of the list with this scope.
    pub fn of(scope: &str, page: Page<impl Into<T>>) -> Json<Self> {
        let cursor = page.next.map(|position| Cursor::new(scope, &position).into_string());
        Json(Self { data: page.items.into_iter().map(Into::into).collect(), cursor })
    }
}

/// Cursor of a list: a version, a digest over the position and the scope of the list, and the
/// position.
///
/// The digest detects mistakes and is not a secret. A forged cursor gives no access, because all
/// keys are built from the caller's own environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(String);

const VERSION: u8 = 1;
/// Maximum size of a position, which is a sort key or a part of one.
const MAX_POSITION_BYTES: usize = 512;
const DIGEST_BYTES: usize = 8;

impl Cursor {
    /// Creates the cursor of a position in the list with this scope: its path and filters.
    pub fn new(scope: &str, position: &str) -> Self {
        let mut bytes = vec![VERSION];
        bytes.extend(digest(scope, position));
        bytes.extend(position.as_bytes());
        Self(BASE64_URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Returns the encoded cursor.
    pub fn into_string(self) -> String {
        self.0
    }

    /// Returns the position, if the cursor was created for this scope.
    pub fn position(&self, scope: &str) -> Result<Position, Problem> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(&self.0).map_err(|_| Problem::invalid_cursor())?;
        let (expected, position) = match bytes.split_first() {
            Some((&VERSION, rest)) => rest.split_at_checked(DIGEST_BYTES).ok_or_else(Problem::invalid_cursor)?,
            _ => return Err(Problem::invalid_cursor()),
        };
        let position = std::str::from_utf8(position).map_err(|_| Problem::invalid_cursor())?;
        if position.is_empty() || position.len() > MAX_POSITION_BYTES || digest(scope, position) != expected {
            return Err(Problem::invalid_cursor());
        }
        Ok(position.to_owned())
    }
}

fn digest(scope: &str, position: &str) -> Vec<u8> {
    let whole = ring::digest::digest(&ring::digest::SHA256, format!("{scope}\n{position}").as_bytes());
    whole.as_ref().iter().take(DIGEST_BYTES).copied().collect()
}

impl FromJson for Cursor {
    fn from_json(value: &Value, location: &mut Location<'_>) -> Option<Self> {
        String::from_json(value, location).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn cursor_is_bound_to_path_and_filters() {
        let cursor = Cursor::new("/users?status=active", "6155ac246093840013297377");
        assert_eq!(cursor.position("/users?status=active").unwrap(), "6155ac246093840013297377");
        assert_eq!(cursor.position("/users"), Err(Problem::invalid_cursor()));
    }

    proptest! {
        #[test]
        fn parsing_a_cursor_never_panics(text in "\\PC*") {
            let _ = Cursor(text).position("/users");
        }

        #[test]
        fn cursor_contains_its_position(position in "[0-9a-f#]{1,60}") {
            prop_assert_eq!(Cursor::new("/users", &position).position("/users").unwrap(), position);
        }
    }
}
