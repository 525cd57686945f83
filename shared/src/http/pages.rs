//! Pagination of lists: page limits and cursors.

use axum::extract::FromRequestParts;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use http::request::Parts;
use lambda_http::RequestExt;
use serde::Serialize;
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use super::{Identity, Input, Json, Problem, request::route_with_parameters};
use crate::store::{Page, PageRequest, Position};

/// Query parameters of every list.
#[derive(Clone, Debug, Input, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageParams {
    /// Maximum number of items per page.
    #[input(max = 100, min = 1, default = 50)]
    #[param(value_type = Option<u8>, minimum = 1, maximum = 100, default = 50)]
    pub limit: usize,
    // Read by `ListScope`.
    /// Cursor that the previous page returned.
    #[param(min_length = 12, pattern = "^[A-Za-z0-9_-]+$")]
    pub cursor: Option<String>,
}

impl PageParams {
    /// Returns the page of the list that the request asks for.
    pub fn request<'a>(&self, scope: &'a ListScope) -> PageRequest<'a> {
        PageRequest::new(scope.after(), self.limit)
    }

    /// Returns the page of a list that was read as a whole, newest first. `id` is the position of
    /// an item.
    pub fn select<T>(&self, mut items: Vec<T>, scope: &ListScope, id: impl Fn(&T) -> String) -> Page<T> {
        items.retain(|item| scope.after().is_none_or(|after| id(item).as_str() < after));
        let is_last = items.len() <= self.limit;
        items.truncate(self.limit);
        Page { next: items.last().filter(|_| !is_last).map(id), items }
    }
}

/// List to which cursors belong: that of the same environment, user, path and filters; and the
/// position of the request in it. Rejects a cursor of another list with 400.
#[derive(Clone, Debug)]
pub struct ListScope {
    scope: String,
    after: Option<Position>,
}

impl<S: Sync> FromRequestParts<S> for ListScope {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let (environment, user) = match Identity::of(&parts.extensions)? {
            Identity::Key { environment, .. } => (environment, None),
            Identity::User { environment, user_id, .. } => (environment, Some(user_id)),
        };
        let (route, path) = route_with_parameters(&parts.extensions);
        let query = parts.extensions.query_string_parameters();
        let mut filters: Vec<_> = query.iter().filter(|(name, _)| !PAGING.contains(name)).collect();
        filters.sort_unstable();
        let scope = json!([environment, user, route, path, filters]).to_string();
        // A cursor of another list is refused before a resource that does not exist.
        let after = query.first("cursor").map(|cursor| position(cursor, &scope)).transpose()?;
        Ok(Self { scope, after })
    }
}

impl ListScope {
    /// Returns the position after which the page of the request starts.
    pub fn after(&self) -> Option<&str> {
        self.after.as_deref()
    }

    /// Returns the cursor of a position in the list: a version, a digest over the position and the
    /// scope of the list, and the position.
    ///
    /// The digest detects mistakes and is not a secret. A forged cursor gives no access, because
    /// all keys are built from the caller's own environment.
    pub fn cursor(&self, position: &str) -> String {
        let mut bytes = vec![VERSION];
        bytes.extend(digest(&self.scope, position));
        bytes.extend(position.as_bytes());
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }
}

/// Query parameters that may change from page to page.
const PAGING: [&str; 3] = ["limit", "cursor", "skip"];

/// Page of a list.
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
    /// Builds the response for a page of a list.
    pub fn of(scope: &ListScope, page: Page<impl Into<T>>) -> Json<Self> {
        let cursor = page.next.map(|position| scope.cursor(&position));
        Json(Self { data: page.items.into_iter().map(Into::into).collect(), cursor })
    }
}

const VERSION: u8 = 1;
/// Maximum size of a position, which is a sort key or a part of one.
const MAX_POSITION_BYTES: usize = 512;
const DIGEST_BYTES: usize = 8;

/// Returns the position of a cursor.
fn position(cursor: &str, scope: &str) -> Result<Position, Problem> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).map_err(|_| Problem::invalid_cursor())?;
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

fn digest(scope: &str, position: &str) -> Vec<u8> {
    let whole = ring::digest::digest(&ring::digest::SHA256, format!("{scope}\n{position}").as_bytes());
    whole.as_ref().iter().take(DIGEST_BYTES).copied().collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use lambda_http::{Request, aws_lambda_events::apigw::ApiGatewayV2httpRequestContext, request::RequestContext};
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{
        access::{Allowed, TokenMode},
        id::{EnvironmentId, KeyId, UserId},
        timestamp::Timestamp,
    };

    /// Returns the list of a request.
    async fn scope(
        caller: &Identity,
        route: &str,
        path: &[(&str, &str)],
        query: &[(&str, &str)],
    ) -> Result<ListScope, Problem> {
        let parameters = |pairs: &[(&str, &str)]| -> HashMap<String, String> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let caller = serde_json::to_value(caller).unwrap();
        let method = json!({ "method": "GET" });
        let context = json!({ "routeKey": route, "authorizer": { "lambda": caller }, "http": method });
        let context: ApiGatewayV2httpRequestContext = serde_json::from_value(context).unwrap();
        let request = Request::default()
            .with_request_context(RequestContext::ApiGatewayV2(context))
            .with_path_parameters(parameters(path))
            .with_query_string_parameters(parameters(query));
        ListScope::from_request_parts(&mut request.into_parts().0, &()).await
    }

    #[tokio::test]
    async fn cursor_is_bound_to_environment_user_path_and_filters_but_not_to_the_place_in_the_list() {
        let (environment, other, user) = (EnvironmentId::new(), EnvironmentId::new(), UserId::new());
        let key = |environment| Identity::Key { environment, key_id: KeyId::new(), scopes: "manage".into() };
        let token = |user_id| {
            let (exp, mode) = (Timestamp::now().seconds() + 60, TokenMode::default());
            Identity::User { environment, user_id, exp, mode, allowed: Allowed::default() }
        };
        let list = "GET /users/{user}/credentials";
        let joe = [("user", "joe")];
        let of = async |caller, route, path: &[_], query: &[_]| scope(&caller, route, path, query).await.unwrap();
        let first = of(key(environment), list, &joe, &[("a", "1"), ("b", "2")]).await;
        assert_eq!(first.after(), None);
        let cursor = first.cursor("6155ac246093840013297377");
        let next = ("cursor", cursor.as_str());
        let page = [("b", "2"), next, ("a", "1"), ("limit", "9"), ("skip", "1")];
        assert_eq!(of(key(environment), list, &joe, &page).await.after(), Some("6155ac246093840013297377"));
        let filters = [("a", "1"), ("b", "2"), next];
        for (caller, route, user, query) in [
            (key(other), list, "joe", filters.as_slice()),
            (token(user), list, "joe", &filters),
            (key(environment), "GET /users/{user}/installations", "joe", &filters),
            (key(environment), list, "jo", &filters),
            (key(environment), list, "joe", &[("a", "1"), next]),
            (key(environment), list, "joe", &[("a", "2"), ("b", "2"), next]),
            (key(environment), list, "joe", &[("a", "1"), ("c", "2"), next]),
            (key(environment), list, "joe", &[("a", "1"), ("b", "2"), ("c", ""), next]),
        ] {
            let refused = scope(&caller, route, &[("user", user)], query).await;
            assert_eq!(refused.err(), Some(Problem::invalid_cursor()), "{route} {user} {query:?}");
        }
        let own = of(token(user), list, &joe, &[]).await.cursor("1");
        let own = [("cursor", own.as_str())];
        assert!(scope(&token(user), list, &joe, &own).await.is_ok());
        assert!(scope(&token(UserId::new()), list, &joe, &own).await.is_err());
    }

    proptest! {
        #[test]
        fn parsing_a_cursor_never_panics(cursor in "\\PC*") {
            let _ = position(&cursor, "/users");
        }

        #[test]
        fn cursor_contains_its_position(at in "[0-9a-f#]{1,60}", scope in "\\PC*") {
            let list = ListScope { scope: scope.clone(), after: None };
            prop_assert_eq!(position(&list.cursor(&at), &scope).unwrap(), at);
        }
    }
}
