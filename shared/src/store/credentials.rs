//! Credentials of users.

use serde::{Deserialize, Serialize};

use super::{
    keys,
    table::{Access, Delete, Filter, Page, Put, Range, ReadWrite, StoreError, TABLE, Table, Write, to_item},
};
use crate::domain::{
    credential::Credential,
    id::{CredentialId, EnvironmentId, UserId},
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

/// Sealed data of a credential, without its other attributes.
#[derive(Deserialize)]
struct Data {
    data: Sealed,
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

impl Credentials {
    /// Creates a credential if the user exists. A credential with the same id is left unchanged: it
    /// stems from an earlier attempt of the same request. One transaction.
    pub async fn create(
        &self,
        environment: EnvironmentId,
        new: &SealedCredential,
    ) -> Result<(), CreateCredentialError> {
        let Credential { credential_id, user_id, .. } = new.credential;
        let key = keys::credential(environment, user_id, credential_id);
        let writes = vec![
            Write::check_exists(&keys::user(environment, user_id)),
            Put::if_absent(to_item("credential", &key, new, &[])?).into(),
        ];
        match self.0.transact(writes).await?[..] {
            [true, ..] => Err(CreateCredentialError::UserNotFound),
            _ => Ok(()),
        }
    }

    /// Deletes a credential with its data. Returns false if it does not exist. One write.
    pub async fn delete(&self, environment: EnvironmentId, user: UserId, id: CredentialId) -> Result<bool, StoreError> {
        self.0.delete(Delete::existing(&keys::credential(environment, user, id))).await
    }
}

impl<A: Access> Credentials<A> {
    /// Returns all credentials of a user without their data, the oldest first. One query per
    /// megabyte.
    pub async fn list_by_user(&self, environment: EnvironmentId, user: UserId) -> Result<Vec<Credential>, StoreError> {
        self.0.list_prefix(keys::user(environment, user).pk, keys::CREDENTIAL_PREFIX).await
    }

    /// Returns a page of a user's credentials without their data, the newest first. At least one
    /// query.
    pub async fn page(
        &self,
        environment: EnvironmentId,
        user: UserId,
        (after, limit): (Option<&str>, usize),
    ) -> Result<Page<Credential>, StoreError> {
        let prefix = keys::CREDENTIAL_PREFIX;
        let range = Range { view: TABLE, low: prefix.into(), high: format!("{prefix}g"), newest_first: true };
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

    /// Returns the sealed data of a credential. One read.
    pub async fn data(
        &self,
        environment: EnvironmentId,
        user: UserId,
        id: CredentialId,
    ) -> Result<Option<Sealed>, StoreError> {
        let found: Option<Data> = self.0.get(&keys::credential(environment, user, id)).await?;
        Ok(found.map(|found| found.data))
    }
}
