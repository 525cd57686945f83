//! Workflows.

use aws_config::SdkConfig;
use serde::Serialize;
use tenon::{
    domain::{
        id::{CredentialId, EnvironmentId, UserId, WorkflowId},
        names::UserRef,
        timestamp::Timestamp,
        user::{Status, User},
        workflow::{IntegrationId, Workflow, WorkflowName},
    },
    http::{Fields, IdempotentState, Input, Problem, StartError},
    store::{Table, users::Users, workflows::Workflows},
};
use utoipa::{IntoParams, ToSchema};

pub mod activate;
pub mod create;
pub mod deactivate_all;
pub mod delete;
pub mod get;
pub mod list;

/// What the functions are given.
#[derive(Clone, Debug)]
pub struct Stores {
    users: Users,
    workflows: Workflows,
}

/// The stores of the directory.
pub async fn state(config: &SdkConfig) -> Result<Stores, StartError> {
    let directory = Table::directory(config, 1).await?;
    Ok(Stores { users: Users(directory.clone()), workflows: Workflows(directory) })
}

impl IdempotentState for Stores {
    fn directory(&self) -> &Table {
        &self.workflows.0
    }
}

/// Whose workflow is meant.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub struct UserFilter {
    /// The user whose workflow it is; another's is not found.
    user_id: Option<UserRef>,
}

impl Input for UserFilter {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        Some(Self { user_id: fields.optional("userId")? })
    }
}

impl Stores {
    /// A workflow and its user, where the caller may see it and it is of the user that is asked for, if one is.
    async fn find(
        &self,
        environment: EnvironmentId,
        caller: Option<UserId>,
        id: WorkflowId,
        requested: Option<&UserRef>,
    ) -> Result<(Workflow, User), Problem> {
        let not_found = || Problem::not_found("workflow");
        let requested = match requested {
            Some(user) => Some(self.users.resolve(environment, user).await?.ok_or_else(not_found)?),
            None => None,
        };
        let found = self.workflows.find_with_owner(environment, id).await?;
        let is = |owner: UserId, user: Option<UserId>| user.is_none_or(|user| user == owner);
        found.filter(|(_, owner)| is(owner.user_id, caller) && is(owner.user_id, requested)).ok_or_else(not_found)
    }

    /// The user that is asked for: for a user itself, also where none is. None where none is and there must be one.
    async fn owner(
        &self,
        environment: EnvironmentId,
        caller: Option<UserId>,
        requested: Option<&UserRef>,
    ) -> Result<User, Problem> {
        let own = caller.map(UserRef::Id);
        let Some(user) = requested.or(own.as_ref()) else {
            return Err(Problem::invalid_field("/userId", "is required"));
        };
        let found = self.users.find(environment, user).await?;
        let can_access = |user: &User| caller.is_none_or(|caller| caller == user.user_id);
        found.filter(can_access).ok_or_else(|| Problem::not_found("user"))
    }
}

/// A workflow as the API shows it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Workflow)]
pub struct WorkflowBody {
    /// Its id.
    pub workflow_id: WorkflowId,
    /// Whose it is.
    pub user_id: UserId,
    /// Its name, unique for its user.
    pub name: WorkflowName,
    /// The integration that it is an instance of.
    #[schema(required = true)]
    pub integration_id: Option<IntegrationId>,
    /// The credentials that it uses.
    pub credential_ids: Vec<CredentialId>,
    /// Whether it runs: false while its user is disabled.
    pub active: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl WorkflowBody {
    /// A workflow as it reads while its user has this status.
    pub fn new(workflow: Workflow, owner: Status) -> Self {
        let Workflow { workflow_id, user_id, name, integration_id, credential_ids, active, created_at, updated_at } =
            workflow;
        let active = active && owner == Status::Active;
        Self { workflow_id, user_id, name, integration_id, credential_ids, active, created_at, updated_at }
    }
}
