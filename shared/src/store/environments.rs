//! Environments of the stack.

use super::{
    keys,
    table::{Access, Condition, Put, ReadWrite, StoreError, Table, Update, number, to_item, to_value},
};
use crate::domain::{environment::Environment, id::EnvironmentId, modal::Modal};

/// Environments of the stack.
#[derive(Clone, Debug)]
pub struct Environments<A: Access = ReadWrite>(pub Table<A>);

impl Environments {
    /// Creates an environment; does nothing if its id exists. One write.
    pub async fn create(&self, environment: &Environment) -> Result<(), StoreError> {
        let item = to_item("environment", &keys::environment(environment.environment_id), environment, &[])?;
        self.0.put(Put::if_absent(item)).await.map(|_| ())
    }

    /// Sets the defaults of the modal, if the version of the environment is unchanged. Returns the
    /// environment, or none if another request changed it. One write.
    pub async fn set_modal(&self, before: &Environment, modal: &Modal) -> Result<Option<Environment>, StoreError> {
        let after = Environment { modal: modal.clone(), version: before.version + 1, ..before.clone() };
        let update = Update::of(&keys::environment(before.environment_id))
            .set("modal", to_value(modal)?)
            .set("version", number(after.version))
            .when(Condition::equals("version", number(before.version)));
        // The SDK may have repeated a write whose response was lost.
        Ok(self.0.update_or_get(update).await?.filter(|stored| *stored == after))
    }
}

impl<A: Access> Environments<A> {
    /// Returns the environment with this id. One read.
    pub async fn get(&self, id: EnvironmentId) -> Result<Option<Environment>, StoreError> {
        self.0.get(&keys::environment(id)).await
    }
}
