//! `DELETE /users/{user}/credentials/{credentialId}`. AWS calls: one DynamoDB read of the user by
//! id, or two by name, and one
//! transaction.

use axum::extract;
use tenon::{
    domain::{id::CredentialId, names::UserRef},
    http::{BackendOrUser, Json, NoInput, Path, Problem},
};

use super::State;
use crate::api::success::Success;

/// Deletes a credential. Its data is erased immediately.
#[utoipa::path(delete, path = "/users/{user}/credentials/{credentialId}", tag = "credentials",
    security(("apiKey" = ["manage"]), ("userToken" = [])), responses((status = 200, body = Success)))]
pub async fn delete_credential(
    caller: BackendOrUser,
    extract::State(state): extract::State<State>,
    Path(user): Path<UserRef>,
    Path(id): Path<CredentialId>,
    _: NoInput,
) -> Result<Json<Success>, Problem> {
    let owner = state.owner(caller.environment, caller.user.as_ref(), &user).await?;
    state.check_visible(caller.environment, caller.user.as_ref(), id).await?;
    match state.credentials.delete(caller.environment, owner.user_id, id).await? {
        true => Ok(Json(Success::new())),
        false => Err(Problem::not_found("credential")),
    }
}
