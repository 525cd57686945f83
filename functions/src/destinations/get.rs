//! `GET /destinations/{destinationId}`. AWS calls: one DynamoDB read.

use axum::extract::State;
use tenon::{
    domain::id::DestinationId,
    http::{Backend, Json, Path, Problem, ProblemDocument},
    store::destinations::Destinations,
};

use super::DestinationBody;
pub use super::state;

/// Shows a destination; of its keys only the ends of the key id.
#[utoipa::path(get, path = "/destinations/{destinationId}", tag = "destinations", security(("apiKey" = ["manage"])),
    params(("destinationId" = DestinationId, Path)), responses(
    (status = 200, body = DestinationBody),
    (status = 404, body = ProblemDocument),
))]
pub async fn get_destination(
    caller: Backend,
    State(destinations): State<Destinations>,
    Path(id): Path<DestinationId>,
) -> Result<Json<DestinationBody>, Problem> {
    let destination = destinations.get(caller.environment, id).await?;
    destination.map(|destination| Json(destination.into())).ok_or_else(|| Problem::not_found("destination"))
}
