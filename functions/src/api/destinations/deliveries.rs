//! `GET /destinations/{destinationId}/deliveries`. AWS calls: one DynamoDB read and eight
//! concurrent queries; more queries only if the filter excludes most of the items read.

use axum::extract;
use serde::Serialize;
use tenon::{
    domain::{
        delivery::{Delivery, DeliveryStatus, Route},
        id::DestinationId,
    },
    http::{Backend, Cursor, Input, Invalid, InvalidCursor, Json, NotFound, PageParams, Path, Problem, Valid},
    start::FromAws,
    store::{
        ReadOnly,
        deliveries::{Deliveries, SHARDS},
        destinations::Destinations,
    },
};
use utoipa::{IntoParams, ToSchema};

/// State of the function.
#[derive(Clone, Debug, FromAws)]
#[aws(connections = SHARDS)]
pub struct State {
    destinations: Destinations<ReadOnly>,
    deliveries: Deliveries<ReadOnly>,
}

/// Query parameters of the list of deliveries.
#[derive(Debug, Input, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListDeliveries {
    /// Status of the deliveries.
    status: Option<DeliveryStatus>,
}

/// Page of deliveries, those of the newest errors first.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeliveryPage {
    /// Deliveries of the page.
    data: Vec<Delivery>,
    /// Cursor of the next page; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
}

/// Lists the deliveries of a destination that are pending, failed or cancelled, and those that
/// succeeded after a failure or through a replay.
///
/// Deliveries that succeeded at the first attempt are returned by `GET /errors/{errorId}` only.
#[utoipa::path(get, path = "/destinations/{destinationId}/deliveries", tag = "destinations",
    security(("apiKey" = ["manage"])), params(("destinationId" = DestinationId, Path), ListDeliveries, PageParams), responses(
    (status = 200, body = DeliveryPage),
    InvalidCursor, NotFound, Invalid,
))]
pub async fn list_deliveries(
    caller: Backend,
    extract::State(State { destinations, deliveries }): extract::State<State>,
    Path(id): Path<DestinationId>,
    Valid((ListDeliveries { status }, page)): Valid<(ListDeliveries, PageParams)>,
) -> Result<Json<DeliveryPage>, Problem> {
    let route = Route { environment: caller.environment, destination: id };
    let scope = format!("/destinations/{id}/deliveries?status={}", status.map_or("", DeliveryStatus::as_str));
    let after = page.after(&scope)?;
    destinations.get(route.environment, id).await?.ok_or_else(|| Problem::not_found("destination"))?;
    let page = deliveries.list(route, status, (after.as_deref(), page.limit())).await?;
    let cursor = page.next.map(|position| Cursor::new(&scope, &position).into_string());
    Ok(Json(DeliveryPage { data: page.items, cursor }))
}
