//! `GET /events/{eventId}`. AWS calls: three concurrent DynamoDB queries, a read, and a concurrent
//! query and read.

use axum::{
    extract,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use tenon::{
    domain::{
        delivery::Delivery,
        event::EventDocument,
        id::EventId,
        record::{Record, RecordId},
    },
    http::{Backend, Json, NoInput, Path, Problem},
};
use utoipa::ToSchema;

use crate::api::records::RecordState;

/// Event with its deliveries.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventWithDeliveries<'a> {
    /// Event.
    #[serde(flatten)]
    event: EventDocument<'a>,
    /// Deliveries of the event, one per destination.
    deliveries: Vec<Delivery>,
}

/// Returns an event with its deliveries.
#[utoipa::path(get, path = "/events/{eventId}", tag = "events", security(("apiKey" = ["manage"])),
    responses((status = 200, body = EventWithDeliveries)))]
pub async fn get_event(
    caller: Backend,
    extract::State(state): extract::State<RecordState>,
    Path(id): Path<EventId>,
    _: NoInput,
) -> Result<Response, Problem> {
    match state.find(caller.environment, RecordId::Event { event_id: id }).await? {
        Some((Record::Event(event), deliveries)) => {
            Ok(Json(EventWithDeliveries { event: event.document(), deliveries }).into_response())
        }
        _ => Err(Problem::not_found("event")),
    }
}
