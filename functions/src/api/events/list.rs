//! `GET /events`. AWS calls: eight concurrent DynamoDB queries and one batch read; for a user one
//! query, and one read before it if `userId` is a username or email address. More queries only if
//! the filters exclude most of the items read.

use axum::{
    extract,
    response::{IntoResponse, Response},
};
use tenon::{
    domain::{
        event::{Event, EventDocument, EventType},
        id::WorkflowId,
        names::UserRef,
        timestamp::Timestamp,
        workflow::EngineIntegrationId,
    },
    http::{Backend, Input, List, ListScope, PageParams, Problem, Valid},
    start::FromAws,
    store::{
        Page, ReadOnly,
        events::{EventQuery, Events},
        records::SHARDS,
        users::Users,
    },
};
use utoipa::IntoParams;

use crate::api::records::{ListOrder, check_range, find_user};

/// Query parameters of the list of events.
#[derive(Debug, Input, IntoParams)]
#[input(check(check_range: since, until))]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub struct EventFilters {
    /// Start of the time range, inclusive; rounded down to a whole second.
    since: Option<Timestamp>,
    /// End of the time range, exclusive; rounded up to a whole second.
    until: Option<Timestamp>,
    /// Type of the events.
    #[serde(rename = "type")]
    #[param(rename = "type")]
    event_type: Option<EventType>,
    /// User of the events, also a deleted one by its id.
    user_id: Option<UserRef>,
    /// Workflow of the events.
    workflow_id: Option<WorkflowId>,
    /// Integration of the events.
    integration_id: Option<EngineIntegrationId>,
}

/// State of the function.
#[derive(Clone, Debug, FromAws)]
#[aws(connections = SHARDS)]
pub struct State {
    users: Users<ReadOnly>,
    events: Events,
}

/// Lists the events of the environment, including those of deleted users.
#[utoipa::path(get, path = "/events", tag = "events", security(("apiKey" = ["manage"])),
    params(EventFilters, ListOrder, PageParams),
    responses((status = 200, body = List<EventDocument<'static>>), (status = 404, description = "user not found")))]
pub async fn list_events(
    caller: Backend,
    extract::State(State { users, events }): extract::State<State>,
    scope: ListScope,
    Valid((filters, (order, page))): Valid<(EventFilters, (ListOrder, PageParams))>,
) -> Result<Response, Problem> {
    let EventFilters { since, until, event_type, user_id, workflow_id, integration_id } = filters;
    let user_id = find_user(&users, caller.environment, user_id.as_ref()).await?;
    let window = order.window(&scope, page.limit);
    let query = EventQuery { since, until, event_type, user_id, workflow_id, integration_id, window };
    let found = events.page(caller.environment, &query).await?;
    let items = found.items.iter().map(Event::document).collect();
    Ok(List::<EventDocument<'_>>::of(&scope, Page { items, next: found.next }).into_response())
}
