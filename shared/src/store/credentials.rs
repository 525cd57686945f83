//! Credentials of users.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    Position,
    events::Outgoing,
    keys::{self, Key},
    table::{
        Access, Condition, Delete, Filter, Page, PageRequest, Put, Range, ReadWrite, StoreError, Table, Transacted,
        Transaction, Update, Write, number, readable, text, to_item, to_value,
    },
    tombstones::{check_not_deleted, mark_deleted},
};
use crate::domain::{
    credential::Credential,
    id::{CredentialId, EnvironmentId, UserId},
    request_seed::RequestSeed,
    secret::Sealed,
};

/// Credentials of all environments.
#[derive(Clone, Debug)]
pub struct Credentials<A: Access = ReadWrite>(pub Table<A>);

/// Credential with its sealed data.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SealedCredential {
    /// Attributes that callers may see.
    #[serde(flatten)]
    pub credential: Credential,
    /// Data that the user entered, encrypted.
    pub data: Sealed,
}

/// Reason why a credential was not created.
#[derive(Debug, thiserror::Error)]
pub enum CreateCredentialError {
    /// The user does not exist in the environment.
    #[error("user not found")]
    UserNotFound,
    /// DynamoDB failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Returns the position of a credential in a list of its user's, as [`Credentials::page`] has it.
pub fn position(credential: &Credential) -> Position {
    keys::credential_position(credential.credential_id)
}

/// Returns the write of a credential that must not exist.
pub(super) fn creation(environment: EnvironmentId, new: &SealedCredential) -> Result<Write, StoreError> {
    let Credential { credential_id, user_id, .. } = new.credential;
    let key = keys::credential(environment, user_id, credential_id);
    Ok(Put::if_absent(to_item("credential", &key, new, &[])?).into())
}

/// Returns the update that replaces a credential, as it was read, by one with other data, if it was
/// neither changed nor referenced since.
pub(super) fn replacement(
    environment: EnvironmentId,
    before: &Credential,
    SealedCredential { credential, data }: &SealedCredential,
) -> Result<Update, StoreError> {
    let update = Update::of(&keys::credential(environment, before.user_id, before.credential_id))
        .set("data", to_value(data)?)
        .set("name", text(&credential.name))
        .set("status", to_value(credential.status)?)
        .set("statusReason", to_value(&credential.status_reason)?)
        .set("revision", number(credential.revision))
        .set("dataRevision", number(credential.data_revision))
        .set("updatedAt", text(credential.updated_at));
    Ok(update.when(unchanged(before)))
}

/// Returns the condition that a credential was neither changed nor referenced since it was read.
fn unchanged(Credential { namings, revision, .. }: &Credential) -> Condition {
    let same = Condition::equals("namings", number(namings));
    let same = if *namings == 0 { same.or(Condition::absent("namings")) } else { same };
    same.and(Condition::equals("revision", number(revision)))
}

/// Returns the update with which a workflow or an installation starts to reference a credential,
/// which must exist. A deletion that finds a credential unreferenced requires that this has not
/// happened since.
pub(super) fn reference(environment: EnvironmentId, user: UserId, id: CredentialId) -> Update {
    let update = Update::of(&keys::credential(environment, user, id)).add("namings", number(1));
    update.when(Condition::item_exists())
}

/// Returns the update that makes concurrent changes of what references a credential fail, if it was
/// neither changed nor referenced since it was read.
pub(super) fn marked(environment: EnvironmentId, credential: &Credential) -> Update {
    reference(environment, credential.user_id, credential.credential_id).when(unchanged(credential))
}

/// Returns the deletion of a credential that was neither changed nor referenced since, and its
/// tombstone.
pub(super) fn deletion(environment: EnvironmentId, credential: &Credential) -> Result<[Write; 2], StoreError> {
    let key = keys::credential(environment, credential.user_id, credential.credential_id);
    Ok([Delete::of(&key).when(unchanged(credential)).into(), mark_deleted(&key)?])
}

impl Credentials {
    /// Creates a credential if the user exists. A credential with the same id is left unchanged,
    /// even if it was deleted since: it stems from an earlier attempt of the same request. One
    /// transaction.
    pub async fn create(
        &self,
        environment: EnvironmentId,
        new: &SealedCredential,
        seed: &RequestSeed,
        events: Outgoing<'_>,
    ) -> Result<(), CreateCredentialError> {
        let Credential { credential_id, user_id, .. } = new.credential;
        let key = keys::credential(environment, user_id, credential_id);
        let mut writes = Transaction::default();
        let user = writes.add(Write::check_exists(&keys::user(environment, user_id)));
        writes.add(creation(environment, new)?);
        writes.add_all(check_not_deleted(&key, seed));
        match self.0.transact_with_events(writes, events).await? {
            Transacted::Refused(refused) if refused.has(user) => Err(CreateCredentialError::UserNotFound),
            Transacted::Refused(_) | Transacted::Committed => Ok(()),
        }
    }

    /// Stores the status of a credential, which becomes `after`, if its revision is unchanged.
    /// Returns false if it or its user was changed or deleted. One transaction.
    pub async fn set_status(
        &self,
        environment: EnvironmentId,
        before: &Credential,
        after: &Credential,
        events: Outgoing<'_>,
    ) -> Result<bool, StoreError> {
        let update = Update::of(&keys::credential(environment, before.user_id, before.credential_id))
            .set("status", to_value(after.status)?)
            .set("statusReason", to_value(&after.status_reason)?)
            .set("revision", number(after.revision))
            .set("updatedAt", text(after.updated_at))
            .when(Condition::equals("revision", number(before.revision)));
        let writes = vec![Write::check_exists(&keys::user(environment, before.user_id)), update.into()];
        Ok(self.0.transact_with_events(writes, events).await?.is_committed())
    }

    /// Replaces the data of a credential, which becomes `after`. Returns false if it was changed,
    /// referenced or deleted since it was read. One transaction.
    pub async fn replace(
        &self,
        environment: EnvironmentId,
        before: &Credential,
        after: &SealedCredential,
        events: Outgoing<'_>,
    ) -> Result<bool, StoreError> {
        let user = keys::user(environment, before.user_id);
        let writes = vec![Write::check_exists(&user), replacement(environment, before, after)?.into()];
        Ok(self.0.transact_with_events(writes, events).await?.is_committed())
    }

    /// Deletes a credential with its data. Returns false if it was changed, referenced or deleted
    /// since it was read. One transaction.
    pub async fn delete(
        &self,
        environment: EnvironmentId,
        credential: &Credential,
        events: Outgoing<'_>,
    ) -> Result<bool, StoreError> {
        let [delete, tombstone] = deletion(environment, credential)?;
        let user = keys::user(environment, credential.user_id);
        let writes = vec![Write::check_exists(&user), delete, tombstone];
        Ok(self.0.transact_with_events(writes, events).await?.is_committed())
    }
}

impl<A: Access> Credentials<A> {
    /// Returns all credentials of a user without their data, the newest first. One query per
    /// megabyte.
    pub async fn all_by_user(&self, environment: EnvironmentId, user: UserId) -> Result<Vec<Credential>, StoreError> {
        let items = self.0.list_prefix(keys::user_partition(environment, user), keys::CREDENTIAL_PREFIX).await?;
        Ok(items.into_iter().rev().filter_map(readable).collect())
    }

    /// Returns a page of a user's credentials without their data, the newest first. At least one
    /// query.
    pub async fn page(
        &self,
        environment: EnvironmentId,
        user: UserId,
        request: PageRequest<'_>,
    ) -> Result<Page<Credential>, StoreError> {
        let range = Range { newest_first: true, ..Range::of_prefix(keys::CREDENTIAL_PREFIX) };
        self.0.page(&[keys::user_partition(environment, user)], &range, &Filter::default(), request).await
    }

    /// Returns a credential without its data. One read.
    pub async fn get(
        &self,
        environment: EnvironmentId,
        user: UserId,
        id: CredentialId,
    ) -> Result<Option<Credential>, StoreError> {
        self.0.get(&keys::credential(environment, user, id)).await
    }

    /// Returns credentials of users, as [`Credential`] or [`SealedCredential`], in no order,
    /// without those that do not exist. One `BatchGetItem` per 100 credentials.
    pub async fn get_all<C: DeserializeOwned>(
        &self,
        environment: EnvironmentId,
        ids: impl IntoIterator<Item = (UserId, CredentialId)>,
    ) -> Result<Vec<C>, StoreError> {
        Ok(self.get_readable(environment, ids).await?.0)
    }

    /// Returns credentials like [`Self::get_all`], and the ids of those that are not readable.
    pub async fn get_readable<C: DeserializeOwned>(
        &self,
        environment: EnvironmentId,
        ids: impl IntoIterator<Item = (UserId, CredentialId)>,
    ) -> Result<(Vec<C>, HashSet<CredentialId>), StoreError> {
        let wanted: BTreeMap<Key, CredentialId> =
            ids.into_iter().map(|(user, id)| (keys::credential(environment, user, id), id)).collect();
        let (found, unreadable) = self.0.get_readable(&wanted.keys().cloned().collect::<Vec<_>>()).await?;
        Ok((found, unreadable.iter().filter_map(|key| wanted.get(key).copied()).collect()))
    }

    /// Returns a credential with its sealed data. One read.
    pub async fn sealed(
        &self,
        environment: EnvironmentId,
        user: UserId,
        id: CredentialId,
    ) -> Result<Option<SealedCredential>, StoreError> {
        self.0.get(&keys::credential(environment, user, id)).await
    }
}
