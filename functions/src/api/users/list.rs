//! `GET /users`. AWS calls: four DynamoDB queries at once, more only where a filter leaves out most of what is read; by a name two
//! reads instead.

use aws_config::SdkConfig;
use axum::extract::State;
use serde::Serialize;
use tenon::{
    domain::{
        names::{Email, UserRef, Username},
        user::{Status, User},
    },
    http::{Backend, Cursor, Fields, Input, Json, Limit, Problem, ProblemDocument, StartError, Valid},
    store::{
        Table,
        users::{SHARDS, UserQuery, Users},
    },
};
use utoipa::{IntoParams, ToSchema};

use super::UserBody;

/// The store that the function is given.
pub async fn state(config: &SdkConfig) -> Result<Users, StartError> {
    Ok(Users(Table::directory(config, SHARDS).await?))
}

/// Which users are asked for.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListUsers {
    /// Of this status.
    status: Option<Status>,
    /// With this e-mail address.
    email: Option<Email>,
    /// With this name.
    username: Option<Username>,
    /// How many users a page has at most.
    #[param(value_type = Option<u8>, minimum = 1, maximum = 100)]
    limit: Limit,
    /// Where the page before ended.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
}

impl Input for ListUsers {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let status = fields.optional("status");
        let email = fields.optional("email");
        let username = fields.optional("username");
        let limit = fields.optional("limit");
        let cursor = fields.optional("cursor");
        Some(Self {
            status: status?,
            email: email?,
            username: username?,
            limit: limit?.unwrap_or_default(),
            cursor: cursor?,
        })
    }
}

/// A page of users, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct UserPage {
    /// The users.
    data: Vec<UserBody>,
    /// Where the next page starts; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
}

/// Lists the environment's users, or finds the one with a name. A user that was just created may be missing for a moment in
/// the list, and is found by its names at once.
#[utoipa::path(get, path = "/users", tag = "users", security(("apiKey" = ["manage"])), params(ListUsers), responses(
    (status = 200, body = UserPage),
    (status = 400, body = ProblemDocument, description = "the cursor is not one of this list"),
    (status = 422, body = ProblemDocument),
))]
pub async fn list_users(
    caller: Backend,
    State(users): State<Users>,
    Valid(ListUsers { status, email, username, limit: Limit(limit), cursor }): Valid<ListUsers>,
) -> Result<Json<UserPage>, Problem> {
    let scope = format!("/users?status={}", status.map_or("", Status::as_str));
    let after = cursor.map(|cursor| cursor.position(&scope)).transpose()?;
    let name = username.as_ref().map(Username::canonical).or_else(|| email.as_ref().map(Email::canonical));
    if let Some(name) = name {
        let found = users.find(caller.environment, &UserRef::Name(name)).await?;
        // The two share one namespace: a name may be the other one of the user's.
        let is = |user: &User| {
            status.is_none_or(|status| user.status == status)
                && email
                    .as_ref()
                    .is_none_or(|email| user.email.as_ref().is_some_and(|own| own.canonical() == email.canonical()))
                && username.as_ref().is_none_or(|username| user.username.canonical() == username.canonical())
        };
        let data = found.into_iter().filter(|user| is(user)).map(UserBody::from).collect();
        return Ok(Json(UserPage { data, cursor: None }));
    }
    let page = users.list(caller.environment, UserQuery { status, after: after.as_deref(), limit }).await?;
    let cursor = page.next.map(|position| Cursor::new(&scope, &position).into_string());
    Ok(Json(UserPage { data: page.items.into_iter().map(UserBody::from).collect(), cursor }))
}
