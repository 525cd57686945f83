//! `DELETE /destinations/{destinationId}`. AWS calls: one DynamoDB transaction.

use axum::extract::State;
use serde::Serialize;
use tenon::{
    domain::id::DestinationId,
    http::{Backend, Json, Path, Problem, ProblemDocument},
    store::destinations::Destinations,
};
use utoipa::ToSchema;

pub use super::state;

/// That it was done.
#[derive(Debug, Serialize, ToSchema)]
pub struct Deleted {
    /// Always true.
    success: bool,
}

/// Removes a destination. Its keys are erased at once.
#[utoipa::path(delete, path = "/destinations/{destinationId}", tag = "destinations", security(("apiKey" = ["manage"])),
    params(("destinationId" = DestinationId, Path)), responses(
    (status = 200, body = Deleted),
    (status = 404, body = ProblemDocument),
))]
pub async fn delete_destination(
    caller: Backend,
    State(destinations): State<Destinations>,
    Path(id): Path<DestinationId>,
) -> Result<Json<Deleted>, Problem> {
    if destinations.delete(caller.environment, id).await? {
        Ok(Json(Deleted { success: true }))
    } else {
        Err(Problem::not_found("destination"))
    }
}
