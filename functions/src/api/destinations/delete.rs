//! `DELETE /destinations/{destinationId}`. AWS calls: one DynamoDB transaction.

use axum::extract;
use tenon::{
    domain::id::DestinationId,
    http::{Backend, Json, NoInput, Path, Problem},
    start::FromAws,
    store::{destinations::Destinations, retention::Retention},
};

use crate::api::success::Success;

/// State of the function.
#[derive(Clone, Debug, FromAws)]
pub struct State {
    destinations: Destinations,
    retention: Retention,
}

/// Deletes a destination. Its keys are erased immediately.
#[utoipa::path(delete, path = "/destinations/{destinationId}", tag = "destinations", security(("apiKey" = ["manage"])),
    responses((status = 200, body = Success)))]
pub async fn delete_destination(
    caller: Backend,
    extract::State(State { destinations, retention }): extract::State<State>,
    Path(id): Path<DestinationId>,
    _: NoInput,
) -> Result<Json<Success>, Problem> {
    if destinations.delete(caller.environment, id, retention).await? {
        Ok(Json(Success::new()))
    } else {
        Err(Problem::not_found("destination"))
    }
}
