//! `DELETE /destinations/{destinationId}`. AWS calls: one DynamoDB transaction.

use aws_config::SdkConfig;
use axum::extract::State;
use tenon::{
    domain::id::DestinationId,
    http::{Backend, Invalid, Json, NoInput, NotFound, Path, Problem, StartError},
    store::{destinations::Destinations, errors::Retention},
};

use crate::api::success::Success;

/// State of the function.
#[derive(Clone, Debug)]
pub struct AppState {
    destinations: Destinations,
    retention: Retention,
}

/// Connects to the directory table.
pub async fn state(config: &SdkConfig) -> Result<AppState, StartError> {
    Ok(AppState { destinations: super::state(config).await?, retention: Retention::from_env()? })
}

/// Deletes a destination. Its keys are erased immediately.
#[utoipa::path(delete, path = "/destinations/{destinationId}", tag = "destinations", security(("apiKey" = ["manage"])),
    params(("destinationId" = DestinationId, Path)), responses(
    (status = 200, body = Success),
    NotFound, Invalid,
))]
pub async fn delete_destination(
    caller: Backend,
    State(AppState { destinations, retention }): State<AppState>,
    Path(id): Path<DestinationId>,
    _: NoInput,
) -> Result<Json<Success>, Problem> {
    if destinations.delete(caller.environment, id, retention).await? {
        Ok(Json(Success::new()))
    } else {
        Err(Problem::not_found("destination"))
    }
}
