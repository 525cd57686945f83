//! `GET /errors/{errorId}`. AWS calls: three concurrent DynamoDB queries, a read, and a concurrent
//! query and read.

use axum::{
    extract,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use tenon::{
    domain::{delivery::Delivery, error_log::ErrorDocument, id::ErrorId},
    http::{Backend, Json, NoInput, Path, Problem},
    start::FromAws,
    store::{ReadOnly, deliveries::Deliveries, destinations::Destinations, errors::Errors},
};
use utoipa::ToSchema;

/// Error with its deliveries.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorWithDeliveries<'a> {
    /// Error.
    #[serde(flatten)]
    error: ErrorDocument<'a>,
    /// Deliveries of the error, one per destination.
    deliveries: Vec<Delivery>,
}

/// State of the function.
#[derive(Clone, Debug, FromAws)]
#[aws(connections = 3)]
pub struct State {
    destinations: Destinations<ReadOnly>,
    errors: Errors<ReadOnly>,
    deliveries: Deliveries<ReadOnly>,
}

/// Returns an error with its deliveries. If several workflows have an error with this id, one of
/// them is returned.
#[utoipa::path(get, path = "/errors/{errorId}", tag = "errors", security(("apiKey" = ["manage"])),
    responses((status = 200, body = ErrorWithDeliveries)))]
pub async fn get_error(
    caller: Backend,
    extract::State(State { destinations, errors, deliveries }): extract::State<State>,
    Path(id): Path<ErrorId>,
    _: NoInput,
) -> Result<Response, Problem> {
    let environment = caller.environment;
    let not_found = || Problem::not_found("error");
    let (listed, destinations) =
        tokio::try_join!(errors.find(environment, id), destinations.ids_including_deleted(environment))?;
    let listed: Vec<_> = listed.iter().map(|error| (error.workflow_id, error.error_id)).collect();
    // The index may still list an error that has expired or was erased.
    let found = errors.get_all(environment, &listed).await?;
    let error = listed.iter().find_map(|(workflow, _)| found.iter().find(|error| error.workflow_id == *workflow));
    let error = error.ok_or_else(not_found)?;
    let deliveries = deliveries.list_by_error(error, &destinations).await?;
    Ok(Json(ErrorWithDeliveries { error: error.document(), deliveries }).into_response())
}
