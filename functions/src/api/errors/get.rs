//! `GET /errors/{errorId}`. AWS calls: three concurrent DynamoDB queries, a read, and a concurrent
//! query and read.

use axum::{
    extract,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use tenon::{
    domain::{
        delivery::Delivery,
        error_log::ErrorDocument,
        id::ErrorId,
        record::{Record, RecordId},
    },
    http::{Backend, Json, NoInput, Path, Problem},
};
use utoipa::ToSchema;

use crate::api::records::RecordState;

/// Error with its deliveries.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorWithDeliveries<'a> {
    /// Error.
    #[serde(flatten)]
    error: ErrorDocument<'a>,
    /// Deliveries of the error, one per destination.
    deliveries: Vec<Delivery>,
}

/// Returns an error with its deliveries. If several workflows have an error with this id, one of
/// them is returned.
#[utoipa::path(get, path = "/errors/{errorId}", tag = "errors", security(("apiKey" = ["manage"])),
    responses((status = 200, body = ErrorWithDeliveries)))]
pub async fn get_error(
    caller: Backend,
    extract::State(state): extract::State<RecordState>,
    Path(id): Path<ErrorId>,
    _: NoInput,
) -> Result<Response, Problem> {
    match state.find(caller.environment, RecordId::Error { error_id: id }).await? {
        Some((Record::Error(error), deliveries)) => {
            Ok(Json(ErrorWithDeliveries { error: error.document(), deliveries }).into_response())
        }
        _ => Err(Problem::not_found("error")),
    }
}
