//! `GET /destinations/{destinationId}/deliveries`. AWS calls: one DynamoDB read and eight
//! concurrent queries.

use axum::extract;
use tenon::{
    domain::{
        delivery::{Delivery, DeliveryStatus, Route},
        id::DestinationId,
    },
    http::{Backend, Input, Json, List, ListScope, OrNotFound, PageParams, Path, Problem, Valid},
    start::FromAws,
    store::{
        ReadOnly,
        deliveries::{Deliveries, SHARDS},
        destinations::Destinations,
    },
};
use utoipa::IntoParams;

/// Query parameters of the list of deliveries.
#[derive(Debug, Input, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListDeliveries {
    /// Status of the deliveries.
    status: Option<DeliveryStatus>,
}

/// State of the function.
#[derive(Clone, Debug, FromAws)]
#[aws(connections = SHARDS)]
pub struct State {
    destinations: Destinations<ReadOnly>,
    deliveries: Deliveries<ReadOnly>,
}

/// Lists the deliveries of a destination that are pending, failed or cancelled, and those that
/// succeeded after a failure or through a replay.
///
/// Deliveries that succeeded at the first attempt are returned by `GET /errors/{errorId}` and
/// `GET /events/{eventId}`.
#[utoipa::path(get, path = "/destinations/{destinationId}/deliveries", tag = "destinations",
    security(("apiKey" = ["manage"])), params(ListDeliveries, PageParams),
    responses((status = 200, body = List<Delivery>)))]
pub async fn list_deliveries(
    caller: Backend,
    extract::State(State { destinations, deliveries }): extract::State<State>,
    scope: ListScope,
    Path(id): Path<DestinationId>,
    Valid((ListDeliveries { status }, page)): Valid<(ListDeliveries, PageParams)>,
) -> Result<Json<List<Delivery>>, Problem> {
    let route = Route { environment: caller.environment, destination: id };
    destinations.get(route.environment, id).await?.or_not_found("destination")?;
    Ok(List::of(&scope, deliveries.list(route, status, page.request(&scope)).await?))
}
