//! Workflows.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::value::RawValue;
use tenon::{
    domain::{
        access::CallingUser,
        id::{CredentialId, EnvironmentId, UserId, WorkflowId},
        names::UserRef,
        readable::Readable,
        timestamp::Timestamp,
        user::{OwnerStatus, User},
        workflow::{EngineIntegrationId, Workflow, WorkflowChange, WorkflowKey, WorkflowName},
    },
    http::{BackendOrUser, Conflicts, Input, OrNotFound, Problem, Revised},
    start::FromAws,
    store::{
        Access, ReadOnly, ReadWrite, StoreError,
        events::Outbox,
        users::Users,
        workflows::{MAX_CHANGED, Workflows},
    },
};
use utoipa::{IntoParams, OpenApi, ToSchema};

use crate::{api::users, changes::Changes};

pub mod activate;
pub mod create;
pub mod deactivate_all;
pub mod delete;
pub mod get;
pub mod list;
pub mod update;

/// Operations of the resource.
#[derive(Debug, OpenApi)]
#[openapi(paths(
    create::create_workflow,
    list::list_workflows,
    get::get_workflow,
    update::patch_workflow,
    delete::delete_workflow,
    activate::set_active,
    activate::deactivate_workflow,
    deactivate_all::deactivate_workflows,
))]
pub struct Operations;

/// Stores of the functions of workflows.
#[derive(Clone, Debug, FromAws)]
pub struct Stores<A: Access = ReadWrite> {
    users: Users<ReadOnly>,
    workflows: Workflows<A>,
}

/// State of the functions that change workflows.
#[derive(Clone, Debug, FromAws)]
pub struct ChangeState {
    stores: Stores,
    outbox: Outbox,
}

/// Query parameter that names the owner of a workflow.
#[derive(Debug, Input, IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub struct UserFilter {
    /// User who must own the workflow; otherwise 404.
    pub(crate) user_id: Option<UserRef>,
}

/// Returns a workflow and its user, if the caller may access it and the requested user, if any,
/// owns it; otherwise 404.
pub(crate) async fn find<A: Access>(
    workflows: &Workflows<A>,
    environment: EnvironmentId,
    caller: Option<&CallingUser>,
    id: WorkflowId,
    requested: Option<&UserRef>,
) -> Result<(Workflow, User), Problem> {
    let found = workflows.find_with_owner(environment, caller, id).await?;
    let found = found.filter(|(_, owner)| requested.is_none_or(|user| owner.matches(user)));
    let (workflow, owner) = found.or_not_found("workflow")?;
    users::refuse_disabled(caller, &owner)?;
    Ok((workflow, owner))
}

impl<A: Access> Stores<A> {
    /// Returns the requested user, which defaults to the calling user. Without either, the request
    /// is invalid.
    async fn owner(
        &self,
        environment: EnvironmentId,
        caller: Option<&CallingUser>,
        requested: Option<&UserRef>,
    ) -> Result<User, Problem> {
        let own = caller.map(|caller| UserRef::Id(caller.user_id));
        let Some(user) = requested.or(own.as_ref()) else {
            return Err(Problem::invalid_field("/userId", "is required"));
        };
        users::find(&self.users, environment, caller, user).await
    }
}

impl ChangeState {
    /// Activates or deactivates those of a user's workflows whose state differs. Returns the user
    /// and all of the workflows that the caller may access, the newest first. Fails after the
    /// change if one is not readable. One `BatchGetItem` per 100 workflows, and one transaction per
    /// [`MAX_CHANGED`] that change; again, with one read of the user, after conflicts with
    /// concurrent requests.
    async fn set_active(
        &self,
        caller: &BackendOrUser,
        mut owner: User,
        ids: &[WorkflowId],
        active: bool,
    ) -> Result<(User, Vec<Workflow>), Problem> {
        let (environment, Stores { users, workflows: store }) = (caller.environment, &self.stores);
        let change = WorkflowChange { active: Some(active), ..WorkflowChange::default() };
        let mut conflicts = Conflicts::new("workflow");
        loop {
            let Readable { items: mut workflows, is_complete } = store.get_all(environment, ids).await?;
            workflows.retain(|workflow| {
                workflow.user_id == owner.user_id && caller.user.as_ref().is_none_or(|user| user.can_access(workflow))
            });
            let (now, status) = (Timestamp::now(), owner.owner_status());
            let changed = workflows.iter().filter_map(|before| Some((before.clone(), before.changed(&change, now)?)));
            let mut is_stored = true;
            for changed in changed.collect::<Vec<_>>().chunks(MAX_CHANGED) {
                let mut changes = Changes::new(environment, caller.actor);
                for (before, after) in changed {
                    changes.changed_workflow(before, after, status);
                }
                let (user, events) = ((owner.user_id, status), changes.prepare(&self.outbox)?);
                is_stored &= store.change_all(environment, user, changed, events).await?;
            }
            if is_stored {
                if !is_complete {
                    return Err(StoreError::unreadable("workflow").into());
                }
                let workflows = workflows.into_iter().map(|one| one.changed(&change, now).unwrap_or(one));
                return Ok((owner, workflows.collect()));
            }
            conflicts.retry().await?;
            owner = users::find(users, environment, caller.user.as_ref(), &UserRef::Id(owner.user_id)).await?;
        }
    }
}

/// Workflow as the API returns it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Workflow)]
pub struct WorkflowBody {
    /// Id of the workflow.
    pub workflow_id: WorkflowId,
    /// Id of the user who owns the workflow.
    pub user_id: UserId,
    /// Name, unique per user.
    pub name: WorkflowName,
    /// Integration of which the workflow is an instance.
    #[schema(required = true)]
    pub integration_id: Option<EngineIntegrationId>,
    /// Workflow of the integration that the installation created it from; null for other workflows.
    #[schema(required = true)]
    pub key: Option<WorkflowKey>,
    /// Credentials that the workflow uses.
    pub credential_ids: Vec<CredentialId>,
    /// Settings that the engine reads.
    #[schema(value_type = Object)]
    pub settings: Box<RawValue>,
    /// Whether the workflow is active; false while its user is disabled.
    pub active: bool,
    /// Increases with every change, also when the user is disabled or enabled.
    pub revision: u64,
    /// Creation time.
    pub created_at: Timestamp,
    /// Time of the last change.
    pub updated_at: Timestamp,
}

impl WorkflowBody {
    /// Creates the body for a workflow whose user has this status.
    pub fn new(workflow: Workflow, owner: OwnerStatus) -> Self {
        let (active, revision) = (workflow.shows_active(owner), workflow.shown_revision(owner));
        let Workflow {
            workflow_id,
            user_id,
            name,
            integration_id,
            key,
            credential_ids,
            settings,
            active: _,
            revision: _,
            created_at,
            updated_at,
        } = workflow;
        Self {
            workflow_id,
            user_id,
            name,
            integration_id,
            key,
            credential_ids,
            settings: settings.into(),
            active,
            revision,
            created_at,
            updated_at,
        }
    }

    /// Returns the response with this body, whose ETag is that of the revision.
    fn revised(self) -> Revised<Self> {
        Revised::new(self.revision, self)
    }
}

fn deduplicate(ids: Vec<CredentialId>) -> Vec<CredentialId> {
    let mut seen = BTreeSet::new();
    ids.into_iter().filter(|id| seen.insert(*id)).collect()
}
