//! How destinations do, and the leases of their drains.

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

/// The health of all destinations.
#[derive(Clone, Debug)]
pub struct HealthStore(pub Table);

/// Names the drain that has a destination for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease(String);

impl Lease {
    /// The name of a new drain.
    pub fn new(now: Timestamp) -> Self {
        Self(ObjectId::at(now).to_string())
    }
}

/// What waits for a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backlog {
    /// When the first of it is due; none where nothing waits.
    pub earliest_due: Option<Timestamp>,
    /// How many deliveries wait and since when the oldest does, where these could be counted at little cost.
    pub counted: Option<(i64, Option<Timestamp>)>,
}

/// What came of the end of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReleaseOutcome {
    /// It is free.
    Released,
    /// Deliveries have begun to wait since the drain looked: it is to look again.
    BacklogChanged,
    /// The lease had run out, and another drain may have it.
    LeaseLost,
}

/// A destination that has pending deliveries.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackloggedDestination {
    environment_id: EnvironmentId,
    destination_id: DestinationId,
    /// How it does.
    #[serde(flatten)]
    pub health: Health,
}

impl BackloggedDestination {
    /// Which one it is.
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

/// An update of a health item, put together clause by clause.
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
    /// One read. A destination of which nothing was noted yet is well.
    pub async fn get(&self, route: Route) -> Result<Health, StoreError> {
        Ok(self.0.get(&keys::health(route)).await?.unwrap_or_default())
    }

    /// Notes what came of attempts and what waits, as [`Health::apply`] says. Answers with the health before. One write,
    /// and another where a destination does not want to be asked for a while.
    ///
    /// Processes may note at once: counts are added up, and the row of failures begins only once.
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

    /// Notes that a destination does not want to be asked before a time; an earlier time changes nothing. One write.
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

    /// Notes that a message is under way that wakes the drain. One write.
    pub async fn record_wakeup(&self, route: Route, at: Timestamp) -> Result<(), StoreError> {
        let mut expression = UpdateExpression::default();
        expression.set("wakeAt", text(at));
        self.update(&keys::health(route), expression, Some(("attribute_exists(pk)", Vec::new())), ReturnValue::None)
            .await?;
        Ok(())
    }

    /// Gives a destination another chance: its row of failures is forgotten. Answers with its health. One write.
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

    /// Takes the destination for one drain until a time. Answers with its health; none where another drain has it, or
    /// nothing was ever noted. One write.
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
        // Its own lease may be there already: a request whose answer was lost is sent again.
        let free =
            "attribute_exists(pk) AND (attribute_not_exists(#leasedUntil) OR #leasedUntil <= :now OR #lease = :lease)";
        let condition = (free, vec![(":now", text(now))]);
        let item = self.update(&keys::health(route), expression, Some(condition), ReturnValue::AllNew).await?;
        Ok(item.map(from_item).transpose()?.map(|health| (lease, health)))
    }

    /// Ends a lease, where nothing has begun to wait since `noted` was read; without it in any case. One write, and a read
    /// where that failed.
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
            // Nothing fails any more that failed before: five days are counted anew.
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

    /// Removes what is told of a destination that is not there any more. One write.
    pub async fn delete(&self, route: Route) -> Result<(), StoreError> {
        let Table { client, name } = &self.0;
        client.delete_item().table_name(name).set_key(Some(keys::health(route).attributes())).send().await?;
        Ok(())
    }

    /// Destinations with pending deliveries, of all environments, as the index tells of them: up to `most`. A query for
    /// each megabyte of each of four partitions.
    pub async fn list_backlogged(&self, limit: usize) -> Result<Vec<BackloggedDestination>, StoreError> {
        let partitions: Vec<String> = (0..keys::BACKLOG_SHARDS).map(keys::backlogs).collect();
        let page = self.0.page(&partitions, &Range::all(LISTING), &Filter::default(), (None, limit)).await?;
        Ok(page.items)
    }

    /// None where the condition does not hold.
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
