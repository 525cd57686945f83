//! Events of the changes that a request or a background job makes.

use serde::Serialize;
use tenon::{
    domain::{
        credential::Credential,
        event::{Actor, Event, EventData, EventType},
        id::{EnvironmentId, UserId, WorkflowId},
        request_seed::RequestSeed,
        user::{OwnerStatus, User},
        workflow::{EngineIntegrationId, Workflow},
    },
    store::{
        StoreError,
        events::{Outbox, Outgoing},
    },
};

use crate::api::{
    credentials::CredentialBody, installations::InstallationBody, users::UserBody, workflows::WorkflowBody,
};

/// Changes that are made together, each with its event.
pub(crate) struct Changes {
    environment: EnvironmentId,
    actor: Option<Actor>,
    seed: RequestSeed,
    events: Result<Vec<Event>, serde_json::Error>,
}

/// User as its events show it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct UserData {
    #[serde(flatten)]
    user: UserBody,
    revision: u32,
    /// Whether the user is being deleted.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    deleting: bool,
}

/// Subject of an event, in addition to its user.
#[derive(Default)]
struct Subject {
    workflow_id: Option<WorkflowId>,
    integration_id: Option<EngineIntegrationId>,
}

impl Changes {
    /// Starts the changes of a request.
    pub(crate) fn new(environment: EnvironmentId, actor: Actor) -> Self {
        Self::of_job(environment, Some(actor), RequestSeed::new())
    }

    /// Starts the changes of a background job. The same seed leads to the same event for a change.
    pub(crate) fn of_job(environment: EnvironmentId, actor: Option<Actor>, seed: RequestSeed) -> Self {
        Self { environment, actor, seed, events: Ok(Vec::new()) }
    }

    /// Adds the change of a user. `deleting` marks the start of its deletion.
    pub(crate) fn user(&mut self, event_type: EventType, user: &User, deleting: bool) {
        let data = UserData { user: user.clone().into(), revision: user.version, deleting };
        self.add(event_type, user.user_id, Subject::default(), &user.user_id.to_string(), &data);
    }

    /// Adds the receipt of a user's deletion.
    pub(crate) fn receipt(&mut self, user: UserId, data: &impl Serialize) {
        self.add(EventType::UserDeleted, user, Subject::default(), &user.to_string(), data);
    }

    /// Adds the change of a workflow.
    pub(crate) fn workflow(&mut self, event_type: EventType, shown: &WorkflowBody) {
        let WorkflowBody { workflow_id, integration_id, .. } = shown;
        let subject = Subject { workflow_id: Some(*workflow_id), integration_id: integration_id.clone() };
        self.add(event_type, shown.user_id, subject, &workflow_id.to_string(), shown);
    }

    /// Adds the change of a workflow between two states. If its activity changed, that determines
    /// the type.
    ///
    /// A workflow that is deactivated while its user is disabled shows no difference. Its event is
    /// needed nevertheless: the job that follows the change of the user may find it inactive
    /// already.
    pub(crate) fn changed_workflow(&mut self, before: &Workflow, after: &Workflow, owner: OwnerStatus) {
        let event_type = match (before.active, after.active) {
            (true, false) => EventType::WorkflowDeactivated,
            (false, true) if owner.is_active() => EventType::WorkflowActivated,
            _ => EventType::WorkflowUpdated,
        };
        self.workflow(event_type, &WorkflowBody::new(after.clone(), owner));
    }

    /// Adds the change of a credential.
    pub(crate) fn credential(&mut self, event_type: EventType, credential: &Credential) {
        let shown = CredentialBody::from(credential.clone());
        self.add(event_type, shown.user_id, Subject::default(), &shown.credential_id.to_string(), &shown);
    }

    /// Adds the change of an installation.
    pub(crate) fn installation(&mut self, event_type: EventType, shown: &InstallationBody) {
        let id = &shown.integration_id;
        let subject = Subject { workflow_id: None, integration_id: Some(id.to_engine_id()) };
        self.add(event_type, shown.user_id, subject, id.as_str(), shown);
    }

    fn add(&mut self, event_type: EventType, user_id: UserId, subject: Subject, id: &str, shown: &impl Serialize) {
        let Subject { workflow_id, integration_id } = subject;
        let Ok(events) = &mut self.events else { return };
        match EventData::of(shown) {
            Ok(data) => events.push(Event {
                event_id: self.seed.named_id(&format!("{event_type} {user_id} {id}")),
                environment_id: self.environment,
                event_type,
                created_at: self.seed.at,
                user_id,
                workflow_id,
                integration_id,
                actor: self.actor,
                data,
            }),
            Err(error) => self.events = Err(error),
        }
    }

    /// Returns the events.
    pub(crate) fn into_events(self) -> Result<Vec<Event>, StoreError> {
        self.events.map_err(StoreError::malformed)
    }

    /// Prepares the events for the transaction of the changes.
    pub(crate) fn prepare(self, outbox: &Outbox) -> Result<Outgoing<'_>, StoreError> {
        outbox.prepare(&self.into_events()?)
    }
}
