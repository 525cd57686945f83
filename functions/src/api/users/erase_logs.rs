//! `DELETE /users/{user}/logs`. AWS calls: one DynamoDB write by id, a read before it by name.

use axum::extract::State;
use tenon::{
    domain::{names::UserRef, timestamp::Timestamp},
    http::{Accepted, Backend, Path, Problem},
    store::{
        erasures::{Erasure, start_erasure},
        users::Users,
    },
};

pub use super::create::state;
use crate::api::success::Success;

/// Erases the errors of a user that are recorded by now, with their deliveries, those that wait included. It goes on by
/// itself, whatever crashes. Where the id is given, the user need not be there any more.
#[utoipa::path(delete, path = "/users/{user}/logs", tag = "errors", security(("apiKey" = ["manage"])),
    params(("user" = UserRef, Path)), responses((status = 202, body = Success)))]
pub async fn erase_logs(
    caller: Backend,
    State(users): State<Users>,
    Path(user): Path<UserRef>,
) -> Result<Accepted<Success>, Problem> {
    let environment_id = caller.environment;
    // A name that leads to nobody has no errors.
    if let Some(user_id) = users.resolve(environment_id, &user).await? {
        start_erasure(&users.0, &Erasure { environment_id, user_id, started_at: Timestamp::now() }).await?;
    }
    Ok(Accepted(Success::new()))
}
