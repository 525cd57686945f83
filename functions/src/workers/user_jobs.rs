//! `user_jobs`, triggered by the stream of the directory table for each user that is deleted,
//! disabled or enabled, and by a schedule for unfinished jobs. May stop at any point and run more
//! than once. AWS calls: for 200 items of a deleted user one or two DynamoDB queries, one batch
//! read for each 100 workflows, three reads of what the installations show, one transaction for
//! each 25 events, and up to 24 writes, and at the end one read and one transaction; for a disabled
//! or enabled user two reads, one query of the names of its workflows, one batch read for each 100
//! workflows and one transaction for each 25, and one write at the end. If another run has stored
//! some of the events, one more transaction for each 25.

use aws_lambda_events::event::streams::DynamoDbEventResponse;
use lambda_runtime::Diagnostic;
use serde::Serialize;
use tenon::{
    domain::{
        event::{Event, EventType},
        id::UserId,
    },
    start::FromAws,
    store::{
        ReadOnly, StoreError,
        integrations::Catalogue,
        user_jobs::{Deletion, Owned, OwnedCounts, StatusChange, UserJob, UserJobs},
        users::Users,
        workflows::Workflows,
    },
};

use super::jobs::{self, Trigger};
use crate::{
    api::{
        installations::{InstallationBody, Parts},
        workflows::WorkflowBody,
    },
    changes::Changes,
};

/// State of the function.
#[derive(Clone, Debug, FromAws)]
pub struct State {
    jobs: UserJobs,
    users: Users<ReadOnly>,
    workflows: Workflows<ReadOnly>,
    catalogue: Catalogue,
    parts: Parts,
}

/// Data of the event that a user and everything that it owned were deleted.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Receipt {
    user_id: UserId,
    revision: u32,
    counts: OwnedCounts,
}

/// Deletes what deleted users owned, and sends the events of workflows whose user was disabled or
/// enabled.
pub async fn run_user_jobs(state: State, trigger: Trigger) -> Result<DynamoDbEventResponse, Diagnostic> {
    let open = async || state.jobs.open().await;
    jobs::run(trigger, open, async |job| state.run(job).await).await
}

impl State {
    /// Runs a job to its end. May be repeated after a failure, and run concurrently.
    pub async fn run(&self, job: &UserJob) -> Result<(), StoreError> {
        match job {
            UserJob::Deletion(job) => self.delete(job).await,
            UserJob::StatusChange(job) => self.send_status(job).await,
        }
    }

    /// Sends an event for each workflow that the API shows as active while its user is. The ids of
    /// the events depend on the job only, so that a second run sends none again.
    async fn send_status(&self, job: &StatusChange) -> Result<(), StoreError> {
        // Another run may have completed it, and its events may have been erased since.
        if !self.jobs.is_open(job).await? {
            return Ok(());
        }
        let StatusChange { environment_id: environment, user_id, owner, actor, .. } = job;
        let user = self.users.get(*environment, *user_id).await?;
        // A later change has a job of its own, and of a deleted user everything is deleted.
        if user.is_some_and(|user| user.owner_status() == *owner) {
            let event_type =
                if owner.is_active() { EventType::WorkflowActivated } else { EventType::WorkflowDeactivated };
            let ids = self.workflows.ids_by_user(*environment, *user_id).await?.items;
            for ids in ids.chunks(WORKFLOWS_PER_STEP) {
                let mut changes = Changes::of_job(*environment, *actor, job.seed.clone());
                let mut workflows = self.workflows.get_all(*environment, ids).await?.items;
                workflows.retain(|workflow| workflow.active);
                for workflow in workflows {
                    changes.workflow(event_type, &WorkflowBody::new(workflow, *owner));
                }
                self.jobs.outbox.store(&changes.into_events()?).await?;
            }
        }
        self.jobs.complete_status_change(job).await
    }

    /// Deletes all items that a user owned, each with its event, and completes the job with the
    /// receipt.
    async fn delete(&self, job: &Deletion) -> Result<(), StoreError> {
        let counts = self.jobs.count(job).await?;
        while let Some(owned) = self.jobs.owned(job).await? {
            let events = self.deletions(job, &owned).await?;
            self.jobs.delete(owned, &events).await?;
        }
        let mut changes = Changes::of_job(job.environment_id, job.actor, job.seed.clone());
        let receipt = Receipt { user_id: job.user_id, revision: job.version.saturating_add(1), counts };
        changes.receipt(job.user_id, &receipt);
        self.jobs.complete_deletion(job, &changes.into_events()?).await
    }

    /// Returns the events of the deletion of items.
    async fn deletions(&self, job: &Deletion, owned: &Owned) -> Result<Vec<Event>, StoreError> {
        let Owned { workflows, credentials, installations, .. } = owned;
        let mut changes = Changes::of_job(job.environment_id, job.actor, job.seed.clone());
        // The same in each run.
        let now = job.started_at;
        let parts = self.parts.read(job.environment_id, installations).await?;
        if !installations.is_empty() {
            let catalogue = self.catalogue.all(job.environment_id).await?;
            for installation in installations {
                let shown = InstallationBody::new(installation.touched(now), job.owner.status, &catalogue, &parts);
                changes.installation(EventType::InstallationDeleted, &shown);
            }
        }
        for workflow in workflows {
            changes.workflow(EventType::WorkflowDeleted, &WorkflowBody::new(workflow.touched(now), job.owner));
        }
        for credential in credentials {
            changes.credential(EventType::CredentialDeleted, &credential.touched(now));
        }
        changes.into_events()
    }
}

/// Number of workflows of a disabled or enabled user whose events are stored together.
const WORKFLOWS_PER_STEP: usize = 100;
