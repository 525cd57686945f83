//! `GET /destinations/{destinationId}/deliveries`. AWS calls: one DynamoDB read and eight
//! concurrent queries; more queries only if the filter excludes most of the items read.

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
        ReadOnly, Table,
        deliveries::{Deliveries, SHARDS},
        destinations::Destinations,
        errors::Retention,
    },
};
use utoipa::{IntoParams, ToSchema};

/// State of the function.
#[derive(Clone, Debug)]
pub struct AppState {
    destinations: Destinations<ReadOnly>,
    deliveries: Deliveries<ReadOnly>,
}

/// Connects to both tables.
pub async fn state(config: &SdkConfig) -> Result<AppState, StartError> {
    let (directory, errors) = Table::both(config, SHARDS).await?;
    let deliveries = Deliveries { table: errors, retention: Retention::from_env()? };
    Ok(AppState { destinations: Destinations(directory), deliveries })
}

/// Query parameters of the list of deliveries.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListDeliveries {
    /// Status of the deliveries.
    status: Option<DeliveryStatus>,
    /// Maximum number of deliveries per page.
    #[param(value_type = Option<u8>, minimum = 1, maximum = 100)]
    limit: Limit,
    /// Cursor that the previous page returned.
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
    security(("apiKey" = ["manage"])), params(("destinationId" = DestinationId, Path), ListDeliveries), responses(
    (status = 200, body = DeliveryPage),
    (status = 400, body = ProblemDocument, description = "the cursor does not belong to this list"),
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
