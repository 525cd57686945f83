//! `GET /destinations`. AWS calls: one DynamoDB query, and one more for each megabyte of filters.

use axum::extract::State;
use serde::Serialize;
use tenon::{
    domain::{destination::Destination, health::Health},
    http::{Backend, Cursor, Invalid, InvalidCursor, Json, PageParams, Problem, Valid},
    store::{ReadOnly, destinations::Destinations},
};
use utoipa::ToSchema;

use super::DestinationBody;

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
    params(PageParams), responses(
    (status = 200, body = DestinationPage),
    InvalidCursor, Invalid,
))]
pub async fn list_destinations(
    caller: Backend,
    State(destinations): State<Destinations<ReadOnly>>,
    Valid(page): Valid<PageParams>,
) -> Result<Json<DestinationPage>, Problem> {
    let after = page.after(LIST)?;
    let id = |(destination, _): &(Destination, Health)| destination.destination_id.to_string();
    // An environment has at most 20 destinations, so all are read. The page starts below the id of
    // the cursor.
    let mut rest = destinations.list_with_health(caller.environment).await?;
    rest.retain(|destination| after.as_ref().is_none_or(|after| id(destination) < *after));
    let more = rest.len() > page.limit();
    rest.truncate(page.limit());
    let cursor = rest.last().filter(|_| more).map(|last| Cursor::new(LIST, &id(last)).into_string());
    Ok(Json(DestinationPage { data: rest.into_iter().map(DestinationBody::from).collect(), cursor }))
}
