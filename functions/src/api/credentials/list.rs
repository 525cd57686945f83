//! `GET /users/{user}/credentials` and `GET /credentials/users/{user}`. AWS calls: one DynamoDB
//! read of the user by id, or two by name, and one query; for a limited token, one query per
//! megabyte of its credentials instead, one of its installations, and one per megabyte of the
//! catalogue, which a process keeps for ten seconds.

use axum::extract;
use tenon::{
    domain::names::UserRef,
    http::{BackendOrUser, Json, List, ListScope, PageParams, Path, Problem, Valid},
    store::{ReadOnly, credentials::position},
};

use super::{CredentialBody, Stores};
use crate::api::users;

/// Lists the credentials of a user, newest first, without their data.
#[utoipa::path(get, path = "/users/{user}/credentials", tag = "credentials",
    security(("apiKey" = ["manage"]), ("userToken" = [])), params(PageParams),
    responses((status = 200, body = List<CredentialBody>)))]
pub async fn list_credentials(
    caller: BackendOrUser,
    extract::State(state): extract::State<Stores<ReadOnly>>,
    scope: ListScope,
    Path(user): Path<UserRef>,
    Valid(page): Valid<PageParams>,
) -> Result<Json<List<CredentialBody>>, Problem> {
    let owner = users::find(&state.users, caller.environment, caller.user.as_ref(), &user).await?;
    let found = match state.visible(caller.environment, caller.user.as_ref()).await? {
        Some(visible) => {
            let mut credentials = state.credentials.all_by_user(caller.environment, owner.user_id).await?;
            credentials.retain(|credential| visible.contains(credential));
            page.select(credentials, &scope, position)
        }
        None => state.credentials.page(caller.environment, owner.user_id, page.request(&scope)).await?,
    };
    Ok(List::of(&scope, found))
}

/// Lists the credentials of a user, like `GET /users/{user}/credentials`.
#[utoipa::path(get, path = "/credentials/users/{user}", tag = "credentials",
    security(("apiKey" = ["manage"]), ("userToken" = [])), params(PageParams),
    responses((status = 200, body = List<CredentialBody>)))]
#[expect(dead_code, reason = "documents the second route of the handler")]
fn list_credentials_of_user() {}
