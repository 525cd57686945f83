//! Environments of the stack.

use super::{
    keys,
    table::{Access, Put, ReadWrite, StoreError, Table, to_item},
};
use crate::domain::{environment::Environment, id::EnvironmentId};

/// Environments of the stack.
#[derive(Clone, Debug)]
pub struct Environments<A: Access = ReadWrite>(pub Table<A>);

impl Environments {
    /// Creates an environment; does nothing if its id exists. One write.
    pub async fn create(&self, environment: &Environment) -> Result<(), StoreError> {
        let item = to_item("environment", &keys::environment(environment.environment_id), environment, &[])?;
        self.0.put(Put::if_absent(item)).await.map(|_| ())
    }
}

impl<A: Access> Environments<A> {
    /// Returns the environment with this id. One read.
    pub async fn find(&self, id: EnvironmentId) -> Result<Option<Environment>, StoreError> {
        self.0.get(&keys::environment(id)).await
    }
}
