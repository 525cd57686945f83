//! `POST /users/{user}/credentials/{credentialId}/status`. AWS calls: one DynamoDB read of the user
//! by id, or two by name, one read and one transaction; all again after a conflict with a
//! concurrent request.

use axum::extract;
use tenon::{
    domain::{
        credential::CredentialStatus, event::EventType, id::CredentialId, names::UserRef, text::Text,
        timestamp::Timestamp,
    },
    http::{Conflicts, EngineOrBackend, IfMatch, Input, OrNotFound, Path, Problem, Revised, Valid},
};
use utoipa::ToSchema;

use super::{ChangeState, CredentialBody, revised};
use crate::{api::users, changes::Changes};

/// Status of a credential.
#[derive(Debug, Input, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetCredentialStatus {
    /// New status.
    status: CredentialStatus,
    /// Reason why the credential is invalid; ignored with `valid`, which clears it.
    reason: Option<Text<512>>,
}

/// Marks a credential as invalid, so that its user connects again, or as valid.
#[utoipa::path(post, path = "/users/{user}/credentials/{credentialId}/status", tag = "credentials",
    operation_id = "set_credential_status", security(("apiKey" = ["engine"]), ("apiKey" = ["manage"])), params(IfMatch),
    request_body = SetCredentialStatus,
    responses((status = 200, body = CredentialBody, headers(("ETag", description = "entity tag for If-Match"))),
        (status = 409, description = "the credential was modified by concurrent requests")))]
pub async fn set_status(
    caller: EngineOrBackend,
    extract::State(ChangeState { stores, outbox }): extract::State<ChangeState>,
    Path(user): Path<UserRef>,
    Path(id): Path<CredentialId>,
    if_match: IfMatch,
    Valid(SetCredentialStatus { status, reason }): Valid<SetCredentialStatus>,
) -> Result<Revised<CredentialBody>, Problem> {
    let (reason, event_type) = match status {
        CredentialStatus::Valid => (None, EventType::CredentialValid),
        CredentialStatus::Invalid => (reason, EventType::CredentialInvalid),
    };
    let mut conflicts = Conflicts::new("credential");
    loop {
        let owner = users::find(&stores.users, caller.environment, None, &user).await?;
        let credential =
            stores.credentials.get(caller.environment, owner.user_id, id).await?.or_not_found("credential")?;
        if_match.check_revision(credential.data_revision)?;
        if (credential.status, &credential.status_reason) == (status, &reason) {
            return Ok(revised(credential));
        }
        let after = credential.with_status(status, reason.clone(), Timestamp::now());
        let mut changes = Changes::new(caller.environment, caller.actor);
        changes.credential(event_type, &after);
        let events = changes.prepare(&outbox)?;
        if stores.credentials.set_status(caller.environment, &credential, &after, events).await? {
            return Ok(revised(after));
        }
        conflicts.retry().await?;
    }
}
