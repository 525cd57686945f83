//! `GET /users/{user}`. AWS calls: one DynamoDB read by id, or two by name.

use aws_config::SdkConfig;
use axum::extract::State;
use tenon::{
    domain::names::UserRef,
    http::{BackendOrUser, Invalid, NoInput, NotFound, Path, Problem, StartError, WithEtag},
    store::{ReadOnly, Table, users::Users},
};

use super::UserBody;

/// Connects to the directory table.
pub async fn state(config: &SdkConfig) -> Result<Users<ReadOnly>, StartError> {
    Ok(Users(Table::directory(config, 1).await?))
}

/// Returns a user.
#[utoipa::path(get, path = "/users/{user}", tag = "users", security(("apiKey" = ["manage"]), ("userToken" = [])),
    params(("user" = UserRef, Path)), responses(
    (status = 200, body = UserBody, headers(("ETag", description = "entity tag for If-Match"))),
    NotFound, Invalid,
))]
pub async fn get_user(
    caller: BackendOrUser,
    State(users): State<Users<ReadOnly>>,
    Path(user): Path<UserRef>,
    _: NoInput,
) -> Result<WithEtag<UserBody>, Problem> {
    match users.find(caller.environment, &user).await? {
        Some(user) if caller.can_access(user.user_id) => Ok(WithEtag(user.into())),
        _ => Err(Problem::not_found("user")),
    }
}
