//! `DELETE /users/{user}/credentials/{credentialId}`. AWS calls: one DynamoDB read of the user by
//! id, or two by name, one read and one transaction; all again after a conflict with a concurrent request;
//! and one query for a limited token.

use axum::extract;
use tenon::{
    domain::{event::EventType, id::CredentialId, names::UserRef, timestamp::Timestamp},
    http::{BackendOrUser, Conflicts, Json, NoInput, Path, Problem},
};

use super::ChangeState;
use crate::{
    api::{success::Success, users},
    changes::Changes,
};

/// Deletes a credential. Its data is erased immediately.
#[utoipa::path(delete, path = "/users/{user}/credentials/{credentialId}", tag = "credentials",
    security(("apiKey" = ["manage"]), ("userToken" = [])), responses((status = 200, body = Success),
        (status = 409, description = "the credential was modified by concurrent requests")))]
pub async fn delete_credential(
    caller: BackendOrUser,
    extract::State(ChangeState { state, outbox }): extract::State<ChangeState>,
    Path(user): Path<UserRef>,
    Path(id): Path<CredentialId>,
    _: NoInput,
) -> Result<Json<Success>, Problem> {
    state.check_deletable(caller.environment, caller.user.as_ref(), id).await?;
    let mut conflicts = Conflicts::new("credential");
    loop {
        let owner = users::find(&state.users, caller.environment, caller.user.as_ref(), &user).await?;
        let found = state.credentials.get(caller.environment, owner.user_id, id).await?;
        let credential = found.ok_or_else(|| Problem::not_found("credential"))?;
        let mut changes = Changes::new(caller.environment, caller.actor);
        changes.credential(EventType::CredentialDeleted, &credential.touched(Timestamp::now()).into());
        let events = changes.prepare(&outbox)?;
        if state.credentials.delete(caller.environment, &credential, events).await? {
            return Ok(Json(Success::new()));
        }
        conflicts.retry().await?;
    }
}
