//! `GET /users/{user}/credentials/{credentialId}`. AWS calls: one DynamoDB read of the user by id,
//! or two by name, and one read; for a limited token, one query of its installations and
//! one per megabyte of the catalogue, which a process keeps for ten seconds.

use axum::extract;
use tenon::{
    domain::{id::CredentialId, names::UserRef},
    http::{BackendOrUser, NoInput, Path, Problem, Revised},
    store::ReadOnly,
};

use super::{CredentialBody, Stores, revised};
use crate::api::users;

/// Returns a credential, without its data.
#[utoipa::path(get, path = "/users/{user}/credentials/{credentialId}", tag = "credentials",
    security(("apiKey" = ["manage"]), ("userToken" = [])),
    responses((status = 200, body = CredentialBody, headers(("ETag", description = "entity tag for If-Match")))))]
pub async fn get_credential(
    caller: BackendOrUser,
    extract::State(state): extract::State<Stores<ReadOnly>>,
    Path(user): Path<UserRef>,
    Path(id): Path<CredentialId>,
    _: NoInput,
) -> Result<Revised<CredentialBody>, Problem> {
    let owner = users::find(&state.users, caller.environment, caller.user.as_ref(), &user).await?;
    state.find(caller.environment, caller.user.as_ref(), owner.user_id, id).await.map(revised)
}
