//! Workflows, and the pointers that keep their names unique for a user.

use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};

use super::{
    keys,
    table::{
        Access, Condition, Delete, Filter, Page, Put, Range, ReadWrite, StoreError, Table, Update, Write, from_items,
        text, to_item,
    },
    tombstones::{check_not_deleted, mark_deleted},
    users::Users,
};
use crate::domain::{
    id::{CredentialId, EnvironmentId, UserId, WorkflowId},
    request_seed::RequestSeed,
    timestamp::Timestamp,
    user::User,
    workflow::{Workflow, WorkflowName},
};

/// Workflows of all environments.
#[derive(Clone, Debug)]
pub struct Workflows<A: Access = ReadWrite>(pub Table<A>);

/// Pointer from a user's workflow name to the workflow.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pointer {
    workflow_id: WorkflowId,
}

/// Reason why a workflow was not created.
#[derive(Debug, thiserror::Error)]
pub enum CreateWorkflowError {
    /// The user does not exist in the environment.
    #[error("user not found")]
    UserNotFound,
    /// The user has another workflow with this name.
    #[error("the workflow name is taken")]
    NameTaken,
    /// The user has no credentials with these ids.
    #[error("credentials not found")]
    CredentialsNotFound(Vec<CredentialId>),
    /// DynamoDB failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Workflows {
    /// Creates a workflow and its pointer, if the user and the credentials exist. A workflow with
    /// the same id is left unchanged, even if it was deleted since: it stems from an earlier attempt
    /// of the same request. One transaction.
    pub async fn create(
        &self,
        environment: EnvironmentId,
        workflow: &Workflow,
        seed: &RequestSeed,
    ) -> Result<(), CreateWorkflowError> {
        let Workflow { workflow_id, user_id, name, credential_ids, .. } = workflow;
        let pointer = keys::workflow_pointer(environment, *user_id, name);
        let pointer = to_item("workflowPointer", &pointer, &Pointer { workflow_id: *workflow_id }, &[])?;
        let key = keys::workflow(environment, *workflow_id);
        let item = to_item("workflow", &key, workflow, &[])?;
        let mut writes = vec![
            Write::check_exists(&keys::user(environment, *user_id)),
            Put::if_absent(pointer).into(),
            Put::if_absent(item).into(),
        ];
        for credential in credential_ids {
            writes.push(Write::check_exists(&keys::credential(environment, *user_id, *credential)));
        }
        let checks = check_not_deleted(&key, seed);
        let is_checked = checks.is_some();
        writes.extend(checks);
        match &self.0.transact(writes).await?[..] {
            [.., true] if is_checked => Ok(()),
            [true, ..] => Err(CreateWorkflowError::UserNotFound),
            [] | [_, _, true, ..] => Ok(()),
            [_, true, ..] => Err(CreateWorkflowError::NameTaken),
            [_, _, _, credentials @ ..] => {
                let missing = credential_ids.iter().zip(credentials).filter(|(_, missing)| **missing);
                Err(CreateWorkflowError::CredentialsNotFound(missing.map(|(id, _)| *id).collect()))
            }
            _ => Err(StoreError::Busy("the transaction was cancelled".into()).into()),
        }
    }

    /// Activates or deactivates a user's workflow. Does nothing if the state is the same. Returns
    /// the workflow, or none if the user has no workflow with this id. One write.
    pub async fn set_active(
        &self,
        environment: EnvironmentId,
        user: UserId,
        id: WorkflowId,
        active: bool,
    ) -> Result<Option<Workflow>, StoreError> {
        let active = AttributeValue::Bool(active);
        let update = Update::of(&keys::workflow(environment, id))
            .set("active", active.clone())
            .set("updatedAt", text(Timestamp::now()))
            .when(Condition::equals("userId", text(user)).and(Condition::compare("active", "<>", active)));
        let found: Option<Workflow> = self.0.update_or_get(update).await?;
        Ok(found.filter(|workflow| workflow.user_id == user))
    }

    /// Deletes a workflow and its pointer. Returns false if it no longer exists. One transaction.
    pub async fn delete(&self, environment: EnvironmentId, workflow: &Workflow) -> Result<bool, StoreError> {
        let Workflow { workflow_id, user_id, name, .. } = workflow;
        let key = keys::workflow(environment, *workflow_id);
        let pointer = keys::workflow_pointer(environment, *user_id, name);
        let unchanged = Condition::equals("workflowId", text(workflow_id));
        let delete = |key| Delete::of(key).when(unchanged.clone()).into();
        let mut writes = vec![delete(&key), delete(&pointer)];
        writes.extend(mark_deleted(&key, workflow_id.object_id())?);
        Ok(self.0.transact(writes).await?.is_empty())
    }
}

impl<A: Access> Workflows<A> {
    /// Returns the first workflows of a user by name, at most `limit`, and `true` if there are no
    /// more. At least one query, and one `BatchGetItem` per 100 workflows.
    pub async fn first_by_user(
        &self,
        environment: EnvironmentId,
        user: UserId,
        limit: usize,
    ) -> Result<(Vec<Workflow>, bool), StoreError> {
        let range = Range::of_prefix(keys::WORKFLOW_POINTER_PREFIX);
        let partition = [keys::user(environment, user).pk];
        let Page { items, next } =
            self.0.page::<Pointer>(&partition, &range, &Filter::default(), (None, limit)).await?;
        let wanted: Vec<_> = items.iter().map(|pointer| keys::workflow(environment, pointer.workflow_id)).collect();
        let mut workflows: Vec<Workflow> = self.0.get_all(&wanted).await?;
        workflows.sort_by(|a, b| a.name.as_str().cmp(b.name.as_str()));
        Ok((workflows, next.is_none()))
    }

    /// Returns the ids of all workflows of a user, the newest first. Fails if one is not readable. One
    /// query per megabyte.
    pub async fn list_ids_by_user(
        &self,
        environment: EnvironmentId,
        user: UserId,
    ) -> Result<Vec<WorkflowId>, StoreError> {
        let items = self.0.list_prefix(keys::user(environment, user).pk, keys::WORKFLOW_POINTER_PREFIX).await?;
        let pointers: Vec<Pointer> = from_items(items)?;
        let mut ids: Vec<WorkflowId> = pointers.into_iter().map(|pointer| pointer.workflow_id).collect();
        ids.sort_by_key(|id| std::cmp::Reverse(*id));
        Ok(ids)
    }

    /// Returns workflows by id, the newest first, without those that do not exist. One
    /// `BatchGetItem` per 100 ids.
    pub async fn get_all(&self, environment: EnvironmentId, ids: &[WorkflowId]) -> Result<Vec<Workflow>, StoreError> {
        let wanted: Vec<_> = ids.iter().map(|id| keys::workflow(environment, *id)).collect();
        let mut workflows: Vec<Workflow> = self.0.get_all(&wanted).await?;
        workflows.sort_by_key(|workflow| std::cmp::Reverse(workflow.workflow_id));
        Ok(workflows)
    }

    /// Returns the id of a user's workflow with this name. One read.
    pub async fn id_by_name(
        &self,
        environment: EnvironmentId,
        user: UserId,
        name: &WorkflowName,
    ) -> Result<Option<WorkflowId>, StoreError> {
        let pointer: Option<Pointer> = self.0.get(&keys::workflow_pointer(environment, user, name)).await?;
        Ok(pointer.map(|pointer| pointer.workflow_id))
    }

    /// Returns a workflow and its owner, or none if either does not exist. Workflows of a deleted
    /// user count as absent, and so do those of others if the caller is a user. Two reads.
    pub async fn find_with_owner(
        &self,
        environment: EnvironmentId,
        caller: Option<UserId>,
        id: WorkflowId,
    ) -> Result<Option<(Workflow, User)>, StoreError> {
        let workflow: Option<Workflow> = self.0.get(&keys::workflow(environment, id)).await?;
        let may_see = |workflow: &Workflow| caller.is_none_or(|caller| caller == workflow.user_id);
        let Some(workflow) = workflow.filter(may_see) else { return Ok(None) };
        let owner = Users(self.0.clone()).get(environment, workflow.user_id).await?;
        Ok(owner.map(|user| (workflow, user)))
    }
}
