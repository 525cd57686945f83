//! Integrations: the catalogue of an environment.

use std::{sync::Arc, time::Duration};

use super::{
    keys,
    table::{
        Access, Condition, Delete, Put, ReadOnly, ReadWrite, StoreError, Table, Transacted, Transaction, Update,
        number, readable, text, to_item,
    },
};
use crate::{
    cache::WallClockCache,
    domain::{
        id::EnvironmentId,
        integration::{Integration, IntegrationId, MAX_INTEGRATIONS},
    },
};

/// Integrations of all environments.
#[derive(Clone, Debug)]
pub struct Integrations<A: Access = ReadWrite>(pub Table<A>);

/// Reason why an integration was not created.
#[derive(Debug, thiserror::Error)]
pub enum CreateIntegrationError {
    /// The environment has the maximum number of integrations.
    #[error("the environment already has {MAX_INTEGRATIONS} integrations; delete one first")]
    TooMany,
    /// Another request created it.
    #[error("the integration was created concurrently")]
    Exists,
    /// DynamoDB failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Integrations {
    /// Creates an integration, unless the environment has the maximum number of them. One
    /// transaction, which also updates the count that enforces the limit.
    pub async fn create(&self, environment: EnvironmentId, new: &Integration) -> Result<(), CreateIntegrationError> {
        let below_limit = Condition::compare("integrations", "<", number(MAX_INTEGRATIONS));
        let count = Update::of(&keys::integrations_count(environment))
            .set("type", text("integrationCount"))
            .add("integrations", number(1))
            .when(Condition::item_absent().or(below_limit));
        let key = keys::integration(environment, &new.integration_id);
        let mut writes = Transaction::default();
        writes.add(count);
        let stored = writes.add(Put::if_absent(to_item("integration", &key, new, &[])?));
        match self.0.transact(writes).await? {
            Transacted::Committed => Ok(()),
            Transacted::Refused(refused) if refused.has(stored) => Err(CreateIntegrationError::Exists),
            Transacted::Refused(_) => Err(CreateIntegrationError::TooMany),
        }
    }

    /// Replaces an integration, if it is unchanged. Returns false if it was changed otherwise or
    /// deleted. One write.
    pub async fn replace(
        &self,
        environment: EnvironmentId,
        before: &Integration,
        after: &Integration,
    ) -> Result<bool, StoreError> {
        let key = keys::integration(environment, &after.integration_id);
        // The time of creation too: the integration may have been deleted and created again.
        let unchanged = Condition::equals("version", number(before.version))
            .and(Condition::equals("createdAt", text(before.created_at)));
        self.0.replace(Put::new(to_item("integration", &key, after, &[])?).when(unchanged), after).await
    }

    /// Deletes an integration. Returns false if it does not exist. One transaction.
    pub async fn delete(&self, environment: EnvironmentId, id: &IntegrationId) -> Result<bool, StoreError> {
        let count = Update::of(&keys::integrations_count(environment)).add("integrations", number(-1));
        let delete = Delete::existing(&keys::integration(environment, id));
        Ok(self.0.transact(vec![delete.into(), count.into()]).await?.is_committed())
    }
}

impl<A: Access> Integrations<A> {
    /// Returns an integration. One read.
    pub async fn get(&self, environment: EnvironmentId, id: &IntegrationId) -> Result<Option<Integration>, StoreError> {
        self.0.get(&keys::integration(environment, id)).await
    }

    /// Returns all integrations of an environment, the newest first. One query per megabyte.
    pub async fn all(&self, environment: EnvironmentId) -> Result<Vec<Integration>, StoreError> {
        let items = self.0.list_prefix(keys::integrations(environment), keys::INTEGRATION_PREFIX).await?;
        let mut found: Vec<Integration> = items.into_iter().filter_map(readable).collect();
        let position = |one: &Integration| (one.created_at, one.integration_id.to_string());
        found.sort_by_cached_key(|one| std::cmp::Reverse(position(one)));
        Ok(found)
    }
}

/// Time for which a process keeps the catalogue of an environment.
const CACHED_FOR: Duration = Duration::from_secs(10);
/// Maximum size of all cached catalogues, in bytes of JSON.
const MAX_CACHED_BYTES: u64 = 32 * 1024 * 1024;

/// Catalogues of environments, as they were at most ten seconds ago.
#[derive(Clone, Debug)]
pub struct Catalogue {
    integrations: Integrations<ReadOnly>,
    cache: WallClockCache<EnvironmentId, Arc<Vec<Integration>>>,
}

impl Catalogue {
    /// Creates an empty cache over the stored integrations.
    pub fn new(integrations: Integrations<ReadOnly>) -> Self {
        let cache = WallClockCache::weighted(CACHED_FOR, MAX_CACHED_BYTES, |all: &Arc<Vec<Integration>>| {
            let bytes: usize = all.iter().map(|integration| integration.content.size()).sum();
            u32::try_from(bytes).unwrap_or(u32::MAX)
        });
        Self { integrations, cache }
    }

    /// Returns all integrations of an environment, the newest first. At most one query per
    /// megabyte.
    pub async fn all(&self, environment: EnvironmentId) -> Result<Arc<Vec<Integration>>, StoreError> {
        let read = || async { self.integrations.all(environment).await.map(Arc::new) };
        self.cache.get_or_read(environment, read).await
    }
}
