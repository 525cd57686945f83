//! Workflows, and the pointers that keep their names unique for a user.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{
    credentials::reference,
    events::Outgoing,
    keys,
    table::{
        Access, Condition, Delete, Filter, Item, LISTING, Page, PageRequest, Place, Put, Range, ReadOnly, ReadWrite,
        Refused, StoreError, Table, Transacted, Transaction, Write, all_readable, attribute_text, number, text,
        to_item,
    },
    tombstones::{check_not_deleted, mark_deleted},
    users::{Users, check_status},
};
use crate::{
    cache::WallClockCache,
    domain::{
        access::CallingUser,
        error_log::WorkflowRef,
        id::{CredentialId, EnvironmentId, UserId, WorkflowId},
        readable::Readable,
        request_seed::RequestSeed,
        timestamp::Timestamp,
        user::{OwnerStatus, User},
        workflow::{Workflow, WorkflowName},
    },
};

/// Workflows of all environments.
#[derive(Clone, Debug)]
pub struct Workflows<A: Access = ReadWrite>(pub Table<A>);

/// Maximum number of workflows that [`Workflows::change_all`] changes: with an event each and a
/// check, at most 100 items (AWS limit) of some 2 MB in total.
pub const MAX_CHANGED: usize = 49;

/// Pointer from a user's workflow name to the workflow.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pointer {
    workflow_id: WorkflowId,
}

/// Reason why a workflow was not created.
#[derive(Debug, thiserror::Error)]
pub enum CreateWorkflowError {
    /// The user was deleted, disabled or enabled after it was read.
    #[error("the user was modified concurrently")]
    UserChanged,
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

/// Reason why a workflow was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeWorkflowError {
    /// The user has another workflow with this name.
    #[error("the workflow name is taken")]
    NameTaken,
    /// The user has no credentials with these ids.
    #[error("credentials not found")]
    CredentialsNotFound(Vec<CredentialId>),
    /// The workflow was changed or deleted after it was read.
    #[error("the workflow was modified concurrently")]
    Conflict,
    /// DynamoDB failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

pub(super) fn workflow_item(environment: EnvironmentId, workflow: &Workflow) -> Result<Item, StoreError> {
    let listing = keys::listed_workflow(environment, workflow.workflow_id).listing();
    let key = keys::workflow(environment, workflow.workflow_id);
    to_item("workflow", &key, workflow, &listing)
}

pub(super) fn pointer_item(environment: EnvironmentId, workflow: &Workflow) -> Result<Item, StoreError> {
    let key = keys::workflow_pointer(environment, workflow.user_id, &workflow.name);
    to_item("workflowPointer", &key, &Pointer { workflow_id: workflow.workflow_id }, &[])
}

/// Returns the deletions of a workflow, if it has not changed, and of its pointer.
pub(super) fn deletions(environment: EnvironmentId, workflow: &Workflow) -> [Write; 2] {
    let Workflow { workflow_id, user_id, name, revision, .. } = workflow;
    let unchanged = Condition::equals("revision", number(revision));
    let workflow = Delete::of(&keys::workflow(environment, *workflow_id)).when(unchanged);
    let own = Condition::equals("workflowId", text(workflow_id));
    let pointer = Delete::of(&keys::workflow_pointer(environment, *user_id, name)).when(own);
    [workflow.into(), pointer.into()]
}

/// Returns the credentials whose write failed because they do not exist.
fn missing(credentials: &[CredentialId], references: &[Place], refused: &Refused) -> Vec<CredentialId> {
    let referenced = credentials.iter().zip(references);
    referenced.filter(|(_, reference)| refused.has(**reference)).map(|(id, _)| *id).collect()
}

impl Workflows {
    /// Creates a workflow and its pointer, if the status of the user is unchanged and the
    /// credentials exist. A workflow with the same id is left unchanged, even if it was deleted
    /// since: it stems from an earlier attempt of the same request. One transaction.
    pub async fn create(
        &self,
        environment: EnvironmentId,
        workflow: &Workflow,
        owner: OwnerStatus,
        seed: &RequestSeed,
        events: Outgoing<'_>,
    ) -> Result<(), CreateWorkflowError> {
        let Workflow { workflow_id, user_id, credential_ids, .. } = workflow;
        let key = keys::workflow(environment, *workflow_id);
        let mut writes = Transaction::default();
        let status = writes.add(check_status(environment, *user_id, owner));
        let pointer = writes.add(Put::if_absent(pointer_item(environment, workflow)?));
        let stored = writes.add(Put::if_absent(workflow_item(environment, workflow)?));
        let references = writes.add_all(credential_ids.iter().map(|id| reference(environment, *user_id, *id)));
        let deleted = check_not_deleted(&key, seed).map(|check| writes.add(check));
        let Transacted::Refused(refused) = self.0.transact_with_events(writes, events).await? else { return Ok(()) };
        if refused.has(stored) || refused.has_any(&deleted) {
            return Ok(());
        }
        if refused.has(status) {
            return Err(CreateWorkflowError::UserChanged);
        }
        let missing = missing(credential_ids, &references, &refused);
        if !missing.is_empty() {
            return Err(CreateWorkflowError::CredentialsNotFound(missing));
        }
        if refused.has(pointer) {
            return Err(CreateWorkflowError::NameTaken);
        }
        Err(StoreError::Busy("the transaction was cancelled".into()).into())
    }

    /// Stores a changed workflow, and moves its pointer if the name changed, if its revision and
    /// the status of its user are unchanged and the credentials in `added` exist. One transaction.
    pub async fn update(
        &self,
        environment: EnvironmentId,
        owner: OwnerStatus,
        (before, after): (&Workflow, &Workflow),
        added: &[CredentialId],
        events: Outgoing<'_>,
    ) -> Result<(), ChangeWorkflowError> {
        let Workflow { workflow_id, user_id, name, revision, .. } = before;
        let unchanged = Condition::equals("revision", number(revision));
        let mut writes = Transaction::default();
        let revised = writes.add(Put::new(workflow_item(environment, after)?).when(unchanged));
        let status = writes.add(check_status(environment, *user_id, owner));
        let references = writes.add_all(added.iter().map(|id| reference(environment, *user_id, *id)));
        let mut pointer = None;
        if after.name != *name {
            let old = keys::workflow_pointer(environment, *user_id, name);
            let own = Condition::equals("workflowId", text(workflow_id));
            pointer = Some(writes.add(Put::if_absent(pointer_item(environment, after)?)));
            writes.add(Delete::of(&old).when(own));
        }
        let Transacted::Refused(refused) = self.0.transact_with_events(writes, events).await? else { return Ok(()) };
        if refused.has_any(&[revised, status]) {
            return Err(ChangeWorkflowError::Conflict);
        }
        let missing = missing(added, &references, &refused);
        if !missing.is_empty() {
            return Err(ChangeWorkflowError::CredentialsNotFound(missing));
        }
        Err(if refused.has_any(&pointer) { ChangeWorkflowError::NameTaken } else { ChangeWorkflowError::Conflict })
    }

    /// Stores changed workflows of a user, if the revision of each and the status of the user are
    /// unchanged. Returns false if one has changed. At most [`MAX_CHANGED`] workflows, whose names
    /// stay. One transaction.
    pub async fn change_all(
        &self,
        environment: EnvironmentId,
        (user, owner): (UserId, OwnerStatus),
        changes: &[(Workflow, Workflow)],
        events: Outgoing<'_>,
    ) -> Result<bool, StoreError> {
        let mut writes = vec![check_status(environment, user, owner)];
        for (before, after) in changes {
            let unchanged = Condition::equals("revision", number(before.revision));
            writes.push(Put::new(workflow_item(environment, after)?).when(unchanged).into());
        }
        Ok(self.0.transact_with_events(writes, events).await?.is_committed())
    }

    /// Deletes a workflow and its pointer. Returns false if it was changed or deleted, or its user
    /// deleted, after it was read. One transaction.
    pub async fn delete(
        &self,
        environment: EnvironmentId,
        workflow: &Workflow,
        events: Outgoing<'_>,
    ) -> Result<bool, StoreError> {
        let mut writes = vec![Write::check_exists(&keys::user(environment, workflow.user_id))];
        writes.extend(deletions(environment, workflow));
        writes.push(mark_deleted(&keys::workflow(environment, workflow.workflow_id))?);
        Ok(self.0.transact_with_events(writes, events).await?.is_committed())
    }
}

impl<A: Access> Workflows<A> {
    /// Returns the first workflows of a user by name, at most `limit`. At least one query, and one
    /// `BatchGetItem` per 100 workflows.
    pub async fn first_by_user(
        &self,
        environment: EnvironmentId,
        user: UserId,
        limit: usize,
    ) -> Result<Page<Workflow>, StoreError> {
        let range = Range::of_prefix(keys::WORKFLOW_POINTER_PREFIX);
        let partition = [keys::user_partition(environment, user)];
        let Page { items, next } =
            self.0.page::<Pointer>(&partition, &range, &Filter::default(), PageRequest::first(limit)).await?;
        let wanted: Vec<_> = items.iter().map(|pointer| keys::workflow(environment, pointer.workflow_id)).collect();
        let mut items: Vec<Workflow> = self.0.get_all(&wanted).await?;
        items.sort_by(|a, b| a.name.as_str().cmp(b.name.as_str()));
        Ok(Page { items, next })
    }

    /// Returns the ids of the workflows of a user, the newest first. One query per megabyte.
    pub async fn ids_by_user(
        &self,
        environment: EnvironmentId,
        user: UserId,
    ) -> Result<Readable<WorkflowId>, StoreError> {
        let items = self.0.list_prefix(keys::user_partition(environment, user), keys::WORKFLOW_POINTER_PREFIX).await?;
        let Readable { items, is_complete } = all_readable::<Pointer>(items);
        let mut ids: Vec<WorkflowId> = items.into_iter().map(|pointer| pointer.workflow_id).collect();
        ids.sort_by_key(|id| std::cmp::Reverse(*id));
        Ok(Readable { items: ids, is_complete })
    }

    /// Returns the names of all workflows of a user. One query per megabyte.
    pub async fn names_by_user(&self, environment: EnvironmentId, user: UserId) -> Result<HashSet<String>, StoreError> {
        let items = self.0.list_prefix(keys::user_partition(environment, user), keys::WORKFLOW_POINTER_PREFIX).await?;
        let name =
            |item: &Item| attribute_text(item, "sk").strip_prefix(keys::WORKFLOW_POINTER_PREFIX).map(str::to_owned);
        Ok(items.iter().filter_map(name).collect())
    }

    /// Returns workflows by id, the newest first, without those that do not exist. One
    /// `BatchGetItem` per 100 ids.
    pub async fn get_all(
        &self,
        environment: EnvironmentId,
        ids: &[WorkflowId],
    ) -> Result<Readable<Workflow>, StoreError> {
        let wanted: Vec<_> = ids.iter().map(|id| keys::workflow(environment, *id)).collect();
        let (mut items, unreadable) = self.0.get_readable::<Workflow>(&wanted).await?;
        items.sort_by_key(|workflow| std::cmp::Reverse(workflow.workflow_id));
        Ok(Readable { items, is_complete: unreadable.is_empty() })
    }

    /// Returns the workflows of a user except some, the newest first. A pointer without a workflow
    /// counts as deleted. One query per megabyte, and one `BatchGetItem` per 100 workflows.
    pub async fn by_user_except(
        &self,
        environment: EnvironmentId,
        user: UserId,
        except: &[WorkflowId],
    ) -> Result<Readable<Workflow>, StoreError> {
        let mut ids = self.ids_by_user(environment, user).await?;
        ids.items.retain(|id| !except.contains(id));
        let workflows = self.get_all(environment, &ids.items).await?;
        Ok(Readable { is_complete: ids.is_complete && workflows.is_complete, ..workflows })
    }

    /// Returns a page of the workflows of an environment, the newest first, each with its owner.
    /// Workflows of deleted users are skipped. Eventually consistent. One query for each of four
    /// partitions, and one `BatchGetItem` of the owners.
    pub async fn page(
        &self,
        environment: EnvironmentId,
        request: PageRequest<'_>,
    ) -> Result<Page<(Workflow, User)>, StoreError> {
        let partitions = keys::workflows_of_environment(environment).partitions();
        let newest_first = Range { newest_first: true, ..Range::all(LISTING) };
        let Page { items, next } =
            self.0.page::<Workflow>(&partitions, &newest_first, &Filter::default(), request).await?;
        let owners: BTreeSet<UserId> = items.iter().map(|workflow| workflow.user_id).collect();
        let owners = Users(self.0.clone()).get_all(environment, owners).await?;
        let owners: HashMap<UserId, User> = owners.into_iter().map(|owner| (owner.user_id, owner)).collect();
        let owned = items.into_iter().filter_map(|workflow| {
            let owner = owners.get(&workflow.user_id)?.clone();
            Some((workflow, owner))
        });
        Ok(Page { items: owned.collect(), next })
    }

    /// Returns a workflow. One read.
    pub async fn get(&self, environment: EnvironmentId, id: WorkflowId) -> Result<Option<Workflow>, StoreError> {
        self.0.get(&keys::workflow(environment, id)).await
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
    /// user count as absent, and so do those that do not exist for a calling user. Two reads.
    pub async fn find_with_owner(
        &self,
        environment: EnvironmentId,
        caller: Option<&CallingUser>,
        id: WorkflowId,
    ) -> Result<Option<(Workflow, User)>, StoreError> {
        let workflow = self.get(environment, id).await?;
        let can_access = |workflow: &Workflow| caller.is_none_or(|caller| caller.can_access(workflow));
        let Some(workflow) = workflow.filter(can_access) else { return Ok(None) };
        let owner = Users(self.0.clone()).get(environment, workflow.user_id).await?;
        Ok(owner.map(|user| (workflow, user)))
    }
}

/// Time for which a workflow is known after it was read. Errors of a workflow that was deleted are
/// recorded until then.
const KNOWN_FOR: Duration = Duration::from_secs(30);
/// Maximum number of known workflows, some megabytes.
const MAX_KNOWN: u64 = 10_000;

/// Workflows of which errors are recorded. What an error stores of its workflow never changes, so
/// workflows that were read are remembered for a short time.
#[derive(Clone, Debug)]
pub struct WorkflowRefs {
    /// Stored workflows.
    pub workflows: Workflows<ReadOnly>,
    known: WallClockCache<(EnvironmentId, WorkflowId), WorkflowRef>,
}

impl WorkflowRefs {
    /// Creates an empty memory of the stored workflows.
    pub fn new(workflows: Workflows<ReadOnly>) -> Self {
        Self { workflows, known: WallClockCache::new(KNOWN_FOR, MAX_KNOWN) }
    }

    /// Returns a workflow, or none if it or its user did not exist when it was last read, at most
    /// 30 seconds ago. Two reads, or none.
    pub async fn find(&self, environment: EnvironmentId, id: WorkflowId) -> Result<Option<WorkflowRef>, StoreError> {
        match self.known.get(&(environment, id), Timestamp::now()) {
            Some(known) => Ok(Some(known)),
            None => self.read(environment, id).await,
        }
    }

    /// Returns a workflow, or none if it or its user does not exist now. Two reads.
    pub async fn read(&self, environment: EnvironmentId, id: WorkflowId) -> Result<Option<WorkflowRef>, StoreError> {
        let now = Timestamp::now();
        let found = self.workflows.find_with_owner(environment, None, id).await?;
        let found = found.map(|(workflow, _)| WorkflowRef::from(&workflow));
        match &found {
            Some(workflow) => self.known.insert((environment, id), now, workflow.clone()),
            None => self.known.remove(&(environment, id)),
        }
        Ok(found)
    }
}
