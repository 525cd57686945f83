//! Environments of the stack.

use super::{
    keys,
    table::{StoreError, Table, to_item},
};
use crate::domain::{environment::Environment, id::EnvironmentId};

/// Environments of the stack.
#[derive(Clone, Debug)]
pub struct Environments(pub Table);

impl Environments {
    /// Creates an environment; does nothing if its id exists. One write.
    pub async fn create(&self, environment: &Environment) -> Result<(), StoreError> {
        let item = to_item("environment", &keys::environment(environment.environment_id), environment, &[])?;
        self.0.create(item).await
    }

    /// Returns the environment with this id. One read.
    pub async fn find(&self, id: EnvironmentId) -> Result<Option<Environment>, StoreError> {
        self.0.get(&keys::environment(id)).await
    }
}
