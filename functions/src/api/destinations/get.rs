//! `GET /destinations/{destinationId}`. AWS calls: two DynamoDB reads.

use axum::extract::State;
use tenon::{
    domain::{delivery::Route, id::DestinationId},
    http::{Backend, Json, NoInput, OrNotFound, Path, Problem},
};

use super::{DestinationBody, ReadState};

/// Returns a destination. Its access key id is masked.
#[utoipa::path(get, path = "/destinations/{destinationId}", tag = "destinations", security(("apiKey" = ["manage"])),
    responses((status = 200, body = DestinationBody)))]
pub async fn get_destination(
    caller: Backend,
    State(ReadState { destinations, principal }): State<ReadState>,
    Path(id): Path<DestinationId>,
    _: NoInput,
) -> Result<Json<DestinationBody>, Problem> {
    let route = Route { environment: caller.environment, destination: id };
    let found = destinations.get_with_health(route).await?.or_not_found("destination")?;
    Ok(Json(DestinationBody::new(route.environment, &principal, found)))
}
