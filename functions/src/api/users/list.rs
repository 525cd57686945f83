//! `GET /users`. AWS calls: four concurrent DynamoDB queries, more only if the filter excludes most
//! of the items read; two reads instead if a name is given.

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
        ReadOnly, Table,
        users::{SHARDS, UserQuery, Users},
    },
};
use utoipa::{IntoParams, ToSchema};

use super::UserBody;

/// Connects to the directory table.
pub async fn state(config: &SdkConfig) -> Result<Users<ReadOnly>, StartError> {
    Ok(Users(Table::directory(config, SHARDS).await?))
}

/// Query parameters of the list of users.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListUsers {
    /// Status of the users.
    status: Option<Status>,
    /// Email address of the user.
    email: Option<Email>,
    /// Username of the user.
    username: Option<Username>,
    /// Maximum number of users per page.
    #[param(value_type = Option<u8>, minimum = 1, maximum = 100)]
    limit: Limit,
    /// Cursor that the previous page returned.
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

/// Page of users, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct UserPage {
    /// Users of the page.
    data: Vec<UserBody>,
    /// Cursor of the next page; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
}

/// Lists the users of the environment, or returns the one with the given username or email address.
///
/// A user created moments ago may be missing from the list; it is found by name immediately.
#[utoipa::path(get, path = "/users", tag = "users", security(("apiKey" = ["manage"])), params(ListUsers), responses(
    (status = 200, body = UserPage),
    (status = 400, body = ProblemDocument, description = "the cursor does not belong to this list"),
    (status = 422, body = ProblemDocument),
))]
pub async fn list_users(
    caller: Backend,
    State(users): State<Users<ReadOnly>>,
    Valid(ListUsers { status, email, username, limit: Limit(limit), cursor }): Valid<ListUsers>,
) -> Result<Json<UserPage>, Problem> {
    let scope = format!("/users?status={}", status.map_or("", Status::as_str));
    let after = cursor.map(|cursor| cursor.position(&scope)).transpose()?;
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
        let data = found.into_iter().filter(|user| is(user)).map(UserBody::from).collect();
        return Ok(Json(UserPage { data, cursor: None }));
    }
    let page = users.list(caller.environment, UserQuery { status, after: after.as_deref(), limit }).await?;
    let cursor = page.next.map(|position| Cursor::new(&scope, &position).into_string());
    Ok(Json(UserPage { data: page.items.into_iter().map(UserBody::from).collect(), cursor }))
}
