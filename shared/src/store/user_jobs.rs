//! Background jobs after changes of users: sending events of their workflows, and deleting what
//! they owned.

use serde::{Deserialize, Serialize};

use super::{
    events::Outbox,
    jobs::{self, Job, JobId, JobKind},
    keys::{self, Key},
    table::{
        Condition, Delete, Item, Range, StoreError, TABLE, Table, Transacted, Update, attribute_text, readable, text,
        to_value,
    },
};
use crate::domain::{
    credential::Credential,
    event::{Actor, Event},
    id::{EnvironmentId, UserId, WorkflowId},
    installation::Installation,
    request_seed::RequestSeed,
    timestamp::Timestamp,
    user::OwnerStatus,
    workflow::Workflow,
};

/// Jobs of all environments.
#[derive(Clone, Debug)]
pub struct UserJobs {
    /// Directory table.
    pub directory: Table,
    /// Outbox of the events.
    pub outbox: Outbox,
}

/// Job after a change of a user.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum UserJob {
    /// The user was deleted.
    Deletion(Deletion),
    /// The user was disabled or enabled.
    StatusChange(StatusChange),
}

/// Job that deletes the data of a deleted user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Deletion {
    /// Environment of the user.
    pub environment_id: EnvironmentId,
    /// Deleted user.
    pub user_id: UserId,
    /// Time of the deletion.
    pub started_at: Timestamp,
    /// Actor of the deletion.
    #[serde(default)]
    pub actor: Option<Actor>,
    /// Status of the user as the `user.disabled` event of the deletion shows it.
    #[serde(default)]
    pub owner: OwnerStatus,
    /// Version of the user as the `user.disabled` event of the deletion shows it.
    #[serde(default)]
    pub version: u32,
    /// Source of the ids of the events, so that each run generates the same.
    #[serde(default)]
    pub seed: RequestSeed,
    /// Numbers of items that the user owned; none before they were counted.
    #[serde(default)]
    pub counts: Option<OwnedCounts>,
}

/// Numbers of items that a deleted user owned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnedCounts {
    /// Workflows.
    pub workflows: usize,
    /// Credentials.
    pub credentials: usize,
    /// Installations.
    pub installations: usize,
}

/// Job that sends events of a user's workflows after the user was disabled or enabled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusChange {
    /// Environment of the user.
    pub environment_id: EnvironmentId,
    /// User.
    pub user_id: UserId,
    /// Time of the change.
    pub started_at: Timestamp,
    /// Status of the user after the change.
    pub owner: OwnerStatus,
    /// Actor of the change.
    pub actor: Option<Actor>,
    /// Source of the ids of the events, so that each run generates the same.
    pub seed: RequestSeed,
}

impl Job for Deletion {
    fn id(&self) -> JobId {
        JobId { kind: JobKind::Deletion, environment: self.environment_id, user: self.user_id }
    }

    fn started_at(&self) -> Timestamp {
        self.started_at
    }
}

impl Job for StatusChange {
    fn id(&self) -> JobId {
        JobId { kind: JobKind::StatusChange, environment: self.environment_id, user: self.user_id }
    }

    fn started_at(&self) -> Timestamp {
        self.started_at
    }
}

impl Job for UserJob {
    fn id(&self) -> JobId {
        match self {
            Self::Deletion(job) => job.id(),
            Self::StatusChange(job) => job.id(),
        }
    }

    fn started_at(&self) -> Timestamp {
        match self {
            Self::Deletion(job) => job.started_at,
            Self::StatusChange(job) => job.started_at,
        }
    }
}

/// Some of the items that a deleted user owned. Items that cannot be read are among the keys only.
#[derive(Debug, Default)]
pub struct Owned {
    /// Workflows.
    pub workflows: Vec<Workflow>,
    /// Credentials.
    pub credentials: Vec<Credential>,
    /// Installations.
    pub installations: Vec<Installation>,
    /// Keys of the installations, which are deleted first: their events show what else the step
    /// deletes.
    installed: Vec<Key>,
    /// Keys of items outside the partition of the user.
    elsewhere: Vec<Key>,
    /// Keys of the other items in the partition of the user, which lead to the former.
    own: Vec<Key>,
}

/// Number of items that a step deletes.
const ITEMS_PER_STEP: usize = 200;

impl UserJobs {
    /// Returns the unfinished jobs, at most 80,000, of environments in turn. One query per megabyte
    /// of each of eight partitions.
    pub async fn open(&self) -> Result<Vec<UserJob>, StoreError> {
        jobs::open(&self.directory, &[JobKind::Deletion, JobKind::StatusChange]).await
    }

    /// Returns whether a job after a change of a user's status is neither complete nor replaced by
    /// that of a later change. One read.
    pub async fn is_open(&self, job: &StatusChange) -> Result<bool, StoreError> {
        let stored = self.status_change(job.id()).await?;
        Ok(stored.is_some_and(|stored| stored.started_at == job.started_at))
    }

    /// Returns the open change of a user's status. Nothing runs one that is damaged.
    async fn status_change(&self, id: JobId) -> Result<Option<StatusChange>, StoreError> {
        Ok(self.directory.get_item(&keys::user_job(id)).await?.and_then(readable))
    }

    /// Completes a job after a change of a user's status, unless the status has changed again. One
    /// write.
    pub async fn complete_status_change(&self, job: &StatusChange) -> Result<(), StoreError> {
        let unchanged = Condition::equals("startedAt", text(job.started_at));
        let key = keys::user_job(job.id());
        self.directory.delete(Delete::of(&key).when(unchanged)).await.map(|_| ())
    }

    /// Returns the numbers of items that a deleted user owned. They are counted once, before
    /// anything is deleted. The first time one query per megabyte of workflow pointers, of
    /// credentials and of installations, and one write.
    pub async fn count(&self, job: &Deletion) -> Result<OwnedCounts, StoreError> {
        let key = keys::user_job(job.id());
        // The job of a stream record is as old as the record.
        let stored: Option<Deletion> = self.directory.get(&key).await?;
        if let Some(counts) = stored.and_then(|job| job.counts) {
            return Ok(counts);
        }
        let pk = keys::user_partition(job.environment_id, job.user_id);
        let (workflows, credentials, installations) = tokio::try_join!(
            self.directory.count_prefix(&pk, keys::WORKFLOW_POINTER_PREFIX),
            self.directory.count_prefix(&pk, keys::CREDENTIAL_PREFIX),
            self.directory.count_prefix(&pk, keys::INSTALLATION_PREFIX),
        )?;
        let counts = OwnedCounts { workflows, credentials, installations };
        let uncounted = Condition::item_exists().and(Condition::equals("counts", to_value(None::<OwnedCounts>)?));
        let update = Update::of(&key).set("counts", to_value(counts)?).when(uncounted);
        let updated: Option<Deletion> = self.directory.update_or_get(update).await?;
        // Another run may have counted first, and deleted some since.
        Ok(updated.and_then(|job| job.counts).unwrap_or(counts))
    }

    /// Returns the next items that a deleted user owned, or none if no item is left: first the
    /// installations, which show the others. One or two queries and one `BatchGetItem` per 100
    /// workflows.
    pub async fn owned(&self, job: &Deletion) -> Result<Option<Owned>, StoreError> {
        let pk = keys::user_partition(job.environment_id, job.user_id);
        let (of_user, installations) = (std::slice::from_ref(&pk), Range::of_prefix(keys::INSTALLATION_PREFIX));
        let (mut items, _) = self.directory.first_items(of_user, &installations, ITEMS_PER_STEP).await?;
        if items.is_empty() {
            (items, _) = self.directory.first_items(of_user, &Range::all(TABLE), ITEMS_PER_STEP).await?;
        }
        if items.is_empty() {
            return Ok(None);
        }
        let mut owned = Owned::default();
        let mut workflows = Vec::new();
        for item in items {
            let key = Key { pk: pk.clone(), sk: attribute_text(&item, "sk") };
            if key.sk.starts_with(keys::INSTALLATION_PREFIX) {
                owned.installations.extend(readable(item));
                owned.installed.push(key);
                continue;
            }
            if key.sk.starts_with(keys::CREDENTIAL_PREFIX) {
                owned.credentials.extend(readable(item));
            } else {
                workflows.extend(pointed_workflow(job.environment_id, &item));
            }
            owned.own.push(key);
        }
        let (found, _) = self.directory.get_readable::<Workflow>(&workflows).await?;
        owned.workflows = found;
        owned.elsewhere = workflows;
        Ok(Some(owned))
    }

    /// Stores the events of deleted items, then deletes the items: the installations before what
    /// they show, and each workflow before the pointer to it. May stop anywhere and may run twice.
    /// One transaction per 25 events, and one `BatchWriteItem` per 25 installations, per 25
    /// workflows and per 25 other items.
    pub async fn delete(&self, owned: Owned, events: &[Event]) -> Result<(), StoreError> {
        self.outbox.store(events).await?;
        self.directory.delete_all(owned.installed).await?;
        self.directory.delete_all(owned.elsewhere).await?;
        self.directory.delete_all(owned.own).await
    }

    /// Completes a deletion with its receipt, unless another run has. Fails while a change of the
    /// user's status may still store events, which come before the receipt. One read and one
    /// transaction.
    pub async fn complete_deletion(&self, job: &Deletion, receipt: &[Event]) -> Result<(), StoreError> {
        if self.status_change(JobId { kind: JobKind::StatusChange, ..job.id() }).await?.is_some() {
            return Err(StoreError::Busy("a change of the user's status is not complete".into()));
        }
        let delete = Delete::existing(&keys::user_job(job.id()));
        let events = self.outbox.prepare(receipt)?;
        // Refused if another run has completed it.
        let (Transacted::Committed | Transacted::Refused(_)) =
            self.directory.transact_with_events(vec![delete.into()], events).await?;
        Ok(())
    }
}

/// Returns the key of the workflow to which an item points, if it is a pointer.
fn pointed_workflow(environment: EnvironmentId, item: &Item) -> Option<Key> {
    let id: WorkflowId = attribute_text(item, "workflowId").parse().ok()?;
    Some(keys::workflow(environment, id))
}
