//! Credentials of users.

use super::{
    keys,
    table::{StoreError, Table},
};
use crate::domain::{
    credential::Credential,
    id::{EnvironmentId, UserId},
};

/// The credentials of all environments.
#[derive(Clone, Debug)]
pub struct Credentials(pub Table);

impl Credentials {
    /// All credentials of a user, the oldest first, without their data. One query.
    pub async fn of_user(&self, environment: EnvironmentId, user: UserId) -> Result<Vec<Credential>, StoreError> {
        self.0.list(keys::user(environment, user).pk, keys::CREDENTIAL_PREFIX).await
    }
}
