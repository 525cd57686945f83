//! `GET /users/{user}/credentials` and `GET /credentials/users/{user}`. AWS calls: one DynamoDB
//! read of the user by id, or two by name, and one query.

use axum::extract;
use serde::Serialize;
use tenon::{
    domain::names::UserRef,
    http::{BackendOrUser, Cursor, Invalid, InvalidCursor, Json, NotFound, PageParams, Path, Problem, Valid},
    store::ReadOnly,
};
use utoipa::ToSchema;

use super::{CredentialBody, State};

/// Page of credentials, newest first, without their data.
#[derive(Debug, Serialize, ToSchema)]
pub struct CredentialPage {
    /// Credentials of the page.
    data: Vec<CredentialBody>,
    /// Cursor of the next page; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
}

/// Lists the credentials of a user, newest first, without their data.
#[utoipa::path(get, path = "/users/{user}/credentials", tag = "credentials",
    security(("apiKey" = ["manage"]), ("userToken" = [])), params(("user" = UserRef, Path), PageParams), responses(
    (status = 200, body = CredentialPage),
    InvalidCursor, NotFound, Invalid,
))]
pub async fn list_credentials(
    caller: BackendOrUser,
    extract::State(state): extract::State<State<ReadOnly>>,
    Path(user): Path<UserRef>,
    Valid(page): Valid<PageParams>,
) -> Result<Json<CredentialPage>, Problem> {
    let owner = state.owner(caller.environment, &user, |owner| caller.can_access(owner)).await?;
    let scope = format!("/users/{}/credentials", owner.user_id);
    let after = page.after(&scope)?;
    let page = state.credentials.page(caller.environment, owner.user_id, (after.as_deref(), page.limit())).await?;
    let cursor = page.next.map(|position| Cursor::new(&scope, &position).into_string());
    Ok(Json(CredentialPage { data: page.items.into_iter().map(CredentialBody::from).collect(), cursor }))
}

/// Lists the credentials of a user, like `GET /users/{user}/credentials`.
#[utoipa::path(get, path = "/credentials/users/{user}", tag = "credentials",
    security(("apiKey" = ["manage"]), ("userToken" = [])), params(("user" = UserRef, Path), PageParams), responses(
    (status = 200, body = CredentialPage),
    NotFound, Invalid,
))]
#[expect(dead_code, reason = "documents the second route of the handler")]
fn list_credentials_of_user() {}
