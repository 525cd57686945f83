//! `GET /destinations`. AWS calls: one DynamoDB query, and one more for each megabyte of filters.

use axum::extract::State;
use serde::Serialize;
use tenon::{
    domain::{destination::Destination, health::Health},
    http::{Backend, Cursor, Fields, Input, Json, Limit, Problem, ProblemDocument, Valid},
    store::{ReadOnly, destinations::Destinations},
};
use utoipa::{IntoParams, ToSchema};

use super::DestinationBody;
pub use super::read_only_state as state;

/// Query parameters of the list of destinations.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListDestinations {
    /// Maximum number of destinations per page.
    #[param(value_type = Option<u8>, minimum = 1, maximum = 100)]
    limit: Limit,
    /// Cursor that the previous page returned.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
}

impl Input for ListDestinations {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let limit = fields.optional("limit");
        let cursor = fields.optional("cursor");
        Some(Self { limit: limit?.unwrap_or_default(), cursor: cursor? })
    }
}

/// Page of destinations, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct DestinationPage {
    /// Destinations of the page.
    data: Vec<DestinationBody>,
    /// Cursor of the next page; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
}

/// List to which the cursors belong.
const LIST: &str = "/destinations";

/// Lists the destinations of the environment, newest first.
#[utoipa::path(get, path = "/destinations", tag = "destinations", security(("apiKey" = ["manage"])),
    params(ListDestinations), responses(
    (status = 200, body = DestinationPage),
    (status = 400, body = ProblemDocument, description = "the cursor does not belong to this list"),
    (status = 422, body = ProblemDocument),
))]
pub async fn list_destinations(
    caller: Backend,
    State(destinations): State<Destinations<ReadOnly>>,
    Valid(ListDestinations { limit: Limit(limit), cursor }): Valid<ListDestinations>,
) -> Result<Json<DestinationPage>, Problem> {
    let after = cursor.map(|cursor| cursor.position(LIST)).transpose()?;
    let id = |(destination, _): &(Destination, Health)| destination.destination_id.to_string();
    // An environment has at most 20 destinations, so all are read. The page starts below the id of
    // the cursor.
    let mut rest = destinations.list_with_health(caller.environment).await?;
    rest.retain(|destination| after.as_ref().is_none_or(|after| id(destination) < *after));
    let more = rest.len() > limit;
    rest.truncate(limit);
    let cursor = rest.last().filter(|_| more).map(|last| Cursor::new(LIST, &id(last)).into_string());
    Ok(Json(DestinationPage { data: rest.into_iter().map(DestinationBody::from).collect(), cursor }))
}
