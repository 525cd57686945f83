//! Workflows, and the pointers that keep their names unique for a user.

use aws_sdk_dynamodb::types::{ConditionCheck, TransactWriteItem};
use serde::{Deserialize, Serialize};

use super::{
    keys,
    table::{StoreError, Table, cancellation_reasons, put_new, refused, to_item},
    users::Users,
};
use crate::domain::{
    id::{EnvironmentId, UserId, WorkflowId},
    timestamp::Timestamp,
    user::User,
    workflow::{NewWorkflow, Workflow},
};

/// The workflows of all environments.
#[derive(Clone, Debug)]
pub struct Workflows(pub Table);

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pointer {
    workflow_id: WorkflowId,
}

/// Why a workflow was not created.
#[derive(Debug, thiserror::Error)]
pub enum CreateWorkflowError {
    /// The environment has no such user.
    #[error("there is no such user")]
    NoUser,
    /// The user has another workflow of this name.
    #[error("the name is taken")]
    NameTaken,
    /// DynamoDB did not answer as it should.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Workflows {
    /// One transaction: the workflow and the pointer to it, where the user exists, or nothing.
    pub async fn create(&self, environment: EnvironmentId, new: NewWorkflow) -> Result<Workflow, CreateWorkflowError> {
        let workflow = new.create(Timestamp::now());
        let Workflow { workflow_id, user_id, name, .. } = &workflow;
        let Table { client, name: table } = &self.0;
        let user_exists = ConditionCheck::builder()
            .table_name(table)
            .set_key(Some(keys::user(environment, *user_id).attributes()))
            .condition_expression("attribute_exists(pk)")
            .build()
            .map_err(refused)?;
        let pointer = keys::workflow_pointer(environment, *user_id, name);
        let request = client
            .transact_write_items()
            .transact_items(TransactWriteItem::builder().condition_check(user_exists).build())
            .transact_items(put_new(
                table,
                to_item("workflowPointer", &pointer, &Pointer { workflow_id: *workflow_id }, &[])?,
            )?)
            .transact_items(put_new(
                table,
                to_item("workflow", &keys::workflow(environment, *workflow_id), &workflow, &[])?,
            )?);
        match request.send().await {
            Ok(_) => Ok(workflow),
            Err(error) => match error.as_service_error() {
                Some(refusal) if refusal.is_transaction_canceled_exception() => match cancellation_reasons(refusal)[..]
                {
                    [true, ..] => Err(CreateWorkflowError::NoUser),
                    [_, true, ..] => Err(CreateWorkflowError::NameTaken),
                    _ => Err(StoreError::Busy(error.into()).into()),
                },
                _ => Err(StoreError::from(error).into()),
            },
        }
    }

    /// All workflows of a user, in the order of their names. One query, and one batch read for 100 workflows.
    pub async fn of_user(&self, environment: EnvironmentId, user: UserId) -> Result<Vec<Workflow>, StoreError> {
        let pointers: Vec<Pointer> =
            self.0.list(keys::user(environment, user).pk, keys::WORKFLOW_POINTER_PREFIX).await?;
        let wanted: Vec<_> = pointers.iter().map(|pointer| keys::workflow(environment, pointer.workflow_id)).collect();
        let mut workflows: Vec<Workflow> = self.0.get_all(&wanted).await?;
        workflows.sort_by(|a, b| a.name.as_str().cmp(b.name.as_str()));
        Ok(workflows)
    }

    /// A workflow and the user that owns it: what belongs to a deleted user is not there. Two reads.
    pub async fn find_with_owner(
        &self,
        environment: EnvironmentId,
        id: WorkflowId,
    ) -> Result<Option<(Workflow, User)>, StoreError> {
        let Some(workflow) = self.0.get::<Workflow>(&keys::workflow(environment, id)).await? else {
            return Ok(None);
        };
        let owner = Users(self.0.clone()).get(environment, workflow.user_id).await?;
        Ok(owner.map(|user| (workflow, user)))
    }
}
