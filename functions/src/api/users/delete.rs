//! `DELETE /users/{user}`. AWS calls: one DynamoDB read of the user by id, or two by name, and one
//! transaction; both again after a conflict with a concurrent request.

use axum::extract;
use serde::Serialize;
use tenon::{
    domain::{event::EventType, names::UserRef, request_seed::RequestSeed, timestamp::Timestamp, user::UserStatus},
    http::{Backend, Conflicts, Json, NoInput, Path, Problem},
    store::user_jobs::Deletion,
};
use utoipa::ToSchema;

use super::ChangeState;
use crate::changes::Changes;

/// Confirmation of the deletion of a user.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeletedUser {
    /// Always `true`.
    success: bool,
    /// Background job that removes the data of the user.
    deletion: DeletionBody,
}

/// Background job that removes the data of a deleted user.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Deletion)]
pub struct DeletionBody {
    /// Always `running`; the job resumes after failures until it is complete.
    status: &'static str,
    /// Time of the deletion.
    started_at: Timestamp,
}

/// Deletes a user.
///
/// The user, its credentials and its workflows immediately return 404, and its names are free.
/// Their data is removed in the background. Its errors are kept until they expire.
#[utoipa::path(delete, path = "/users/{user}", tag = "users", security(("apiKey" = ["manage"])),
    responses((status = 200, body = DeletedUser),
        (status = 409, description = "concurrent requests changed the user")))]
pub async fn delete_user(
    caller: Backend,
    extract::State(ChangeState { users, outbox }): extract::State<ChangeState>,
    Path(user): Path<UserRef>,
    _: NoInput,
) -> Result<Json<DeletedUser>, Problem> {
    let mut conflicts = Conflicts::new("user");
    loop {
        let found = super::find(&users, caller.environment, None, &user).await?;
        let seed = RequestSeed::new();
        let disabled = found.with_status(UserStatus::Disabled, seed.at);
        let mut changes = Changes::new(caller.environment, caller.actor);
        changes.user(EventType::UserDisabled, &disabled, true);
        let deletion = Deletion {
            environment_id: caller.environment,
            user_id: found.user_id,
            started_at: seed.at,
            actor: Some(caller.actor),
            owner: disabled.owner_status(),
            version: disabled.version,
            seed,
            counts: None,
        };
        if users.delete(&found, &deletion, changes.prepare(&outbox)?).await? {
            let deletion = DeletionBody { status: "running", started_at: deletion.started_at };
            return Ok(Json(DeletedUser { success: true, deletion }));
        }
        conflicts.retry().await?;
    }
}
