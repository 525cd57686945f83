//! What is told of deliveries.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize, de::IgnoredAny};

use super::{
    errors::Retention,
    keys::{self, Key},
    listing::{Filter, Page, Range, TABLE},
    pending::delivery_item,
    table::{Item, StoreError, Table, to_item, where_it_holds},
};
use crate::domain::{
    delivery::{Attempt, Delivery, DeliveryStatus, Route},
    error_log::ErrorKey,
    id::{DestinationId, EnvironmentId, ErrorId, WorkflowId},
    timestamp::Timestamp,
};

/// The number of partitions over which the deliveries of a destination are listed.
pub const LISTED_OVER: u32 = keys::DELIVERY_SHARDS;

/// So many errors are told of by one item: it stays below 400 KB (an AWS limit), with 2 KiB of an answer for each.
const TOGETHER: usize = 100;
/// An error is sent at once so often at most, to 20 destinations, again where a batch is repeated.
const SENT_AT_MOST: usize = 100;

/// Errors of a workflow that a destination took at the first attempt, as one item tells of them.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Delivered<A> {
    destination_id: DestinationId,
    attempts: BTreeMap<ErrorId, A>,
}

/// The deliveries of all destinations.
#[derive(Clone, Debug)]
pub struct Deliveries {
    /// The table of errors and deliveries.
    pub table: Table,
    /// How long they are kept.
    pub retention: Retention,
}

impl Deliveries {
    /// Notes errors that a destination took at the first attempt, all of a workflow and of one second in one item, which
    /// spares nearly all write units. 25 items a request.
    pub async fn note_delivered(
        &self,
        route: Route,
        delivered: &[(ErrorKey, Attempt)],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut together: BTreeMap<(WorkflowId, Timestamp), Vec<(ErrorId, &Attempt)>> = BTreeMap::new();
        for ((workflow, error), attempt) in delivered {
            together.entry((*workflow, error.object_id().timestamp())).or_default().push((*error, attempt));
        }
        let mut items: Vec<Item> = Vec::new();
        for ((workflow, second), attempts) in together {
            for attempts in attempts.chunks(TOGETHER) {
                let key = keys::delivered(route.environment, workflow, second);
                let attempts = attempts.iter().copied().collect();
                let mut item =
                    to_item("delivered", &key, &Delivered { destination_id: route.destination, attempts }, &[])?;
                item.insert("expiresAt".into(), self.retention.expires(now));
                items.push(item);
            }
        }
        let unwritten = self.table.put_all(items).await;
        if unwritten.is_empty() { Ok(()) } else { Err(StoreError::Busy("deliveries were left unnoted".into())) }
    }

    /// Notes deliveries that are not made, and do not wait. 25 a request. Returns the indices of those that DynamoDB did
    /// not take.
    pub async fn note(
        &self,
        destination: Route,
        deliveries: &[(WorkflowId, Delivery)],
        now: Timestamp,
    ) -> Result<Vec<usize>, StoreError> {
        let items = deliveries
            .iter()
            .map(|(workflow, delivery)| delivery_item(destination, *workflow, delivery, self.retention, now));
        Ok(self.table.put_all(items.collect::<Result<_, _>>()?).await)
    }

    /// What is told of an error's deliveries. One query, and one read for a hundred destinations that it may have been sent
    /// to.
    pub async fn of_error(
        &self,
        environment: EnvironmentId,
        (workflow, error): ErrorKey,
        destinations: &BTreeSet<DestinationId>,
    ) -> Result<Vec<Delivery>, StoreError> {
        let now = Timestamp::now();
        let routes = destinations.iter().map(|destination| Route { environment, destination: *destination });
        let keys: Vec<Key> = routes.map(|route| keys::delivery(route, workflow, error)).collect();
        let partition = [keys::delivered_of_workflow(environment, workflow)];
        let second = error.object_id().timestamp();
        let range = delivered_between(second, second);
        let of_this = Filter::default().kept(now).has("attempts", &error.to_string());
        let (told, at_once) = tokio::try_join!(
            self.table.get_all_kept::<Delivery>(&keys, now),
            self.table.page::<Delivered<Attempt>>(&partition, &range, &of_this, (None, SENT_AT_MOST)),
        )?;
        let at_once = at_once.items.into_iter().filter_map(|Delivered { destination_id, mut attempts }| {
            let attempt = attempts.remove(&error)?;
            Some(Delivery::ended(error, destination_id, DeliveryStatus::Delivered, vec![attempt]))
        });
        let mut found: BTreeMap<DestinationId, Delivery> = BTreeMap::new();
        for delivery in at_once.chain(told) {
            let destination = delivery.destination_id;
            let delivery = match found.remove(&destination) {
                Some(other) => other.joined(delivery),
                None => delivery,
            };
            found.insert(destination, delivery);
        }
        Ok(found.into_values().collect())
    }

    /// A page of the deliveries of a destination whose first attempt did not succeed, those of the newest errors first.
    /// One query a partition, and more where a filter leaves out most of what is read.
    pub async fn list(
        &self,
        destination: Route,
        status: Option<DeliveryStatus>,
        (after, limit): (Option<&str>, usize),
    ) -> Result<Page<Delivery>, StoreError> {
        let partitions: Vec<String> =
            (0..keys::DELIVERY_SHARDS).map(|shard| keys::deliveries(destination, shard)).collect();
        let filter = Filter::default().kept(Timestamp::now()).is("status", status.map(DeliveryStatus::as_str));
        let newest_first = Range { newest_first: true, ..Range::all(TABLE) };
        self.table.page(&partitions, &newest_first, &filter, (after, limit)).await
    }
}

/// What is told of errors of these seconds that were delivered at the first attempt, the earlier ones first.
fn delivered_between(first: Timestamp, last: Timestamp) -> Range {
    let (low, high) = keys::delivered_bounds(first, last);
    Range { low, high, ..Range::all(TABLE) }
}

/// Forgets that errors of a workflow were delivered at the first attempt; what is told of others beside them stays. One query
/// for a page of items, one `BatchWriteItem` for 25 of them that tell of nothing else, and a write for each one that does. It
/// may die anywhere and be run twice.
pub(super) async fn forget_delivered(
    table: &Table,
    environment: EnvironmentId,
    workflow: WorkflowId,
    errors: &BTreeSet<ErrorId>,
) -> Result<(), StoreError> {
    let second = |error: &ErrorId| error.object_id().timestamp();
    let (Some(first), Some(last)) = (errors.first().map(second), errors.last().map(second)) else {
        return Ok(());
    };
    let (partition, range) = ([keys::delivered_of_workflow(environment, workflow)], delivered_between(first, last));
    let mut after = None;
    loop {
        let page = table.page::<Placed>(&partition, &range, &Filter::default(), (after.as_deref(), TOGETHER)).await?;
        let (whole, parts): (Vec<Placed>, Vec<Placed>) = page
            .items
            .into_iter()
            .partition(|placed| placed.delivered.attempts.keys().all(|error| errors.contains(error)));
        table.delete_all(whole.into_iter().map(|Placed { pk, sk, .. }| Key { pk, sk }).collect()).await?;
        try_join_all(parts.iter().map(|placed| placed.forget(table, errors))).await?;
        after = page.next;
        if after.is_none() {
            return Ok(());
        }
    }
}

/// An item that tells of what was delivered at the first attempt, with its place.
#[derive(Deserialize)]
struct Placed {
    pk: String,
    sk: String,
    #[serde(flatten)]
    delivered: Delivered<IgnoredAny>,
}

impl Placed {
    /// Forgets these errors of those that it tells of. None or one write.
    async fn forget(&self, table: &Table, errors: &BTreeSet<ErrorId>) -> Result<(), StoreError> {
        let Table { client, name } = table;
        let mut paths = Vec::new();
        let key = Key { pk: self.pk.clone(), sk: self.sk.clone() };
        let mut update = client.update_item().table_name(name).set_key(Some(key.attributes()));
        for (number, error) in self.delivered.attempts.keys().filter(|error| errors.contains(error)).enumerate() {
            paths.push(format!("attempts.#e{number}"));
            update = update.expression_attribute_names(format!("#e{number}"), error.to_string());
        }
        if paths.is_empty() {
            return Ok(());
        }
        // An update would make the item anew that another run has removed.
        let update = update.update_expression(format!("REMOVE {}", paths.join(", ")));
        where_it_holds(update.condition_expression("attribute_exists(pk)").send().await).map(|_| ())
    }
}
