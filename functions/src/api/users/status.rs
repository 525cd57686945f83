//! `POST /users/{user}/disable` and `…/enable`. AWS calls: one DynamoDB write; one read before it
//! if the user is given by name.

use axum::extract::State;
use tenon::{
    domain::{names::UserRef, user::Status},
    http::{Backend, Json, NoInput, Path, Problem, RouteKey},
    store::users::Users,
};

use super::UserBody;

/// Disables a user.
///
/// Its data is kept, its tokens become invalid within a minute, it receives no new ones, and its
/// workflows read as inactive. Errors are still recorded.
#[utoipa::path(post, path = "/users/{user}/disable", tag = "users", security(("apiKey" = ["manage"])),
    operation_id = "disable_user", responses((status = 200, body = UserBody)))]
pub async fn set_status(
    caller: Backend,
    State(users): State<Users>,
    Path(user): Path<UserRef>,
    RouteKey(route): RouteKey,
    _: NoInput,
) -> Result<Json<UserBody>, Problem> {
    let status = if route == "POST /users/{user}/enable" { Status::Active } else { Status::Disabled };
    let not_found = || Problem::not_found("user");
    let id = users.resolve(caller.environment, &user).await?.ok_or_else(not_found)?;
    let user = users.set_status(caller.environment, id, status).await?.ok_or_else(not_found)?;
    Ok(Json(user.into()))
}

/// Enables a user. Tokens issued before it was disabled stay invalid.
#[utoipa::path(post, path = "/users/{user}/enable", tag = "users", security(("apiKey" = ["manage"])),
    responses((status = 200, body = UserBody)))]
#[expect(dead_code, reason = "documents the second route of the handler")]
fn enable_user() {}
