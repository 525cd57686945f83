//! Workflows.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::value::RawValue;
use tenon::{
    domain::{
        access::CallingUser,
        id::{CredentialId, EnvironmentId, UserId, WorkflowId},
        names::UserRef,
        timestamp::Timestamp,
        user::{Status, User},
        workflow::{IntegrationId, Workflow, WorkflowKey, WorkflowName},
    },
    http::{Input, Problem, Revised},
    start::FromAws,
    store::{Access, ReadWrite, users::Users, workflows::Workflows},
};
use utoipa::{IntoParams, OpenApi, ToSchema};

use crate::api::{MAX_CHANGE_ATTEMPTS, users};

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
    update::update_workflow,
    delete::delete_workflow,
    activate::set_active,
    activate::deactivate_workflow,
    deactivate_all::deactivate_workflows,
))]
pub struct Operations;

/// State of the functions.
#[derive(Clone, Debug, FromAws)]
pub struct State<A: Access = ReadWrite> {
    users: Users<A>,
    workflows: Workflows<A>,
}

/// Query parameter that names the owner of a workflow.
#[derive(Debug, Input, IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub struct UserFilter {
    /// User who must own the workflow; otherwise 404.
    user_id: Option<UserRef>,
}

impl<A: Access> State<A> {
    /// Returns a workflow and its user, if the caller may access it and the requested user, if any,
    /// owns it.
    async fn find(
        &self,
        environment: EnvironmentId,
        caller: Option<&CallingUser>,
        id: WorkflowId,
        requested: Option<&UserRef>,
    ) -> Result<(Workflow, User), Problem> {
        let found = self.workflows.find_with_owner(environment, caller, id).await?;
        let found = found.filter(|(_, owner)| requested.is_none_or(|user| owner.matches(user)));
        found.ok_or_else(|| Problem::not_found("workflow"))
    }

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

impl State {
    /// Activates or deactivates a workflow. Does nothing if the state is the same. Returns the workflow,
    /// or none if the user sees no workflow with this id.
    async fn set_active(
        &self,
        environment: EnvironmentId,
        user: &CallingUser,
        id: WorkflowId,
        active: bool,
    ) -> Result<Option<Workflow>, Problem> {
        for _ in 0..MAX_CHANGE_ATTEMPTS {
            let found = self.workflows.get(environment, id).await?;
            let Some(workflow) = found.filter(|workflow| user.sees(workflow)) else { return Ok(None) };
            if workflow.active == active {
                return Ok(Some(workflow));
            }
            if let Some(changed) = self.workflows.set_active(environment, &workflow, active).await? {
                return Ok(Some(changed));
            }
        }
        Err(Problem::modified_concurrently("workflow"))
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
    pub integration_id: Option<IntegrationId>,
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
    /// Increases with every change.
    pub revision: u64,
    /// Creation time.
    pub created_at: Timestamp,
    /// Time of the last change.
    pub updated_at: Timestamp,
}

impl WorkflowBody {
    /// Creates the body for a workflow whose user has this status.
    pub fn new(workflow: Workflow, owner: Status) -> Self {
        let Workflow {
            workflow_id,
            user_id,
            name,
            integration_id,
            key,
            credential_ids,
            settings,
            active,
            revision,
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
            active: active && owner == Status::Active,
            revision,
            created_at,
            updated_at,
        }
    }
}

/// Returns the response with a workflow whose user has this status. Its ETag is that of the revision.
fn revised(workflow: Workflow, owner: Status) -> Revised<WorkflowBody> {
    Revised::new(workflow.revision, WorkflowBody::new(workflow, owner))
}

fn deduplicate(ids: Vec<CredentialId>) -> Vec<CredentialId> {
    let mut seen = BTreeSet::new();
    ids.into_iter().filter(|id| seen.insert(*id)).collect()
}
