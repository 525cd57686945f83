//! `GET /errors/{errorId}`. AWS calls: three DynamoDB queries at once, a read, and a query and a read at once.

use aws_config::SdkConfig;
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use tenon::{
    domain::{delivery::Delivery, error_log::ErrorDocument, id::ErrorId},
    http::{Backend, Json, Path, Problem, ProblemDocument, StartError},
    store::{
        Table,
        deliveries::Deliveries,
        destinations::Destinations,
        errors::{Errors, Retention},
    },
};
use utoipa::ToSchema;

/// An error with its deliveries.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorWithDeliveries<'a> {
    /// The error.
    #[serde(flatten)]
    error: ErrorDocument<'a>,
    /// Its deliveries, one a destination that it was or is to be sent to.
    deliveries: Vec<Delivery>,
}

/// What the function is given.
#[derive(Clone, Debug)]
pub struct Stores {
    destinations: Destinations,
    errors: Errors,
    deliveries: Deliveries,
}

/// The stores of both tables.
pub async fn state(config: &SdkConfig) -> Result<Stores, StartError> {
    let (directory, table) = Table::both(config, 3).await?;
    let retention = Retention::from_env()?;
    Ok(Stores {
        destinations: Destinations(directory),
        errors: Errors { table: table.clone(), retention },
        deliveries: Deliveries { table, retention },
    })
}

/// Shows an error with its deliveries. Where the engine has given one id on several workflows, one of these errors.
#[utoipa::path(get, path = "/errors/{errorId}", tag = "errors", security(("apiKey" = ["manage"])),
    params(("errorId" = ErrorId, Path)), responses(
    (status = 200, body = ErrorWithDeliveries),
    (status = 404, body = ProblemDocument),
))]
pub async fn get_error(
    caller: Backend,
    State(Stores { destinations, errors, deliveries }): State<Stores>,
    Path(id): Path<ErrorId>,
) -> Result<Response, Problem> {
    let environment = caller.environment;
    let not_found = || Problem::not_found("error");
    let (listed, destinations) =
        tokio::try_join!(errors.find(environment, id), destinations.ids_including_deleted(environment))?;
    let listed: Vec<_> = listed.iter().map(|error| (error.workflow_id, error.error_id)).collect();
    // Of those that are listed, one may be past its time, or erased.
    let found = errors.get_all(environment, &listed).await?;
    let error = listed.iter().find_map(|(workflow, _)| found.iter().find(|error| error.workflow_id == *workflow));
    let error = error.ok_or_else(not_found)?;
    let deliveries = deliveries.list_by_error(error, &destinations).await?;
    Ok(Json(ErrorWithDeliveries { error: error.document(), deliveries }).into_response())
}
