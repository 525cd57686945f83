//! Credentials of users.

use serde::{Deserialize, Serialize};

use super::{
    keys,
    listing::{Filter, Page, Range, TABLE},
    table::{StoreError, Table, check_exists, put_if_absent, to_item},
};
use crate::domain::{
    credential::Credential,
    id::{CredentialId, EnvironmentId, UserId},
    secret::Sealed,
};

/// The credentials of all environments.
#[derive(Clone, Debug)]
pub struct Credentials(pub Table);

/// A credential with its data, sealed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SealedCredential {
    /// What may be shown of it.
    #[serde(flatten)]
    pub credential: Credential,
    /// What the user entered, encrypted.
    pub data: Sealed,
}

/// The data alone, which are never read beside what is shown.
#[derive(Deserialize)]
struct Data {
    data: Sealed,
}

/// Why a credential was not created.
#[derive(Debug, thiserror::Error)]
pub enum CreateCredentialError {
    /// The environment has no such user.
    #[error("there is no such user")]
    UserNotFound,
    /// DynamoDB did not answer as it should.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Credentials {
    /// One transaction: the credential, where the user exists, or nothing. One that is there already stays as it is: it is
    /// from an earlier try of the same request.
    pub async fn create(
        &self,
        environment: EnvironmentId,
        new: &SealedCredential,
    ) -> Result<(), CreateCredentialError> {
        let Credential { credential_id, user_id, .. } = new.credential;
        let table = &self.0.name;
        let key = keys::credential(environment, user_id, credential_id);
        let actions = vec![
            check_exists(table, &keys::user(environment, user_id))?,
            put_if_absent(table, to_item("credential", &key, new, &[])?)?,
        ];
        match self.0.transact(actions).await?[..] {
            [true, ..] => Err(CreateCredentialError::UserNotFound),
            _ => Ok(()),
        }
    }

    /// All credentials of a user, the oldest first, without their data. One query for a megabyte.
    pub async fn list_by_user(&self, environment: EnvironmentId, user: UserId) -> Result<Vec<Credential>, StoreError> {
        self.0.list(keys::user(environment, user).pk, keys::CREDENTIAL_PREFIX).await
    }

    /// A page of a user's credentials, the newest first, without their data. One query.
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

    /// One read, without its data.
    pub async fn get(
        &self,
        environment: EnvironmentId,
        user: UserId,
        id: CredentialId,
    ) -> Result<Option<Credential>, StoreError> {
        self.0.get(&keys::credential(environment, user, id)).await
    }

    /// The sealed data of a credential. One read.
    pub async fn data(
        &self,
        environment: EnvironmentId,
        user: UserId,
        id: CredentialId,
    ) -> Result<Option<Sealed>, StoreError> {
        let found: Option<Data> = self.0.get(&keys::credential(environment, user, id)).await?;
        Ok(found.map(|found| found.data))
    }

    /// Removes a credential with its data. False where there is none. One write.
    pub async fn delete(&self, environment: EnvironmentId, user: UserId, id: CredentialId) -> Result<bool, StoreError> {
        self.0.delete(&keys::credential(environment, user, id)).await
    }
}
