//! `DELETE /users/{user}`. AWS calls: one DynamoDB read of the user by id, two by name, and one transaction; both again where
//! another request came between them.

use axum::extract::State;
use serde::Serialize;
use tenon::{
    domain::{names::UserRef, timestamp::Timestamp},
    http::{Backend, Json, Path, Problem, ProblemDocument},
    store::users::{ChangeUserError, Users},
};
use utoipa::ToSchema;

pub use super::create::state;

/// That a user was deleted, and what is removed behind it.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeletedUser {
    /// Always true.
    success: bool,
    /// The removal of what the user owned.
    deletion: DeletionBody,
}

/// The removal of what a user owned.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Deletion)]
pub struct DeletionBody {
    /// Always `running`: it goes on by itself, whatever crashes.
    status: &'static str,
    /// When the user was deleted.
    started_at: Timestamp,
}

/// How often a deletion is tried that others came between.
const MAX_ATTEMPTS: usize = 5;

/// Deletes a user: it, its credentials and workflows are not found from now on, and its names are free. What it owned is
/// removed behind it. Error logs stay until their time is over.
#[utoipa::path(delete, path = "/users/{user}", tag = "users", security(("apiKey" = ["manage"])),
    params(("user" = UserRef, Path)), responses(
    (status = 200, body = DeletedUser),
    (status = 404, body = ProblemDocument),
))]
pub async fn delete_user(
    caller: Backend,
    State(users): State<Users>,
    Path(user): Path<UserRef>,
) -> Result<Json<DeletedUser>, Problem> {
    let id = users.resolve(caller.environment, &user).await?.ok_or_else(|| Problem::not_found("user"))?;
    let mut attempts = 0;
    loop {
        let found = users.get(caller.environment, id).await?.filter(|found| found.matches(&user));
        let found = found.ok_or_else(|| Problem::not_found("user"))?;
        attempts += 1;
        match users.delete(caller.environment, &found).await {
            Ok(deletion) => {
                let deletion = DeletionBody { status: "running", started_at: deletion.started_at };
                return Ok(Json(DeletedUser { success: true, deletion }));
            }
            Err(ChangeUserError::Conflict) if attempts < MAX_ATTEMPTS => {}
            Err(error) => return Err(error.into()),
        }
    }
}
