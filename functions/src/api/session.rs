//! `GET /session`. AWS calls: one DynamoDB read of the environment and one of the user; one query
//! of its workflows, one of its credentials and one of its installations; one batch read for each
//! 100 workflows; if the user has more workflows or credentials than these queries read, one batch
//! read for each 100 workflows and one for each 100 credentials of its installations; and one query
//! per megabyte of the catalogue, which a process keeps for ten seconds.

use axum::extract;
use serde::Serialize;
use tenon::{
    domain::{
        environment::Environment,
        modal::Modal,
        text::{Text, response_bytes},
    },
    http::{Json, NoInput, NoStore, OrNotFound, Problem, TokenUser},
    start::FromAws,
    store::{
        PageRequest, ReadOnly, credentials::Credentials, environments::Environments, installations::Installations,
        integrations::Catalogue, users::Users, workflows::Workflows,
    },
};
use utoipa::ToSchema;

use crate::api::{
    credentials::CredentialBody,
    installations::{InstallationBody, Parts, ReadParts},
    users::{self, UserBody},
    workflows::WorkflowBody,
};

/// Data that a modal needs: the user with its installations, workflows and credentials, and the
/// defaults of the modal.
#[derive(Debug, Serialize, ToSchema)]
pub struct Session {
    /// Environment of the user.
    environment: SessionEnvironment,
    /// User of the token.
    user: UserBody,
    /// Installations of the user, newest first, at most 200.
    installations: Vec<InstallationBody>,
    /// Workflows of the user, by name, at most 200.
    workflows: Vec<WorkflowBody>,
    /// Credentials of the user, newest first, without their data, at most 200.
    credentials: Vec<CredentialBody>,
    /// `true` if the user has more of them; absent otherwise.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    truncated: bool,
}

/// Environment of a session.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionEnvironment {
    /// Display name.
    name: Text<128>,
    /// Defaults of the modal.
    modal: Modal,
}

/// Maximum number of installations, of workflows and of credentials in a session.
const MAX_ITEMS: usize = 200;

/// Maximum size of the lists in the response, in bytes.
const MAX_BYTES: usize = 5_000_000;
/// Maximum number of workflows and of credentials among which those of a limited token are
/// searched.
const MAX_SEARCHED: usize = 1000;

/// State of the function.
#[derive(Clone, Debug, FromAws)]
#[aws(connections = 5)]
pub struct State {
    environments: Environments<ReadOnly>,
    users: Users<ReadOnly>,
    workflows: Workflows<ReadOnly>,
    credentials: Credentials<ReadOnly>,
    installations: Installations<ReadOnly>,
    catalogue: Catalogue,
    parts: Parts,
}

/// Returns the user of the token with its installations, workflows and credentials, and the
/// defaults of the modal.
#[utoipa::path(get, path = "/session", tag = "session", security(("userToken" = [])),
    responses((status = 200, body = Session), (status = 404, description = "the user was deleted")))]
pub async fn get_session(
    caller: TokenUser,
    extract::State(state): extract::State<State>,
    _: NoInput,
) -> Result<NoStore<Json<Session>>, Problem> {
    let TokenUser { environment, user: caller } = caller;
    let (user, allowed) = (caller.user_id, &caller.allowed);
    let limit = if allowed.is_all() { MAX_ITEMS } else { MAX_SEARCHED };
    let (found, user, workflows, credentials, installations) = tokio::try_join!(
        state.environments.get(environment),
        state.users.get(environment, user),
        state.workflows.first_by_user(environment, user, limit),
        state.credentials.page(environment, user, PageRequest::first(limit)),
        state.installations.by_user(environment, user),
    )?;
    let user = user.or_not_found("user")?;
    users::refuse_disabled(Some(&caller), &user)?;
    let Environment { name, modal, .. } = found.or_not_found("environment")?;
    let catalogue = state.catalogue.all(environment).await?;
    let visible = (!allowed.is_all()).then(|| allowed.credentials(&installations, catalogue.iter()));
    let has_all_parts = workflows.next.is_none() && credentials.next.is_none();
    let (mut installations, mut workflows, mut credentials) = (installations.items, workflows.items, credentials.items);
    if let Some(visible) = visible {
        installations.retain(|installation| allowed.allows_installation(installation));
        workflows.retain(|workflow| allowed.allows_workflow(workflow));
        credentials.retain(|credential| visible.contains(credential));
    }
    let parts = if has_all_parts {
        ReadParts::new(workflows.clone(), credentials.clone())
    } else {
        state.parts.read(environment, &installations).await?
    };
    let counts = [installations.len(), workflows.len(), credentials.len()];
    let installations = installations
        .into_iter()
        .map(|installation| InstallationBody::new(installation, user.status, &catalogue, &parts));
    let mut room = MAX_BYTES;
    let installations: Vec<InstallationBody> = take(installations, &mut room);
    let workflows = workflows.into_iter().map(|workflow| WorkflowBody::new(workflow, user.owner_status()));
    let workflows: Vec<WorkflowBody> = take(workflows, &mut room);
    let credentials: Vec<CredentialBody> = take(credentials.into_iter().map(CredentialBody::from), &mut room);
    let environment = SessionEnvironment { name, modal };
    let truncated = !has_all_parts || [installations.len(), workflows.len(), credentials.len()] != counts;
    Ok(NoStore(Json(Session { environment, user: user.into(), installations, workflows, credentials, truncated })))
}

/// Returns the first items, at most [`MAX_ITEMS`], that fit into the room that is left in a
/// response, which they take.
fn take<T: Serialize>(items: impl Iterator<Item = T>, room: &mut usize) -> Vec<T> {
    let fits = |item: &T| {
        let left = room.checked_sub(response_bytes(item));
        *room = left.unwrap_or_default();
        left.is_some()
    };
    items.take(MAX_ITEMS).take_while(fits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_taken_until_the_response_is_full() {
        let mut room = 13;
        // Each takes its text and two quotation marks, which are escaped.
        assert_eq!(take(["a", "bc", "d"].into_iter(), &mut room), ["a", "bc"]);
        assert!(take(["e"].into_iter(), &mut room).is_empty());
    }
}
