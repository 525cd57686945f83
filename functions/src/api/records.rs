//! Records, as the endpoints of errors and of events list and show them.

use tenon::{
    domain::{
        delivery::Delivery,
        id::{EnvironmentId, UserId},
        names::UserRef,
        record::{Record, RecordId},
        timestamp::Timestamp,
    },
    http::{Fields, Input, ListScope, Problem},
    start::FromAws,
    store::{
        ReadOnly, StoreError,
        deliveries::Deliveries,
        destinations::Destinations,
        record_pages::{MAX_SKIP, Window},
        records::Records,
        users::Users,
    },
};
use utoipa::{IntoParams, ToSchema};

/// Query parameters of lists of records: their order and start.
#[derive(Debug, Input, IntoParams)]
#[input(check(check_skip: skip))]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub struct ListOrder {
    /// Sort order.
    #[param(default = "desc")]
    pub(crate) sort_order: Option<SortOrder>,
    /// Number of items to skip, at most 1,000; not allowed with `cursor`.
    #[input(max = MAX_SKIP)]
    #[param(value_type = Option<u16>, minimum = 0, maximum = 1000, default = 0)]
    skip: Option<usize>,
}

/// Sort order of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Input, ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum SortOrder {
    /// Oldest first.
    Asc,
    /// Newest first.
    Desc,
}

impl ListOrder {
    /// Returns the part of the list that the request asks for.
    pub(crate) fn window(&self, scope: &ListScope, limit: usize) -> Window {
        let oldest_first = self.sort_order == Some(SortOrder::Asc);
        let after = scope.after().map(str::to_owned);
        Window { oldest_first, skip: self.skip.unwrap_or_default(), after, limit }
    }
}

fn check_skip(fields: &mut Fields<'_>, skip: &Option<usize>) {
    if skip.is_some() && fields.has("cursor") {
        fields.reject("skip", "cannot be combined with `cursor`");
    }
}

/// Rejects a time range that ends before it starts.
pub(crate) fn check_range(fields: &mut Fields<'_>, since: &Option<Timestamp>, until: &Option<Timestamp>) {
    if since.zip(*until).is_some_and(|(since, until)| until < since) {
        fields.reject("until", "must not be before `since`");
    }
}

/// State of the functions that return a record with its deliveries.
#[derive(Clone, Debug, FromAws)]
#[aws(connections = 3)]
pub struct RecordState {
    destinations: Destinations<ReadOnly>,
    records: Records,
    deliveries: Deliveries<ReadOnly>,
}

impl RecordState {
    /// Returns a record with its deliveries. Those that were pending when their destination was
    /// deleted are cancelled.
    pub(crate) async fn find(
        &self,
        environment: EnvironmentId,
        id: RecordId,
    ) -> Result<Option<(Record, Vec<Delivery>)>, StoreError> {
        let (found, destinations) =
            tokio::try_join!(self.records.get(environment, id), self.destinations.ids(environment))?;
        let Some(record) = found else { return Ok(None) };
        let mut deliveries = self.deliveries.list_by_record(&record, &destinations.all()).await?;
        for delivery in &mut deliveries {
            if destinations.deleted.contains(&delivery.destination_id) {
                delivery.cancel();
            }
        }
        Ok(Some((record, deliveries)))
    }
}

/// Returns the id of the user that a filter names, if any; 404 if a name belongs to nobody. One
/// read for a name.
pub(crate) async fn find_user(
    users: &Users<ReadOnly>,
    environment: EnvironmentId,
    filter: Option<&UserRef>,
) -> Result<Option<UserId>, Problem> {
    let Some(user) = filter else { return Ok(None) };
    let found = users.resolve(environment, user).await?;
    found.map(Some).ok_or_else(|| {
        let detail = "must be the id, the whole username or the whole email address of a user";
        Problem::not_found("user").with_error("/userId", detail)
    })
}
