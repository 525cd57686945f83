//! `GET /users/{user}`. AWS calls: one DynamoDB read by id, or two by name.

use axum::extract::State;
use tenon::{
    domain::names::UserRef,
    http::{BackendOrUser, NoInput, Path, Problem, Revised},
    store::{ReadOnly, users::Users},
};

use super::{UserBody, revised};

/// Returns a user.
#[utoipa::path(get, path = "/users/{user}", tag = "users", security(("apiKey" = ["manage"]), ("userToken" = [])),
    responses((status = 200, body = UserBody, headers(("ETag", description = "entity tag for If-Match")))))]
pub async fn get_user(
    caller: BackendOrUser,
    State(users): State<Users<ReadOnly>>,
    Path(user): Path<UserRef>,
    _: NoInput,
) -> Result<Revised<UserBody>, Problem> {
    let user = super::find(&users, caller.environment, caller.user.as_ref(), &user).await?;
    Ok(revised(user))
}
