//! `POST /users/{user}/disable` and `…/enable`. AWS calls: one DynamoDB read of the user by id, or
//! two by name, and one transaction; both again after a conflict with a concurrent request.

use axum::extract;
use tenon::{
    domain::{event::EventType, names::UserRef, request_seed::RequestSeed, user::UserStatus},
    http::{Backend, Conflicts, FromRoute, NoInput, Path, Problem, Revised, Routed},
    store::user_jobs::StatusChange,
};

use super::{ChangeState, UserBody};
use crate::changes::Changes;

/// Change of the status of a user.
#[derive(Clone, Copy, Debug)]
pub enum Action {
    /// The user becomes active.
    Enable,
    /// The user becomes disabled.
    Disable,
}

impl FromRoute for Action {
    const ROUTES: &'static [(&'static str, Self)] =
        &[("POST /users/{user}/enable", Self::Enable), ("POST /users/{user}/disable", Self::Disable)];
}

/// Disables a user.
///
/// Its data is kept, its tokens become invalid within a minute, it receives no new ones, and its
/// workflows read as inactive. Errors are still recorded.
#[utoipa::path(post, path = "/users/{user}/disable", tag = "users", security(("apiKey" = ["manage"])),
    operation_id = "disable_user", responses((status = 200, body = UserBody, headers(("ETag", description = "entity tag for If-Match"))),
        (status = 409, description = "the user was modified by concurrent requests")))]
pub async fn set_status(
    caller: Backend,
    extract::State(ChangeState { users, outbox }): extract::State<ChangeState>,
    Path(user): Path<UserRef>,
    Routed(action): Routed<Action>,
    _: NoInput,
) -> Result<Revised<UserBody>, Problem> {
    let (status, event_type) = match action {
        Action::Enable => (UserStatus::Active, EventType::UserEnabled),
        Action::Disable => (UserStatus::Disabled, EventType::UserDisabled),
    };
    let mut conflicts = Conflicts::new("user");
    loop {
        let before = super::find(&users, caller.environment, None, &user).await?;
        if before.status == status {
            return Ok(super::revised(before));
        }
        let seed = RequestSeed::new();
        let after = before.with_status(status, seed.at);
        let mut changes = Changes::new(caller.environment, caller.actor);
        changes.user(event_type, &after, false);
        let change = StatusChange {
            environment_id: caller.environment,
            user_id: after.user_id,
            started_at: seed.at,
            owner: after.owner_status(),
            actor: Some(caller.actor),
            seed,
        };
        if users.change_status(&before, &after, &change, changes.prepare(&outbox)?).await? {
            return Ok(super::revised(after));
        }
        conflicts.retry().await?;
    }
}

/// Enables a user. Tokens issued before it was disabled stay invalid.
#[utoipa::path(post, path = "/users/{user}/enable", tag = "users", security(("apiKey" = ["manage"])),
    responses((status = 200, body = UserBody, headers(("ETag", description = "entity tag for If-Match"))),
        (status = 409, description = "the user was modified by concurrent requests")))]
#[expect(dead_code, reason = "documents the second route of the handler")]
fn enable_user() {}
