//! Destination health and the leases of drains.

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use serde::Deserialize;

use super::{
    keys::{self, Key},
    listing::{Filter, LISTING, Range},
    table::{Item, StoreError, Table, from_item, none_if_condition_failed},
};
use crate::domain::{
    delivery::Route,
    health::{Health, HealthUpdate},
    id::{DestinationId, EnvironmentId, ObjectId},
    timestamp::Timestamp,
};

/// Health of all destinations.
#[derive(Clone, Debug)]
pub struct HealthStore(pub Table);

/// Random id of the drain that holds a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease(String);

impl Lease {
    /// Generates the id of a new lease.
    pub fn new(now: Timestamp) -> Self {
        Self(ObjectId::at(now).to_string())
    }
}

/// Backlog of a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backlog {
    /// Time at which the first delivery is due, or none if there is no backlog.
    pub earliest_due: Option<Timestamp>,
    /// Number of pending deliveries, and the time since which the oldest has been pending. None if
    /// there are too many to count.
    pub counted: Option<(i64, Option<Timestamp>)>,
}

/// Outcome of the release of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReleaseOutcome {
    /// The lease is released.
    Released,
    /// New deliveries became pending after the drain read the backlog. The lease is unchanged.
    BacklogChanged,
    /// The lease has expired, and another drain may hold its own.
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

fn text(text: impl ToString) -> AttributeValue {
    AttributeValue::S(text.to_string())
}

fn number(number: impl ToString) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

/// Builder of the update expression of a health item.
#[derive(Default)]
struct UpdateExpression {
    set: Vec<String>,
    add: Vec<String>,
    remove: Vec<&'static str>,
    values: Item,
}

impl UpdateExpression {
    fn set(&mut self, attribute: &str, value: AttributeValue) {
        self.set.push(format!("#{attribute} = :{attribute}"));
        self.values.insert(format!(":{attribute}"), value);
    }

    fn set_if_absent(&mut self, attribute: &str, value: AttributeValue) {
        self.set.push(format!("#{attribute} = if_not_exists(#{attribute}, :{attribute})"));
        self.values.insert(format!(":{attribute}"), value);
    }

    fn add(&mut self, attribute: &str, value: AttributeValue) {
        self.add.push(format!("#{attribute} :{attribute}"));
        self.values.insert(format!(":{attribute}"), value);
    }

    fn render(&self) -> String {
        let clauses = [
            ("SET", self.set.join(", ")),
            ("ADD", self.add.join(", ")),
            ("REMOVE", self.remove.iter().map(|name| format!("#{name}")).collect::<Vec<_>>().join(", ")),
        ];
        let clauses = clauses.iter().filter(|(_, list)| !list.is_empty());
        clauses.map(|(word, list)| format!("{word} {list}")).collect::<Vec<_>>().join(" ")
    }

    fn names(&self) -> std::collections::HashMap<String, String> {
        let attributes = self.values.keys().map(|value| value.trim_start_matches(':'));
        attributes.chain(self.remove.iter().copied()).map(|name| (format!("#{name}"), name.to_owned())).collect()
    }
}

impl HealthStore {
    /// Returns the health of a destination, or the default if none was recorded. One read.
    pub async fn get(&self, route: Route) -> Result<Health, StoreError> {
        Ok(self.0.get(&keys::health(route)).await?.unwrap_or_default())
    }

    /// Applies an update as [`Health::apply`] does. Returns the health before the update. One
    /// write, and another one after a `Retry-After`.
    ///
    /// Concurrent updates do not overwrite each other: counters are added, and the start of a
    /// series of failures is set only once.
    pub async fn record(
        &self,
        route: Route,
        current: &Health,
        update: &HealthUpdate,
        now: Timestamp,
    ) -> Result<Health, StoreError> {
        let HealthUpdate { counts, pending_delta, probe } = update;
        let after = current.apply(update, now);
        let mut expression = UpdateExpression::default();
        expression.set("type", text("health"));
        expression.set("environmentId", text(route.environment));
        expression.set("destinationId", text(route.destination));
        if counts.failed > 0 {
            expression.set("lastFailureAt", text(now));
        }
        if counts.delivered > 0 {
            expression.set("lastSuccessAt", text(now));
            expression.set("consecutiveFailures", number(0));
            expression.set("failedProbes", number(0));
            expression.remove.push("failingSince");
        } else if counts.failed > 0 {
            expression.add("consecutiveFailures", number(counts.failed));
            expression.set_if_absent("failingSince", text(now));
        }
        match after.next_probe_at {
            Some(until) if *probe && counts.delivered == 0 && counts.failed > 0 => {
                expression.set("nextProbeAt", text(until));
                expression.set("failedProbes", number(after.failed_probes));
            }
            None if counts.delivered > 0 => expression.remove.push("nextProbeAt"),
            _ => {}
        }
        if *pending_delta != 0 {
            expression.add("pending", number(pending_delta));
        }
        if *pending_delta > 0 {
            let listed = keys::listed_backlog(route);
            expression.add("backlogVersion", number(1));
            expression.set_if_absent("pendingSince", text(now));
            expression.set("listPk", text(listed.pk));
            expression.set("listSk", text(listed.sk));
        }
        let before = self.update(&keys::health(route), expression, None, ReturnValue::AllOld).await?;
        if let Some(until) = counts.not_before {
            self.record_retry_after(route, until).await?;
        }
        before.map(from_item).transpose().map(Option::unwrap_or_default)
    }

    /// Records the time of a `Retry-After` unless a later one is recorded. One write.
    async fn record_retry_after(&self, route: Route, until: Timestamp) -> Result<(), StoreError> {
        let mut expression = UpdateExpression::default();
        expression.set("type", text("health"));
        expression.set("environmentId", text(route.environment));
        expression.set("destinationId", text(route.destination));
        expression.set("retryAfter", text(until));
        let later = "attribute_not_exists(#retryAfter) OR #retryAfter < :retryAfter";
        self.update(&keys::health(route), expression, Some((later, Vec::new())), ReturnValue::None).await?;
        Ok(())
    }

    /// Records that a message is scheduled that wakes the drain. One write.
    pub async fn record_wakeup(&self, route: Route, at: Timestamp) -> Result<(), StoreError> {
        let mut expression = UpdateExpression::default();
        expression.set("wakeAt", text(at));
        self.update(&keys::health(route), expression, Some(("attribute_exists(pk)", Vec::new())), ReturnValue::None)
            .await?;
        Ok(())
    }

    /// Clears the failures of a destination and closes its circuit. Returns the new health. One
    /// write.
    pub async fn reset(&self, route: Route) -> Result<Health, StoreError> {
        let mut expression = UpdateExpression {
            remove: vec!["failingSince", "nextProbeAt", "retryAfter"],
            ..UpdateExpression::default()
        };
        expression.set("type", text("health"));
        expression.set("environmentId", text(route.environment));
        expression.set("destinationId", text(route.destination));
        expression.set("consecutiveFailures", number(0));
        expression.set("failedProbes", number(0));
        let item = self.update(&keys::health(route), expression, None, ReturnValue::AllNew).await?;
        item.map(from_item).transpose().map(Option::unwrap_or_default)
    }

    /// Acquires the lease of a destination. Returns none if another drain holds it or the
    /// destination has no health item. One write.
    pub async fn lease(
        &self,
        route: Route,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<(Lease, Health)>, StoreError> {
        let lease = Lease::new(now);
        let mut expression = UpdateExpression::default();
        expression.set("leasedUntil", text(until));
        expression.set("lease", text(&lease.0));
        // This lease may already be stored: the SDK repeats a request whose response was lost.
        let free =
            "attribute_exists(pk) AND (attribute_not_exists(#leasedUntil) OR #leasedUntil <= :now OR #lease = :lease)";
        let condition = (free, vec![(":now", text(now))]);
        let item = self.update(&keys::health(route), expression, Some(condition), ReturnValue::AllNew).await?;
        Ok(item.map(from_item).transpose()?.map(|health| (lease, health)))
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
        let mut expression = UpdateExpression { remove: vec!["leasedUntil", "lease"], ..UpdateExpression::default() };
        expression.set("type", text("health"));
        if let Some((count, oldest)) = backlog.counted {
            expression.set("pending", number(count));
            if let Some(oldest) = oldest {
                expression.set("pendingSince", text(oldest));
            }
        }
        match wake_at {
            Some(at) => expression.set("wakeAt", text(at)),
            None => expression.remove.push("wakeAt"),
        }
        if backlog.earliest_due.is_none() {
            // Without a backlog, the period of failures that disables a destination starts anew.
            expression.remove.extend(["pendingSince", "listPk", "listSk", "failingSince"]);
        }
        let mut values = vec![(":lease", text(&lease.0))];
        let seen = match backlog_version {
            Some(version) => {
                values.push((":version", number(version)));
                "#lease = :lease AND (backlogVersion = :version OR attribute_not_exists(backlogVersion))"
            }
            None => "#lease = :lease",
        };
        let condition = (seen, values);
        match self.update(&keys::health(route), expression, Some(condition), ReturnValue::AllNew).await? {
            Some(_) => Ok(ReleaseOutcome::Released),
            None => {
                #[derive(Deserialize)]
                struct Leased {
                    lease: Option<String>,
                }
                let leased: Option<Leased> = self.0.get(&keys::health(route)).await?;
                let mine = leased.and_then(|leased| leased.lease).is_some_and(|id| id == lease.0);
                Ok(if mine { ReleaseOutcome::BacklogChanged } else { ReleaseOutcome::LeaseLost })
            }
        }
    }

    /// Deletes the health of a deleted destination. One write.
    pub async fn delete(&self, route: Route) -> Result<(), StoreError> {
        let Table { client, name } = &self.0;
        client.delete_item().table_name(name).set_key(Some(keys::health(route).attributes())).send().await?;
        Ok(())
    }

    /// Returns up to `limit` destinations with pending deliveries, of all environments. Eventually
    /// consistent. One query per megabyte for each of four partitions.
    pub async fn list_backlogged(&self, limit: usize) -> Result<Vec<BackloggedDestination>, StoreError> {
        let partitions: Vec<String> = (0..keys::BACKLOG_SHARDS).map(keys::backlogs).collect();
        let page = self.0.page(&partitions, &Range::all(LISTING), &Filter::default(), (None, limit)).await?;
        Ok(page.items)
    }

    /// Updates an item. Returns the attributes that `returned` selects, or none if the condition
    /// fails.
    async fn update(
        &self,
        key: &Key,
        expression: UpdateExpression,
        condition: Option<(&str, Vec<(&str, AttributeValue)>)>,
        returned: ReturnValue,
    ) -> Result<Option<Item>, StoreError> {
        let Table { client, name } = &self.0;
        let mut request = client
            .update_item()
            .table_name(name)
            .set_key(Some(key.attributes()))
            .update_expression(expression.render())
            .set_expression_attribute_names(Some(expression.names()))
            .set_expression_attribute_values(Some(expression.values))
            .return_values(returned);
        if let Some((condition, values)) = condition {
            request = request.condition_expression(condition);
            for (name, value) in values {
                request = request.expression_attribute_values(name, value);
            }
        }
        let output = none_if_condition_failed(request.send().await)?;
        Ok(output.and_then(|output| output.attributes).filter(|item| !item.is_empty()))
    }
}
