//! `GET /destinations/{destinationId}/replays`. AWS calls: one DynamoDB read and one query; more
//! queries, up to eight, only if the environment has many replays to other destinations.

use axum::extract;
use tenon::{
    domain::{delivery::Route, id::DestinationId},
    http::{Backend, Json, List, ListScope, OrNotFound, PageParams, Path, Problem, Valid},
    start::FromAws,
    store::{ReadOnly, destinations::Destinations, replays::Replays},
};

use super::ReplayBody;

/// State of the function.
#[derive(Clone, Debug, FromAws)]
pub struct State {
    destinations: Destinations<ReadOnly>,
    replays: Replays<ReadOnly>,
}

/// Lists the replays to a destination with their progress, newest first.
#[utoipa::path(get, path = "/destinations/{destinationId}/replays", tag = "destinations",
    security(("apiKey" = ["manage"])), params(PageParams), responses((status = 200, body = List<ReplayBody>)))]
pub async fn list_replays(
    caller: Backend,
    extract::State(State { destinations, replays }): extract::State<State>,
    scope: ListScope,
    Path(id): Path<DestinationId>,
    Valid(page): Valid<PageParams>,
) -> Result<Json<List<ReplayBody>>, Problem> {
    let route = Route { environment: caller.environment, destination: id };
    destinations.get(route.environment, id).await?.or_not_found("destination")?;
    Ok(List::of(&scope, replays.list(route, page.request(&scope)).await?))
}
