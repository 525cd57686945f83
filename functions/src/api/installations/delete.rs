//! `DELETE /users/{user}/installations/{integrationId}`. AWS calls: one DynamoDB read of the user
//! by id, or two by name; one read of the installation and one of the integration; one batch read
//! of its workflows, one of its credentials and one of these and those that it created; if
//! installations created any, one query of the user's other installations, one of the names of its
//! workflows, and one batch read for each 100 of these; one transaction. All again after a conflict
//! with a concurrent request. If a workflow of the installation was not found, one more batch read.

use std::collections::HashSet;

use axum::extract;
use tenon::{
    domain::{
        credential::Credential,
        event::EventType,
        id::{CredentialId, EnvironmentId, WorkflowId},
        installation::{Installation, MAX_CREATED_CREDENTIALS},
        integration::IntegrationId,
        names::UserRef,
        timestamp::Timestamp,
    },
    http::{BackendOrUser, Conflicts, Json, NoInput, Path, Problem},
    store::{StoreError, installations::Leftovers},
};

use super::{ChangeState, Found, InstallationBody, State};
use crate::{
    api::{success::Success, workflows::WorkflowBody},
    changes::Changes,
};

/// Uninstalls an integration: deletes its workflows, and those of its credentials that an
/// installation created and nothing else references.
#[utoipa::path(delete, path = "/users/{user}/installations/{integrationId}", tag = "installations",
    security(("apiKey" = ["manage"]), ("userToken" = [])), responses((status = 200, body = Success),
        (status = 409, description = "the installation was modified by concurrent requests")))]
pub async fn delete_installation(
    caller: BackendOrUser,
    extract::State(ChangeState { state, outbox }): extract::State<ChangeState>,
    Path(user): Path<UserRef>,
    Path(id): Path<IntegrationId>,
    _: NoInput,
) -> Result<Json<Success>, Problem> {
    let BackendOrUser { environment, actor, user: caller } = caller;
    let mut conflicts = Conflicts::new("installation");
    loop {
        let Found { owner, installation, integration, parts } =
            state.find(environment, caller.as_ref(), &user, &id).await?;
        let credentials = leftovers(&state, environment, &installation).await?;

        let (mut changes, now) = (Changes::new(environment, actor), Timestamp::now());
        let last = installation.touched(now);
        let shown = InstallationBody::new(last, owner.status, integration.as_slice(), &parts);
        changes.installation(EventType::InstallationDeleted, &shown);
        let workflows = if parts.workflows.len() == installation.workflows.len() {
            parts.workflows.into_values().collect()
        } else {
            // One was deleted meanwhile, or cannot be read and would stay, with the name that it
            // takes.
            let ids: Vec<WorkflowId> = installation.workflows.iter().map(|workflow| workflow.workflow_id).collect();
            state.parts.workflows.get_all(environment, &ids).await?.require_all("workflow")?
        };
        for workflow in &workflows {
            let shown = WorkflowBody::new(workflow.touched(now), owner.owner_status());
            changes.workflow(EventType::WorkflowDeleted, &shown);
        }
        for credential in &credentials.unreferenced {
            changes.credential(EventType::CredentialDeleted, &credential.touched(now));
        }
        let events = changes.prepare(&outbox)?;
        if state.installations.delete(environment, &installation, &workflows, &credentials, events).await? {
            return Ok(Json(Success::new()));
        }
        conflicts.retry().await?;
    }
}

/// Returns the credentials that an installation created, then those that it names and another one
/// created, at most [`MAX_CREATED_CREDENTIALS`] in all. One is shared if another installation or
/// workflow of the user references it, or another installation created it and may select it again.
async fn leftovers(
    State { installations, parts, .. }: &State,
    environment: EnvironmentId,
    installation: &Installation,
) -> Result<Leftovers, StoreError> {
    let Installation { user_id, integration_id, created_credentials, workflows: own, .. } = installation;
    let ids: HashSet<CredentialId> = installation.own_credentials().collect();
    // Read before what references them: a later reference makes the transaction fail.
    let ids = ids.into_iter().map(|id| (*user_id, id));
    let (mut created, unreadable): (Vec<Credential>, _) = parts.credentials.get_readable(environment, ids).await?;
    if !unreadable.is_empty() {
        // It would stay, with its data.
        return Err(StoreError::unreadable("credential"));
    }
    created.retain(|one| one.created_by_installation || created_credentials.contains(&one.credential_id));
    if created.is_empty() {
        return Ok(Leftovers::default());
    }
    let own: Vec<WorkflowId> = own.iter().map(|workflow| workflow.workflow_id).collect();
    let (workflows, installations) = tokio::try_join!(
        parts.workflows.by_user_except(environment, *user_id, &own),
        installations.by_user(environment, *user_id),
    )?;
    let (Some(workflows), Some(others)) = (workflows.all(), installations.all()) else {
        // What cannot be read may reference any of them.
        return Ok(Leftovers::default());
    };
    let others = others.iter().filter(|other| other.integration_id != *integration_id);
    let by_workflows = workflows.iter().flat_map(|workflow| workflow.credential_ids.iter().copied());
    let kept: HashSet<CredentialId> = others.flat_map(Installation::own_credentials).chain(by_workflows).collect();
    created.sort_by_key(|credential| !created_credentials.contains(&credential.credential_id));
    let (mut shared, mut unreferenced): (Vec<_>, Vec<_>) =
        created.into_iter().partition(|credential| kept.contains(&credential.credential_id));
    unreferenced.truncate(MAX_CREATED_CREDENTIALS);
    shared.truncate(MAX_CREATED_CREDENTIALS - unreferenced.len());
    Ok(Leftovers { unreferenced, shared })
}
