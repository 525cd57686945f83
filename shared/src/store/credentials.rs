//! Credentials of users.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    keys,
    table::{
        Access, Condition, Delete, Filter, Page, Put, Range, ReadWrite, StoreError, Table, Update, Write, number, text,
        to_item, to_value,
    },
    tombstones::{check_not_deleted, mark_deleted},
};
use crate::domain::{
    credential::{Credential, CredentialStatus},
    id::{CredentialId, EnvironmentId, UserId},
    request_seed::RequestSeed,
    revision::next_revision,
    secret::Sealed,
    text::Text,
    timestamp::Timestamp,
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

/// Returns the write of a credential that must not exist.
pub(super) fn creation(environment: EnvironmentId, new: &SealedCredential) -> Result<Write, StoreError> {
    let Credential { credential_id, user_id, .. } = new.credential;
    let key = keys::credential(environment, user_id, credential_id);
    Ok(Put::if_absent(to_item("credential", &key, new, &[])?).into())
}

/// Returns the update that replaces the data of a credential, which becomes `after`, if its revision is
/// unchanged.
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
    Ok(update.when(Condition::equals("revision", number(before.revision))))
}

/// Returns the update with which a workflow or an installation starts to name a credential, which must
/// exist. A deletion that finds a credential unnamed requires that this has not happened since.
pub(super) fn naming(environment: EnvironmentId, user: UserId, id: CredentialId) -> Update {
    let update = Update::of(&keys::credential(environment, user, id)).add("namings", number(1));
    update.when(Condition::item_exists())
}

/// Returns the deletion of a credential that nothing names, and its tombstone.
pub(super) fn deletion_of_unnamed(
    environment: EnvironmentId,
    credential: &Credential,
) -> Result<[Write; 2], StoreError> {
    let Credential { credential_id, user_id, namings, .. } = credential;
    let key = keys::credential(environment, *user_id, *credential_id);
    let unnamed = Condition::equals("namings", number(namings));
    Ok([Delete::of(&key).when(unnamed).into(), mark_deleted(&key)?])
}

impl Credentials {
    /// Creates a credential if the user exists. A credential with the same id is left unchanged, even
    /// if it was deleted since: it stems from an earlier attempt of the same request. One
    /// transaction.
    pub async fn create(
        &self,
        environment: EnvironmentId,
        new: &SealedCredential,
        seed: &RequestSeed,
    ) -> Result<(), CreateCredentialError> {
        let Credential { credential_id, user_id, .. } = new.credential;
        let key = keys::credential(environment, user_id, credential_id);
        let mut writes = vec![Write::check_exists(&keys::user(environment, user_id)), creation(environment, new)?];
        writes.extend(check_not_deleted(&key, seed));
        match self.0.transact(writes).await?[..] {
            [true, ..] => Err(CreateCredentialError::UserNotFound),
            _ => Ok(()),
        }
    }

    /// Sets the status of a credential, if its revision is unchanged. Returns the credential, or none
    /// if it was changed or deleted. One write.
    pub async fn set_status(
        &self,
        environment: EnvironmentId,
        before: &Credential,
        status: CredentialStatus,
        reason: Option<&Text<512>>,
    ) -> Result<Option<Credential>, StoreError> {
        let Credential { credential_id, user_id, revision, .. } = before;
        let now = Timestamp::now();
        let update = Update::of(&keys::credential(environment, *user_id, *credential_id))
            .set("status", to_value(status)?)
            .set("statusReason", to_value(reason)?)
            .set("revision", number(next_revision(Some(*revision), now)))
            .set("updatedAt", text(now))
            .when(Condition::equals("revision", number(revision)));
        self.0.update_returning_new(update).await
    }

    /// Replaces the data of a credential, which becomes `after`, if its revision is unchanged. Returns
    /// false if it was changed or deleted. One write.
    pub async fn replace(
        &self,
        environment: EnvironmentId,
        before: &Credential,
        after: &SealedCredential,
    ) -> Result<bool, StoreError> {
        self.0.update(replacement(environment, before, after)?).await
    }

    /// Deletes a credential with its data. Returns false if it does not exist. One transaction.
    pub async fn delete(&self, environment: EnvironmentId, user: UserId, id: CredentialId) -> Result<bool, StoreError> {
        let key = keys::credential(environment, user, id);
        let mut writes = vec![Delete::existing(&key).into()];
        writes.push(mark_deleted(&key)?);
        Ok(self.0.transact(writes).await?.is_empty())
    }
}

impl<A: Access> Credentials<A> {
    /// Returns the first credentials of a user without their data, the oldest first, at most `limit`,
    /// and `true` if there are no more. At least one query.
    pub async fn first_by_user(
        &self,
        environment: EnvironmentId,
        user: UserId,
        limit: usize,
    ) -> Result<(Vec<Credential>, bool), StoreError> {
        let range = Range::of_prefix(keys::CREDENTIAL_PREFIX);
        let Page { items, next } =
            self.0.page(&[keys::user(environment, user).pk], &range, &Filter::default(), (None, limit)).await?;
        Ok((items, next.is_none()))
    }

    /// Returns a page of a user's credentials without their data, the newest first. At least one
    /// query.
    pub async fn page(
        &self,
        environment: EnvironmentId,
        user: UserId,
        (after, limit): (Option<&str>, usize),
    ) -> Result<Page<Credential>, StoreError> {
        let range = Range { newest_first: true, ..Range::of_prefix(keys::CREDENTIAL_PREFIX) };
        self.0.page(&[keys::user(environment, user).pk], &range, &Filter::default(), (after, limit)).await
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

    /// Returns credentials of users, as [`Credential`] or [`SealedCredential`], in no order, without those
    /// that do not exist. One `BatchGetItem` per 100 credentials.
    pub async fn get_all<C: DeserializeOwned>(
        &self,
        environment: EnvironmentId,
        ids: impl IntoIterator<Item = (UserId, CredentialId)>,
    ) -> Result<Vec<C>, StoreError> {
        let wanted: Vec<_> = ids.into_iter().map(|(user, id)| keys::credential(environment, user, id)).collect();
        self.0.get_all(&wanted).await
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
