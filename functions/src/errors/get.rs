//! `GET /errors/{errorId}`. AWS calls: three DynamoDB queries, of which two at once, and two reads at once.

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
    let (directory, table) = tokio::join!(Table::directory(config), Table::errors(config));
    let (table, retention) = (table?, Retention::from_env()?);
    Ok(Stores {
        destinations: Destinations(directory?),
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
    let (listed, destinations) = tokio::try_join!(errors.find(environment, id), destinations.ids_ever(environment))?;
    let workflow = listed.first().ok_or_else(not_found)?.workflow_id;
    let wanted = [(workflow, id)];
    let (found, deliveries) = tokio::try_join!(
        errors.get_all(environment, &wanted),
        deliveries.of_error(environment, (workflow, id), &destinations)
    )?;
    let error = found.first().ok_or_else(not_found)?;
    Ok(Json(ErrorWithDeliveries { error: error.document(), deliveries }).into_response())
}
