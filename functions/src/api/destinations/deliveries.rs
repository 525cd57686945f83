//! `GET /destinations/{destinationId}/deliveries`. AWS calls: one DynamoDB read and eight queries at once; more queries only
//! where filters leave out most of what is read.

use aws_config::SdkConfig;
use axum::extract::State;
use serde::Serialize;
use tenon::{
    domain::{
        delivery::{Delivery, DeliveryStatus, Route},
        id::DestinationId,
    },
    http::{Backend, Cursor, Fields, Input, Json, Limit, Path, Problem, ProblemDocument, StartError, Valid},
    store::{
        Table,
        deliveries::{Deliveries, SHARDS},
        destinations::Destinations,
        errors::Retention,
    },
};
use utoipa::{IntoParams, ToSchema};

/// What the function is given.
#[derive(Clone, Debug)]
pub struct AppState {
    destinations: Destinations,
    deliveries: Deliveries,
}

/// Opens the connections to both tables.
pub async fn state(config: &SdkConfig) -> Result<AppState, StartError> {
    let (directory, errors) = Table::both(config, SHARDS).await?;
    let deliveries = Deliveries { table: errors, retention: Retention::from_env()? };
    Ok(AppState { destinations: Destinations(directory), deliveries })
}

/// Which deliveries are asked for.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListDeliveries {
    /// That stand so.
    status: Option<DeliveryStatus>,
    /// How many deliveries a page has at most.
    #[param(value_type = Option<u8>, minimum = 1, maximum = 100)]
    limit: Limit,
    /// Where the page before ended.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
}

impl Input for ListDeliveries {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let status = fields.optional("status");
        let limit = fields.optional("limit");
        let cursor = fields.optional("cursor");
        Some(Self { status: status?, limit: limit?.unwrap_or_default(), cursor: cursor? })
    }
}

/// A page of deliveries, those of the newest errors first.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeliveryPage {
    /// The deliveries.
    data: Vec<Delivery>,
    /// Where the next page starts; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
}

/// Lists the deliveries of a destination that wait, have failed or were cancelled, and those that arrived after a failure
/// or by a replay. Deliveries that succeeded at once are told of with their error.
#[utoipa::path(get, path = "/destinations/{destinationId}/deliveries", tag = "destinations",
    security(("apiKey" = ["manage"])), params(("destinationId" = DestinationId, Path), ListDeliveries), responses(
    (status = 200, body = DeliveryPage),
    (status = 400, body = ProblemDocument, description = "the cursor is not one of this list"),
    (status = 404, body = ProblemDocument),
    (status = 422, body = ProblemDocument),
))]
pub async fn list_deliveries(
    caller: Backend,
    State(AppState { destinations, deliveries }): State<AppState>,
    Path(id): Path<DestinationId>,
    Valid(ListDeliveries { status, limit: Limit(limit), cursor }): Valid<ListDeliveries>,
) -> Result<Json<DeliveryPage>, Problem> {
    let route = Route { environment: caller.environment, destination: id };
    let scope = format!("/destinations/{id}/deliveries?status={}", status.map_or("", DeliveryStatus::as_str));
    let after = cursor.map(|cursor| cursor.position(&scope)).transpose()?;
    destinations.get(route.environment, id).await?.ok_or_else(|| Problem::not_found("destination"))?;
    let page = deliveries.list(route, status, (after.as_deref(), limit)).await?;
    let cursor = page.next.map(|position| Cursor::new(&scope, &position).into_string());
    Ok(Json(DeliveryPage { data: page.items, cursor }))
}
