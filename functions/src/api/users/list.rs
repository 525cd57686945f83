//! `GET /users`. AWS calls: four concurrent DynamoDB queries, more only if the filter excludes most
//! of the items read; two reads instead if a name is given.

use axum::extract;
use tenon::{
    domain::{
        names::{Email, UserRef, Username},
        user::{User, UserStatus},
    },
    http::{Backend, Input, Json, List, ListScope, PageParams, Problem, Valid},
    start::FromAws,
    store::{
        Page, ReadOnly,
        users::{SHARDS, Users},
    },
};
use utoipa::IntoParams;

use super::UserBody;

/// Query parameters of the list of users.
#[derive(Debug, Input, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListUsers {
    /// Status of the users.
    status: Option<UserStatus>,
    /// Email address of the user.
    email: Option<Email>,
    /// Username of the user.
    username: Option<Username>,
}

/// State of the function.
#[derive(Clone, Debug, FromAws)]
#[aws(connections = SHARDS)]
pub struct State {
    users: Users<ReadOnly>,
}

/// Lists the users of the environment, or returns the one with the given username or email address.
///
/// A user created moments ago may be missing from the list; it is found by name immediately.
#[utoipa::path(get, path = "/users", tag = "users", security(("apiKey" = ["manage"])), params(ListUsers, PageParams),
    responses((status = 200, body = List<UserBody>)))]
pub async fn list_users(
    caller: Backend,
    extract::State(State { users }): extract::State<State>,
    scope: ListScope,
    Valid((ListUsers { status, email, username }, page)): Valid<(ListUsers, PageParams)>,
) -> Result<Json<List<UserBody>>, Problem> {
    let name = username.as_ref().map(Username::canonical).or_else(|| email.as_ref().map(Email::canonical));
    if let Some(name) = name {
        let found = users.find(caller.environment, &UserRef::Name(name)).await?;
        // Usernames and email addresses share one namespace, so the user found may have the name as
        // its other one.
        let is = |user: &User| {
            status.is_none_or(|status| user.status == status)
                && email
                    .as_ref()
                    .is_none_or(|email| user.email.as_ref().is_some_and(|own| own.canonical() == email.canonical()))
                && username.as_ref().is_none_or(|username| user.username.canonical() == username.canonical())
        };
        let items = found.into_iter().filter(is).collect();
        return Ok(List::of(&scope, Page { items, next: None }));
    }
    let request = page.request(&scope);
    Ok(List::of(&scope, users.list(caller.environment, status, request).await?))
}
