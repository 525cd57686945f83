//! `DELETE /users/{user}/credentials/{credentialId}`. AWS calls: one DynamoDB read of the user by
//! id, or two by name, one read and one transaction; for a limited token also two concurrent
//! queries and one batch read per 100 workflows; all again after a conflict with a concurrent
//! request.

use axum::extract;
use tenon::{
    domain::{
        access::CallingUser,
        event::EventType,
        id::{CredentialId, EnvironmentId},
        names::UserRef,
        timestamp::Timestamp,
    },
    http::{BackendOrUser, Conflicts, Json, NoInput, OrNotFound, Path, Problem},
    start::FromAws,
    store::{ReadOnly, workflows::Workflows},
};

use super::ChangeState;
use crate::{
    api::{success::Success, users},
    changes::Changes,
};

/// State of the function.
#[derive(Clone, Debug, FromAws)]
pub struct State {
    change: ChangeState,
    workflows: Workflows<ReadOnly>,
}

impl State {
    /// Returns 404 to a limited token unless only installations within its limit use the
    /// credential: it must not delete what another integration may use.
    async fn check_deletable(
        &self,
        environment: EnvironmentId,
        caller: Option<&CallingUser>,
        id: CredentialId,
    ) -> Result<(), Problem> {
        let Some(CallingUser { user_id, allowed }) = caller.filter(|caller| !caller.allowed.is_all()) else {
            return Ok(());
        };
        let (installations, workflows) = tokio::try_join!(
            self.change.stores.installations.by_user(environment, *user_id),
            self.workflows.by_user_except(environment, *user_id, &[]),
        )?;
        match (installations.all(), workflows.all()) {
            (Some(installations), Some(workflows)) if allowed.may_delete(id, installations, workflows) => Ok(()),
            // What cannot be read may use it.
            _ => Err(Problem::not_found("credential")),
        }
    }
}

/// Deletes a credential. Its data is erased immediately.
#[utoipa::path(delete, path = "/users/{user}/credentials/{credentialId}", tag = "credentials",
    security(("apiKey" = ["manage"]), ("userToken" = [])), responses((status = 200, body = Success),
        (status = 409, description = "the credential was modified by concurrent requests")))]
pub async fn delete_credential(
    caller: BackendOrUser,
    extract::State(state): extract::State<State>,
    Path(user): Path<UserRef>,
    Path(id): Path<CredentialId>,
    _: NoInput,
) -> Result<Json<Success>, Problem> {
    let ChangeState { stores: super::Stores { users, credentials, .. }, outbox } = &state.change;
    let mut conflicts = Conflicts::new("credential");
    loop {
        let owner = users::find(users, caller.environment, caller.user.as_ref(), &user).await?;
        let credential = credentials.get(caller.environment, owner.user_id, id).await?.or_not_found("credential")?;
        // After the credential is read: a later reference to it is a conflict.
        state.check_deletable(caller.environment, caller.user.as_ref(), id).await?;
        let mut changes = Changes::new(caller.environment, caller.actor);
        changes.credential(EventType::CredentialDeleted, &credential.touched(Timestamp::now()));
        let events = changes.prepare(outbox)?;
        if credentials.delete(caller.environment, &credential, events).await? {
            return Ok(Json(Success::new()));
        }
        conflicts.retry().await?;
    }
}
