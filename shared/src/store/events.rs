//! Events, and the outbox: events are stored in the transaction of their change.

use futures_util::future::try_join_all;

use super::{
    keys,
    record_pages::{self, Window},
    retention::Retention,
    table::{
        BY_ENVIRONMENT, Filter, Item, Page, Put, Range, ReadOnly, StoreError, TABLE, Table, Transacted, Transaction,
        to_item,
    },
};
use crate::domain::{
    event::{Event, EventType},
    id::{EnvironmentId, UserId, WorkflowId},
    timestamp::Timestamp,
    workflow::EngineIntegrationId,
};

/// Writer of events.
#[derive(Clone, Debug)]
pub struct Outbox {
    /// Errors table, which contains all records.
    pub table: Table,
    /// Retention of events.
    pub retention: Retention,
}

/// Events of a change, as a part of its transaction.
#[derive(Debug)]
pub struct Outgoing<'a> {
    table: &'a Table,
    puts: Vec<Put>,
}

impl Table {
    /// Executes the writes of a change with its events like [`Table::transact`].
    pub(super) async fn transact_with_events(
        &self,
        change: impl Into<Transaction>,
        events: Outgoing<'_>,
    ) -> Result<Transacted, StoreError> {
        let mut transaction = change.into();
        for event in events.puts {
            transaction.add_to(events.table, event);
        }
        self.transact(transaction).await
    }
}

impl Outbox {
    /// Prepares events for the transaction of their change. One item each.
    pub fn prepare(&self, events: &[Event]) -> Result<Outgoing<'_>, StoreError> {
        let puts = events.iter().map(|event| self.item(event).map(Put::new));
        Ok(Outgoing { table: &self.table, puts: puts.collect::<Result<_, StoreError>>()? })
    }

    /// Stores events of a background job. An event that another run stored is kept: this run may
    /// have read its parts after the other had deleted them. One transaction for each 25 events,
    /// and another one for the rest if some of them are stored already.
    pub async fn store(&self, events: &[Event]) -> Result<(), StoreError> {
        let batches = events.chunks(EVENTS_PER_TRANSACTION);
        try_join_all(batches.map(|batch| self.store_batch(batch.iter().collect()))).await.map(|_| ())
    }

    async fn store_batch(&self, mut events: Vec<&Event>) -> Result<(), StoreError> {
        while !events.is_empty() {
            let mut transaction = Transaction::default();
            let puts = events.iter().map(|event| self.item(event).map(Put::if_absent));
            let places = transaction.add_all(puts.collect::<Result<Vec<_>, _>>()?);
            let Transacted::Refused(stored) = self.table.transact(transaction).await? else { break };
            let rest = events.into_iter().zip(places).filter(|(_, place)| !stored.has(*place));
            events = rest.map(|(event, _)| event).collect();
        }
        Ok(())
    }

    fn item(&self, event: &Event) -> Result<Item, StoreError> {
        let Event { event_id, environment_id, created_at, .. } = event;
        let record = event.key();
        let listing = [
            ("environmentPk", keys::events_of_environment(*environment_id).partition_of(event_id.object_id())),
            ("listSk", keys::listed_record(record)),
        ];
        let mut item = to_item("event", &keys::record(*environment_id, record), event, &listing)?;
        item.insert("expiresAt".into(), self.retention.expires_at(*created_at));
        Ok(item)
    }
}

/// Number of events that one transaction stores. An event has less than 100 kB, and a transaction
/// at most 4 MB.
const EVENTS_PER_TRANSACTION: usize = 25;

/// Events of all environments.
#[derive(Clone, Debug)]
pub struct Events(pub Table<ReadOnly>);

/// Filters and position of an event query.
#[derive(Clone, Debug, Default)]
pub struct EventQuery {
    /// Start of the time range, inclusive, rounded down to the second.
    pub since: Option<Timestamp>,
    /// End of the time range, exclusive, rounded up to the second.
    pub until: Option<Timestamp>,
    /// Type filter.
    pub event_type: Option<EventType>,
    /// User filter.
    pub user_id: Option<UserId>,
    /// Workflow filter.
    pub workflow_id: Option<WorkflowId>,
    /// Integration filter.
    pub integration_id: Option<EngineIntegrationId>,
    /// Part of the list.
    pub window: Window,
}

impl Events {
    /// Returns a page of events. One strongly consistent query of a user's events; for an
    /// environment eight concurrent queries of the index, which is eventually consistent, and one
    /// `BatchGetItem` per 100 events. More queries only if filters exclude most of the items.
    pub async fn page(&self, environment: EnvironmentId, query: &EventQuery) -> Result<Page<Event>, StoreError> {
        let EventQuery { since, until, event_type, user_id, workflow_id, integration_id, window } = query;
        let Some((low, high)) = keys::record_bounds(*since, *until) else {
            return Ok(Page::empty());
        };
        let (view, partitions) = match user_id {
            Some(user) => (TABLE, vec![keys::events(environment, *user)]),
            None => (BY_ENVIRONMENT, keys::events_of_environment(environment).partitions()),
        };
        let filter = Filter::default()
            .unexpired(Timestamp::now())
            .equals("eventType", event_type.map(EventType::as_str))
            .equals("workflowId", workflow_id.map(|id| id.to_string()).as_deref())
            .equals("integrationId", integration_id.as_ref().map(EngineIntegrationId::as_str));
        let range = Range { view, low, high, newest_first: !window.oldest_first };
        record_pages::page(&self.0, environment, &partitions, (&range, &filter), window).await
    }
}
