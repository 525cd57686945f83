//! `GET /destinations`. AWS calls: one DynamoDB query, and one more for each megabyte of filters.

use axum::extract::State;
use tenon::{
    domain::{destination::Destination, health::Health},
    http::{Backend, Json, List, ListScope, PageParams, Problem, Valid},
};

use super::{DestinationBody, ReadState};

/// Lists the destinations of the environment, newest first.
#[utoipa::path(get, path = "/destinations", tag = "destinations", security(("apiKey" = ["manage"])), params(PageParams),
    responses((status = 200, body = List<DestinationBody>)))]
pub async fn list_destinations(
    caller: Backend,
    State(ReadState { destinations, principal }): State<ReadState>,
    scope: ListScope,
    Valid(page): Valid<PageParams>,
) -> Result<Json<List<DestinationBody>>, Problem> {
    let id = |(destination, _): &(Destination, Health)| destination.destination_id.to_string();
    // An environment has at most 20 destinations, so all are read. The page starts below the id of
    // the cursor.
    let all = destinations.list_with_health(caller.environment).await?;
    let page = page.select(all, &scope, id);
    Ok(List::of(&scope, page.map(|found| DestinationBody::new(caller.environment, &principal, found))))
}
