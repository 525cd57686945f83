//! `DELETE /users/{user}/logs`. AWS calls: one DynamoDB write; one read before it if the user is
//! given by name.

use axum::extract::State;
use tenon::{
    domain::{names::UserRef, timestamp::Timestamp},
    http::{Accepted, Backend, NoInput, Path, Problem},
    store::{erasures::Erasure, users::Users},
};

use crate::api::success::Success;

/// Starts a background job that erases the user's errors and events stored so far, with all their
/// deliveries, including pending ones.
///
/// Works for a deleted user if `user` is its id. The job resumes after failures until it is
/// complete.
#[utoipa::path(delete, path = "/users/{user}/logs", tag = "errors", security(("apiKey" = ["manage"])),
    responses((status = 202, body = Success)))]
pub async fn erase_logs(
    caller: Backend,
    State(users): State<Users>,
    user: Result<Path<UserRef>, Problem>,
    _: NoInput,
) -> Result<Accepted<Success>, Problem> {
    let environment_id = caller.environment;
    // A text that cannot be a name is accepted like a name that no user has: neither has records.
    if let Ok(Path(user)) = user
        && let Some(user_id) = users.resolve(environment_id, &user).await?
    {
        users.start_erasure(&Erasure { environment_id, user_id, started_at: Timestamp::now() }).await?;
    }
    Ok(Accepted(Success::new()))
}
