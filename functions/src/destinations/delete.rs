//! `DELETE /destinations/{destinationId}`. AWS calls: one DynamoDB transaction.

use axum::extract::State;
use tenon::{
    domain::id::DestinationId,
    http::{Backend, Json, Path, Problem, ProblemDocument},
    store::destinations::Destinations,
};

pub use super::state;
use crate::success::Success;

/// Removes a destination. Its keys are erased at once.
#[utoipa::path(delete, path = "/destinations/{destinationId}", tag = "destinations", security(("apiKey" = ["manage"])),
    params(("destinationId" = DestinationId, Path)), responses(
    (status = 200, body = Success),
    (status = 404, body = ProblemDocument),
))]
pub async fn delete_destination(
    caller: Backend,
    State(destinations): State<Destinations>,
    Path(id): Path<DestinationId>,
) -> Result<Json<Success>, Problem> {
    if destinations.delete(caller.environment, id).await? {
        Ok(Json(Success::new()))
    } else {
        Err(Problem::not_found("destination"))
    }
}
