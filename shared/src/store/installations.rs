//! Installations of integrations, with the workflows and credentials that change together with
//! them.

use super::{
    Position,
    credentials::{SealedCredential, creation, deletion, marked, reference, replacement},
    events::Outgoing,
    keys,
    table::{
        Access, Condition, Delete, Filter, Item, LISTING, Page, PageRequest, Put, Range, ReadWrite, StoreError, Table,
        Transacted, Transaction, Write, all_readable, number, to_item,
    },
    tombstones::mark_deleted,
    users::check_status,
    workflows::{deletions, pointer_item, workflow_item},
};
use crate::domain::{
    credential::Credential,
    id::{CredentialId, EnvironmentId, UserId},
    installation::Installation,
    integration::IntegrationId,
    readable::Readable,
    user::OwnerStatus,
    workflow::Workflow,
};

/// Installations of all environments.
#[derive(Clone, Debug)]
pub struct Installations<A: Access = ReadWrite>(pub Table<A>);

/// Credentials that an installation leaves when it is deleted.
#[derive(Clone, Debug, Default)]
pub struct Leftovers {
    /// Those that nothing else references, which are deleted too.
    pub unreferenced: Vec<Credential>,
    /// Those that another installation or a workflow references. Each is marked, so that of two
    /// installations that are deleted concurrently the second one deletes it.
    pub shared: Vec<Credential>,
}

/// Change of an installation and of what belongs to it.
#[derive(Clone, Debug)]
pub struct InstallationChange {
    /// Installation after the change.
    pub installation: Installation,
    /// Workflows to create.
    pub new_workflows: Vec<Workflow>,
    /// Workflows to replace, each as it was and as it will be.
    pub changed_workflows: Vec<(Workflow, Workflow)>,
    /// Credentials to create.
    pub new_credentials: Vec<SealedCredential>,
    /// Credentials whose data is replaced, each as it was before.
    pub replaced_credentials: Vec<(Credential, SealedCredential)>,
    /// Other credentials that the installation starts to reference.
    pub referenced_credentials: Vec<CredentialId>,
}

/// Reason why an installation was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeInstallationError {
    /// The name of a new workflow is taken.
    #[error("the name of a workflow is taken")]
    NameTaken,
    /// The installation, one of its workflows, one of its credentials or the status of the user was
    /// changed after it was read.
    #[error("the installation was modified concurrently")]
    Conflict,
    /// DynamoDB failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn installation_item(environment: EnvironmentId, installation: &Installation) -> Result<Item, StoreError> {
    let Installation { user_id, integration_id, installed_at, .. } = installation;
    let listing = keys::listed_installation(environment, *user_id, integration_id, *installed_at).listing();
    let key = keys::installation(environment, *user_id, integration_id);
    to_item("installation", &key, installation, &listing)
}

/// Returns the position of an installation in the list of its environment, as
/// [`Installations::page`] has it.
pub fn position(environment: EnvironmentId, installation: &Installation) -> Position {
    let Installation { user_id, integration_id, installed_at, .. } = installation;
    keys::listed_installation(environment, *user_id, integration_id, *installed_at).sk
}

/// Returns the condition that an installation was not changed, or not created if there was none.
fn unchanged(before: Option<&Installation>) -> Condition {
    before.map_or_else(Condition::item_absent, |before| Condition::equals("revision", number(before.revision)))
}

impl Installations {
    /// Creates or changes an installation with its workflows and credentials, if none of them has
    /// changed since it was read, nor the status of the user. One transaction.
    pub async fn change(
        &self,
        environment: EnvironmentId,
        owner: OwnerStatus,
        before: Option<&Installation>,
        change: &InstallationChange,
        events: Outgoing<'_>,
    ) -> Result<(), ChangeInstallationError> {
        let InstallationChange { installation, new_workflows, changed_workflows, .. } = change;
        let InstallationChange { new_credentials, replaced_credentials, referenced_credentials, .. } = change;
        let user = installation.user_id;
        let mut writes = Transaction::default();
        // Refused if what they depend on has changed since it was read.
        let mut dependent = vec![
            writes.add(check_status(environment, user, owner)),
            writes.add(Put::new(installation_item(environment, installation)?).when(unchanged(before))),
        ];
        let mut names = Vec::new();
        for workflow in new_workflows {
            names.push(writes.add(Put::if_absent(pointer_item(environment, workflow)?)));
            dependent.push(writes.add(Put::if_absent(workflow_item(environment, workflow)?)));
        }
        for (before, workflow) in changed_workflows {
            let unchanged = Condition::equals("revision", number(before.revision));
            dependent.push(writes.add(Put::new(workflow_item(environment, workflow)?).when(unchanged)));
        }
        for credential in new_credentials {
            dependent.push(writes.add(creation(environment, credential)?));
        }
        for (before, after) in replaced_credentials {
            dependent.push(writes.add(replacement(environment, before, after)?));
        }
        dependent.extend(writes.add_all(referenced_credentials.iter().map(|id| reference(environment, user, *id))));
        let Transacted::Refused(refused) = self.0.transact_with_events(writes, events).await? else { return Ok(()) };
        Err(if refused.has_any(&names) && !refused.has_any(&dependent) {
            ChangeInstallationError::NameTaken
        } else {
            ChangeInstallationError::Conflict
        })
    }

    /// Deletes an installation with its workflows and the unreferenced ones of its credentials.
    /// Returns false if one of them has changed since it was read. One transaction.
    pub async fn delete(
        &self,
        environment: EnvironmentId,
        installation: &Installation,
        workflows: &[Workflow],
        credentials: &Leftovers,
        events: Outgoing<'_>,
    ) -> Result<bool, StoreError> {
        let key = keys::installation(environment, installation.user_id, &installation.integration_id);
        let mut writes = vec![
            Write::check_exists(&keys::user(environment, installation.user_id)),
            Delete::of(&key).when(unchanged(Some(installation))).into(),
        ];
        // Also stands for the workflows, so that the transaction has fewer items.
        writes.push(mark_deleted(&key)?);
        writes.extend(workflows.iter().flat_map(|workflow| deletions(environment, workflow)));
        for credential in &credentials.unreferenced {
            writes.extend(deletion(environment, credential)?);
        }
        writes.extend(credentials.shared.iter().map(|credential| marked(environment, credential).into()));
        Ok(self.0.transact_with_events(writes, events).await?.is_committed())
    }

    /// Deletes a workflow of an installation, which becomes `after`. Returns false if one of them
    /// has changed since it was read. One transaction.
    pub async fn delete_workflow(
        &self,
        environment: EnvironmentId,
        workflow: &Workflow,
        (before, after): (&Installation, &Installation),
        events: Outgoing<'_>,
    ) -> Result<bool, StoreError> {
        let mut writes = vec![Write::check_exists(&keys::user(environment, workflow.user_id))];
        writes.extend(deletions(environment, workflow));
        writes.push(mark_deleted(&keys::workflow(environment, workflow.workflow_id))?);
        writes.push(Put::new(installation_item(environment, after)?).when(unchanged(Some(before))).into());
        Ok(self.0.transact_with_events(writes, events).await?.is_committed())
    }
}

impl<A: Access> Installations<A> {
    /// Returns a user's installation of an integration. One read.
    pub async fn get(
        &self,
        environment: EnvironmentId,
        user: UserId,
        integration: &IntegrationId,
    ) -> Result<Option<Installation>, StoreError> {
        self.0.get(&keys::installation(environment, user, integration)).await
    }

    /// Returns the installations of a user, the newest first. One query per megabyte.
    pub async fn by_user(
        &self,
        environment: EnvironmentId,
        user: UserId,
    ) -> Result<Readable<Installation>, StoreError> {
        let items = self.0.list_prefix(keys::user_partition(environment, user), keys::INSTALLATION_PREFIX).await?;
        let mut found: Readable<Installation> = all_readable(items);
        found.items.sort_by_cached_key(|one| std::cmp::Reverse((one.installed_at, one.integration_id.to_string())));
        Ok(found)
    }

    /// Returns a page of the installations of an environment, the newest first. Eventually
    /// consistent. One query for each of four partitions.
    pub async fn page(
        &self,
        environment: EnvironmentId,
        request: PageRequest<'_>,
    ) -> Result<Page<Installation>, StoreError> {
        let partitions = keys::installations_of_environment(environment).partitions();
        let newest_first = Range { newest_first: true, ..Range::all(LISTING) };
        self.0.page(&partitions, &newest_first, &Filter::default(), request).await
    }
}
