//! Destination health and the leases of drains.

use std::str::FromStr;

use serde::Deserialize;

use super::{
    keys,
    table::{
        Access, Condition, Delete, Filter, Item, LISTING, PageRequest, Range, ReadWrite, StoreError, Table, Update,
        number, readable, text, to_value,
    },
};
use crate::{
    domain::{
        delivery::Route,
        health::{Health, HealthUpdate, OutcomeCounts},
        id::{DestinationId, EnvironmentId, ObjectId},
        timestamp::Timestamp,
    },
    metrics::{self, Metric},
};

/// Health of all destinations.
#[derive(Clone, Debug)]
pub struct HealthStore<A: Access = ReadWrite>(pub Table<A>);

/// Id of a held lease. Every acquisition generates a new one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease(String);

impl Lease {
    /// Generates a lease id. Acquires nothing.
    pub fn new(now: Timestamp) -> Self {
        Self(ObjectId::at(now).to_string())
    }
}

/// Backlog of a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backlog {
    /// Time at which the first delivery is due, or none if there is no backlog.
    pub earliest_due: Option<Timestamp>,
    /// Count of the pending deliveries; none if they were not counted completely.
    pub counted: Option<BacklogCount>,
}

/// Count of the pending deliveries of a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BacklogCount {
    /// Number of pending deliveries.
    pub pending: i64,
    /// Time since which the oldest has been pending; none if there are none.
    pub pending_since: Option<Timestamp>,
}

/// Outcome of the release of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReleaseOutcome {
    /// The lease is released.
    Released,
    /// New deliveries became pending after the drain read the backlog. The lease is unchanged.
    BacklogChanged,
    /// The lease is no longer held: it expired, the health item was deleted, or an earlier try of
    /// this release succeeded and its response was lost.
    LeaseLost,
}

/// Destination with pending deliveries.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackloggedDestination {
    environment_id: EnvironmentId,
    destination_id: DestinationId,
    /// Health of the destination.
    #[serde(flatten)]
    pub health: Health,
}

impl BackloggedDestination {
    /// Returns the environment and id of the destination.
    pub fn route(&self) -> Route {
        Route { environment: self.environment_id, destination: self.destination_id }
    }
}

/// Extent of a reset of a destination's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// Only the version of the backlog: the destination was disabled, which a running drain must
    /// notice.
    Backlog,
    /// Only what delays the next attempts: the outage continues until an attempt succeeds.
    Circuit,
    /// The outage too: the destination was enabled, or has new credentials.
    Outage,
    /// All results: the destination has another URL or bus.
    Results,
}

impl HealthStore {
    /// Stores the update that [`Health::apply`] describes; both must agree. Returns the health
    /// before the update. One write, and with a `Retry-After` a second one unless all its
    /// conditions hold. If the destination was changed since `current` was read, so that the
    /// results say nothing about it, only what is pending is stored, with one more write. If the
    /// circuit was closed since, a failed probe does not delay the next attempts, with one more
    /// write too.
    ///
    /// Counters are added and the start of a series of failures is set only once, so concurrent
    /// updates are kept. A repeated update counts twice until a drain corrects the backlog.
    pub async fn record(
        &self,
        route: Route,
        current: &Health,
        update: &HealthUpdate,
        now: Timestamp,
    ) -> Result<Health, StoreError> {
        let same = Condition::equals("generation", number(current.generation));
        let unset = Condition::absent("generation").or(Condition::not_a_number("generation"));
        let same = if current.generation == 0 { same.or(unset) } else { same };
        let recorded = if update.is_failed_probe() {
            self.record_failed_probe(same, route, current, update, now).await?
        } else {
            self.record_if(same, route, current, update, now).await?
        };
        match recorded {
            Some(before) => Ok(before),
            None => self.add_pending(route, update.pending_delta, now).await,
        }
    }

    /// Stores a failed probe like [`Self::record_if`]. It does not delay the next attempts if the
    /// circuit was closed since `current` was read. At most two writes, and one more for a
    /// `Retry-After`.
    async fn record_failed_probe(
        &self,
        same: Condition,
        route: Route,
        current: &Health,
        update: &HealthUpdate,
        now: Timestamp,
    ) -> Result<Option<Health>, StoreError> {
        let is_open = same.clone().and(not_recovered_since(current.recovered_at));
        if let Some(before) = self.record_if(is_open, route, current, update, now).await? {
            return Ok(Some(before));
        }
        let counts = OutcomeCounts { not_before: None, ..update.counts };
        let late = HealthUpdate { probe: false, counts, ..update.clone() };
        self.record_if(same, route, current, &late, now).await
    }

    /// Stores an update if the condition holds. Returns the health before the update, or none if it
    /// does not hold. One write, and with a `Retry-After` a second one if a later one is stored or
    /// the condition does not hold.
    async fn record_if(
        &self,
        condition: Condition,
        route: Route,
        current: &Health,
        update: &HealthUpdate,
        now: Timestamp,
    ) -> Result<Option<Health>, StoreError> {
        let write = update_of(route, current, update, now)?;
        if let Some(until) = update.counts.not_before {
            let earlier = Condition::absent("retryAfter").or(Condition::compare("retryAfter", "<", text(until)));
            let write = write.clone().set("retryAfter", text(until)).when(condition.clone().and(earlier));
            if let Some(before) = self.update(route, write).await? {
                return Ok(Some(before));
            }
        }
        self.update(route, write.when(condition)).await
    }

    /// Adds to the number of pending deliveries. Returns the health before the update. One write.
    pub async fn add_pending(&self, route: Route, delta: i64, now: Timestamp) -> Result<Health, StoreError> {
        let before = self.update(route, with_pending(identified(route), route, delta, now)).await?;
        Ok(before.unwrap_or_default())
    }

    /// Lists a destination as one with pending deliveries before any is stored, so that the sweep
    /// finds them if the process stops before [`Self::record`]. One write.
    pub async fn announce_backlog(&self, route: Route, now: Timestamp) -> Result<(), StoreError> {
        self.update(route, listed(identified(route), route, now)).await.map(|_| ())
    }

    /// Updates the health of a destination, also if a counter is damaged. Returns the health before
    /// the update, or none if the condition fails. One write; if the item does not admit it, five
    /// more.
    async fn update(&self, route: Route, update: Update) -> Result<Option<Health>, StoreError> {
        repairing(&self.0, route, || self.0.update_returning_old(update.clone())).await
    }

    /// Records when the scheduled wake-up message and the next attempt are due. One write.
    pub async fn record_wakeup(&self, route: Route, at: Timestamp, due: Timestamp) -> Result<(), StoreError> {
        let update = Update::of(&keys::health(route)).set("wakeAt", text(at)).set("nextDueAt", text(due));
        let update = update.when(Condition::item_exists());
        self.0.update(update).await.map(|_| ())
    }

    /// Forgets the wake-up of this time, whose message could not be sent, so that the next failure
    /// or the sweep schedules another. One write.
    pub async fn forget_wakeup(&self, route: Route, at: Timestamp) -> Result<(), StoreError> {
        let update = Update::of(&keys::health(route)).remove("wakeAt");
        self.0.update(update.when(Condition::equals("wakeAt", text(at)))).await.map(|_| ())
    }

    /// Acquires the lease of a destination. Returns none if another drain holds it or the
    /// destination has no health item. One write.
    pub async fn acquire_lease(
        &self,
        route: Route,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<Lease>, StoreError> {
        let lease = Lease::new(now);
        let free = Condition::Any(vec![
            Condition::absent("leasedUntil"),
            Condition::compare("leasedUntil", "<=", text(now)),
            // This lease may already be stored: the SDK repeats a request whose response was lost.
            Condition::equals("lease", text(&lease.0)),
        ]);
        let update = Update::of(&keys::health(route))
            .set("leasedUntil", text(until))
            .set("lease", text(&lease.0))
            .when(Condition::item_exists().and(free));
        Ok(self.0.update(update).await?.then_some(lease))
    }

    /// Releases a lease, unless the backlog has changed since `backlog_version`. If that is none,
    /// the backlog is not checked. One write, and one read if its condition fails.
    pub async fn release(
        &self,
        route: Route,
        lease: &Lease,
        backlog_version: Option<u64>,
        backlog: Backlog,
        wake_at: Option<Timestamp>,
    ) -> Result<ReleaseOutcome, StoreError> {
        let mut update =
            Update::of(&keys::health(route)).set("type", text("health")).remove("leasedUntil").remove("lease");
        if let Some(BacklogCount { pending, pending_since }) = backlog.counted {
            update = update.set("pending", number(pending));
            if let Some(oldest) = pending_since {
                update = update.set("pendingSince", text(oldest));
            }
        }
        update = match wake_at {
            Some(at) => update.set("wakeAt", text(at)),
            None => update.remove("wakeAt"),
        };
        update = match backlog.earliest_due {
            Some(due) => update.set("nextDueAt", text(due)),
            // Without a backlog, the period of failures that disables a destination starts anew.
            None => update
                .remove("nextDueAt")
                .remove("pendingSince")
                .remove("listPk")
                .remove("listSk")
                .remove("outageSince"),
        };
        let mut is_unchanged = Condition::equals("lease", text(&lease.0));
        if let Some(version) = backlog_version {
            let same = Condition::equals("backlogVersion", number(version));
            // Absent until the first delivery becomes pending; `Health` then reads as version 0.
            is_unchanged = is_unchanged.and(same.or(Condition::absent("backlogVersion")));
        }
        if self.0.update(update.when(is_unchanged)).await? {
            return Ok(ReleaseOutcome::Released);
        }
        #[derive(Deserialize)]
        struct Leased {
            lease: Option<String>,
        }
        let leased: Option<Leased> = self.0.get(&keys::health(route)).await?;
        let mine = leased.and_then(|leased| leased.lease).is_some_and(|id| id == lease.0);
        Ok(if mine { ReleaseOutcome::BacklogChanged } else { ReleaseOutcome::LeaseLost })
    }

    /// Deletes the health of a deleted destination. One write.
    pub async fn delete(&self, route: Route) -> Result<(), StoreError> {
        self.0.delete(Delete::of(&keys::health(route))).await.map(|_| ())
    }
}

impl<A: Access> HealthStore<A> {
    /// Returns the health of a destination, or the default, with its versions, if none was recorded
    /// or it cannot be read: a damaged item must not stop deliveries. One read.
    pub async fn get(&self, route: Route) -> Result<Health, StoreError> {
        Ok(self.0.get_item(&keys::health(route)).await?.map(health_of).unwrap_or_default())
    }

    /// Returns up to `limit` destinations with pending deliveries, of all environments. Eventually
    /// consistent. One query per megabyte for each of four partitions.
    pub async fn list_backlogged(&self, limit: usize) -> Result<Vec<BackloggedDestination>, StoreError> {
        let partitions = keys::backlogs().partitions();
        let page =
            self.0.page(&partitions, &Range::all(LISTING), &Filter::default(), PageRequest::first(limit)).await?;
        Ok(page.items)
    }
}

/// Returns the health of an item, or the default with its versions if it cannot be read.
pub(super) fn health_of(item: Item) -> Health {
    // Without them, no drain could release its lease and no result could be recorded.
    let generation = version(&item, "generation").unwrap_or_default();
    let backlog_version = version(&item, "backlogVersion").unwrap_or_default();
    readable(item).unwrap_or_else(|| Health { generation, backlog_version, ..Health::default() })
}

/// Writes to the health of a destination. If the item does not admit the write, repairs it and
/// writes again, which makes five more writes.
pub(super) async fn repairing<T, W: Future<Output = Result<T, StoreError>>>(
    table: &Table,
    route: Route,
    write: impl Fn() -> W,
) -> Result<T, StoreError> {
    match write().await {
        Err(StoreError::Unfit(_)) => {
            remove_damaged_counters(table, route).await?;
            write().await
        }
        written => written,
    }
}

/// Removes counters that are not numbers from the health of a destination. DynamoDB refuses to add
/// to them, and a damaged item must not stop deliveries. Four writes.
async fn remove_damaged_counters(table: &Table, route: Route) -> Result<(), StoreError> {
    for counter in ["backlogVersion", "consecutiveFailures", "generation", "pending"] {
        let update = Update::of(&keys::health(route)).remove(counter).when(Condition::not_a_number(counter));
        if table.update(update).await? {
            let Route { environment, destination } = route;
            tracing::error!(%environment, %destination, counter, "damaged destination health");
            metrics::emit(&[(Metric::UnreadableItems, 1)]);
        }
    }
    Ok(())
}

/// Returns a number of an item that counts changes.
fn version<T: FromStr>(item: &Item, name: &str) -> Option<T> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

/// Returns the condition that the destination has not recovered since.
fn not_recovered_since(at: Option<Timestamp>) -> Condition {
    match at {
        Some(at) => Condition::equals("recoveredAt", text(at)),
        None => Condition::absent("recoveredAt"),
    }
}

/// Returns the update of the health of a destination that is changed at the given time. A drain
/// that is running notices it.
pub(super) fn reset_of(route: Route, reset: Reset, at: Timestamp) -> Update {
    let update = identified(route).add("backlogVersion", number(1));
    if reset == Reset::Backlog {
        return update;
    }
    let mut update = update
        .set("consecutiveFailures", number(0))
        .set("failedProbes", number(0))
        .set("recoveredAt", text(at))
        .remove("nextProbeAt")
        .remove("retryAfter");
    if reset != Reset::Circuit {
        update = update.add("generation", number(1));
        update = update.remove("failingSince").remove("outageSince").remove("lastFailure");
    }
    if reset == Reset::Results {
        update = update.remove("lastSuccessAt").remove("lastFailureAt");
    }
    update
}

/// Returns the update that [`Health::apply`] describes, without a `Retry-After`.
fn update_of(route: Route, current: &Health, update: &HealthUpdate, now: Timestamp) -> Result<Update, StoreError> {
    let is_failed_probe = update.is_failed_probe();
    let HealthUpdate { counts, pending_delta, last_failure, .. } = update;
    let after = current.apply(update, now);
    let mut update = identified(route);
    if counts.failed > 0 {
        update = update.set("lastFailureAt", text(now));
    }
    if current.recovers_with(counts) {
        update = update.set("recoveredAt", text(now));
        if *pending_delta <= 0 {
            update = update.add("backlogVersion", number(1));
        }
    }
    if counts.delivered > 0 {
        update = update
            .set("lastSuccessAt", text(now))
            .set("consecutiveFailures", number(0))
            .set("failedProbes", number(0))
            .remove("failingSince")
            .remove("outageSince")
            .remove("lastFailure");
    } else if counts.failed > 0 {
        update = update
            .add("consecutiveFailures", number(counts.failed))
            .set_if_absent("failingSince", text(now))
            .set_if_absent("outageSince", text(now))
            .set("lastFailure", to_value(last_failure)?);
    }
    update = match after.next_probe_at {
        Some(until) if is_failed_probe => {
            update.set("nextProbeAt", text(until)).set("failedProbes", number(after.failed_probes))
        }
        None if counts.delivered > 0 => update.remove("nextProbeAt"),
        _ => update,
    };
    Ok(with_pending(update, route, *pending_delta, now))
}

/// Adds the change of the number of pending deliveries to an update.
fn with_pending(update: Update, route: Route, delta: i64, now: Timestamp) -> Update {
    let update = if delta == 0 { update } else { update.add("pending", number(delta)) };
    if delta > 0 { listed(update, route, now) } else { update }
}

/// Adds to an update that the destination has more pending deliveries. A drain that is running
/// notices it.
fn listed(update: Update, route: Route, now: Timestamp) -> Update {
    let key = keys::listed_backlog(route);
    let update = update.add("backlogVersion", number(1));
    update.set_if_absent("pendingSince", text(now)).set("listPk", text(key.pk)).set("listSk", text(key.sk))
}

/// Starts an update that also identifies the destination, for an item that may be new.
fn identified(route: Route) -> Update {
    Update::of(&keys::health(route))
        .set("type", text("health"))
        .set("environmentId", text(route.environment))
        .set("destinationId", text(route.destination))
}
